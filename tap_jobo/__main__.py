"""The command `tap-jobo`, also `python -m tap_jobo`."""

from __future__ import annotations

import gc
import signal
import sys
from typing import TYPE_CHECKING

from tap_jobo.late_imports import unused_modules_late

if TYPE_CHECKING:
    from collections.abc import Callable


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
    return run


if __name__ == "__main__":
    main()
