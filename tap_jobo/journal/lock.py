"""One run at a time: a lock for each journal key, held until the run ends.

It keeps two runs from being billed for the same pages. This is the lock of a folder, and what it
shares with the lease of a bucket.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from tap_jobo.clock import format_timestamp
from tap_jobo.errors import JournalError

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from pathlib import Path

    from tap_jobo.clock import Clock


class RunLock:
    """The lock of one journal key in a folder. The operating system releases it after a crash.

    Args:
        folder: The journal's folder.
        journal_key: The key whose pages the lock protects.
        what: The stream, for messages.
    """

    def __init__(self, folder: Path, journal_key: str, what: str) -> None:
        self._path = folder / f"{journal_key}.lock"
        self._what = what
        self._lock = FileLock(self._path, timeout=0, mode=0o600)

    def acquire(self, clock: Clock, logger: logging.Logger) -> None:
        """Take the lock. If the folder supports no locks, log a warning and go on.

        Raises:
            JournalError: Another run holds the lock.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise held_by_another_run(self._what, _read_holder(self._path)) from None
        except (OSError, NotImplementedError) as error:
            logger.warning(
                "No lock can be taken in %s (%s: %s). Make sure that no second run of this "
                "pipeline starts while this run is in progress.",
                self._path.parent,
                type(error).__name__,
                error,
            )
        else:
            with suppress(OSError):  # only messages need it
                self._path.with_suffix(".json").write_text(json.dumps(this_run(clock)), "utf-8")

    def check(self) -> None:
        """Do nothing: the operating system keeps the lock until it is released."""

    def release(self) -> None:
        """Release the lock if this run holds it."""
        if self._lock.is_locked:
            with suppress(OSError):
                self._path.with_suffix(".json").unlink(missing_ok=True)
            self._lock.release()


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Keep runs from starting while the pages in a folder are changed.

    Raises:
        JournalError: A run holds a lock in the folder.
    """
    with ExitStack() as locks:
        for path in sorted(folder.glob("*.lock")):
            try:
                locks.enter_context(FileLock(path, timeout=0, mode=0o600))
            except Timeout:
                raise journal_in_use(str(folder), _read_holder(path)) from None
            except (OSError, NotImplementedError):
                continue  # if no lock can be taken, no run holds one
        yield


def this_run(clock: Clock) -> dict[str, Any]:
    """Return what a lock or lease records of the run that holds it."""
    since = format_timestamp(clock.now())
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}


def describe_holder(holder: Any) -> str:
    """Return the holder's process, host and start in parentheses; empty if they are unknown."""
    try:
        return " (process {pid} on {host}, since {since})".format_map(holder)
    except (KeyError, TypeError):
        return ""


def held_by_another_run(what: str, holder: Any) -> JournalError:
    """Return the error of a run that would read the same pages as another run."""
    return JournalError(
        f"Another run of {what} with the same address and filters is in progress"
        f"{describe_holder(holder)}: both would be billed for the same pages. Wait until it ends, "
        "or give this pipeline its own journal_dir."
    )


def journal_in_use(location: str, holder: Any) -> JournalError:
    """Return the error of a command that would change the pages of a run in progress."""
    return JournalError(
        f"A run is in progress{describe_holder(holder)} and may need the pages in {location}. Wait "
        "until it ends. Nothing is dropped."
    )


def _read_holder(lock: Path) -> Any:
    try:
        return json.loads(lock.with_suffix(".json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
