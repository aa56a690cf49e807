"""Requests to Jobo: one session, retried when that makes sense, and never beyond the budget."""

import io
import logging
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from typing import Final
from urllib.parse import urlsplit

import requests
from requests import PreparedRequest
from typing_extensions import override

from tap_jobo.api.budget import FeedCost
from tap_jobo.api.headers import parse_number, seconds_until
from tap_jobo.api.responses import POSSIBLY_BILLED, PROXY, ApiResponse, require_success
from tap_jobo.api.retry import RETRY_AFTER_MAX, RETRY_SECONDS, Retry
from tap_jobo.api.session import (
    NETWORK_ERRORS,
    PAGE_SECONDS,
    READ_SECONDS,
    ApiSession,
    decode,
    receive,
)
from tap_jobo.clock import Clock
from tap_jobo.errors import (
    ApiError,
    BudgetReachedError,
    CutOffError,
    FailedTryError,
    UnreachableError,
)
from tap_jobo.messages import message
from tap_jobo.redaction import without_key
from tap_jobo.signals import ShutdownSignal
from tap_jobo.wording import dollars, plural

IDLE_SECONDS: Final = 60.0
"""Until an idle connection is not used again: a gateway may have dropped it without a word, and a
request that is lost there would count as possibly billed."""

_LOGGED_PAUSE: Final = 60.0  # longer ones are logged: a first sync may pause each minute for hours
_CAUSES: Final = (*NETWORK_ERRORS, HTTPException)
_MOST_OF_CAUSE: Final = 300  # characters of what an error says, such as a line that is no status
_TUNNEL: Final = re.compile(r"Tunnel connection failed: \d+")
_ADDRESSES: Final = (
    "api_url and HTTPS_PROXY, in which special characters of a password must be percent-encoded"
)
_VALIDITY: Final = "the clock of this machine, and contact Jobo if it is right"
_AUTHORITY: Final = (
    "api_url, and behind a proxy that inspects TLS, its certificate in REQUESTS_CA_BUNDLE"
)


@dataclass(kw_only=True, eq=False, repr=False)
class Client:
    """Sends requests, and decides which failures to retry.

    It sends nothing while the announced allowance is used up, so that a 429 is rare. As many as
    `workers` requests may be open at once, and a response does not count the others.
    """

    session: ApiSession
    shutdown: ShutdownSignal
    clock: Clock
    logger: logging.Logger
    workers: int = 1
    retry_seconds: float = RETRY_SECONDS
    raise_if_over: Callable[[], None] = lambda: None  # if a signal came, or a lock was lost

    def __post_init__(self) -> None:
        self._last_used = self._paused_until = self.clock.monotonic()

    def fetch(
        self,
        request: PreparedRequest,
        *,
        rows: int = 0,
        cost: FeedCost | None = None,
        any_status: bool = False,
    ) -> ApiResponse:
        """Return the complete response to a request.

        With a `cost`, a success is a page of its feed. At most `rows` are reserved before each try,
        and each try that may have been billed without returning a page is charged in full. The
        returned page is not: its reader charges and reconciles it. With `any_status`, any response
        is returned, except that of a gateway that has lost the API's own.
        """
        retry, wait, failed = Retry(self.retry_seconds), 0.0, ""
        while True:
            self._reserve(cost, rows, failed)
            self.shutdown.wait(wait)
            self.wait_for_allowance()
            self.raise_if_over()  # perhaps beyond a lease, or into another month
            self._reserve(cost, rows, failed)
            started = self.clock.monotonic()
            seconds = PAGE_SECONDS if cost else max(1, retry.seconds_left)
            try:
                return self._try(request, seconds, rows, cost, any_status=any_status)
            except FailedTryError as failure:
                failed = str(failure)
                if failure.charged:
                    failed += f". This page ({dollars(failure.charged)}) may have been billed"
                wait = retry.wait_after(failure, self.clock.monotonic() - started)
                about = f"{cost.spec.name}: " if cost else ""
                self.logger.warning("%s%s. %s in %.1f s.", about, failed, retry.name, wait)
                if failure.is_rate_limit:  # which all workers share
                    self.pause(wait)
                    wait = 0.0

    def wait_for_allowance(self) -> None:
        """Wait until the next request may be sent, or a signal arrives."""
        while (seconds := self._paused_until - self.clock.monotonic()) > 0:
            self.shutdown.wait(seconds)  # another thread may be asked to wait meanwhile

    def pause(self, seconds: float) -> None:
        """Hold back all requests for this many seconds.

        Threads that do so at once may send a request too early, which is refused.
        """
        self._paused_until = max(self._paused_until, self.clock.monotonic() + seconds)

    def _note_allowance(self, headers: Mapping[str, str]) -> None:
        """Pause if a response says that the allowance is used up, until it is renewed."""
        remaining = parse_number(headers.get("X-RateLimit-Remaining"))
        seconds = seconds_until(parse_number(headers.get("X-RateLimit-Reset")), headers)
        is_used_up = remaining is not None and remaining < self.workers
        if is_used_up and seconds is not None and seconds <= RETRY_AFTER_MAX:
            if seconds > _LOGGED_PAUSE:
                self.logger.info("Jobo's rate limit is reached. Waiting %s s.", f"{seconds:,.0f}")
            self.pause(seconds)

    @staticmethod
    def _reserve(cost: FeedCost | None, rows: int, failed: str) -> None:
        """Reserve what a request may cost. If the try before it failed, that is the error."""
        if cost is None:
            return
        try:
            cost.reserve(rows)
        except BudgetReachedError as reached:
            if failed:
                fact = f"{failed}. It was not requested again: {reached.fact}"
                raise ApiError(message("api-unavailable", fact, later="later")) from None
            raise

    def _try(
        self,
        request: PreparedRequest,
        seconds: float,
        rows: int,
        cost: FeedCost | None,
        *,
        any_status: bool,
    ) -> ApiResponse:
        """Send a request once, and return its response.

        Whatever is raised once the API may have got the request, it is charged in full, unless the
        error shows that nothing was billed.
        """
        if cost and self.clock.monotonic() - self._last_used > IDLE_SECONDS:
            self.session.close()  # its connections; it opens new ones
        body = _Body(request.body or b"")  # type: ignore[arg-type]
        request = request.copy()  # as each try sends a body of its own
        request.body = body  # type: ignore[assignment]
        request.headers["Content-Length"] = str(len(body.getvalue()))
        headers: Mapping[str, str] = {}
        try:
            response = self._send(request, body, seconds)
            headers = response.headers
            self._note_allowance(headers)
            if any_status and response.status not in POSSIBLY_BILLED:
                return response
            return require_success(response, cost.spec if cost else None, rows)
        except BaseException as error:
            if cost and body.is_taken and getattr(error, "may_be_billed", True):
                credits_ = cost.charge_in_full(headers, rows)
                if isinstance(error, FailedTryError):
                    error.charged = credits_
                if isinstance(error, CutOffError) and credits_:
                    price = dollars(credits_)
                    fact = f"{error}. {plural(rows, 'row')} ({price}) may have been billed."
                    known = {"page_price": price, "page_size": cost.spec.page_size_name}
                    raise ApiError(message("response-cut-off", fact, **known)) from error
            raise
        finally:
            self._last_used = self.clock.monotonic()

    def _send(self, request: PreparedRequest, body: "_Body", seconds: float) -> ApiResponse:
        timeout = min(READ_SECONDS, seconds)
        send = partial(receive, self.session, request, timeout=timeout, seconds=seconds)
        try:
            return decode(self.shutdown.request(send, seconds), self.session.key)
        except NETWORK_ERRORS as error:
            raise _failure(request, error, is_sent=body.is_taken) from error
        except ValueError as error:
            if body.is_taken:
                raise
            raise _failure(request, error, is_sent=False) from error


