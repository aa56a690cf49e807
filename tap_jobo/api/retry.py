"""When to send a request: after a failed try, if at all, and within Jobo's rate limits."""

import logging
import random
import threading
from collections.abc import Mapping
from typing import Final

from tap_jobo.api.headers import parse_number, seconds_until
from tap_jobo.clock import Clock
from tap_jobo.errors import ApiError, FailedTryError, RetriesExhaustedError, UnreachableError
from tap_jobo.signals import ShutdownSignal

RETRY_SECONDS: Final = 300.0  # of backoff and failed tries for a page that was not billed
FREE_RETRY_SECONDS: Final = 60.0  # the same for a profile or the clock, which are free
POSSIBLY_BILLED_WAITS: Final = (5.0, 30.0)
"""Before each retry of a request that may have been billed: every try may cost a page."""
BACKOFF: Final = (0.5, 30.0)  # the first and the longest wait between other tries
RETRY_AFTER_MAX: Final = 3_600.0  # of the waits that the API asks for, for one request
_LOGGED: Final = 5.0  # longer pauses are logged


class Retry:
    """The waits between the tries of one request, `seconds` of backoff and failed tries at most.

    A request that cannot be billed is tried again whatever became of it, but honors no wait longer
    than `seconds`, except for a rate limit.
    """

    def __init__(self, seconds: float, *, is_paid: bool) -> None:
        self._seconds = self.seconds_left = seconds
        self._is_paid = is_paid
        self._tries = 0
        self._asked = 0.0
        self._waits = iter(POSSIBLY_BILLED_WAITS)

    def wait_after(self, failure: FailedTryError, spent: float) -> float:
        """Return the seconds to wait before the next try, or raise ApiError if there is none."""
        if self._is_paid and failure.may_be_billed:
            if (pause := next(self._waits, None)) is None:
                raise ApiError(
                    f"{failure} (given up after {len(POSSIBLY_BILLED_WAITS) + 1} tries, each "
                    "possibly billed). Run again later: the next run resumes from here."
                )
            return pause * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
        self.seconds_left -= spent
        first, longest = BACKOFF
        if failure.retry_after:
            asked = max(failure.retry_after, first)
            self._asked += asked
            is_bounded = not (self._is_paid or failure.is_rate_limit)
            if self._asked > (self._seconds if is_bounded else RETRY_AFTER_MAX):
                raise RetriesExhaustedError(f"{failure}, and asks to wait {asked:,.0f} seconds")
            return asked
        backoff = min(longest, first * 2**self._tries)
        wait: float = max(first, backoff * random.uniform(0.5, 1))  # noqa: S311 - jitter
        self._tries += 1
        if wait > self.seconds_left:
            error = UnreachableError if failure.is_unreachable else RetriesExhaustedError
            spent = self._seconds - self.seconds_left
            raise error(f"{failure} (given up after {spent:.0f} seconds)")
        self.seconds_left -= wait
        return wait


class RateLimiter:
    """Stays within the announced rate, so that a 429 is rare; thread-safe.

    The first half of the allowance is used at full speed, so that a small sync does not wait;
    the rest is spread over the time until the allowance is renewed. As many as `workers` requests
    may be open at once, and a response does not count the others.
    """

    def __init__(
        self, workers: int, clock: Clock, shutdown: ShutdownSignal, logger: logging.Logger
    ) -> None:
        self._others = workers - 1
        self._clock = clock
        self._shutdown = shutdown
        self._logger = logger
        self._lock = threading.Lock()
        self._last_slot = self._interval = self._paused_until = 0.0

    def wait(self) -> None:
        """Wait until the next request may be sent, or a signal arrives."""
        with self._lock:
            now = self._clock.monotonic()
            slot = max(now, self._last_slot + self._interval, self._paused_until)
            self._last_slot = slot
        self._shutdown.wait(slot - now)
        while (left := self._paused_until - self._clock.monotonic()) > 0:
            self._shutdown.wait(left)  # another thread was asked to wait meanwhile

    def pause(self, seconds: float) -> None:
        """Hold back all requests for this many seconds."""
        with self._lock:
            until = self._clock.monotonic() + seconds
            if seconds > _LOGGED and until > self._paused_until + _LOGGED:
                self._logger.info("Jobo's rate limit is reached: waiting %s s.", f"{seconds:,.0f}")
            self._paused_until = max(self._paused_until, until)

    def note_response(self, headers: Mapping[str, str]) -> None:
        """Record the allowance that a response reports."""
        remaining = parse_number(headers.get("X-RateLimit-Remaining"))
        limit = parse_number(headers.get("X-RateLimit-Limit"))
        until_reset = seconds_until(parse_number(headers.get("X-RateLimit-Reset")), headers)
        self._interval = 0.0
        if remaining is None or until_reset is None or until_reset > RETRY_AFTER_MAX:
            return
        left = max(0.0, remaining - self._others)
        if not left:
            self.pause(until_reset)
        elif limit is None or left <= limit / 2:
            self._interval = until_reset / (left + 1)
