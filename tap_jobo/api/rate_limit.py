"""Jobo's rate limits: how long a response asks to wait, and how to stay within the limits."""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from tap_jobo.api.limits import RETRY_AFTER_MAX
from tap_jobo.clock import parse_http_date

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from datetime import datetime

    from tap_jobo.clock import Clock
    from tap_jobo.signals import ShutdownSignal

_LOGGED: Final = 5.0
"""Pauses of more than this many seconds are logged."""


def parse_retry_after(status: int, headers: Mapping[str, str], body: object) -> float | None:
    """Return the seconds that a response asks to wait; None if it does not ask.

    Tries `Retry-After` (seconds or a date), then `retry_after_seconds` in the body, then, for a
    rate limit, `X-RateLimit-Reset`. Dates are relative to the `Date` of the same response, since
    the local clock may be wrong.
    """
    retry_after = headers.get("Retry-After")
    seconds = _number(retry_after)
    if seconds is None:
        seconds = _until(parse_http_date(retry_after), headers)
    if seconds is None and isinstance(body, dict):
        seconds = _number(body.get("retry_after_seconds"))
    if seconds is None and status == HTTPStatus.TOO_MANY_REQUESTS:
        seconds = _until_reset(headers)
    return seconds


class RateLimiter:
    """Stays within the announced rate, so that a 429 is rare; thread-safe.

    The first half of the allowance is used at full speed, so that a small sync does not wait;
    the rest is spread over the time until the allowance is renewed.

    Args:
        workers: How many requests may be open at once: a response does not count the others.
        clock: The clock to read.
        shutdown: Ends waits when a signal arrives.
        logger: Where long waits are reported.
    """

    def __init__(
        self, workers: int, *, clock: Clock, shutdown: ShutdownSignal, logger: logging.Logger
    ) -> None:
        self._others = workers - 1
        self._clock = clock
        self._shutdown = shutdown
        self._logger = logger
        self._lock = threading.Lock()
        self._last_slot = 0.0
        self._interval = 0.0
        self._paused_until = 0.0
        self._logged_until = 0.0

    def wait(self) -> None:
        """Wait until the next request may be sent.

        Raises:
            InterruptedRunError: A signal arrived.
        """
        with self._lock:
            now = self._clock.monotonic()
            slot = max(now, self._last_slot + self._interval, self._paused_until)
            self._last_slot = slot
        self._log(slot)
        self._shutdown.wait(slot - now)
        while (left := self._paused_until - self._clock.monotonic()) > 0:
            self._log(self._paused_until)  # another thread was asked to wait meanwhile
            self._shutdown.wait(left)

    def pause(self, seconds: float) -> None:
        """Hold back all requests for this many seconds."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def note_response(self, headers: Mapping[str, str]) -> None:
        """Record the allowance that a response reports."""
        remaining = _number(headers.get("X-RateLimit-Remaining"))
        limit = _number(headers.get("X-RateLimit-Limit"))
        until_reset = _until_reset(headers)
        self._interval = 0.0
        if remaining is None or until_reset is None or until_reset > RETRY_AFTER_MAX:
            return
        left = max(0.0, remaining - self._others)
        if not left:
            self.pause(until_reset)
        elif limit is None or left <= limit / 2:
            self._interval = until_reset / (left + 1)

    def _log(self, until: float) -> None:
        """Log a wait, unless it is short or another thread has logged it."""
        with self._lock:
            seconds = until - self._clock.monotonic()
            if seconds <= _LOGGED or until <= self._logged_until + _LOGGED:
                return
            self._logged_until = until
        self._logger.info("Jobo's rate limit is reached: waiting %s s.", f"{seconds:,.0f}")


def _number(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, str | int | float) else -1.0
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < 1e12 else None  # noqa: PLR2004 - not infinity, not NaN


def _until(instant: datetime | None, headers: Mapping[str, str]) -> float | None:
    date = parse_http_date(headers.get("Date"))
    if instant is None or date is None:
        return None
    return max(0.0, (instant - date).total_seconds())


def _until_reset(headers: Mapping[str, str]) -> float | None:
    reset, date = _number(headers.get("X-RateLimit-Reset")), parse_http_date(headers.get("Date"))
    if reset is None or date is None:
        return None
    return max(0.0, reset - date.timestamp())
