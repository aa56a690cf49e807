"""The command `tap-jobo`, also `python -m tap_jobo`."""

from __future__ import annotations

import gc
import signal
import sys
from typing import TYPE_CHECKING

from tap_jobo.late_imports import unused_modules_late

if TYPE_CHECKING:
    from collections.abc import Callable

_COLLECT_AFTER = 100_000
"""New objects before garbage is collected. A page of jobs has a quarter of that, and is no garbage:
by default, its objects would be scanned thirty times, which takes a tenth of a run."""


def main() -> None:
    """Load the tap, then run its command line."""
    try:
        _load()()
    except KeyboardInterrupt:  # Ctrl-C before the tap handles signals: it has done nothing yet
        sys.exit(128 + signal.SIGINT)


def _load() -> Callable[[], None]:
    # Imported modules are never freed; scanning them for garbage takes a sixth of startup time.
    gc.disable()
    try:
        with unused_modules_late():
            from tap_jobo.cli import run  # noqa: PLC0415 - loaded here for these reasons

        gc.freeze()
    finally:
        gc.enable()
        gc.set_threshold(_COLLECT_AFTER)
    return run


if __name__ == "__main__":
    main()
