"""One try of a request: what came of it, and whether it may have been billed."""

from __future__ import annotations

import io
import socket
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
import urllib3

from tap_jobo.api import limits
from tap_jobo.api.retry import FailedTryError, Outcome
from tap_jobo.clock import parse_http_date
from tap_jobo.errors import ApiError
from tap_jobo.redaction import redact_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from tap_jobo.clock import Clock

_CHUNK: Final = 64 * 1024
_CLOSED: Final = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
_TIMEOUTS: Final = (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError)
_CAUSES: Final[tuple[tuple[Any, str], ...]] = (
    (socket.gaierror, "unknown host name"),
    (ConnectionRefusedError, "connection refused"),
    (_CLOSED, "connection closed"),
    (_TIMEOUTS, "timed out"),
)


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A complete response.

    Attributes:
        body: Its body, decoded, with the key redacted.
        status: Its status.
        headers: Its headers, with case-insensitive names.
        date: The API's clock in the response, in whole seconds; None if missing.
    """

    body: bytes
    status: int
    headers: Mapping[str, str]
    date: datetime | None


class _Body(io.BytesIO):
    """The body of a request, which records that the connection has taken it to send.

    A connection, its TLS handshake, and a tunnel through a proxy precede that, so until then the
    API has no complete request to bill. The exceptions of requests do not show the difference.
    """

    is_taken = False

    def read(self, size: int | None = -1, /) -> bytes:
        self.is_taken = True
        return super().read(size)


class Try:
    """One try of a request.

    Args:
        session: Sends the request.
        request: What to send.
        key: The API key, to redact it from the body.
        clock: The clock to read.
        is_paid: Whether a page of the response is billed.
        seconds: How long the try may take.

    Attributes:
        elapsed: Seconds until the response began; None if it did not.
    """

    def __init__(  # noqa: PLR0913 - each is a separate fact
        self,
        session: requests.Session,
        request: requests.PreparedRequest,
        *,
        key: str,
        clock: Clock,
        is_paid: bool = False,
        seconds: float = limits.TRY_SECONDS,
    ) -> None:
        self._session = session
        self._request = request
        self._key = key
        self._clock = clock
        self._seconds = seconds
        self._end = clock.monotonic() + seconds
        self._body = _with_body(request) if is_paid else None
        self.elapsed: float | None = None

    @property
    def may_be_billed(self) -> bool:
        """Whether a paid request may have been sent completely."""
        return self._body is not None and self._body.is_taken

    def send(self) -> ApiResponse:
        """Return the complete response, whatever its status.

        Raises:
            FailedTryError: It got no complete response.
            ApiError: It cannot be sent.
        """
        started, url = self._clock.monotonic(), self._request.url or ""
        settings = self._session.merge_environment_settings(url, {}, True, None, None)  # noqa: FBT003
        connect, read = limits.CONNECT_SECONDS, limits.READ_SECONDS
        timeout = min(connect, self._seconds), min(read, self._seconds)
        try:
            response = self._session.send(self._request, timeout=timeout, **settings)
            self.elapsed = self._clock.monotonic() - started
            body = self._read(response)
        except (OSError, urllib3.exceptions.HTTPError) as error:  # requests' errors are OSErrors
            raise self._failure(error) from error
        headers = response.headers
        return ApiResponse(
            body, response.status_code, headers, parse_http_date(headers.get("Date"))
        )

    def _read(self, response: requests.Response) -> bytes:
        """Return the body; for an error response it may be empty, since the status is enough."""
        chunks, size = [], 0
        try:
            with response:
                while chunk := response.raw.read1(_CHUNK, decode_content=True):
                    chunks.append(chunk)
                    size += len(chunk)
                    if self._is_overdue or size > limits.MAX_BODY_BYTES:
                        raise TimeoutError
        except (OSError, urllib3.exceptions.HTTPError):
            if response.status_code < HTTPStatus.MULTIPLE_CHOICES:
                raise
            return b""
        return redact_body(b"".join(chunks), self._key)

    def _failure(self, error: Exception) -> Exception:
        """Return the error to raise for a try without a complete response."""
        causes = list(_causes(error))
        if self.may_be_billed or self.elapsed is not None:
            return FailedTryError(self._lost(causes), Outcome.POSSIBLY_BILLED)
        is_closed = _any(causes, _CLOSED)
        if _any(causes, requests.exceptions.SSLError) and not is_closed:
            return ApiError(
                "The certificate of api_url cannot be verified: check api_url, the machine's "
                "certificates, or the proxy in between."
            )
        is_of_connection = (
            requests.ConnectionError,
            requests.Timeout,
            urllib3.exceptions.HTTPError,
        )
        if not isinstance(error, is_of_connection):
            return ApiError(
                f"The request cannot be sent ({type(error).__name__}): check api_url, and the "
                "proxy and certificate settings of the environment."
            )
        host = urlsplit(self._request.url or "").netloc.rpartition("@")[2]
        proxy = " through the proxy" if isinstance(error, requests.exceptions.ProxyError) else ""
        cause = next((text for kinds, text in _CAUSES if _any(causes, kinds)), "connection failed")
        return FailedTryError(f"{host} cannot be reached{proxy} ({cause})", Outcome.NOT_SENT)

    def _lost(self, causes: list[BaseException]) -> str:
        """Return what happened to a response that did not arrive, or not completely."""
        if self._is_overdue:
            return f"Jobo's response took longer than {self._seconds:g} seconds"
        if self.elapsed is not None:
            return "Jobo's response broke off, or is too large"
        if _any(causes, _TIMEOUTS):
            return "Jobo did not respond in time"
        return "The connection to Jobo was lost before the response"

    @property
    def _is_overdue(self) -> bool:
        return self._clock.monotonic() >= self._end


def _with_body(request: requests.PreparedRequest) -> _Body:
    """Give a request a body that records whether it was sent, and return it."""
    content: Any = request.body or b""
    body = _Body(content.getvalue() if isinstance(content, _Body) else content)
    request.body = body  # type: ignore[assignment]
    request.headers["Content-Length"] = str(len(body.getvalue()))
    return body


def _any(causes: list[BaseException], kinds: Any) -> bool:
    return any(isinstance(each, kinds) for each in causes)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and every error nested in it, in all the ways that urllib3 nests them."""
    left: list[object] = [error]
    seen: set[int] = set()
    while left:
        each = left.pop(0)
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            left += [*each.args, getattr(each, "reason", None), each.__cause__, each.__context__]
