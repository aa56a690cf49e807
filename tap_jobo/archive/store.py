"""What the archive needs of the place that holds it: files, and a lock that keeps runs apart."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from tap_jobo.archive import layout
from tap_jobo.archive.way_out import archive_command
from tap_jobo.errors import ArchiveError, FormatError

Lock = AbstractContextManager[Callable[[], None]]


class StoreError(ArchiveError):
    """The store cannot be reached, read, or written now."""

    def __init__(self, location: str, why: str) -> None:
        super().__init__(
            f"The archive {location} cannot be used ({why}). Nothing more is billed. Make sure "
            "that it has room and this user can read and write it, change archive_dir, or set "
            "archive to false. [archive-unusable]"
        )
        self.why = why


class DamagedFileError(FormatError):
    """A small file is damaged, or missing."""

    def __init__(self, name: str, location: str) -> None:
        path = name.removeprefix(f"{layout.TOP}/")
        dropped = path.removesuffix("/key.json").removesuffix("/sync.json")  # all that needs it
        super().__init__(
            f"The file {name} in the archive {location} is damaged or missing. Nothing more is "
            "billed until you restore it, or drop it with "
            f"{archive_command('drop', dropped, location=location)}, which first shows what would "
            "at least be billed again. [archive-damaged]"
        )
        self.name, self.dropped = name, dropped


class MissingError(Exception):
    """There is no file of this name."""


class ExistsError(Exception):
    """The name is taken by a file with other content."""


class Store(Protocol):
    """Files by names such as `v2/KEY/000007/000042.page`, at a location for messages.

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
        """Keep other runs of an archive key out. Raises `ArchiveError` if another run has the lock.

        It yields what raises `ArchiveError` if the lock was lost. `wait` raises if the run ends.
        """

    def exclusive_lock(self, key: str = "*") -> AbstractContextManager[None]:
        """Check that no run is in progress, of one key or of all. Raises `ArchiveError` if one is.

        A folder also keeps runs from starting until the end. A bucket looks once, at the beginning.
        """


def held_by_another_run(what: str, holder: str = "") -> ArchiveError:
    """Return the error of a run or command that another run keeps out."""
    return ArchiveError(
        f"Another run of {what} is in progress{holder} and needs the same pages. Nothing was "
        "billed or dropped. Wait until it ends, or give each pipeline its own archive_dir. "
        "[run-in-progress]"
    )
