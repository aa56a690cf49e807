"""The command `tap-jobo`, also `python -m tap_jobo`."""

from __future__ import annotations

import gc


def main() -> None:
    """Load the tap, then run its command line."""
    gc.disable()  # imports leave no garbage, and looking for it takes 5% of the start-up
    from tap_jobo import cli  # noqa: PLC0415 - see above

    gc.enable()
    cli.run()


if __name__ == "__main__":
    main()
