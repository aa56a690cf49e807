"""How long to wait before a request: as the server asks, and when to give up."""

from __future__ import annotations

import random
import threading
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from tap_jobo.clock import parse_http_date
from tap_jobo.errors import ApiError, RetriesExhaustedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

RETRY_FOR: Final = 300.0
"""Seconds of our own waits for one page."""
BACKOFF_MIN: Final = 0.5
BACKOFF_MAX: Final = 30.0
RETRY_AFTER_MAX: Final = 3_600.0
"""Seconds of waits that the server asked for, for one page."""
_PAID_TRIES: Final = 2
"""Further tries after an answer that broke off: each may be paid for."""


def parse_retry_after(status: int, headers: Mapping[str, str], body: object) -> float | None:
    """Return the seconds that an answer asks to wait; None where it does not say.

    `Retry-After` (seconds or a date), then `retry_after_seconds` of the body, then, where the
    rate limit is the reason, `X-RateLimit-Reset`. Dates are read against the `Date` of the same
    answer, since the local clock may be off.
    """
    retry_after = headers.get("Retry-After")
    seconds = _seconds(retry_after)
    if seconds is None:
        seconds = _until(parse_http_date(retry_after), headers)
    if seconds is None and isinstance(body, dict):
        seconds = _seconds(body.get("retry_after_seconds"))
    if seconds is None and status == HTTPStatus.TOO_MANY_REQUESTS:
        seconds = _until_reset(headers)
    return seconds


class Retry:
    """The waits between the tries for one page or profile.

    Args:
        seconds: Of our own waits, all in all.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._tries = 0
        self._own = 0.0
        self._asked = 0.0
        self._paid_tries = 0

    def after_no_answer(
        self, *, asked: float | None, spent: float, now: datetime, why: str
    ) -> float:
        """Return the seconds to wait after a request that cost nothing.

        Args:
            asked: Seconds that the server asked for, if it did.
            spent: Seconds that the request itself took in vain.
            now: The local clock.
            why: What happened, for the text of the error.

        Raises:
            RetriesExhaustedError: It makes no sense to wait on.
        """
        if asked:
            asked = max(asked, BACKOFF_MIN)
            self._asked += asked
            if self._asked > RETRY_AFTER_MAX:
                then = (now + timedelta(seconds=min(asked, 1e9))).isoformat(timespec="minutes")
                raise RetriesExhaustedError(
                    f"{why}, and asks to wait {asked:,.0f} seconds: a new run makes sense from "
                    f"{then} on"
                )
            return asked
        wait = self._next_own()
        self._own += wait + spent
        if self._own > self._seconds:
            raise RetriesExhaustedError(
                f"{why}, for {self._own:.0f} seconds and {self._tries} tries now"
            )
        return wait

    def after_broken_answer(self, why: str, *, may_be_paid: bool) -> float:
        """Return the seconds to wait after an answer that broke off or came too late.

        Args:
            why: What happened, for the text of the error.
            may_be_paid: Whether each try may cost something, for the text too.

        Raises:
            ApiError: It was tried often enough.
        """
        self._paid_tries += 1
        if self._paid_tries > _PAID_TRIES:
            raise ApiError(
                f"{why}, three times{' that may each be paid for' if may_be_paid else ''}. The "
                "scan is kept: run again later."
            )
        return self._next_own()

    def _next_own(self) -> float:
        longest = min(BACKOFF_MAX, BACKOFF_MIN * 2**self._tries)
        self._tries += 1
        return float(max(BACKOFF_MIN, longest * random.uniform(0.5, 1)))  # noqa: S311 - jitter


class RateLimiter:
    """Keeps within the announced rate, so that a 429 is the exception; for several threads.

    The first half of the allowance is used at full speed, so that a small sync does not wait;
    the rest is spread over the time until the allowance is renewed.

    Args:
        workers: How many requests may be open at once: an answer does not know of the others.
    """

    def __init__(self, workers: int) -> None:
        self._lock = threading.Lock()
        self._others = workers - 1
        self._last_slot = 0.0
        self._interval = 0.0
        self._paused_until = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until the request may go out; `now` is in monotonic seconds."""
        with self._lock:
            slot = max(now, self._last_slot + self._interval, self._paused_until)
            self._last_slot = slot
            return slot - now

    def pause(self, seconds: float, now: float) -> None:
        """Let no request go out for so many seconds."""
        with self._lock:
            self._paused_until = max(self._paused_until, now + seconds)

    def pause_left(self, now: float) -> float:
        """Return the seconds until a pause is over, 0 if there is none."""
        return max(0.0, self._paused_until - now)

    def answered(self, headers: Mapping[str, str], now: float) -> None:
        """Take note of an answer's allowance."""
        remaining = _seconds(headers.get("X-RateLimit-Remaining"))
        until_reset = _until_reset(headers)
        self._interval = 0.0
        if remaining is None or until_reset is None or until_reset > RETRY_AFTER_MAX:
            return
        limit = _seconds(headers.get("X-RateLimit-Limit"))
        left = max(0.0, remaining - self._others)
        if not left:
            self.pause(until_reset, now)
        elif limit is None or left <= limit / 2:
            self._interval = until_reset / (left + 1)


def _seconds(value: object) -> float | None:
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
    reset, date = _seconds(headers.get("X-RateLimit-Reset")), parse_http_date(headers.get("Date"))
    if reset is None or date is None:
        return None
    return max(0.0, reset - date.timestamp())
