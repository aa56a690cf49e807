"""Requests to Jobo, retried when that makes sense, and never beyond the budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jobo.api import limits
from tap_jobo.api.rate_limit import RateLimiter
from tap_jobo.api.responses import require_success
from tap_jobo.api.retry import FailedTryError, Outcome, Retry
from tap_jobo.api.sender import Try
from tap_jobo.errors import ApiError, InterruptedRunError, OutputError

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection

    import requests

    from tap_jobo.api.budget import FeedCost
    from tap_jobo.api.sender import ApiResponse
    from tap_jobo.clock import Clock
    from tap_jobo.signals import ShutdownSignal


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
        retry_seconds: float = limits.RETRY_SECONDS,
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

    def fetch(
        self,
        request: requests.PreparedRequest,
        *,
        rows: int = 0,
        cost: FeedCost | None = None,
        envelope: Collection[str] = (),
        forbidden: str | None = None,
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

        Raises:
            ApiError: Jobo refused it, or no try returned a usable response.
            CursorRejectedError: The cursor cannot be continued.
            BudgetReachedError: The page may cost more than the budget leaves.
            InterruptedRunError: A signal arrived.
        """
        setting = cost.page_size_setting if cost else ""
        retry = Retry(self._retry_seconds, is_paid=cost is not None)
        wait = 0.0
        while True:
            if cost:
                cost.reserve(rows)
            self._shutdown.wait(wait)
            self._limiter.wait()
            started = self._clock.monotonic()
            try:
                response = self._try(request, cost=cost, rows=rows)
                return require_success(
                    response, envelope=envelope, page_size_setting=setting, forbidden=forbidden
                )
            except FailedTryError as failure:
                if cost and failure.outcome is Outcome.POSSIBLY_BILLED:
                    cost.charge_in_full(failure.headers, rows)
                wait = self._wait_after(failure, retry, started)
                if failure.is_rate_limit:  # which all workers share
                    self._limiter.pause(wait)
                    wait = 0.0

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
            return require_success(self._try(request, seconds=seconds))
        except FailedTryError as failure:
            raise ApiError(str(failure)) from failure

    def fetch_any(self, request: requests.PreparedRequest, seconds: float) -> ApiResponse:
        """Return the first response to a free request, whatever its status.

        Args:
            request: What to send, including the key.
            seconds: How long a try may take.

        Raises:
            ApiError: There is none.
            InterruptedRunError: A signal arrived.
        """
        retry = Retry(self._retry_seconds, is_paid=False)
        end = self._clock.monotonic() + self._retry_seconds
        while True:
            started = self._clock.monotonic()
            try:
                return self._try(request, seconds=min(seconds, end - started))
            except FailedTryError as failure:
                self._shutdown.wait(self._wait_after(failure, retry, started))

    def _wait_after(self, failure: FailedTryError, retry: Retry, started: float) -> float:
        """Return the seconds to wait after a try that began at `started`, in monotonic seconds."""
        spent = self._clock.monotonic() - started
        wait = retry.wait_after(failure, spent=spent, now=self._clock.now())
        self._logger.warning("%s: trying again in %.1f seconds.", failure, wait)
        return wait

    def _try(
        self,
        request: requests.PreparedRequest,
        *,
        seconds: float = limits.TRY_SECONDS,
        cost: FeedCost | None = None,
        rows: int = 0,
    ) -> ApiResponse:
        """Return the complete response to one try, whatever its status."""
        if cost and self._clock.monotonic() - self._last_used > limits.IDLE_SECONDS:
            self._session.close()  # its connections; it opens new ones
        attempt = Try(
            self._session,
            request,
            key=self._key,
            clock=self._clock,
            is_paid=cost is not None,
            seconds=seconds,
        )
        try:
            with self._shutdown.request():
                response = attempt.send()
        except (InterruptedRunError, OutputError):
            if cost and attempt.may_be_billed:
                cost.charge_in_full({}, rows)
            raise
        finally:
            self._last_used = self._clock.monotonic()
            self.elapsed = attempt.elapsed or self.elapsed
        self._limiter.note_response(response.headers)
        return response
