"""`python -m tap_jobo`: the command `tap-jobo`."""

from tap_jobo.cli import run

if __name__ == "__main__":
    run()
