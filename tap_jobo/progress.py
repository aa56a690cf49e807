"""Progress of a stream: a bar where a person watches, elsewhere a log line every ten seconds."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

from tap_jobo.wording import duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jobo.clock import Clock

_LINE_INTERVAL: Final = 10.0
"""Minimum seconds between two log lines."""
_BAR_INTERVAL: Final = 0.2
"""Minimum seconds between two updates of the bar."""
_RATE_WINDOW: Final = 30.0
"""Seconds over which the rate is measured."""
_SHARE_MAX: Final = 0.99
"""A total may be too low an estimate: only the summary says that a sync is complete."""


class Reading(NamedTuple):
    """How far a stream is.

    Attributes:
        done: Rows or profiles so far.
        unit: What is counted, in the plural.
        total: How many there will be, None if that is not known. It may be an estimate.
        brief: What was done so far, in the few words that a bar has room for.
        full: The same for a log line.
    """

    done: int
    unit: str
    total: int | None
    brief: str
    full: str


class Progress:
    """Shows how far a stream is, from `start` to `close`.

    Args:
        stream: The stream.
        read: Returns how far it is; called only when something is shown.
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
        self._bar: _Bar | None = None
        self._shown_at = clock.monotonic()
        self._samples: deque[tuple[float, int]] = deque()

    def start(self) -> None:
        """Start to measure the rate, and show the bar if there is one."""
        self._shown_at = self._clock.monotonic()
        if self._logger.isEnabledFor(logging.INFO) and _is_watched():
            self._bar = _Bar()
            self._show()
        else:
            self._measure(self._read())

    def update(self) -> None:
        """Show how far the stream is, unless that was shown a moment ago."""
        now = self._clock.monotonic()
        if now - self._shown_at >= (_BAR_INTERVAL if self._bar else _LINE_INTERVAL):
            self._shown_at = now
            self._show()

    def close(self) -> None:
        """Remove the bar."""
        if self._bar:
            self._bar.close()
            self._bar = None

    def _show(self) -> None:
        reading = self._read()
        rate = self._measure(reading)
        share, left = None, ""
        if reading.total:
            share = min(reading.done / reading.total, _SHARE_MAX)
            left = duration(max(reading.total - reading.done, 0) / rate) if rate else ""
        if self._bar:
            speed = f"{_number(rate)} {reading.unit}/s" if rate else ""
            parts = (reading.brief, left and f"{left} left", speed)  # a narrow terminal cuts it off
            self._bar.draw(self._stream, share, ", ".join(filter(None, parts)))
            return
        self._logger.info(
            "Progress: %s: %s; %s %s per second%s%s.",
            self._stream,
            reading.full,
            _number(rate),
            reading.unit,
            "" if share is None else f"; {share:.0%}",
            left and f", about {left} left",
        )

    def _measure(self, reading: Reading) -> float:
        """Return the units per second of the last half minute: older bursts do not count."""
        now = self._shown_at
        self._samples.append((now, reading.done))
        while len(self._samples) > 2 and self._samples[1][0] <= now - _RATE_WINDOW:  # noqa: PLR2004
            self._samples.popleft()
        then, before = self._samples[0]
        return (reading.done - before) / (now - then) if now > then else 0.0


class _Bar:
    """A line at the bottom of the terminal, drawn by tqdm; log lines appear above it.

    It is wiped when it closes. The cursor is never hidden, so a killed run leaves a sane terminal.
    """

    def __init__(self) -> None:
        # Imported only where a bar is shown.
        from tqdm.contrib.logging import logging_redirect_tqdm  # noqa: PLC0415
        from tqdm.std import tqdm  # noqa: PLC0415

        tqdm.monitor_interval = 0  # no thread that redraws: `update` does
        tqdm.set_lock(threading.RLock())  # by default it also needs a semaphore between processes
        self._exit = ExitStack()
        self._tqdm = self._exit.enter_context(
            tqdm(file=sys.stderr, dynamic_ncols=True, leave=False, bar_format=" ")
        )
        self._exit.enter_context(logging_redirect_tqdm())

    def draw(self, stream: str, share: float | None, text: str) -> None:
        self._tqdm.total, self._tqdm.n = (None, 0) if share is None else (1, share)
        percent = "" if share is None else f" {share:4.0%}|{{bar}}|"
        self._tqdm.bar_format = f"{stream}:{percent} {text}"
        self._tqdm.refresh()

    def close(self) -> None:
        self._exit.close()


def _is_watched() -> bool:
    """Whether a person watches standard error, and no messages on the same screen would tear a bar.

    Meltano, Airflow and Dagster read standard error through a pipe. Some CI systems give their
    jobs a terminal, and set `CI`.
    """
    return (
        _has_columns()
        and not (sys.stdout is not None and sys.stdout.isatty())
        and os.environ.get("TERM") != "dumb"
        and not os.environ.get("CI")
    )


def _has_columns() -> bool:
    """Whether standard error is a terminal. One without a size is read by a program."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):  # closed, or no terminal
        return False


def _number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"  # noqa: PLR2004
