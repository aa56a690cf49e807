"""Rate limits over rolling windows."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

# Pairs of (requests, seconds): at most so many requests in any window of that length.
Limits = Sequence[tuple[int, float]]

FEED_LIMITS: Limits = ((120, 60), (5_000, 3_600), (50_000, 86_400))
PROFILE_LIMITS: Limits = ((360, 60), (10_000, 3_600), (100_000, 86_400))


class Meter:
    """Counts the requests to a group of endpoints.

    Args:
        group: The value of `X-RateLimit-Group`.
        time: Returns the time in Unix seconds, unaffected by `clock_offset`.
    """

    def __init__(self, group: str, time: Callable[[], float]) -> None:
        self._group = group
        self._time = time
        self._counted: list[float] = []

    def count(self) -> None:
        """Count a request."""
        self._counted.append(self._time())

    def wait(self, limits: Limits) -> float:
        """Seconds until the next request is allowed; 0 if it is now."""
        now = self._time()
        waits = [0.0]
        for count, seconds in limits:
            if self._used(seconds, now) >= count:
                waits.append(self._counted[-count] + seconds - now)
        return max(waits)

    def headers(self, limits: Limits, offset: float) -> dict[str, str]:
        """The rate limit headers, for the window with the fewest requests left.

        Args:
            limits: The limits in force; at least one.
            offset: Seconds by which the server's clock is ahead of `time`.
        """
        now = self._time()
        count, seconds = min(limits, key=lambda limit: limit[0] - self._used(limit[1], now))
        used = self._used(seconds, now)
        oldest = self._counted[-used] if used else now
        return {
            "X-RateLimit-Limit": str(count),
            "X-RateLimit-Remaining": str(max(count - used, 0)),
            "X-RateLimit-Reset": str(math.ceil(oldest + seconds + offset)),
            "X-RateLimit-Group": self._group,
        }

    def _used(self, seconds: float, now: float) -> int:
        return len(self._counted) - bisect_right(self._counted, now - seconds)
