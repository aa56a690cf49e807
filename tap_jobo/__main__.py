"""The command `tap-jobo`, also `python -m tap_jobo`."""

from __future__ import annotations

import gc


def main() -> None:
    """Load the tap, then run its command line."""
    # What is loaded stays loaded: to look for garbage in it takes a sixth of the start-up.
    gc.disable()
    try:
        from tap_jobo.cli import run  # noqa: PLC0415 - loaded here for just this

        gc.freeze()
    finally:
        gc.enable()
    run()


if __name__ == "__main__":
    main()
