"""The sandbox over HTTP, on aiohttp."""

import asyncio
import json
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from jobo_sandbox.control import add_control
from jobo_sandbox.core import Core
from jobo_sandbox.endpoints import answer
from jobo_sandbox.ledger import Entry
from jobo_sandbox.replies import Reply

_LOOK_EVERY = 0.02


def make_app(core: Core) -> web.Application:
    """Make the application that serves the API, and the sandbox's own controls."""

    async def feed(request: web.Request) -> web.StreamResponse:
        entry = core.book.open(core.now(), "feed", _headers(request), body=await _body(request))
        return await _serve(core, request, entry)

    async def profile(request: web.Request) -> web.StreamResponse:
        key = request.match_info["id"]
        entry = core.book.open(core.now(), "profile", _headers(request), company_id=key)
        return await _serve(core, request, entry)

    async def omit_date(_: web.Request, response: web.StreamResponse) -> None:
        # Only here: aiohttp adds the date where it is missing.
        if core.omit_date_header:
            response.headers.popall("Date")

    app = web.Application()
    app.on_response_prepare.append(omit_date)
    app.router.add_post("/api/career-sites/feed", feed)
    app.router.add_get("/api/companies/{id}", profile)
    add_control(app, core)
    return app


async def _serve(core: Core, request: web.Request, entry: Entry) -> web.StreamResponse:
    try:
        fault = core.faults.take(entry)
        if fault is not None and fault.hold is not None:
            await fault.hold.pause()
        # From here to the answer nothing waits: a page is billed even if its client has left.
        reply = answer(core, entry, fault)
        await asyncio.sleep(core.latency + (fault.delay if fault else 0))
        if reply is None:
            return await _say_nothing(request, hang=fault is not None and fault.hang)
        reply.headers.setdefault("Date", format_datetime(core.now(), usegmt=True))
        return await _send(request, reply, None if fault is None else fault.truncate)
    finally:
        core.book.close()


async def _say_nothing(request: web.Request, *, hang: bool) -> web.StreamResponse:
    transport = request.transport
    # Nothing wakes a handler when its client leaves, so it has to look.
    while hang and transport is not None and not transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_EVERY)
    if transport is not None:
        transport.close()
    return web.Response()  # to nobody


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


def _headers(request: web.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


async def _body(request: web.Request) -> Any:
    """The body, or what stands for none: None if it is empty, its text if it is not JSON."""
    text = await request.text()
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text
