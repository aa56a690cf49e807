"""The command `tap-jobo`, also `python -m tap_jobo`."""

from __future__ import annotations

import gc

from tap_jobo.late_imports import unused_modules_late


def main() -> None:
    """Load the tap, then run its command line."""
    # Imported modules are never freed; scanning them for garbage takes a sixth of startup time.
    gc.disable()
    try:
        with unused_modules_late():
            from tap_jobo.cli import run  # noqa: PLC0415 - loaded here for these reasons

        gc.freeze()
    finally:
        gc.enable()
    run()


if __name__ == "__main__":
    main()
