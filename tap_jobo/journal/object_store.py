"""The store of pages in object storage: one object per page, safe before `save` returns.

What cannot be written now waits in memory, up to a limit, and is tried again with each further
page and at the end of the run.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tap_jobo.journal.bucket import store_errors
from tap_jobo.journal.compression import compress, decompress
from tap_jobo.journal.object_names import (
    PAGES,
    note_name,
    page_name,
    page_part,
    read_names,
)
from tap_jobo.journal.page_store import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from obstore.store import ObjectStore as Bucket

    from tap_jobo.journal.page_store import Entry

_QUARANTINE: Final = "quarantine"
_TALLIES: Final = "tallies"
_MOST_WAITING: Final = 64 * 1024 * 1024
"""Bytes of pages that wait in memory."""


class ObjectStore:
    """Pages in a bucket.

    Args:
        bucket: The bucket, at the prefix of the journal.
        place: Its URL, for messages.
    """

    def __init__(self, bucket: Bucket, place: str) -> None:
        self._bucket = bucket
        self._place = place
        self._names: dict[_Key, set[str]] = {}
        self._orphans: set[str] = set()
        self._waiting: dict[str, bytes] = {}

    @property
    def place(self) -> str:
        """The journal's URL."""
        return self._place

    def entries(self) -> list[Entry]:
        """Return all pages of all owners, in the order of their numbers."""
        found = self._listed(PAGES)
        try:
            pages = read_names(found)
        except ValueError as error:
            raise StoreError(f"{error} is no page of this version of tap-jobo") from None
        keys = {page_part(name): _key(entry) for name, entry in pages.items()}
        for name in found:
            if key := keys.get(page_part(name)):
                self._names.setdefault(key, set()).add(name)
            else:
                self._orphans.add(name)
        by_number = sorted(pages.values(), key=lambda entry: entry.number)
        newest = {_key(entry): entry for entry in by_number}  # of pages that were saved twice
        return [entry for entry in by_number if newest[_key(entry)] is entry]

    def load(self, entry: Entry) -> bytes:
        """Return a page's raw body."""
        name = page_name(entry)
        if name in self._waiting:
            return decompress(self._waiting[name])
        with store_errors():
            return decompress(bytes(self._bucket.get(name).bytes()))

    def save(self, entry: Entry, body: bytes) -> None:
        """Keep a page, after those that still wait."""
        name = page_name(entry)
        self._names.setdefault(_key(entry), set()).add(name)
        self._write(name, compress(body))
        if entry.rows is not None:
            self.annotate(entry)

    def annotate(self, entry: Entry) -> None:
        """Note what reading a page has shown."""
        if name := note_name(entry):
            self._names.setdefault(_key(entry), set()).add(name)
            self._write_later({name: b""})

    def remove(self, entries: Sequence[Entry]) -> None:
        """Remove pages, with what was noted of them."""
        keys = [_key(entry) for entry in entries]
        names = set(self._orphans).union(*(self._names.get(key, ()) for key in keys))
        self._delete(sorted(names))
        self._orphans.clear()
        for key in keys:
            self._names.pop(key, None)

    def rename_owner(self, old: str, new: str) -> None:
        """Let the pages of one owner be those of another."""
        for entry in self.entries():
            if entry.owner == old:
                self.save(replace(entry, owner=new), self.load(entry))
                self.remove([entry])

    def quarantine(self, owner: str, rows: Iterable[bytes]) -> int:
        """Keep rows that could not be delivered, the same raw row once; return how many are new."""
        folder = f"{_QUARANTINE}/{owner}"
        known = [] if self._waiting else self._listed(folder)
        new = {hashlib.sha256(row).hexdigest(): row for row in rows}
        for name in known:
            new.pop(name.rpartition(".")[2], None)
        first = len(known) + 1
        self._write_later(
            {f"{folder}/{n:010}.{digest}": new[digest] for n, digest in enumerate(new, first)}
        )
        return len(new)

    def quarantined(self, owner: str | None = None) -> list[bytes]:
        """Return the quarantined rows, of one owner or of all."""
        folder = f"{_QUARANTINE}/{owner}" if owner else _QUARANTINE
        with store_errors():
            names = sorted(self._listed(folder))
            return [bytes(self._bucket.get(name).bytes()) for name in names]

    def drop_quarantined(self) -> int:
        """Remove all quarantined rows, and return how many there were."""
        names = self._listed(_QUARANTINE)
        self._delete(names)
        return len(names)

    def tally(self, owner: str) -> str:
        """Return the gate's count, empty if there is none."""
        with store_errors(), suppress(FileNotFoundError):
            return bytes(self._bucket.get(f"{_TALLIES}/{owner}").bytes()).decode()
        return ""

    def set_tally(self, owner: str, tally: str) -> None:
        """Keep the gate's count."""
        self._write_later({f"{_TALLIES}/{owner}": tally.encode()})

    def close(self) -> None:
        """Try once more to write what still waits."""
        with suppress(StoreError):
            self._flush()

    def _write(self, name: str, content: bytes) -> None:
        """Write an object, after those that wait; where it cannot be written, it waits too."""
        if self._is_full(content):
            self._flush()
        self._waiting[name] = content
        self._flush()

    def _write_later(self, contents: Mapping[str, bytes]) -> None:
        """Write what is not urgent: where something waits, it waits without another try."""
        is_away = bool(self._waiting)
        for name, content in contents.items():
            if not self._is_full(content):
                self._waiting[name] = content
        if is_away:
            raise StoreError(f"{len(self._waiting)} objects wait to be written")
        self._flush()

    def _is_full(self, content: bytes) -> bool:
        return sum(map(len, self._waiting.values())) + len(content) > _MOST_WAITING

    def _flush(self) -> None:
        while self._waiting:
            name, content = next(iter(self._waiting.items()))
            self._put(name, content)
            del self._waiting[name]

    def _put(self, name: str, content: bytes) -> None:
        with store_errors():
            self._bucket.put(name, content, use_multipart=False)

    def _listed(self, folder: str) -> list[str]:
        with store_errors():
            return [each["path"] for each in self._bucket.list(folder).collect()]

    def _delete(self, names: list[str]) -> None:
        """Delete objects, also where some of them are not there any more."""
        for name in names:
            self._waiting.pop(name, None)
        with store_errors():
            try:
                self._bucket.delete(names)
            except FileNotFoundError:  # of Azure, and of local stores
                for name in names:
                    with suppress(FileNotFoundError):
                        self._bucket.delete(name)


_Key = tuple[str, str, str]


def _key(entry: Entry) -> _Key:
    return entry.owner, entry.scan, entry.cursor
