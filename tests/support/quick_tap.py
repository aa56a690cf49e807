"""The tap as a program whose waits take no time: they put its clocks forward instead."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from unittest.mock import patch

from tap_jobo.cli import run
from tap_jobo.clock import Clock


class Skipped:
    """The seconds that all waits together did not take."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()

    def skip(self, seconds: float) -> None:
        with self._lock:
            self.seconds += seconds
        time.sleep(0)  # the other threads have their turn, as in a wait


def main_without_waits() -> None:
    skipped, now, monotonic = Skipped(), Clock.now, Clock.monotonic
    with (
        patch.object(Clock, "now", lambda it: now(it) + timedelta(seconds=skipped.seconds)),
        patch.object(Clock, "monotonic", lambda it: monotonic(it) + skipped.seconds),
        patch.object(Clock, "sleep", lambda _, seconds: skipped.skip(seconds)),
    ):
        run()


if __name__ == "__main__":
    main_without_waits()
