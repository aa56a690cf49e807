"""Connections that record whether a request was sent, and limit how long it may take.

Whether a failed request is billed depends on whether it was sent completely. No exception of
requests or urllib3 shows that: a connection reset during the TLS handshake and one reset while
Jobo prepares the page look the same. So the connection itself records it.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, Final

from requests import Response
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager, ProxyManager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests import PreparedRequest
    from urllib3.connectionpool import ConnectionPool

    from tap_jobo.clock import Clock


class Exchange:
    """One try of a request.

    Args:
        clock: The clock to read.
        seconds: How long the whole try may take.

    Attributes:
        seconds: How long the whole try may take.
        is_sent: Whether the request may have been sent completely. Only the connections of this
            module can detect that it was not; any other leaves this true.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self.seconds = seconds
        self._end = clock.monotonic() + seconds
        self.is_sent = True

    @property
    def is_overdue(self) -> bool:
        """Whether the time is up."""
        return self._clock.monotonic() >= self._end

    @contextmanager
    def on_the_way(self) -> Iterator[None]:
        """Make the connections of this thread report to this exchange."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


class Transport(HTTPAdapter):
    """Sends requests over connections that report to the current `Exchange`.

    It is called directly rather than through `Session.send`, which would handle redirects, cookies
    and hooks: the tap follows no redirect, keeps no cookie and has no hook. That and the pool of
    the last request, which is not looked up again, halve the time that requests itself takes.

    Args:
        workers: How many connections to keep open.
    """

    def __init__(self, workers: int) -> None:
        self._last: tuple[object, ConnectionPool] | None = None
        super().__init__(pool_maxsize=workers)

    def get_connection_with_tls_context(
        self, request: PreparedRequest, *args: Any, **kwargs: Any
    ) -> ConnectionPool:
        """Return the connection pool of a request: the last one if nothing has changed."""
        key = (request.url, args, kwargs)  # whose values are certificates and proxies
        last = self._last
        if last is None or last[0] != key:
            last = key, super().get_connection_with_tls_context(request, *args, **kwargs)
            self._last = last
        return last[1]

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        """Return a response with what `Sender` reads of it: status, headers and body."""
        response = Response()
        response.status_code = resp.status
        response.headers = resp.headers  # whose names are case-insensitive, too
        response.raw = resp
        response.url = req.url or ""
        response.request = req
        return response

    def close(self) -> None:
        """Close all connections."""
        self._last = None
        super().close()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Use this module's connection pools."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> PoolManager:
        """Use this module's connection pools, except for SOCKS, whose pools cannot report."""
        manager: PoolManager = super().proxy_manager_for(*args, **kwargs)
        if type(manager) is ProxyManager:
            manager.pool_classes_by_scheme = _POOLS
        return manager


class _TimedReader(io.RawIOBase):
    """Reads from a socket until the exchange's time is up, even if bytes keep trickling in."""

    def __init__(self, raw: io.RawIOBase, exchange: Exchange) -> None:
        self._raw = raw
        self._exchange = exchange

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._exchange.is_overdue:
            raise TimeoutError
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(HTTPResponse):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if exchange := _current.get():
            raw: Any = self.fp.detach()
            self.fp = io.BufferedReader(_TimedReader(raw, exchange))

    def _read_status(self) -> tuple[str, int, str]:
        """Read a status; `begin`, which skips 100s, then skips all that precede the real one."""
        version, status, reason = super()._read_status()  # type: ignore[misc]
        if HTTPStatus.SWITCHING_PROTOCOLS < status < HTTPStatus.OK:
            status = HTTPStatus.CONTINUE
        return version, status, reason


class _Sending:
    """Sends a request at once, and reports that it was sent, for both kinds of connections.

    urllib3 sends the headers and the body apart, which wakes up the other side twice.
    """

    _parts: list[bytes] | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        parts: list[bytes] = []
        self._parts = parts
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]
        finally:
            self._parts = None
        self.send(b"".join(parts))
        if exchange := _current.get():
            exchange.is_sent = True

    def send(self, data: Any) -> None:
        if self._parts is None:  # the whole request, or that for a tunnel through a proxy
            super().send(data)  # type: ignore[misc]
        else:
            self._parts.append(data)


class _HttpConnection(_Sending, HTTPConnection):
    response_class = _TimedResponse


class _HttpsConnection(_Sending, HTTPSConnection):
    response_class = _TimedResponse


class _Pooling:
    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        if exchange := _current.get():
            exchange.is_sent = False
        return super().urlopen(*args, **kwargs)  # type: ignore[misc]


class _HttpPool(_Pooling, HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(_Pooling, HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


_POOLS: Final = {"http": _HttpPool, "https": _HttpsPool}
