"""The store of `archive: false`, and of tests: files that last as long as the process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tap_jobo.archive.store import ExistsError, MissingError


class Memory:
    """Files in memory."""

    location = "memory"
    is_remote = False
    lasts = False

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def list(self, prefix: str, after: str = "") -> list[str]:
        """Return the names of the files below a folder in their order, from those after a name."""
        return sorted(name for name in self.files if name.startswith(f"{prefix}/") and name > after)

    def read(self, name: str, size: int | None = None) -> bytes:
        """Return a file's content, or its start. Raises `MissingError` if there is no such file."""
        if name not in self.files:
            raise MissingError(name)
        return self.files[name][:size]

    def create(self, name: str, content: bytes) -> None:
        """Write a file under a name that is free, or has this very content."""
        if self.files.setdefault(name, content) != content:
            raise ExistsError(name)

    def replace(self, name: str, content: bytes) -> None:
        """Write a file, whether the name is free or taken."""
        self.files[name] = content

    def remove(self, name: str) -> None:
        """Remove a file."""
        self.files.pop(name, None)

    def prove_room(self, name: str) -> None:
        """Do nothing: memory that a page lacks can't be known before it."""

    @contextmanager
    def lock(self, key: str, what: str) -> Iterator[Callable[[], None]]:  # noqa: ARG002
        """Hold no lock: no other run has these files."""
        yield lambda: None
