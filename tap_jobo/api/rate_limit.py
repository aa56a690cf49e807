"""Jobo's rate limits: how long a response asks to wait, and how to stay within the limits."""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from tap_jobo.clock import parse_http_date

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

RETRY_AFTER_MAX: Final = 3_600.0
"""Seconds of waits that the API may ask for, for one request."""
_WINDOWS: Final = (("minute", 60.0, 999.0), ("hour", 3_600.0, 10_000.0))
"""Windows of the rate limits: name, seconds, maximum requests for a limit of this window."""
_WORTH_TELLING: Final = 5.0
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
    """

    def __init__(self, workers: int) -> None:
        self._lock = threading.Lock()
        self._others = workers - 1
        self._last_slot = 0.0
        self._interval = 0.0
        self._paused_until = 0.0
        self._limit: str | None = None
        self._told_until = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until the request may be sent; `now` is in monotonic seconds."""
        with self._lock:
            slot = max(now, self._last_slot + self._interval, self._paused_until)
            self._last_slot = slot
            return slot - now

    def pause(self, seconds: float, now: float) -> None:
        """Hold back all requests for this many seconds."""
        with self._lock:
            self._paused_until = max(self._paused_until, now + seconds)

    def pause_left(self, now: float) -> float:
        """Return the seconds until a pause is over, 0 if there is none."""
        return max(0.0, self._paused_until - now)

    def describe(self, wait: float, now: float) -> str | None:
        """Return a log line for a wait, None if it is short or another thread has logged it."""
        with self._lock:
            if wait <= _WORTH_TELLING or now + wait <= self._told_until + _WORTH_TELLING:
                return None
            self._told_until = now + wait
        limit = f" ({self._limit})" if self._limit else ""
        return f"Jobo's rate limit reached{limit}: waiting {wait:,.0f} s"

    def note_answer(self, headers: Mapping[str, str], now: float) -> None:
        """Record the allowance that a response reports."""
        remaining = _number(headers.get("X-RateLimit-Remaining"))
        limit = _number(headers.get("X-RateLimit-Limit"))
        until_reset = _until_reset(headers)
        self._interval = 0.0
        if limit is not None:
            self._limit = _describe_limit(limit, until_reset or 0.0)
        if remaining is None or until_reset is None or until_reset > RETRY_AFTER_MAX:
            return
        left = max(0.0, remaining - self._others)
        if not left:
            self.pause(until_reset, now)
        elif limit is None or left <= limit / 2:
            self._interval = until_reset / (left + 1)


def _describe_limit(limit: float, until_reset: float) -> str:
    """Describe a limit; no header names its window, so infer it from its size and reset time."""
    for name, seconds, most in _WINDOWS:
        if until_reset <= seconds and limit <= most:
            return f"{limit:,.0f} requests per {name}"
    return f"{limit:,.0f} requests per day"


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
