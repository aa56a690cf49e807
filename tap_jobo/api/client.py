"""Requests to Jobo: one session, retried when that makes sense, and never beyond the budget."""

import io
import logging
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from typing import Final
from urllib.parse import urlsplit

import requests
from requests import PreparedRequest
from typing_extensions import override

from tap_jobo.api.budget import FeedCost
from tap_jobo.api.headers import reported_credits
from tap_jobo.api.responses import PROXY, ApiResponse, require_success
from tap_jobo.api.retry import RETRY_SECONDS, RateLimiter, Retry
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
    PageCutOffError,
    TapJoboError,
    UnreachableError,
)
from tap_jobo.messages import message
from tap_jobo.redaction import without_key
from tap_jobo.signals import ShutdownSignal
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.wording import dollars, plural

IDLE_SECONDS: Final = 60.0
"""Until an idle connection is not used again: a gateway may have dropped it without a word, and a
request that is lost there would count as possibly billed."""

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
    """Sends requests and decides which failures to retry."""

    session: ApiSession
    shutdown: ShutdownSignal
    clock: Clock
    logger: logging.Logger
    workers: int = 1
    retry_seconds: float = RETRY_SECONDS
    raise_if_over: Callable[[], None] = lambda: None  # if a signal came, or a lock was lost

    def __post_init__(self) -> None:
        self._limiter = RateLimiter(self.workers, self.clock, self.shutdown, self.logger)
        self._last_used = self.clock.monotonic()

    def fetch(
        self,
        request: PreparedRequest,
        *,
        rows: int = 0,
        cost: FeedCost | None = None,
        feed: FeedSpec | None = None,
        any_status: bool = False,
    ) -> ApiResponse:
        """Return the complete response to a request.

        With a `feed`, a success is a page of it. With a `cost`, at most `rows` are reserved before
        each try, and each try that may have been billed without returning a page is charged in
        full. The returned page is not: its reader charges and reconciles it. With `any_status`,
        any response is returned.
        """
        retry, wait, failed = Retry(self.retry_seconds, is_paid=cost is not None), 0.0, ""
        while True:
            self._reserve(cost, rows, failed)
            self.shutdown.wait(wait)
            if self._limiter.wait() or wait:  # perhaps into another month, or beyond a lease
                self.raise_if_over()
                self._reserve(cost, rows, failed)
            started = self.clock.monotonic()
            seconds = PAGE_SECONDS if cost or feed else max(1, retry.seconds_left)
            try:
                response = self._send(request, seconds, cost, rows)
                self._limiter.note_response(response.headers)
                if any_status:
                    return response
                return _require_success(response, rows, cost, feed)
            except FailedTryError as failure:
                charged = _charge_failed(failure, cost, rows)
                billed = f". This page ({dollars(charged)}) may have been billed" if charged else ""
                failed = f"{failure}{billed}"
                wait = retry.wait_after(failure, self.clock.monotonic() - started, charged)
                about = f"{feed.name}: " if feed else ""
                self.logger.warning("%s%s. %s in %.1f s.", about, failed, retry.name, wait)
                if failure.is_rate_limit:  # which all workers share
                    self._limiter.pause(wait)
                    wait = 0.0

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

    def _send(
        self, request: PreparedRequest, seconds: float, cost: FeedCost | None = None, rows: int = 0
    ) -> ApiResponse:
        """Send a request once, and return its response.

        Whatever is raised once the API may have got the request, it is charged in full, unless
        another try may follow.
        """
        if cost and self.clock.monotonic() - self._last_used > IDLE_SECONDS:
            self.session.close()  # its connections; it opens new ones
        body = _Body(request.body or b"")  # type: ignore[arg-type]
        request = request.copy()  # as each try sends a body of its own
        request.body = body  # type: ignore[assignment]
        request.headers["Content-Length"] = str(len(body.getvalue()))
        timeout = min(READ_SECONDS, seconds)
        try:
            send = partial(receive, self.session, request, timeout=timeout, seconds=seconds)
            return decode(self.shutdown.request(send, seconds), self.session.key)
        except FailedTryError:
            raise
        except CutOffError as error:
            raise _cut_off(error, cost, rows) from error
        except NETWORK_ERRORS as error:
            raise _failure(request, error, is_sent=body.is_taken) from error
        except BaseException as error:
            if isinstance(error, ValueError) and not body.is_taken:
                raise _failure(request, error, is_sent=False) from error
            if cost and body.is_taken:
                cost.charge_in_full({}, rows)
            raise
        finally:
            self._last_used = self.clock.monotonic()


def _cut_off(error: CutOffError, cost: FeedCost | None, rows: int) -> ApiError:
    """Return the error for a response that was cut off. A page is not requested again."""
    if cost is None:
        return FailedTryError(str(error))
    credits_ = cost.charge_in_full({}, rows)
    billed = f"{plural(rows, 'row')} ({dollars(credits_)}) may have been billed."
    return PageCutOffError(f"{error}. {billed}", cost.page_size_setting, credits_)


def _charge_failed(failure: FailedTryError, cost: FeedCost | None, rows: int) -> int:
    """Charge a failed try that may have been billed, and return how many credits."""
    return cost.charge_in_full(failure.headers, rows) if cost and failure.may_be_billed else 0


def _require_success(
    response: ApiResponse, rows: int, cost: FeedCost | None, feed: FeedSpec | None
) -> ApiResponse:
    """Return a response that succeeded. A refusal is charged if it says that it was billed."""
    try:
        return require_success(response, feed, rows)
    except FailedTryError:  # which may be tried again
        raise
    except TapJoboError:
        if cost and reported_credits(response.headers):
            cost.charge_in_full(response.headers, rows)
        raise
    except Exception:  # none that we foresee: what was billed must count
        if cost:
            cost.charge_in_full(response.headers, rows)
        raise


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
