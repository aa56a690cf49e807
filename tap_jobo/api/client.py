"""Requests to Jobo: one session, retried when that makes sense, and never beyond the budget."""

from __future__ import annotations

import io
import ssl
from copy import copy
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from tap_jobo.api.rate_limit import RateLimiter
from tap_jobo.api.responses import ApiResponse, require_success
from tap_jobo.api.retry import (
    CONNECT_SECONDS,
    IDLE_SECONDS,
    READ_SECONDS,
    RETRY_SECONDS,
    FailedTryError,
    Outcome,
    Retry,
)
from tap_jobo.errors import ApiError, InterruptedRunError, OutputError
from tap_jobo.redaction import redact_body

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection

    from requests import PreparedRequest, Response

    from tap_jobo.api.budget import FeedCost
    from tap_jobo.clock import Clock
    from tap_jobo.signals import ShutdownSignal

_CONNECTIONS: Final = 16
"""Connections kept open: the most that `companies_concurrency` allows."""


class ApiSession(requests.Session):
    """A session that sends the key to no other host than the API's.

    Args:
        url: The API's base URL.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        # Do not send local requests through a proxy of the environment: it would see the key.
        self.trust_env = url.startswith("https:")
        self.auth = _no_other_credentials
        # Not whatever is installed: a Zstandard body that is cut short can pass as complete.
        self.headers["Accept-Encoding"] = "gzip, deflate"
        for scheme in ("https://", "http://"):
            self.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))

    def get_redirect_target(self, resp: Response) -> None:
        """Return None: a redirect would send the key to another host, so it is an error."""


def _no_other_credentials(request: PreparedRequest) -> PreparedRequest:
    """Keep requests from sending what a `.netrc` file has for the host, or for any host."""
    return request


class Client:
    """Sends requests and decides which failures to retry.

    Args:
        session: The session to send with.
        key: The API key, to redact it from responses.
        shutdown: Ends waits and requests when a signal arrives.
        clock: The clocks to read.
        logger: Where retries are reported.
        workers: How many threads use the client at once; a rate limit applies to all of them.
        retry_seconds: Seconds of backoff and failed tries for one request, not counting waits that
            the server asks for.

    Attributes:
        elapsed: Seconds until the last response began; None if there is none yet.
    """

    def __init__(  # noqa: PLR0913 - each is a separate dependency
        self,
        *,
        session: requests.Session,
        key: str,
        shutdown: ShutdownSignal,
        clock: Clock,
        logger: logging.Logger,
        workers: int = 1,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._session = session
        self._key = key
        self._shutdown = shutdown
        self._clock = clock
        self._logger = logger
        self._retry_seconds = retry_seconds
        self._limiter = RateLimiter(workers, clock=clock, shutdown=shutdown, logger=logger)
        self._last_used = clock.monotonic()
        self.elapsed: float | None = None

    def fetch(  # noqa: PLR0913 - each is a separate fact
        self,
        request: PreparedRequest,
        *,
        rows: int = 0,
        cost: FeedCost | None = None,
        envelope: Collection[str] = (),
        forbidden: str | None = None,
        any_status: bool = False,
    ) -> ApiResponse:
        """Return the complete response to a request.

        With a `cost`, a page is reserved before each try, and each try that may have been billed
        without returning a page is charged in full. The returned page is not: its reader charges
        and reconciles it.

        Args:
            request: What to send, including the key.
            rows: Maximum rows that the response may hold and cost.
            cost: Where they are charged; None for a free request.
            envelope: Members of which a page has at least one; empty for any JSON.
            forbidden: Advice for a 403, instead of the default.
            any_status: Whether to return any response, whatever its status.

        Raises:
            ApiError: Jobo refused it, or no try returned a usable response.
            CursorRejectedError: The cursor cannot be continued.
            BudgetReachedError: The page may cost more than the budget leaves.
            InterruptedRunError: A signal arrived.
        """
        retry, wait = Retry(self._retry_seconds, is_paid=cost is not None), 0.0
        while True:
            if cost:
                cost.reserve(rows)
            self._shutdown.wait(wait)
            self._limiter.wait()
            started = self._clock.monotonic()
            timeout = READ_SECONDS if cost else min(READ_SECONDS, max(1, retry.seconds_left))
            try:
                response = self._send(request, timeout, cost, rows)
                return response if any_status else require_success(response, envelope, forbidden)
            except FailedTryError as failure:
                if cost and failure.outcome is Outcome.POSSIBLY_BILLED:
                    cost.charge_in_full(failure.headers, rows)
                spent = self._clock.monotonic() - started
                wait = retry.wait_after(failure, spent=spent, now=self._clock.now())
                self._logger.warning("%s: trying again in %.1f seconds.", failure, wait)
                if failure.is_rate_limit:  # which all workers share
                    self._limiter.pause(wait)
                    wait = 0.0

    def fetch_once(self, request: PreparedRequest, timeout: float) -> ApiResponse:
        """Return the response to an optional, free request, without retries or waits.

        Raises:
            ApiError: There is no usable response.
            InterruptedRunError: A signal arrived.
        """
        return require_success(self._send(request, timeout))

    def _send(
        self, request: PreparedRequest, timeout: float, cost: FeedCost | None = None, rows: int = 0
    ) -> ApiResponse:
        """Return the complete response to one try, whatever its status.

        Raises:
            FailedTryError: There is none.
            ApiError: The request cannot be sent.
        """
        if cost and self._clock.monotonic() - self._last_used > IDLE_SECONDS:
            self._session.close()  # its connections; it opens new ones
        body = _Body(request.body or b"")  # type: ignore[arg-type]
        if request.body or cost:
            request = copy(request)
            request.body = body  # type: ignore[assignment]
            request.headers["Content-Length"] = str(len(body.getvalue()))
        try:
            with self._shutdown.request():
                response = self._receive(request, timeout)
        except (OSError, urllib3.exceptions.HTTPError) as error:  # requests' errors are OSErrors
            raise _failure(request, error, is_sent=body.is_taken) from error
        except (InterruptedRunError, OutputError):
            if cost and body.is_taken:
                cost.charge_in_full({}, rows)
            raise
        finally:
            self._last_used = self._clock.monotonic()
        self._limiter.note_response(response.headers)
        return response

    def _receive(self, request: PreparedRequest, timeout: float) -> ApiResponse:
        """Send a request; the body of an error may be lost, since its status is enough."""
        settings = self._session.merge_environment_settings(
            request.url, {}, stream=True, verify=None, cert=None
        )
        timeouts = (min(CONNECT_SECONDS, timeout), timeout)
        with self._session.send(request, timeout=timeouts, **settings) as response:
            self.elapsed = response.elapsed.total_seconds()
            status, body = response.status_code, b""
            try:
                body = redact_body(response.content, self._key)
            except requests.RequestException as error:
                if status < HTTPStatus.MULTIPLE_CHOICES:
                    message = "Jobo's response broke off"
                    raise FailedTryError(message, Outcome.POSSIBLY_BILLED) from error
            return ApiResponse(body, status, response.headers)


class _Body(io.BytesIO):
    """The body of a request, which records that the connection has taken it to send.

    A connection, its TLS handshake, and a tunnel through a proxy precede that, so until then the
    API has no complete request to bill. The exceptions of requests do not show the difference.
    """

    is_taken = False

    def read(self, size: int | None = -1, /) -> bytes:
        self.is_taken = True
        return super().read(size)


def _failure(request: PreparedRequest, error: Exception, *, is_sent: bool) -> ApiError:
    """Return the error to raise for a try without a complete response."""
    root: BaseException = error
    known = OSError, urllib3.exceptions.HTTPError
    while isinstance(inner := root.__cause__ or root.__context__, known):
        root = inner
    cause = str(getattr(root, "strerror", None) or root or type(root).__name__)
    if is_sent:
        return FailedTryError(f"Jobo's response was lost ({cause})", Outcome.POSSIBLY_BILLED)
    is_closed = isinstance(root, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError)
    if isinstance(error, requests.exceptions.SSLError) and not is_closed:
        return ApiError(
            "The certificate of api_url cannot be verified: check api_url, the machine's "
            "certificates, or the proxy in between."
        )
    is_of_connection: Any = (requests.ConnectionError, requests.Timeout, *known[1:])
    if not isinstance(error, is_of_connection):
        return ApiError(
            f"The request cannot be sent ({type(error).__name__}): check api_url, and the "
            "proxy and certificate settings of the environment."
        )
    host = urlsplit(request.url or "").netloc.rpartition("@")[2]
    proxy = " through the proxy" if isinstance(error, requests.exceptions.ProxyError) else ""
    return FailedTryError(f"{host} cannot be reached{proxy} ({cause})", Outcome.NOT_SENT)
