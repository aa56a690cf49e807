"""The files of an archive, in a folder or a bucket, seen and changed from outside the tap."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from tap_jobo.archive import layout, open_store
from tap_jobo.archive.files import decode_entry, encode_entry
from tap_jobo.archive.store import MissingError, Store
from tap_jobo.clock import Clock
from tap_jobo.model import Entry, EntryHeader
from tests.support.process import Tap


@dataclass(frozen=True)
class Files:
    """The files of an archive by their names, such as `v4/OWNER/STREAM/000000/000000042.page`."""

    store: Store

    @property
    def names(self) -> list[str]:
        return self.store.list(layout.TOP)

    @property
    def pages(self) -> list[str]:
        """The names of the pages, in the order in which they were bought."""
        return [name for name in self.names if layout.PAGE.fullmatch(name)]

    @property
    def page_numbers(self) -> list[int]:
        return [number_of(name) for name in self.pages]

    @property
    def file(self) -> str:
        """The name of the only `archive.json`."""
        (name,) = (name for name in self.names if name.endswith("/archive.json"))
        return name

    def entry(self, page: str) -> Entry:
        return decode_entry(number_of(page), self.store.read(page))

    def header(self, page: str) -> EntryHeader:
        return self.entry(page).header

    def rewrite(self, page: str, **changes: Any) -> None:
        """Change the body of a page, or members of its header."""
        entry = self.entry(page)
        body = changes.pop("body", entry.body)
        header = replace(entry.header, **changes)
        self.store.replace(page, encode_entry(Entry(entry.number, header, body)))

    def damage(self, name: str, position: int = -3) -> None:
        """Change one byte of a file."""
        changed = bytearray(self.store.read(name))
        changed[position] ^= 1
        self.store.replace(name, bytes(changed))

    def remove(self, *names: str) -> None:
        for name in names:
            self.store.remove(name)

    def copy(self) -> dict[str, bytes]:
        """Return a backup of all files; a run may remove one meanwhile."""
        found: dict[str, bytes] = {}
        for name in self.names:
            with suppress(MissingError):
                found[name] = self.store.read(name)
        return found

    def restore(self, backup: Mapping[str, bytes]) -> None:
        """Put a backup in place of all files."""
        self.remove(*self.names)
        for name, content in backup.items():
            self.store.replace(name, content)

    def lose(self) -> None:
        """Remove all files."""
        self.restore({})

    def expire_leases(self) -> None:
        """Free the locks of runs that were killed: in a bucket, they last for a minute."""
        self.remove(*self.store.list("leases"))


def files_at(location: str) -> Files:
    """The files of the archive at a place."""
    return Files(open_store(location, Clock()))


def files_of(tap: Tap) -> Files:
    """The files of the archive in a tap's own folder."""
    return files_at(str(tap.folder / "archive"))


def number_of(page: str) -> int:
    """The number of a page, by its name."""
    match = layout.PAGE.fullmatch(page)
    assert match
    return int(match["number"])
