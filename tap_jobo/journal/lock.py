"""One run at a time: a lock per owner of pages, held from before the first request to the end."""

from __future__ import annotations

import json
import os
import socket
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from tap_jobo.clock import format_timestamp
from tap_jobo.errors import JournalError

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from pathlib import Path

    from tap_jobo.clock import Clock


class RunLock:
    """The lock of one owner's pages in a folder. The operating system releases it after a crash.

    Args:
        folder: The journal's folder.
        owner: Whose pages it is about.
        stream: The feed's name, for messages.
    """

    def __init__(self, folder: Path, owner: str, stream: str) -> None:
        self._path = folder / f"{owner[:24]}.lock"
        self._holder = self._path.with_suffix(".json")
        self._stream = stream
        self._lock = FileLock(self._path, timeout=0, mode=0o600)

    def acquire(self, clock: Clock, logger: logging.Logger) -> None:
        """Take the lock; if the folder supports none, warn and continue.

        Raises:
            JournalError: Another run holds it.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise JournalError(
                f"Another run of {self._stream} with the same address and filters is in progress"
                f"{_who(self._holder)}: both would be billed for the same pages. Wait until it "
                "ends, or give this pipeline its own journal_dir."
            ) from None
        except (OSError, NotImplementedError) as error:
            logger.warning(
                "No lock can be taken in %s (%s: %s): make sure that no second run of this "
                "pipeline starts while this one is in progress.",
                self._path.parent,
                type(error).__name__,
                error,
            )
            return
        self._note_holder(clock)

    def check(self) -> None:
        """Do nothing: the operating system keeps the lock for us."""

    def release(self) -> None:
        """Release the lock, if it was taken."""
        if self._lock.is_locked:
            with suppress(OSError):
                self._holder.unlink(missing_ok=True)
            self._lock.release()

    def _note_holder(self, clock: Clock) -> None:
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": format_timestamp(clock.now()),
        }
        try:
            descriptor = os.open(self._holder, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(holder, file)
        except OSError:
            pass  # only messages need it


@contextmanager
def no_run(folder: Path) -> Iterator[None]:
    """Keep runs from starting in a folder while its pages are being changed.

    Raises:
        JournalError: A run holds a lock in it.
    """
    with ExitStack() as held:
        for path in sorted(folder.glob("*.lock")):
            try:
                held.enter_context(FileLock(path, timeout=0, mode=0o600))
            except Timeout:
                who = _who(path.with_suffix(".json"))
                raise JournalError(
                    f"A run is in progress{who} and may need the pages in {folder}: wait until it "
                    "ends. Nothing is dropped."
                ) from None
            except (OSError, NotImplementedError):
                continue  # if no lock can be taken, no run holds one
        yield


def _who(holder: Path) -> str:
    try:
        found = json.loads(holder.read_text("utf-8"))
        return f" (process {found['pid']} on {found['host']}, since {found['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
