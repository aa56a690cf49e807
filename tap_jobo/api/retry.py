"""Whether a request is sent again after a failed try, and when."""

import random
from typing import Final

from tap_jobo.errors import FailedTryError, RetriesExhaustedError, UnreachableError

RETRY_SECONDS: Final = 300.0  # of backoff and failed tries for a page that was not billed
FREE_RETRY_SECONDS: Final = 50.0  # the same for a profile or the clock, which are free
POSSIBLY_BILLED_WAITS: Final = (5.0, 30.0)
"""Before each retry of a request that may have been billed: every try may cost a page."""
BACKOFF: Final = (0.5, 30.0)  # the first and the longest wait between other tries
RETRY_AFTER_MAX: Final = 3_600.0  # of the waits that the API asks for, for one request


class Retry:
    """The waits between the tries of one request.

    Few tries follow one that may have been billed. Otherwise, they end after `seconds` of backoff
    and failed tries.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = self.seconds_left = seconds
        self._tries = 0
        self._asked = 0.0
        self._possibly_billed = self._charged = 0
        self.name = ""  # of the next try, for the log

    def wait_after(self, failure: FailedTryError, spent: float) -> float:
        """Return the seconds to wait before the next try, or raise ApiError if there is none.

        Args:
            failure: Why the last try returned no page.
            spent: The seconds that it took.
        """
        self._charged += failure.charged
        if failure.charged:
            tries, most = self._possibly_billed + 1, len(POSSIBLY_BILLED_WAITS)
            if tries > most:
                why = f"{failure}. Gave up after {tries} tries"
                raise RetriesExhaustedError(why, self._charged)
            self.name, self._possibly_billed = f"Retry {tries} of {most}", tries
            pause = POSSIBLY_BILLED_WAITS[tries - 1]
            return pause * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
        self.seconds_left -= spent
        self.name = "Retry"
        first, longest = BACKOFF
        if failure.retry_after:
            asked = max(failure.retry_after, first)
            self._asked += asked
            if self._asked > RETRY_AFTER_MAX:
                why = f"{failure}, and asks to wait {asked:,.0f} seconds"
                raise RetriesExhaustedError(why, self._charged)
            return asked
        backoff = min(longest, first * 2**self._tries)
        wait: float = max(first, backoff * random.uniform(0.5, 1))  # noqa: S311 - jitter
        self._tries += 1
        if wait > self.seconds_left:
            spent = self._seconds - self.seconds_left
            why = f"{failure}. Gave up after {spent:.0f} s"
            if failure.is_unreachable and not self._charged:
                raise UnreachableError(why)
            raise RetriesExhaustedError(why, self._charged)
        self.seconds_left -= wait
        return wait
