"""What the archive needs of the place that holds it: files, and a lock for those that write."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from tap_jobo.errors import ArchiveError
from tap_jobo.messages import message

Lock = AbstractContextManager[Callable[[], None]]


class StoreError(ArchiveError):
    """The store cannot be reached, read, or written now."""

    def __init__(self, location: str, why: str) -> None:
        fact = f"The archive {location} can't be used ({why})."
        super().__init__(message("archive-unusable", fact, location=location))
        self.why = why


class HeldError(ArchiveError):
    """Another run or command holds the lock of an archive key."""

    def __init__(self, what: str, location: str, how_long: str = "") -> None:
        fact = f"Another run or command is writing {what} in {location}{how_long}."
        super().__init__(message("run-in-progress", fact))


class MissingError(Exception):
    """There is no file of this name."""


class ExistsError(Exception):
    """The name is taken by a file with other content."""


class Store(Protocol):
    """Files by names such as `v4/OWNER/STREAM/000000/000000042.page`.

    Each function may raise `StoreError`.
    """

    location: str  #: where the files are, for messages
    is_remote: bool  #: whether each read takes a round trip, so that reading ahead pays
    lasts: bool  #: whether a later run finds the files

    def list(self, prefix: str, after: str = "") -> list[str]:
        """Return the names of the files below a folder in their order, from those after a name."""

    def read(self, name: str, size: int | None = None) -> bytes:
        """Return a file's content, or its start. Raises `MissingError` if there is no such file."""

    def create(self, name: str, content: bytes) -> None:
        """Write a file under a name that is free, or has this very content, or raise `ExistsError`.

        Once this returns, the file survives a power failure. If it fails, a folder has no file; in
        a bucket, the file may have been written if the response was lost.
        """

    def replace(self, name: str, content: bytes) -> None:
        """Write a file durably and at once, whether the name is free or taken."""

    def remove(self, name: str) -> None:
        """Remove a file; one that is missing is no error."""

    def prove_room(self, name: str) -> None:
        """Prove that a page could be written, by writing another file into its folder."""

    def lock(self, key: str, what: str) -> Lock:
        """Take the lock of an archive key at once, without waiting. Raises `HeldError` if it can't.

        It yields a function that raises `ArchiveError` if the lock was lost. `what` is for
        messages, such as `career_sites`.
        """
