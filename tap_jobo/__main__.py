"""The command `tap-jobo`, also `python -m tap_jobo`."""

from __future__ import annotations

import gc
import signal
import sys


def main() -> None:
    """Load the tap, then run its command line."""
    try:
        # Imported modules are never freed; scanning them for garbage takes a sixth of startup time.
        gc.disable()
        try:
            from tap_jobo.cli import run  # noqa: PLC0415 - loaded here for this reason

            gc.freeze()
        finally:
            gc.enable()
        run()
    except KeyboardInterrupt:  # Ctrl-C before the tap handles signals: it has done nothing yet
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
