"""One exchange with the API: a request out, and its response in, within bounds of time and size."""

import io
import logging
import time
import zlib
from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import requests
import urllib3
from requests import PreparedRequest, Request, Response
from typing_extensions import override

from tap_jobo.api.pages import MOST_BYTES
from tap_jobo.api.responses import ApiResponse
from tap_jobo.errors import CutOffError, FailedTryError
from tap_jobo.redaction import redact_body

USER_AGENT: Final = f"tap-jobo/{version('tap-jobo')}"
CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 120.0  # between two parts of a response: Jobo asks for at least this
PAGE_SECONDS: Final = 300.0  # for a page as a whole, from its request to its last byte
_PART: Final = 1 << 16
_COMPRESSED: Final = {b"\x1f": "gzip", b"x": "deflate"}
"""The first byte of bodies that are compressed, which JSON never has."""
_WINDOW: Final = zlib.MAX_WBITS + 32  # of zlib: for either of these
NETWORK_ERRORS: Final = (OSError, urllib3.exceptions.HTTPError)  # of requests: OSErrors


class ApiSession(requests.Session):
    """Builds requests to the API, and sends the key to no other host."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__()
        self.url, self.key = url, key
        self._templates: dict[str, PreparedRequest] = {}
        # Do not send local requests through a proxy of the environment: it would see the key.
        self.trust_env = url.startswith("https:")
        self.auth = lambda request: request  # not what a `.netrc` file has for the host
        self.headers["Accept-Encoding"] = "gzip"
        self.headers.update({"X-Api-Key": key, "User-Agent": USER_AGENT})
        # It would log headers that it cannot parse as they came, and with a traceback.
        logging.getLogger("urllib3.connection").disabled = True

    def build(
        self, path: str, parameters: Mapping[str, Any] | None = None, method: str = "GET"
    ) -> PreparedRequest:
        """Return a request to the API."""
        if method == "GET":
            return self.prepare_request(Request(method, self.url + path, params=parameters))
        if path not in self._templates:  # to build all but the body takes a tenth of a run
            self._templates[path] = self.prepare_request(Request(method, self.url + path))
        request = self._templates[path].copy()
        request.prepare_body(None, None, json=parameters)
        return request

    @override
    def get_redirect_target(self, resp: Response) -> None:
        """Return None: a redirect would send the key to another host, so it is an error."""


def receive(
    session: requests.Session, request: PreparedRequest, *, timeout: float, seconds: float
) -> ApiResponse:
    """Send a request and return its response as it came; the body of an error may be lost.

    Args:
        session: The session.
        request: The request.
        timeout: Seconds between two parts of the response.
        seconds: Seconds for all of it, but for a head that does not end.

    Raises:
        CutOffError: the response took longer, or is larger than allowed.
        FailedTryError: the body of a success broke off.
    """
    settings = session.merge_environment_settings(
        request.url, {}, stream=True, verify=None, cert=None
    )
    timeouts = (min(CONNECT_SECONDS, timeout), timeout)
    end = time.monotonic() + seconds
    with session.send(request, timeout=timeouts, **settings) as response:
        body = _read(response, end)
        is_whole = bool(body) and (response.raw.chunked or response.raw.length_remaining == 0)
        return ApiResponse(body, response.status_code, response.headers, is_whole)


def _read(response: Response, end: float) -> bytes:
    """Return a body as it came. That of an error may be lost: its status is enough."""
    body = io.BytesIO()  # whose content is not copied once more at the end
    try:
        # Each part as soon as it is there: for the timeout of a socket, any byte is enough.
        while part := response.raw.read1(_PART, decode_content=False):
            body.write(part)
            if time.monotonic() > end:
                raise CutOffError
            if body.tell() > MOST_BYTES:
                raise CutOffError(f"Jobo's response is larger than {MOST_BYTES // 10**6} MB")
    except NETWORK_ERRORS as error:
        if response.status_code < HTTPStatus.MULTIPLE_CHOICES:
            raise FailedTryError("Jobo's response broke off", may_be_billed=True) from error
        return b""
    return body.getvalue()


def decode(received: ApiResponse, key: str) -> ApiResponse:
    """Return a response as it came with its body decoded, and without the key.

    The first bytes of a body show whether it is compressed: a proxy may decode it, and leave the
    header. One that is too large when decoded, or can't be decoded, stays as it came.

    Raises:
        CutOffError: it is too large, and what was decoded of it has the key.
    """
    body, is_whole, encoding = received.body, received.is_whole, ""
    if compression := _COMPRESSED.get(body[:1]):
        try:
            inflated, has_ended = inflate(body)
        except zlib.error:
            pass
        else:
            if len(inflated) <= MOST_BYTES:
                body, is_whole = inflated, is_whole and has_ended
            elif redact_body(inflated, key) != inflated:
                raise CutOffError("Jobo's response is too large, and has the API key in it")
            else:
                encoding = compression
    return ApiResponse(
        redact_body(body, key), received.status, received.headers, is_whole, encoding
    )


def inflate(data: bytes) -> tuple[bytes, bool]:
    """Return what is decoded, and whether its end has arrived. It stops beyond the most bytes.

    Raises:
        zlib.error: the data is damaged, or in another format.
    """
    parts, left, is_whole = list[bytes](), MOST_BYTES + 1, False
    while data and left:
        member = zlib.decompressobj(_WINDOW)
        parts.append(member.decompress(data, left))
        left -= len(parts[-1])
        data, is_whole = member.unused_data, member.eof
    return b"".join(parts), is_whole
