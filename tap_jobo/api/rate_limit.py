"""Jobo's rate limits: how long a response asks to wait, and how to stay within the limits."""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from tap_jobo.api.retry import RETRY_AFTER_MAX
from tap_jobo.clock import parse_http_date

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from tap_jobo.clock import Clock
    from tap_jobo.signals import ShutdownSignal

_LOGGED: Final = 5.0
"""Pauses of more than this many seconds are logged."""


def parse_retry_after(status: int, headers: Mapping[str, str], body: object) -> float | None:
    """Return the seconds that a response asks to wait; None if it does not ask.

    Tries `Retry-After` (seconds or a date), then `retry_after_seconds` in the body, then, for a
    rate limit, `X-RateLimit-Reset`.
    """
    retry_after = headers.get("Retry-After")
    seconds = _number(retry_after)
    if seconds is None and (date := parse_http_date(retry_after)):
        seconds = _until(date.timestamp(), headers)
    if seconds is None and isinstance(body, dict):
        seconds = _number(body.get("retry_after_seconds"))
    if seconds is None and status == HTTPStatus.TOO_MANY_REQUESTS:
        seconds = _until(_number(headers.get("X-RateLimit-Reset")), headers)
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

    def wait(self) -> None:
        """Wait until the next request may be sent.

        Raises:
            InterruptedRunError: A signal arrived.
        """
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
        remaining = _number(headers.get("X-RateLimit-Remaining"))
        limit = _number(headers.get("X-RateLimit-Limit"))
        until_reset = _until(_number(headers.get("X-RateLimit-Reset")), headers)
        self._interval = 0.0
        if remaining is None or until_reset is None or until_reset > RETRY_AFTER_MAX:
            return
        left = max(0.0, remaining - self._others)
        if not left:
            self.pause(until_reset)
        elif limit is None or left <= limit / 2:
            self._interval = until_reset / (left + 1)


def _number(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, str | int | float) else -1.0
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < 1e12 else None  # noqa: PLR2004 - not infinity, not NaN


def _until(unix_time: float | None, headers: Mapping[str, str]) -> float | None:
    """Return the seconds from the `Date` of a response, since the local clock may be wrong."""
    date = parse_http_date(headers.get("Date"))
    if unix_time is None or date is None:
        return None
    return max(0.0, unix_time - date.timestamp())
