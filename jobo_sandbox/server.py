"""The mock API server: HTTP by aiohttp, in a thread of its own, on the loopback interface."""

import asyncio
import json
from concurrent.futures import Future
from dataclasses import dataclass, field
from email.utils import format_datetime
from threading import Thread
from typing import Any, Self

from aiohttp import web

from jobo_sandbox.core import Core
from jobo_sandbox.endpoints import answer
from jobo_sandbox.feeds import FEEDS
from jobo_sandbox.ledger import Entry
from jobo_sandbox.ports import HOST
from jobo_sandbox.wire import Reply

# Seconds that open requests get when the server shuts down.
_GRACE = 0.05
_POLL_INTERVAL = 0.02


@dataclass(kw_only=True, eq=False)
class Sandbox(Core):
    """A mock API server: `with Sandbox(size=300, seed=1, price=40) as sandbox: ...`.

    Accepts all options of `Core`.

    Attributes:
        port: The port to listen on. With 0, the port that was picked.
    """

    port: int = 0
    _stop: Future[None] = field(default_factory=Future, init=False)
    _thread: Thread | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """The API's base URL, without a trailing slash."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        started: Future[int] = Future()
        self._thread = Thread(target=self._run, args=[started], name="jobo-sandbox", daemon=True)
        self._thread.start()
        self.port = started.result()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Shut down without waiting for open requests."""
        if self._thread is not None:
            self._stop.set_result(None)
            self._thread.join()
            self._thread = None

    def _run(self, started: Future[int]) -> None:
        try:
            asyncio.run(self._listen(started))
        except OSError as error:  # the port is taken
            started.set_exception(error)

    async def _listen(self, started: Future[int]) -> None:
        runner = web.AppRunner(_make_app(self), access_log=None, shutdown_timeout=_GRACE)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self.port).start()
            started.set_result(runner.addresses[0][1])
            await asyncio.wrap_future(self._stop)
        finally:
            await runner.cleanup()


def _make_app(core: Core) -> web.Application:
    def add(method: str, path: str, endpoint: str) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = dict(request.query) if request.method == "GET" else await _body(request)
            key = request.match_info.get("id")
            headers = {name.lower(): value for name, value in request.headers.items()}
            is_for_clock = key is not None and headers.get("cache-control") == "no-cache"
            asked = "clock" if is_for_clock else endpoint
            entry = core.book.open(core.now(), asked, headers, body=body, company_id=key)
            return await _handle(core, request, entry)

        app.router.add_route(method, path, handle)

    async def omit_date(_: web.Request, response: web.StreamResponse) -> None:
        # This late because aiohttp adds the header if it is missing.
        if core.omit_date_header:
            response.headers.popall("Date")

    app = web.Application()
    app.on_response_prepare.append(omit_date)
    for endpoint, feed in FEEDS.items():
        add(feed.method, feed.path, endpoint)
    add("GET", "/api/connectors/filters", "filters")
    add("GET", "/api/companies/{id}", "profile")
    add("*", "/{path:.*}", "other")
    return app


async def _handle(core: Core, request: web.Request, entry: Entry) -> web.StreamResponse:
    try:
        fault = core.faults.take(entry)
        if fault is not None and fault.hold is not None:
            await fault.hold.pause()
        # Nothing awaits between here and the reply: a page is billed even if the client has left.
        reply = answer(core, entry, fault)
        await asyncio.sleep(fault.delay if fault else 0)
        if reply is None:
            return await _send_nothing(request, hang=fault is not None and fault.hang)
        reply.headers.setdefault("Date", format_datetime(core.now(), usegmt=True))
        return await _send(request, reply, None if fault is None else fault.truncate)
    finally:
        core.book.close()


async def _send_nothing(request: web.Request, *, hang: bool) -> web.StreamResponse:
    transport = request.transport
    # A handler is not notified when its client disconnects, so it has to poll.
    while hang and transport is not None and not transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(_POLL_INTERVAL)
    if transport is not None:
        transport.close()
    return web.Response()  # never sent


async def _send(request: web.Request, reply: Reply, share: float | None) -> web.StreamResponse:
    payload = reply.payload()
    headers = {"Content-Type": f"{reply.content_type}; charset=utf-8"} | reply.headers
    if share is None:
        return web.Response(status=reply.status, body=payload, headers=headers)
    response = web.StreamResponse(status=reply.status, headers=headers)
    response.content_length = len(payload)
    await response.prepare(request)
    await response.write(payload[: int(len(payload) * share)])
    if request.transport is not None:
        request.transport.close()
    return response


async def _body(request: web.Request) -> Any:
    """Return the parsed body: None if it is empty, its text if it is not JSON."""
    text = await request.text()
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text
