"""The tap as a program that dies at a step that a model chooses, and whose clocks are the model's.

A step is whatever other processes can notice: a request to the API, and its response; a file of the
archive that is written, and one that has got its name; an object that is written; a line of output.

TEST_RUN is the number of the run. TEST_TIME is the file with the model's time, TEST_SKEW the
seconds that the local clock is ahead. TEST_DIE_AT is the step at which a signal arrives,
TEST_SIGNAL its name. TEST_ROOM is the most bytes that a file of the archive may have. TEST_FAILS_AT
is the number of the request from which on the bucket is away; TEST_FAILURE is `lost` if only the
response to that one is lost. TEST_WAITS is the seconds that a wait takes for each second by the
clocks.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import requests

from tap_jobo.archive.store import Store, StoreError
from tap_jobo.cli import run
from tap_jobo.clock import Clock
from tap_jobo.model import new_id
from tap_jobo.signals import ShutdownSignal
from tap_jobo.singer import writer
from tap_jobo.sync import run as loop

_waited: list[float] = []
"""The seconds of each wait."""
_left = int(os.environ.get("TEST_DIE_AT", "-1"))


def _is_last_step() -> bool:
    global _left  # noqa: PLW0603 - the process counts its steps
    _left -= 1
    return _left == -1


def _die() -> None:
    os.kill(os.getpid(), signal.Signals[os.environ["TEST_SIGNAL"]])


def _step() -> None:
    if _is_last_step():
        _die()


def _monotonic(_: Clock) -> float:
    return float(Path(os.environ["TEST_TIME"]).read_text("ascii")) + sum(_waited)


def _now(clock: Clock) -> datetime:
    skew = timedelta(seconds=float(os.environ["TEST_SKEW"]))
    return datetime.fromtimestamp(_monotonic(clock), UTC) + skew


def _sleep(_: Clock, seconds: float) -> None:
    _waited.append(seconds)
    time.sleep(seconds * float(os.environ["TEST_WAITS"]))


def _has_room(size: int) -> bool:
    return size <= int(os.environ["TEST_ROOM"])


def _sync_file(descriptor: int) -> None:
    """Whatever is written is synced before anything depends on it."""
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and not _has_room(status.st_size):
        raise OSError(errno.ENOSPC, "No space left on device")
    _step()


def _send(session: requests.Session, request: requests.PreparedRequest, **how: Any) -> Any:
    request.headers["X-Run"] = os.environ["TEST_RUN"]
    return _send_request(session, request, **how)


def _around(action: Callable[..., Any]) -> Callable[..., Any]:
    """Return an action between two steps."""

    def act(*args: Any, **options: Any) -> Any:
        _step()
        result = action(*args, **options)
        _step()
        return result

    return act


def _put(action: Callable[..., None]) -> Callable[..., None]:
    """Return the writing of an object, unless there is no room."""

    def put(store: Store, name: str, content: bytes) -> None:
        if not _has_room(len(content)):
            raise StoreError(store.location, "no room")
        action(store, name, content)

    return _around(put)


class _Shaky:
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


def _write(lines: bytearray, shutdown: ShutdownSignal) -> None:
    """Write line by line; a kill tears the line."""
    for line in bytes(lines).splitlines(keepends=True):
        if _is_last_step():
            _write_all(bytearray(line[: len(line) // 2]), shutdown)
            _die()
            line = line[len(line) // 2 :]  # noqa: PLW2901 - the rest, if the signal does not kill
        _write_all(bytearray(line), shutdown)


def _new_id() -> str:
    """Return an id that shows the run."""
    return f"{os.environ['TEST_RUN']}-{new_id()}"


_send_request = requests.Session.send
_write_all = writer._write
_requests = count(1)

if __name__ == "__main__":
    os.fsync = _sync_file  # type: ignore[assignment]
    for name, replacement in {"now": _now, "monotonic": _monotonic, "sleep": _sleep}.items():
        setattr(Clock, name, replacement)
    requests.Session.send = _around(_send)  # type: ignore[method-assign]
    if os.environ.get("AWS_ENDPOINT_URL"):
        from obstore.exceptions import GenericError  # not for a folder: it takes long to load

        from tap_jobo.archive import bucket, lease
        from tap_jobo.archive.bucket import Bucket, open_bucket

        bucket.open_bucket = lambda *args, **how: _Shaky(open_bucket(*args, **how))  # type: ignore[assignment]
        patch.object(lease, "DURATION", 1e9).start()  # a minute of a simulated world is short
        Bucket.create = _put(Bucket.create)  # type: ignore[method-assign]
        Bucket.replace = _put(Bucket.replace)  # type: ignore[method-assign]
    writer._write = _write
    patch.object(loop, "new_id", _new_id).start()
    run()
