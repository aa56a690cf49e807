"""What became of a failed try, how long to wait before the next one, and when to give up."""

from __future__ import annotations

import enum
import random
from datetime import timedelta
from typing import TYPE_CHECKING

from tap_jobo.api import limits
from tap_jobo.errors import ApiError, RetriesExhaustedError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class Outcome(enum.Enum):
    """What became of a try that returned no page."""

    NOT_SENT = "The API has not received it: free, and tried again for minutes."
    REFUSED = "The API has refused it for now: free, and tried again for minutes."
    POSSIBLY_BILLED = "The API may have billed a page: charged in full, and tried again twice."


class FailedTryError(Exception):
    """A try returned no page, but another may.

    Args:
        message: What happened.
        outcome: What that means for the bill.
        headers: The response headers, if there are any.
        retry_after: Seconds that the response asks to wait, if it does.
        is_rate_limit: Whether the cause is a rate limit, which holds back all workers.
    """

    def __init__(
        self,
        message: str,
        outcome: Outcome,
        *,
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        is_rate_limit: bool = False,
    ) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.headers = headers or {}
        self.retry_after = retry_after
        self.is_rate_limit = is_rate_limit


class Retry:
    """The waits between the tries of one request.

    Args:
        seconds: Maximum total of backoff and failed tries.
        is_paid: Whether the request can be billed. One that cannot is tried again whatever became
            of it, but can also be sent later: it honors no wait longer than `seconds`, except for
            a rate limit.
    """

    def __init__(self, seconds: float, *, is_paid: bool) -> None:
        self._seconds = seconds
        self._is_paid = is_paid
        self._tries = 0
        self._spent = 0.0
        self._asked = 0.0
        self._possibly_billed = 0

    def wait_after(self, failure: FailedTryError, *, spent: float, now: datetime) -> float:
        """Return the seconds to wait before the next try.

        Args:
            failure: What happened.
            spent: Seconds that the try took.
            now: The local clock.

        Raises:
            ApiError: There is no next try.
        """
        if self._is_paid and failure.outcome is Outcome.POSSIBLY_BILLED:
            return self._after_possibly_billed(failure)
        self._spent += spent
        if failure.retry_after:
            return self._honor(failure, max(failure.retry_after, limits.BACKOFF_MIN), now)
        longest = min(limits.BACKOFF_MAX, limits.BACKOFF_MIN * 2**self._tries)
        wait: float = max(limits.BACKOFF_MIN, longest * random.uniform(0.5, 1))  # noqa: S311
        self._tries += 1
        if self._spent + wait > self._seconds:
            is_unreachable = failure.outcome is Outcome.NOT_SENT
            error = UnreachableError if is_unreachable else RetriesExhaustedError
            tries = "1 try" if self._tries == 1 else f"{self._tries} tries"
            raise error(f"{failure} (given up after {tries} in {self._spent:.0f} seconds)")
        self._spent += wait
        return wait

    def _after_possibly_billed(self, failure: FailedTryError) -> float:
        waits = limits.POSSIBLY_BILLED_WAITS
        if self._possibly_billed == len(waits):
            raise ApiError(
                f"{failure} (given up after {len(waits) + 1} tries, and each may have been "
                "billed). Run again later: the next run resumes from here."
            )
        wait = waits[self._possibly_billed] * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
        self._possibly_billed += 1
        return wait

    def _honor(self, failure: FailedTryError, seconds: float, now: datetime) -> float:
        self._asked += seconds
        is_bounded = not (self._is_paid or failure.is_rate_limit)
        if self._asked > (self._seconds if is_bounded else limits.RETRY_AFTER_MAX):
            then = (now + timedelta(seconds=min(seconds, 1e9))).isoformat(timespec="minutes")
            raise RetriesExhaustedError(
                f"{failure}, and asks to wait {seconds:,.0f} seconds: try again after {then}"
            )
        return seconds
