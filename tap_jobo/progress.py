"""Progress of a stream: a bar where a person watches, elsewhere a log line every minute."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from tqdm import tqdm


_INTERVAL: Final = 60.0
"""Seconds between two log lines."""


class Reading(NamedTuple):
    """How far a stream is."""

    done: int
    unit: str  # in the plural
    total: int | None  # an estimate, None if there is none
    more: str  # what the bar shows next to the count


class Progress:
    """Shows how far a stream is, from `start` to `close`, unless the logger drops INFO lines."""

    def __init__(self, stream: str, read: Callable[[], Reading], logger: logging.Logger) -> None:
        self._stream = stream
        self._read = read
        self._logger = logger
        self._bar: tqdm[None] | None = None
        self._exit = ExitStack()
        self._next_line = time.monotonic() + _INTERVAL

    def start(self) -> None:
        """Show the bar."""
        if not (self._logger.isEnabledFor(logging.INFO) and _is_watched()):
            return
        from tqdm import tqdm  # noqa: PLC0415 - only where a bar is shown
        from tqdm.contrib.logging import tqdm_logging_redirect  # noqa: PLC0415 - the same

        tqdm.monitor_interval = 0  # no thread that redraws: `update` does
        tqdm.set_lock(threading.RLock())  # by default it also needs a semaphore between processes
        reading = self._read()
        text = {"desc": self._stream, "unit": f" {reading.unit}", "initial": reading.done}
        bar = tqdm_logging_redirect(**text, dynamic_ncols=True, leave=False, miniters=1)
        self._bar = self._exit.enter_context(bar)

    def update(self) -> None:
        """Show how far the stream is: in the bar, or in a log line every minute."""
        reading, now = self._read(), time.monotonic()
        if self._bar is None and now >= self._next_line:
            self._next_line = now + _INTERVAL
            self._logger.info(
                "Progress: %s: %s %s, %s.",
                self._stream,
                f"{reading.done:,}",
                reading.unit,
                reading.more,
            )
        elif self._bar is not None:
            self._bar.total, self._bar.unit = reading.total, f" {reading.unit}"
            self._bar.set_postfix_str(reading.more, refresh=False)
            self._bar.update(reading.done - self._bar.n)

    def close(self) -> None:
        """Remove the bar."""
        self._exit.close()
        self._bar = None


def _is_watched() -> bool:
    """Return whether a person watches standard error, and no message there would tear a bar."""
    try:
        is_terminal = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):  # closed, or no terminal
        return False
    has_messages = sys.stdout is not None and sys.stdout.isatty()
    is_quiet = os.environ.get("TERM") == "dumb" or bool(os.environ.get("CI"))
    return is_terminal and not has_messages and not is_quiet
