"""Signals, which a tap within the test's process takes over."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

_TAKEN = {"SIGINT", "SIGTERM", "SIGHUP", "SIGALRM"} & {*signal.Signals.__members__}
"""Those that this system has."""


@contextlib.contextmanager
def kept_signals() -> Iterator[None]:
    """Give pytest its signal handlers back, which a tap within this process takes over."""
    handlers = {signal.Signals[name]: signal.getsignal(signal.Signals[name]) for name in _TAKEN}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
