"""The tap as a program with another local clock, or whose waits take less time.

TEST_CLOCK is the seconds that the wall clock is ahead, or the instant at which it stands still.
TEST_WAITS is `none` if a wait puts the clocks forward instead, or `short` for a fraction of the
time for object storage, for leases, and for output that is not read. TEST_LOOKS is the seconds
between two looks at a stream that another run buys. TEST_SIGNALS is `apart` if any two signals are
two wishes, and a request is given up on the second alone. TEST_PROGRESS is the seconds between two
lines of progress. TEST_OPENED is a file that gets a line for each file that is opened, and each
folder that is listed. TEST_DEADLINES is the seconds that a page and a free request may take, and
TEST_MOST_BYTES how large a body may be. TEST_MEMORY is the name of a function that runs out of
memory, such as `api.session.inflate`. TEST_ROOM is the most bytes that a file may have.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from jobo_sandbox.patience import patient
from tap_jobo import signals
from tap_jobo.api import client, session
from tap_jobo.archive import bucket, lease
from tap_jobo.cli import run
from tap_jobo.clock import Clock
from tap_jobo.singer import loop, writer
from tap_jobo.singer import run as singer_run
from tap_jobo.sync import report

skipped: list[float] = []
"""The seconds of each wait that took no time."""
now, monotonic = Clock.now, Clock.monotonic


def skip(_: Clock, seconds: float) -> None:
    skipped.append(seconds)
    time.sleep(0)  # the other threads have their turn, as in a wait


def shifted(clock: Clock) -> datetime:
    told = os.environ.get("TEST_CLOCK", "0")
    try:
        return now(clock) + timedelta(seconds=float(told) + sum(skipped))
    except ValueError:
        return datetime.fromisoformat(told)


def note_opened(log: str) -> None:
    """Write what is opened and listed, without the log itself."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event: str, args: tuple[Any, ...]) -> None:
        if event in {"open", "os.scandir", "os.listdir"}:
            os.write(descriptor, f"{event} {args[0]}\n".encode())

    sys.addaudithook(note)


@contextmanager
def short_waits() -> Iterator[None]:
    """Wait for object storage for a fraction of the time."""
    backoff = dict.fromkeys(bucket._RETRIES["backoff"], timedelta(milliseconds=20))
    with ExitStack() as patches:
        for waits in (bucket._WAITS, bucket._WAITS_OF_PAGES):
            short = dict.fromkeys(waits, f"{patient(500):.0f}ms")
            patches.enter_context(patch.dict(waits, short))
        patches.enter_context(patch.dict(bucket._RETRIES, backoff=backoff))
        yield


if __name__ == "__main__":
    if opened := os.environ.get("TEST_OPENED"):
        note_opened(opened)
    if room := os.environ.get("TEST_ROOM"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), resource.RLIM_INFINITY))
    with ExitStack() as patches:
        patches.enter_context(patch.object(Clock, "now", shifted))
        if os.environ.get("TEST_SIGNALS") == "apart":
            patches.enter_context(patch.multiple(signals, _ECHO=0.0, _REQUEST_GRACE=3_600.0))
        if os.environ.get("TEST_WAITS") == "none":
            ahead = patch.object(Clock, "monotonic", lambda it: monotonic(it) + sum(skipped))
            patches.enter_context(ahead)
            patches.enter_context(patch.object(Clock, "sleep", skip))
        elif os.environ.get("TEST_WAITS") == "short":
            patches.enter_context(short_waits())
            patches.enter_context(patch.object(writer, "_GRACE", 1.0))
            seconds = patient(12)
            short: dict[str, Any] = {"DURATION": seconds, "SAFETY_MARGIN": seconds / 2}
            short |= dict.fromkeys(("_RENEW_EVERY", "_RETRY_EVERY"), 0.1)
            patches.enter_context(patch.multiple(lease, **short))
        if deadlines := os.environ.get("TEST_DEADLINES"):
            page, free = map(float, deadlines.split(","))
            patches.enter_context(patch.object(client, "PAGE_SECONDS", page))
            patches.enter_context(patch.object(singer_run, "FREE_RETRY_SECONDS", free))
        if most := os.environ.get("TEST_MOST_BYTES"):
            patches.enter_context(patch.object(session, "MOST_BYTES", int(most)))
        if name := os.environ.get("TEST_MEMORY"):
            patches.enter_context(patch(f"tap_jobo.{name}", side_effect=MemoryError))
        if pause := os.environ.get("TEST_LOOKS"):
            patches.enter_context(patch.object(loop, "_LOOK_EVERY", float(pause)))
        if interval := os.environ.get("TEST_PROGRESS"):
            patches.enter_context(patch.object(report, "_INTERVAL", float(interval)))
        run()
