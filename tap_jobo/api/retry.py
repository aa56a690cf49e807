"""What became of a failed try, how long to wait before the next one, and when to give up."""

from __future__ import annotations

import enum
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tap_jobo.errors import ApiError, RetriesExhaustedError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 120.0
"""Between two parts of a response: Jobo asks for at least this."""
IDLE_SECONDS: Final = 60.0
"""Until an idle connection is not used again: a gateway may have dropped it without a word, and a
request that is lost there would count as possibly billed."""
RETRY_SECONDS: Final = 300.0
"""Of backoff and failed tries for a page that was not billed."""
FREE_RETRY_SECONDS: Final = 60.0
"""Of backoff and failed tries for a profile or the clock, which can be fetched later, free."""
POSSIBLY_BILLED_WAITS: Final = (5.0, 30.0)
"""Before each retry of a request that may have been billed: every try may cost a page."""
BACKOFF: Final = (0.5, 30.0)
"""The first and the longest wait between other tries."""
RETRY_AFTER_MAX: Final = 3_600.0
"""Of the waits that the API asks for, for one request."""


class Outcome(enum.Enum):
    """What became of a try that returned no page."""

    NOT_SENT = enum.auto()  # the API did not receive it: free
    REFUSED = enum.auto()  # free
    POSSIBLY_BILLED = enum.auto()  # charged in full


class FailedTryError(ApiError):
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
            of it, but honors no wait longer than `seconds`, except for a rate limit.

    Attributes:
        seconds_left: What is left of `seconds`.
    """

    def __init__(self, seconds: float, *, is_paid: bool) -> None:
        self._seconds = self.seconds_left = seconds
        self._is_paid = is_paid
        self._tries = 0
        self._asked = 0.0
        self._waits = iter(POSSIBLY_BILLED_WAITS)

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
        self.seconds_left -= spent
        first, longest = BACKOFF
        if failure.retry_after:
            return self._honor(failure, max(failure.retry_after, first), now)
        backoff = min(longest, first * 2**self._tries)
        wait: float = max(first, backoff * random.uniform(0.5, 1))  # noqa: S311 - jitter
        self._tries += 1
        if wait > self.seconds_left:
            is_unreachable = failure.outcome is Outcome.NOT_SENT
            error = UnreachableError if is_unreachable else RetriesExhaustedError
            spent = self._seconds - self.seconds_left
            raise error(f"{failure} (given up after {spent:.0f} seconds)")
        self.seconds_left -= wait
        return wait

    def _after_possibly_billed(self, failure: FailedTryError) -> float:
        if (wait := next(self._waits, None)) is None:
            raise ApiError(
                f"{failure} (given up after {len(POSSIBLY_BILLED_WAITS) + 1} tries, and each may "
                "have been billed). Run again later: the next run resumes from here."
            )
        return wait * random.uniform(0.9, 1.1)  # noqa: S311 - jitter

    def _honor(self, failure: FailedTryError, seconds: float, now: datetime) -> float:
        self._asked += seconds
        is_bounded = not (self._is_paid or failure.is_rate_limit)
        if self._asked > (self._seconds if is_bounded else RETRY_AFTER_MAX):
            then = (now + timedelta(seconds=min(seconds, 1e9))).isoformat(timespec="minutes")
            raise RetriesExhaustedError(
                f"{failure}, and asks to wait {seconds:,.0f} seconds: try again after {then}"
            )
        return seconds
