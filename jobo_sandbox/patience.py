"""How long to wait for what must happen: on a busy machine, JOBO_PATIENCE multiplies each limit."""

import os


def patient(seconds: float) -> float:
    """Return the seconds after which something that has not happened counts as a failure."""
    return seconds * float(os.environ.get("JOBO_PATIENCE", "1"))
