"""The tap where time is quicker: `python -m benchmarks.quick_clock BEGAN FACTOR ARGUMENTS`.

Rate limits count by the minute. With the tap's clock and the sandbox's both `FACTOR` times as
quick since the instant `BEGAN` (Unix seconds), ten minutes of them pass in seconds, and the answers
tell the same time as ever.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from functools import partial
from unittest.mock import patch

from tap_jobo.__main__ import main
from tap_jobo.clock import Clock


def quick(began: float, factor: float) -> float:
    """Return the Unix seconds of the quicker world."""
    return began + (time.time() - began) * factor


def main_in_quick_time() -> None:
    """Run the tap with its clocks and waits made quicker."""
    began, factor = float(sys.argv[1]), float(sys.argv[2])
    del sys.argv[1:3]
    now = partial(quick, began, factor)
    with (
        patch.object(Clock, "now", lambda _: datetime.fromtimestamp(now(), UTC)),
        patch.object(Clock, "monotonic", lambda _: now()),
        patch.object(Clock, "sleep", lambda _, seconds: time.sleep(seconds / factor)),
    ):
        main()


if __name__ == "__main__":
    main_in_quick_time()
