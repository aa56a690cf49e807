"""The command `tap-jobo`, also as `python -m tap_jobo`."""

import os
import signal


def main() -> None:
    """Run the command line. Until the tap handles signals itself, Ctrl-C ends it at once."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    from tap_jobo.cli import run  # noqa: PLC0415 - takes half a second

    run()


if __name__ == "__main__":
    main()
