"""The one clock of tests that run the tap's code in this process: no test waits."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tap_jobo.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class FakeClock(Clock):
    """Time that passes only when the tap sleeps or a test adds to `passed`.

    Attributes:
        start: The true time at the beginning.
        passed: The seconds since then.
        skew: How far the local wall clock is ahead of the true time.
        on_sleep: Called at the beginning of each sleep, by the thread that sleeps.
    """

    start: datetime = NOON
    passed: float = 0.0
    skew: timedelta = timedelta(0)
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
        return self.passed

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.on_sleep()
        with self._lock:
            self.passed += seconds
