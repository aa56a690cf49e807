"""What the journal needs of the place that holds it: files, and a lock that keeps runs apart."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from tap_jobo.errors import FormatError, JournalError
from tap_jobo.journal import layout
from tap_jobo.journal.way_out import journal_command

Lock = AbstractContextManager[Callable[[], None]]


class StoreError(JournalError):
    """The store cannot be reached, read, or written now."""

    def __init__(self, location: str, why: str) -> None:
        super().__init__(
            f"The journal {location} cannot be used ({why}). Nothing more is billed. Make sure "
            "that it has room and this user can read and write it, change journal_dir, or set "
            "journal to false. [journal-unusable]"
        )
        self.why = why


class DamagedFileError(FormatError):
    """A small file is damaged, or missing."""

    def __init__(self, name: str, location: str) -> None:
        path = name.removeprefix(f"{layout.TOP}/")
        dropped = path.removesuffix("/key.json").removesuffix("/sync.json")  # all that needs it
        super().__init__(
            f"The file {name} in the journal {location} is damaged or missing. Nothing more is "
            "billed until you restore it, or drop it with "
            f"{journal_command('drop', dropped, location=location)}, which first shows what would "
            "at least be billed again. [journal-damaged]"
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
        """Keep other runs of a journal key out. Raises `JournalError` if another run has the lock.

        It yields what raises `JournalError` if the lock was lost. `wait` raises if the run ends.
        """

    def exclusive_lock(self, key: str = "*") -> AbstractContextManager[None]:
        """Check that no run is in progress, of one key or of all. Raises `JournalError` if one is.

        A folder also keeps runs from starting until the end. A bucket looks once, at the beginning.
        """


def held_by_another_run(what: str, holder: str = "") -> JournalError:
    """Return the error of a run or command that another run keeps out."""
    return JournalError(
        f"Another run of {what} is in progress{holder} and needs the same pages. Nothing was "
        "billed or dropped. Wait until it ends, or give each pipeline its own journal_dir. "
        "[run-in-progress]"
    )
