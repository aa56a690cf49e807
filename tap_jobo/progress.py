"""Progress of a stream: a bar where a person watches, elsewhere a log line every ten seconds."""

from __future__ import annotations

import logging
import os
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

from tap_jobo.wording import duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tqdm import tqdm

    from tap_jobo.clock import Clock

_LINE_INTERVAL: Final = 10.0
"""Seconds between two log lines."""
_MAX_SHARE: Final = 0.99
"""The total is an estimate that may be too low: only the summary says that a sync is complete."""


class Reading(NamedTuple):
    """How far a stream is."""

    done: int
    unit: str  # in the plural
    total: int | None  # an estimate, None if there is none
    brief: str  # what a bar shows beside the count
    full: str  # what a log line says in place of the count


class Progress:
    """Shows how far a stream is, from `start` to `close`.

    Args:
        stream: The stream.
        read: Returns how far it is.
        clock: The clock to read.
        logger: Where log lines go. If it drops INFO lines, there is no bar either.
    """

    def __init__(
        self, stream: str, read: Callable[[], Reading], *, clock: Clock, logger: logging.Logger
    ) -> None:
        self._stream = stream
        self._read = read
        self._clock = clock
        self._logger = logger
        self._shown_at = clock.monotonic()
        self._shown = 0
        self._bar: tqdm[None] | None = None
        self._exit = ExitStack()

    def start(self) -> None:
        """Show the bar, or start to measure the rate for the first log line."""
        reading = self._read()
        self._shown_at, self._shown = self._clock.monotonic(), reading.done
        if self._logger.isEnabledFor(logging.INFO) and _is_watched():
            self._bar = self._exit.enter_context(_bar(self._stream, reading))

    def update(self) -> None:
        """Show how far the stream is, unless that was shown a moment ago."""
        if self._bar is not None:
            reading = self._read()
            self._bar.total, self._bar.unit = reading.total, f" {reading.unit}"
            self._bar.set_postfix_str(reading.brief, refresh=False)
            self._bar.update(reading.done - self._bar.n)
        elif self._clock.monotonic() - self._shown_at >= _LINE_INTERVAL:
            self._log(self._read())

    def close(self) -> None:
        """Remove the bar."""
        self._exit.close()
        self._bar = None

    def _log(self, reading: Reading) -> None:
        now = self._clock.monotonic()
        rate = (reading.done - self._shown) / (now - self._shown_at)
        self._shown_at, self._shown = now, reading.done
        share = left = ""
        if reading.total:
            share = f"; {min(reading.done / reading.total, _MAX_SHARE):.0%}"
            seconds = max(reading.total - reading.done, 0) / rate if rate else 0
            left = f", about {duration(seconds)} left" if rate else ""
        self._logger.info(
            "Progress: %s: %s; %s %s per second%s%s.",
            self._stream,
            reading.full,
            f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}",  # noqa: PLR2004
            reading.unit,
            share,
            left,
        )


def _bar(stream: str, reading: Reading) -> AbstractContextManager[tqdm[None]]:
    """Return a bar at the bottom of the terminal; log lines appear above it."""
    # Imported only where a bar is shown.
    from tqdm import tqdm  # noqa: PLC0415
    from tqdm.contrib.logging import tqdm_logging_redirect  # noqa: PLC0415

    tqdm.monitor_interval = 0  # no thread that redraws: `update` does
    tqdm.set_lock(threading.RLock())  # by default it also needs a semaphore between processes
    text = {"desc": stream, "unit": f" {reading.unit}", "initial": reading.done}
    return tqdm_logging_redirect(**text, dynamic_ncols=True, leave=False, miniters=1)


def _is_watched() -> bool:
    """Return whether a person watches standard error, and no message there would tear a bar.

    Meltano, Airflow and Dagster read standard error through a pipe. Some CI systems give their
    jobs a terminal, and set `CI`. A terminal without a size is read by a program.
    """
    try:
        is_terminal = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):  # closed, or no terminal
        return False
    has_messages = sys.stdout is not None and sys.stdout.isatty()
    is_quiet = os.environ.get("TERM") == "dumb" or bool(os.environ.get("CI"))
    return is_terminal and not has_messages and not is_quiet
