"""What the journal needs of the place that holds it: files, and a lock that keeps runs apart."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from tap_jobo.clock import Clock
from tap_jobo.errors import JournalError


class StoreError(Exception):
    """The store cannot do this now: it cannot be reached, read, or written."""


class MissingError(Exception):
    """There is no file of this name."""


class ExistsError(Exception):
    """The name is taken by a file with other content."""


class Lock(Protocol):
    """What a run holds, so that no other run uses the same pages."""

    def acquire(self, clock: Clock, logger: logging.Logger) -> None:
        """Take it. Raises `JournalError` if another run has it."""

    def check(self) -> None:
        """Raise `JournalError` if it was lost."""

    def release(self) -> None:
        """Release it if this run holds it."""


class Store(Protocol):
    """Files by names such as `v1/KEY/000007/000042.page`, at a location for messages.

    Each function may raise `StoreError`.
    """

    location: str

    def list(self, prefix: str) -> list[str]:
        """Return the names of all files below a folder."""

    def read(self, name: str, size: int | None = None) -> bytes:
        """Return a file's content, or its start. Raises `MissingError` if there is no such file."""

    def create(self, name: str, content: bytes) -> None:
        """Write a file under a name that is free, or has this very content, or raise `ExistsError`.

        Once this returns, the file survives a power failure. If it fails, it leaves no file.
        """

    def replace(self, name: str, content: bytes) -> None:
        """Write a small file durably and at once, whether the name is free or taken."""

    def remove(self, names: Sequence[str]) -> None:
        """Remove files, the last one after all others; a file that is gone is no error."""

    def run_lock(self, key: str, stream: str, wait: Callable[[float], None]) -> Lock:
        """Return the lock of a journal key; `wait` waits, or raises if the run must end."""

    def exclusive_lock(self, key: str = "*") -> AbstractContextManager[None]:
        """Keep runs from starting, of one key or of all. Raises `JournalError` if one goes on."""


def held_by_another_run(what: str, holder: str = "") -> JournalError:
    """Return the error of a run or command that another run keeps out."""
    return JournalError(
        f"Another run of {what} is in progress{holder} and needs the same pages. Nothing was "
        "billed or dropped. Wait until it ends, or give each pipeline its own journal_dir."
    )
