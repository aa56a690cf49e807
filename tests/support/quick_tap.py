"""The tap as a program whose waits take no time: they put its clocks forward instead."""

from __future__ import annotations

import time
from datetime import timedelta
from unittest.mock import patch

from tap_jobo.cli import run
from tap_jobo.clock import Clock

skipped: list[float] = []
"""The seconds of each wait that took no time."""


def skip(_: Clock, seconds: float) -> None:
    skipped.append(seconds)
    time.sleep(0)  # the other threads have their turn, as in a wait


if __name__ == "__main__":
    now, monotonic = Clock.now, Clock.monotonic
    with (
        patch.object(Clock, "now", lambda it: now(it) + timedelta(seconds=sum(skipped))),
        patch.object(Clock, "monotonic", lambda it: monotonic(it) + sum(skipped)),
        patch.object(Clock, "sleep", skip),
    ):
        run()
