"""Requests to Jobo, retried when that makes sense, and never beyond the budget."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tap_jobo.api.rate_limit import RateLimiter
from tap_jobo.api.responses import ApiResponse, require_success
from tap_jobo.api.retry import RETRY_FOR, IncompleteResponseError, Retry, RetryableError
from tap_jobo.api.sender import BodyTooLargeError, Sender
from tap_jobo.api.transport import Exchange
from tap_jobo.clock import parse_http_date
from tap_jobo.errors import ApiError, InterruptedRunError, OutputError

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from datetime import datetime

    import requests

    from tap_jobo.api.account import Account
    from tap_jobo.clock import Clock
    from tap_jobo.signals import ShutdownSignal

_REQUEST_MAX: Final = 900.0
"""Seconds for a whole try, even if bytes keep trickling in."""


class Client:
    """Sends requests and decides which failures to retry.

    Args:
        session: The session to send with; it uses `Transport`, whose connections report what was
            sent.
        key: The API key, to redact it from responses.
        shutdown: Ends waits and requests when a signal arrives.
        clock: The clocks to read.
        logger: Where retries are reported.
        workers: How many threads use the client at once; a rate limit applies to all of them.
        retry: Seconds of backoff for one request, not counting waits that the server asks for.
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
        retry: float = RETRY_FOR,
    ) -> None:
        self._sender = Sender(session, key, clock)
        self._shutdown = shutdown
        self._clock = clock
        self._logger = logger
        self._patience = retry
        self._limiter = RateLimiter(workers)
        self.api_time: tuple[datetime, float] | None = None
        """The API's clock as last seen, and the monotonic time then; None if not seen yet."""
        self.elapsed: float | None = None
        """Seconds that the API took for its last response; None if there is none yet."""

    def api_now(self) -> datetime | None:
        """Return the API's current time, None if no response has given it yet."""
        if self.api_time is None:
            return None
        date, seen = self.api_time
        return date + timedelta(seconds=self._clock.monotonic() - seen)

    def fetch(
        self,
        request: requests.PreparedRequest,
        *,
        rows: int = 0,
        account: Account | None = None,
        forbidden: str | None = None,
    ) -> ApiResponse:
        """Return the complete response to a request.

        With an `account`, a page is reserved before each try, and each try without a complete
        response is charged. The returned page is not: its reader charges and settles it.

        Args:
            request: What to send, including the key.
            rows: Maximum rows that the response may hold and cost.
            account: Where they are charged; None for a free request, whose response is a JSON body
                with status 200.
            forbidden: Advice for a 403, instead of the default.

        Raises:
            ApiError: Jobo refused it, or no try returned a usable response.
            CursorRejectedError: The cursor cannot be continued.
            BudgetReachedError: The page may cost more than the budget leaves.
            InterruptedRunError: A signal arrived.
        """
        retry = Retry(self._patience, is_paid=account is not None)
        first_sent_at = self._clock.now()
        wait = 0.0
        while True:
            if account:
                account.reserve(rows)
            self._wait(wait)
            started = self._clock.monotonic()
            try:
                response = self._exchange(request, account=account, rows=rows)
                require_success(response, account, forbidden)
                return replace(response, first_sent_at=first_sent_at)
            except RetryableError as failure:
                spent = self._clock.monotonic() - started
                wait = retry.after_failure(failure, spent=spent, now=self._clock.now())
                self._logger.warning("%s: trying again in %.1f seconds.", failure, wait)
                if failure.is_rate_limit:  # which all workers share
                    self._limiter.pause(wait, self._clock.monotonic())
                    wait = 0.0
            except IncompleteResponseError as failure:
                if account:
                    account.charge_worst_case(rows)
                wait = retry.after_incomplete(failure)
                self._logger.warning("%s: trying again in %.1f seconds.", failure, wait)

    def fetch_once(self, request: requests.PreparedRequest, seconds: float) -> ApiResponse:
        """Return the response to an optional, free request, without retries.

        Args:
            request: What to send, including the key.
            seconds: How long it may take in all.

        Raises:
            ApiError: There is no usable response.
            InterruptedRunError: A signal arrived.
        """
        try:
            return require_success(self._exchange(request, seconds=seconds))
        except (RetryableError, IncompleteResponseError) as failure:
            raise ApiError(str(failure)) from failure

    def _wait(self, seconds: float) -> None:
        """Wait for this long, then for the rate limit."""
        self._shutdown.wait(seconds)
        wait = self._limiter.wait(self._clock.monotonic())
        while True:  # another thread may have been asked to wait meanwhile
            if told := self._limiter.describe(wait, self._clock.monotonic()):
                self._logger.info("%s.", told)
            self._shutdown.wait(wait)
            if wait <= 0:
                return
            wait = self._limiter.pause_left(self._clock.monotonic())

    def _exchange(
        self,
        request: requests.PreparedRequest,
        *,
        seconds: float = _REQUEST_MAX,
        account: Account | None = None,
        rows: int = 0,
    ) -> ApiResponse:
        """Return the complete response to one try, whatever its status."""
        exchange = Exchange(self._clock, seconds)
        sent_at, started = self._clock.now(), self._clock.monotonic()
        is_begun = False
        try:
            with self._shutdown.request(), exchange.on_the_way():
                is_begun = True
                response = self._sender.send(request, exchange, is_paid=account is not None)
                self.elapsed = elapsed = self._clock.monotonic() - started
                body = self._sender.read(response, exchange)
        except (InterruptedRunError, OutputError, BodyTooLargeError):
            if account and is_begun and exchange.is_sent:
                account.charge_worst_case(rows)
            raise
        date = self._note(response.headers)
        status, headers = response.status_code, response.headers
        return ApiResponse(body, status, headers, sent_at, sent_at, elapsed, date)

    def _note(self, headers: Mapping[str, str]) -> datetime | None:
        now = self._clock.monotonic()
        self._limiter.note_answer(headers, now)
        date = parse_http_date(headers.get("Date"))
        self.api_time = self.api_time if date is None else (date, now)
        return date
