"""The tap as a program whose clocks, surroundings, and end a test chooses, by variables.

- TEST_CLOCK is the seconds that the wall clock is ahead, or the instant at which it stands still.
  TEST_TIME is a file with the time that the clocks show in place of the machine's.
- TEST_WAITS is the seconds that a wait takes for each second by the clocks, or `short` for a
  fraction of the time for object storage, for leases, and for output that is not read.
- TEST_CONSTANTS is a JSON object with other values for constants of the tap, by their names.
- TEST_MEMORY is the name of a function that runs out of memory, such as `api.session.inflate`.
  TEST_ROOM is the most bytes that a file of the archive may have. TEST_OPENED is a file that gets a
  line for each file that is opened, and each folder that is listed.
- TEST_RUN is the number of the run, which its requests and its pages then have. TEST_DIE_AT is the
  step at which a signal arrives, TEST_SIGNAL its name. A step is whatever other processes can
  notice: a request to the API, and its response; a file of the archive that is written, and one
  that has got its name; an object that is written; a line of output. TEST_FAILS_AT is the number of
  the request from which on the bucket is away; TEST_FAILURE is `lost` if only the response to that
  one is lost.
"""

import errno
import json
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import requests
from obstore.exceptions import GenericError

from jobo_sandbox.patience import patient
from tap_jobo.archive import bucket
from tap_jobo.cli import run
from tap_jobo.clock import Clock
from tap_jobo.model import new_id
from tap_jobo.signals import ShutdownSignal
from tap_jobo.singer import writer
from tap_jobo.sync import run as feed_run

_waited: list[float] = []
"""The seconds of each wait that did not take its time."""
_steps, _requests = count(), count(1)
_now, _monotonic, _sync = Clock.now, Clock.monotonic, os.fsync
_send_request, _write_all, open_bucket = requests.Session.send, writer._write, bucket.open_bucket


# Clocks


def monotonic(clock: Clock) -> float:
    file = os.environ.get("TEST_TIME")
    seconds = float(Path(file).read_text("ascii")) if file else _monotonic(clock)
    return seconds + sum(_waited)


def now(clock: Clock) -> datetime:
    ahead = os.environ.get("TEST_CLOCK", "0")
    if "TEST_TIME" in os.environ:
        true = datetime.fromtimestamp(monotonic(clock), UTC)
    else:
        true = _now(clock) + timedelta(seconds=sum(_waited))
    try:
        return true + timedelta(seconds=float(ahead))
    except ValueError:
        return datetime.fromisoformat(ahead)


def sleep(_: Clock, seconds: float) -> None:
    _waited.append(seconds)
    time.sleep(seconds * float(os.environ["TEST_WAITS"]))  # the other threads have their turn


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


# Files


def note_opened(log: str) -> None:
    """Write what is opened and listed, without the log itself."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event: str, args: tuple[Any, ...]) -> None:
        if event in {"open", "os.scandir", "os.listdir"}:
            os.write(descriptor, f"{event} {args[0]}\n".encode())

    sys.addaudithook(note)


def has_room(size: int) -> bool:
    return size <= int(os.environ.get("TEST_ROOM", size))


def sync_file(descriptor: int) -> None:
    """Whatever is written is synced before anything depends on it."""
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and not has_room(status.st_size):
        raise OSError(errno.ENOSPC, "No space left on device")
    step()
    _sync(descriptor)


class Shaky:
    """A bucket that goes away, or loses a response."""

    def __init__(self, bucket: Any) -> None:
        self._bucket = bucket

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._bucket, name)

        def act(*args: Any, **options: Any) -> Any:
            number, fails_at = next(_requests), int(os.environ["TEST_FAILS_AT"])
            is_lost = os.environ["TEST_FAILURE"] == "lost"
            if 0 < fails_at <= number and not is_lost:
                raise GenericError("timed out")
            result = call(*args, **options)
            if number == fails_at:
                raise GenericError("the response was lost")
            return result

        return act


# Steps


def is_fatal() -> bool:
    """Count a step, and return whether it is the last one."""
    return next(_steps) == int(os.environ.get("TEST_DIE_AT", "-1"))


def die() -> None:
    os.kill(os.getpid(), signal.Signals[os.environ["TEST_SIGNAL"]])


def step() -> None:
    if is_fatal():
        die()


def around(action: Callable[..., Any]) -> Callable[..., Any]:
    """Return an action between two steps."""

    def act(*args: Any, **options: Any) -> Any:
        step()
        result = action(*args, **options)
        step()
        return result

    return act


def send(session: requests.Session, request: requests.PreparedRequest, **how: Any) -> Any:
    request.headers["X-Run"] = os.environ["TEST_RUN"]
    return _send_request(session, request, **how)


def write(lines: bytearray, shutdown: ShutdownSignal) -> None:
    """Write line by line; a kill tears the line."""
    for line in bytes(lines).splitlines(keepends=True):
        rest = line
        if is_fatal():
            _write_all(bytearray(line[: len(line) // 2]), shutdown)
            die()
            rest = line[len(line) // 2 :]  # if the signal does not kill
        _write_all(bytearray(rest), shutdown)


def new_id_of_run() -> str:
    """Return an id that shows the run."""
    return f"{os.environ['TEST_RUN']}-{new_id()}"


def patches_of_steps() -> Iterator[Any]:
    """Let a run die at a step, and others see which one it is."""
    yield patch.object(requests.Session, "send", around(send))
    yield patch.object(writer, "_write", write)
    yield patch.object(feed_run, "new_id", new_id_of_run)
    yield patch.object(bucket, "DURATION", 1e9)  # a minute of a simulated world is short
    yield patch.object(bucket, "open_bucket", lambda *args, **how: Shaky(open_bucket(*args, **how)))
    yield patch.object(bucket.Bucket, "create", around(bucket.Bucket.create))
    yield patch.object(bucket.Bucket, "replace", around(bucket.Bucket.replace))


def chosen() -> Iterator[Any]:
    """Yield the patches that the variables name."""
    yield patch.multiple(Clock, now=now, monotonic=monotonic)
    yield patch.object(os, "fsync", sync_file)
    waits = os.environ.get("TEST_WAITS")
    if waits == "short":
        yield short_waits()
        seconds = patient(12)
        short: dict[str, Any] = {"DURATION": seconds, "SAFETY_MARGIN": seconds / 2}
        short |= dict.fromkeys(("_RENEW_EVERY", "_RETRY_EVERY"), 0.1)
        yield patch.multiple(bucket, **short)
        yield patch.object(writer, "_GRACE", 1.0)
    elif waits:
        yield patch.object(Clock, "sleep", sleep)
    for name, value in json.loads(os.environ.get("TEST_CONSTANTS", "{}")).items():
        yield patch(f"tap_jobo.{name}", value)
    if name := os.environ.get("TEST_MEMORY"):
        yield patch(f"tap_jobo.{name}", side_effect=MemoryError)
    if "TEST_RUN" in os.environ:
        yield from patches_of_steps()


if __name__ == "__main__":
    if opened := os.environ.get("TEST_OPENED"):
        note_opened(opened)
    with ExitStack() as patches:
        for each in chosen():
            patches.enter_context(each)
        run()
