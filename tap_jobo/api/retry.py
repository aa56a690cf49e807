"""Which failures to retry, how long to wait before each retry, and when to give up."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tap_jobo.api.rate_limit import RETRY_AFTER_MAX
from tap_jobo.errors import ApiError, RetriesExhaustedError

if TYPE_CHECKING:
    from datetime import datetime

RETRY_FOR: Final = 300.0
"""Seconds of backoff and failed tries for one page."""
BACKOFF_MIN: Final = 0.5
BACKOFF_MAX: Final = 30.0
_INCOMPLETE_BACKOFF: Final = (5.0, 30.0)
"""Seconds before each retry after an incomplete response: every try may be billed."""


class RetryableError(Exception):
    """The request failed without being billed.

    Attributes:
        asked: Seconds that the response asks to wait, if it does.
        is_rate_limit: Whether the cause is a rate limit, which holds back all workers.
    """

    def __init__(
        self, why: str, *, asked: float | None = None, is_rate_limit: bool = False
    ) -> None:
        super().__init__(why)
        self.asked = asked
        self.is_rate_limit = is_rate_limit


class IncompleteResponseError(Exception):
    """The request was sent but got no complete response: it may have been billed."""


class Retry:
    """The waits between the tries of one request.

    Args:
        seconds: Maximum total of backoff and failed tries.
        is_paid: Whether an incomplete response may be billed. If not, it can also be fetched
            later: a response other than a rate limit may ask to wait at most `seconds`.
    """

    def __init__(self, seconds: float, *, is_paid: bool) -> None:
        self._seconds = seconds
        self._is_paid = is_paid
        self._tries = 0
        self._spent = 0.0
        self._own = 0.0
        self._asked = 0.0
        self._incomplete = 0

    def after_failure(self, failure: RetryableError, *, spent: float, now: datetime) -> float:
        """Return the seconds to wait after a request that failed without being billed.

        Args:
            failure: What happened.
            spent: Seconds that the request took.
            now: The local clock.

        Raises:
            RetriesExhaustedError: The waits have taken too long.
        """
        self._spent += spent
        if failure.asked:
            return self._obey(failure, max(failure.asked, BACKOFF_MIN), now)
        wait = self._next_own()
        if self._own + wait + self._spent > self._seconds:
            raise RetriesExhaustedError(
                f"{failure} (given up after {_tries(self._tries)} in "
                f"{self._own + self._spent:.0f} seconds)"
            )
        self._own += wait
        return wait

    def after_incomplete(self, failure: IncompleteResponseError) -> float:
        """Return the seconds to wait after a request without a complete response.

        Raises:
            ApiError: All retries are used up.
        """
        if self._incomplete == len(_INCOMPLETE_BACKOFF):
            each = ", and each may have been billed" if self._is_paid else ""
            raise ApiError(
                f"{failure} (given up after three tries{each}). Run again later: the next run "
                "resumes from here."
            )
        wait = _INCOMPLETE_BACKOFF[self._incomplete] * random.uniform(0.9, 1.1)  # noqa: S311
        self._incomplete += 1
        return wait

    def _obey(self, failure: RetryableError, asked: float, now: datetime) -> float:
        self._asked += asked
        is_bounded = not (self._is_paid or failure.is_rate_limit)
        if self._asked > (self._seconds if is_bounded else RETRY_AFTER_MAX):
            then = (now + timedelta(seconds=min(asked, 1e9))).isoformat(timespec="minutes")
            raise RetriesExhaustedError(
                f"{failure}, and asks to wait {asked:,.0f} seconds: try again after {then}"
            )
        return asked

    def _next_own(self) -> float:
        longest = min(BACKOFF_MAX, BACKOFF_MIN * 2**self._tries)
        self._tries += 1
        return float(max(BACKOFF_MIN, longest * random.uniform(0.5, 1)))  # noqa: S311 - jitter


def _tries(count: int) -> str:
    return "1 try" if count == 1 else f"{count} tries"
