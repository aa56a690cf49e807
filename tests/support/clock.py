"""The clocks of tests: one for the tap's code in this process, and wrong ones for the tap."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tap_jobo.clock import Clock
from tests.support.process import Tap

_SHIFTED_TAP = Path(__file__).with_name("shifted_tap.py")
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


@dataclass
class TapWithClock(Tap):
    """The tap as a process whose local clock is wrong: so far ahead, or standing still."""

    local_clock: timedelta | datetime = timedelta()

    def command(self, *args: str, **kwargs: Any) -> list[str]:
        _, *others = super().command(*args, **kwargs)
        return [sys.executable, str(_SHIFTED_TAP), *others]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        shift = self.local_clock
        told = str(shift.total_seconds()) if isinstance(shift, timedelta) else shift.isoformat()
        return super().environment({"TEST_CLOCK": told, **(extra or {})})


def with_clock(tap: Tap, local_clock: timedelta | datetime) -> TapWithClock:
    """The same tap with another local clock."""
    parts = {part.name: getattr(tap, part.name) for part in fields(Tap)}
    return TapWithClock(**parts, local_clock=local_clock)
