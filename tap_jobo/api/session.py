"""One exchange with the API: a request out, and its response in, within bounds of time and size."""

import logging
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import requests
import urllib3
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from typing_extensions import override
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from tap_jobo.api.responses import ApiResponse
from tap_jobo.errors import CutOffError, FailedTryError
from tap_jobo.redaction import holds_key, redact_body, redact_url

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 120.0  # between two parts of a response: Jobo asks for at least this
PAGE_SECONDS: Final = 300.0  # for a page as a whole, from its request to its last byte
MOST_BYTES: Final = 512_000_000  # of a body, on the wire and decoded
_GRACE: Final = 0.5  # seconds more, so that a plain timeout comes first
_PART: Final = 1 << 20
_INFLATED: Final = {"gzip", "x-gzip", "deflate"}
_WINDOW: Final = zlib.MAX_WBITS + 32  # of zlib: for any of these
NETWORK_ERRORS: Final = (OSError, urllib3.exceptions.HTTPError)  # of requests: OSErrors


class ApiSession(requests.Session):
    """A session that sends the key to no other host than the API's."""

    def __init__(self, url: str) -> None:
        super().__init__()
        # Do not send local requests through a proxy of the environment: it would see the key.
        self.trust_env = url.startswith("https:")
        self.auth = lambda request: request  # not what a `.netrc` file has for the host
        self.headers["Accept-Encoding"] = "gzip"  # the one that `_decode` reads
        # It would log headers that it cannot parse as they came, and with a traceback.
        logging.getLogger("urllib3.connection").disabled = True
        for scheme in ("https://", "http://"):
            self.mount(scheme, _WatchedAdapter())

    @override
    def get_redirect_target(self, resp: Response) -> None:
        """Return None: a redirect would send the key to another host, so it is an error."""


def receive(
    session: requests.Session, request: PreparedRequest, key: str, *, timeout: float, seconds: float
) -> ApiResponse:
    """Send a request and return its response; the body of an error may be lost.

    Args:
        session: The session.
        request: The request.
        key: The API key, which is redacted.
        timeout: Seconds between two parts of the response.
        seconds: Seconds for all of it.

    Raises:
        CutOffError: the response took longer, or is larger than allowed.
        FailedTryError: the body of a success broke off.
    """
    settings = session.merge_environment_settings(
        request.url, {}, stream=True, verify=None, cert=None
    )
    timeouts = (min(CONNECT_SECONDS, timeout), timeout)
    with (
        _watched(seconds + _GRACE) as watch,
        session.send(request, timeout=timeouts, **settings) as response,
    ):
        status, headers = response.status_code, response.headers
        is_success = status < HTTPStatus.MULTIPLE_CHOICES
        wire = _read(response, watch, is_success=is_success)
        is_whole = response.raw.chunked or response.raw.length_remaining == 0
        encoding = headers.get("Content-Encoding", "").lower()
        if location := headers.get("Location"):
            headers["Location"] = redact_url(location, key)
        decoded = _decode(wire, encoding, key)
        return ApiResponse(
            body=redact_body(decoded.body, key),
            status=status,
            headers=headers,
            is_whole=bool(is_whole) and decoded.is_whole,
            encoding=decoded.encoding,
            is_too_large=decoded.is_too_large,
        )


def _read(response: Response, watch: "_Watch", *, is_success: bool) -> bytes:
    """Return a body as it came. That of an error may be lost: its status is enough."""
    parts = bytearray()
    try:
        # Not `content`, which reads 10 kB at a time: that takes a tenth of a sync of jobs.
        for part in response.raw.stream(_PART, decode_content=False):
            parts += part
            if len(parts) > MOST_BYTES:
                raise CutOffError(f"Jobo's response is larger than {MOST_BYTES // 10**6} MB")
    except NETWORK_ERRORS as error:
        watch.raise_if_over()
        if is_success:
            raise FailedTryError("Jobo's response broke off", may_be_billed=True) from error
        return b""
    watch.raise_if_over()
    return bytes(parts)


@dataclass(frozen=True, slots=True)
class _Decoded:
    body: bytes
    encoding: str = ""  # which it still has
    is_whole: bool = True  # whether its end has arrived, which urllib3 does not check for gzip
    is_too_large: bool = False


