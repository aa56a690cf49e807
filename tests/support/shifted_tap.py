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

if __name__ == "__main__":
    told, now = os.environ["TEST_CLOCK"], Clock.now

    def shifted(clock: Clock) -> datetime:
        try:
            return now(clock) + timedelta(seconds=float(told))
        except ValueError:
            return datetime.fromisoformat(told)

    with patch.object(Clock, "now", shifted):
        run()
