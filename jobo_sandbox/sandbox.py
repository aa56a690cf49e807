"""The sandbox as tests use it: the API in a thread of its own, on the loopback."""

import asyncio
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Thread
from types import TracebackType
from typing import Self

from aiohttp import web

from jobo_sandbox.core import Core
from jobo_sandbox.server import make_app

HOST = "127.0.0.1"
# Seconds that requests in the middle of their answer get when the sandbox closes.
_GRACE = 0.05


@dataclass(kw_only=True, eq=False)
class Sandbox(Core):
    """A running sandbox: `with Sandbox(size=300, seed=1, price=40) as sandbox: …`.

    All options of `Core` and `Switches` are taken; what `Switches` names can be set on it at any
    time.

    Attributes:
        port: Where it listens; 0 for any free port, and then the one that was found.
    """

    port: int = 0
    _stop: Future[None] = field(default_factory=Future, init=False)
    _thread: Thread | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """The API's base URL, without a slash at its end."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        started: Future[int] = Future()
        self._thread = Thread(target=self._run, args=[started], name="jobo-sandbox", daemon=True)
        self._thread.start()
        self.port = started.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving, without waiting for requests that are open."""
        if self._thread is not None:
            self._stop.set_result(None)
            self._thread.join()
            self._thread = None

    def _run(self, started: Future[int]) -> None:
        try:
            asyncio.run(self._serve(started))
        except OSError as error:  # the port is taken
            started.set_exception(error)

    async def _serve(self, started: Future[int]) -> None:
        runner = web.AppRunner(make_app(self), access_log=None, shutdown_timeout=_GRACE)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self.port).start()
            started.set_result(runner.addresses[0][1])
            await asyncio.wrap_future(self._stop)
        finally:
            await runner.cleanup()