def _decode(wire: bytes, encoding: str, key: str) -> _Decoded:
    """Decode a body. One that is too large when decoded, or can't be decoded, stays as it came.

    Raises:
        CutOffError: it is too large, and what was decoded of it has the key.
    """
    # A proxy may decode a body, and leave the header.
    if encoding in ("", "identity") or (encoding not in _INFLATED and wire.lstrip()[:1] == b"{"):
        return _Decoded(wire)
    if encoding not in _INFLATED:
        return _Decoded(wire, encoding)
    try:
        body, is_whole = inflate(wire)
    except zlib.error:
        return _Decoded(wire, encoding)
    if len(body) <= MOST_BYTES:
        return _Decoded(bytes(body), is_whole=is_whole)
    if holds_key(body, key):
        raise CutOffError("Jobo's response is too large, and has the API key in it")
    return _Decoded(wire, encoding, is_too_large=True)


def inflate(data: bytes) -> tuple[bytes | bytearray, bool]:
    """Return what is decoded, and whether its end has arrived. It stops beyond the most bytes.

    Raises:
        zlib.error: the data is damaged, or in another format.
    """
    body, is_whole = bytearray(), False
    while data:
        member = zlib.decompressobj(_WINDOW)
        body += member.decompress(data, MOST_BYTES - len(body) + 1)
        if len(body) > MOST_BYTES:
            return body, False  # not a copy, which would double the memory
        data, is_whole = member.unused_data, member.eof
    return body, is_whole


# The deadline


@dataclass
class _Watch:
    """The deadline of one exchange: when it is over, the connection is shut down.

    A timeout of the socket is not enough: each byte that comes starts it anew.
    """

    seconds: float
    connection: HTTPConnection | None = None
    sock: socket.socket | None = None  # of the request: a connection forgets it at "close"
    is_over: bool = False
    timer: threading.Timer = field(init=False)

    def __post_init__(self) -> None:
        self.timer = threading.Timer(self.seconds, self.end)
        self.timer.daemon = True

    def end(self) -> None:
        """Shut the connection down, so that whoever reads from it goes on."""
        self.is_over = True
        sock = self.sock or (self.connection and self.connection.sock)
        if sock:
            with suppress(OSError):  # it is closed already
                # Not the method of a TLS socket, which would change what another thread reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def raise_if_over(self) -> None:
        """Raise `CutOffError` once the time is over."""
        if self.is_over:
            raise CutOffError(f"Jobo's response took longer than {self.seconds:.0f} seconds")


_watches = threading.local()
"""The watch of the exchange that a thread is in."""


@contextmanager
def _watched(seconds: float) -> Iterator[_Watch]:
    watch = _watches.current = _Watch(seconds)
    watch.timer.start()
    try:
        yield watch
    except NETWORK_ERRORS:
        watch.raise_if_over()
        raise
    finally:
        watch.timer.cancel()
        _watches.current = None


def _watch(connection: HTTPConnection) -> None:
    """Let the watch shut a connection down."""
    watch: _Watch | None = getattr(_watches, "current", None)
    if watch is not None:
        watch.connection, watch.sock = connection, connection.sock
        watch.raise_if_over()


class _WatchedHTTPConnection(HTTPConnection):
    @override
    def connect(self) -> None:
        _watch(self)
        super().connect()

    @override
    def request(self, *args: Any, **kwargs: Any) -> None:
        _watch(self)
        super().request(*args, **kwargs)
        _watch(self)  # which has connected


class _WatchedHTTPSConnection(HTTPSConnection):
    @override
    def connect(self) -> None:
        _watch(self)
        super().connect()

    @override
    def request(self, *args: Any, **kwargs: Any) -> None:
        _watch(self)
        super().request(*args, **kwargs)
        _watch(self)  # which has connected


class _WatchedHTTPConnectionPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHTTPConnection


class _WatchedHTTPSConnectionPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPSConnection


class _WatchedAdapter(HTTPAdapter):
    @override
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    @override
    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


_POOLS: Final = {"http": _WatchedHTTPConnectionPool, "https": _WatchedHTTPSConnectionPool}
