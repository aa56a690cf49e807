"""The clocks of tests: one for the tap's code in this process, and wrong ones for the tap."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from tap_jobo.clock import Clock
from tests.support.process import Tap

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class FakeClock(Clock):
    """Time that passes only when the tap sleeps or a test adds to `passed`."""

    start: datetime = NOON  #: the true time at the beginning
    passed: float = 0.0  #: the seconds since then
    skew: timedelta = timedelta(0)  #: how far the local wall clock is ahead of the true time
    #: called at the beginning of each sleep, by the thread that sleeps
    on_sleep: Callable[[], None] = lambda: None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def true(self) -> datetime:
        """The true time, which is the API's."""
        return self.start + timedelta(seconds=self.passed)

    def unix_time(self) -> float:
        """The true time in Unix seconds, as the sandbox takes it."""
        return self.start.timestamp() + self.passed

    def now(self) -> datetime:
        return self.true + self.skew

    def monotonic(self) -> float:
        return 1_000 + self.passed  # since the machine started

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.on_sleep()
        with self._lock:
            self.passed += seconds


def with_clock(tap: Tap, local_clock: timedelta | datetime) -> Tap:
    """The same tap with a local clock that is so far ahead, or stands still."""
    if isinstance(local_clock, timedelta):
        return replace(tap, oddities={"TEST_CLOCK": str(local_clock.total_seconds())})
    return replace(tap, oddities={"TEST_CLOCK": local_clock.isoformat()})
