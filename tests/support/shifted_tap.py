"""The tap as a program whose local wall clock is wrong, as TEST_CLOCK says.

A number is the seconds that the clock is ahead; an ISO 8601 timestamp is an instant at which it
stands still.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from unittest.mock import patch

from tap_jobo.cli import run
from tap_jobo.clock import Clock


def main_with_another_clock() -> None:
    told, now = os.environ["TEST_CLOCK"], Clock.now
    try:
        ahead = timedelta(seconds=float(told))
    except ValueError:
        instant = datetime.fromisoformat(told)
        with patch.object(Clock, "now", lambda _: instant):
            run()
    else:
        with patch.object(Clock, "now", lambda it: now(it) + ahead):
            run()


if __name__ == "__main__":
    main_with_another_clock()