class _Body(io.BytesIO):
    """The body of a request, which records that the connection has taken it to send.

    A connection, its TLS handshake, and a tunnel through a proxy precede that, so until then the
    API has no complete request to bill. The exceptions of requests do not show the difference.
    """

    is_taken = False

    @override
    def read(self, size: int | None = None, /) -> bytes:
        self.is_taken = True
        return super().read(size)


def _failure(request: PreparedRequest, error: Exception, *, is_sent: bool) -> ApiError:
    root: BaseException = error
    while isinstance(inner := root.__cause__ or root.__context__, _CAUSES):
        root = inner
    cause = _text(root)
    if is_sent:
        return FailedTryError(f"Jobo's response was lost ({cause})", may_be_billed=True)
    host = urlsplit(request.url or "").netloc.rpartition("@")[2]
    proxy = " through the proxy" if isinstance(error, requests.exceptions.ProxyError) else ""
    why = f"Cannot reach {host}{proxy} ({cause})"
    if _is_of_address(root):
        return UnreachableError(why, _ADDRESSES)
    if "certificate" in cause.lower():
        is_of_time = "expired" in cause or "not yet valid" in cause
        return UnreachableError(why, _VALIDITY if is_of_time else _AUTHORITY)
    if proxy and "407" in cause:
        return UnreachableError(why, PROXY)
    return FailedTryError(why, is_unreachable=True)


def _is_of_address(error: BaseException) -> bool:
    """Whether an address can't be used, such as that of a proxy with `#` in its password."""
    return isinstance(error, ValueError) and not isinstance(error, ssl.SSLError)


def _text(error: BaseException) -> str:
    """Return what an error says, but nothing that it may quote of the URL of a proxy."""
    if isinstance(error, requests.RequestException) or _is_of_address(error):
        return type(error).__name__
    if isinstance(error, HTTPException):
        text = repr(error)
    else:
        text = str(getattr(error, "strerror", None) or error)
    refusal = _TUNNEL.match(text)  # after its status, a proxy may quote what it got
    return refusal[0] if refusal else without_key(text)[:_MOST_OF_CAUSE]
