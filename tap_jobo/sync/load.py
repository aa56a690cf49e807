"""What a load delivers: of each row, only the last version that it reads.

So no load writes an older version over a newer one, and one that dies does no harm to a warehouse
that has more already. An equal row is delivered where it first comes: the archive may be lost
halfway. A row that comes once is never hashed, which keeps memory small.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tap_jobo.api.feed import FeedReader
from tap_jobo.model import Entry, EntryHeader, Position, Sync
from tap_jobo.records.values import parse_uuid
from tap_jobo.sync.watch import SeenIds
from tap_jobo.wording import dollars, plural

_ENCODE: Final = msgspec.json.Encoder(order="sorted").encode


@dataclass
class Contents:
    """What pages of an archive have, and what they have cost.

    A dropped page has nothing: what it cost may not even be known.
    """

    pages: int = 0
    rows: int = 0
    credits: int = 0

    def note(self, header: EntryHeader, rows: int) -> None:
        """Take up a page, with the number of its rows."""
        if header.is_dropped:
            return
        self.pages += 1
        self.rows += rows
        self.credits += header.cost(rows)

    @property
    def as_load(self) -> str:
        """What a load gets, and what that saves."""
        saved = f"{dollars(self.credits)} not billed again" if self.credits else "free"
        return f"{plural(self.pages, 'page')} from the archive, {saved}"


class LastVersions:
    """Hashes of the last versions of the rows that come more than once in a load."""

    def __init__(self, reader: FeedReader) -> None:
        self._reader = reader
        self._seen = SeenIds()  # a new id that counts as seen only costs a hash
        self._hashes: dict[str, int] = {}

    def note(self, entry: Entry) -> None:
        """Take up the rows of an entry, in the order of the archive."""
        ids = self._reader.read_ids(entry)
        if repeated := {id_ for id_ in ids if self._seen.add(id_)}:
            page = self._reader.parse_loaded(entry)
            self._hashes |= _versions(self._reader.rows(entry, page), repeated)

    def older(self, rows: Sequence[Any]) -> set[str]:
        """Return the ids of the rows of a page that have a later version.

        Call this before the rows are converted, which may change them in place.
        """
        if not self._hashes:
            return set()
        found = _versions(rows, self._hashes)
        return {id_ for id_, version in found.items() if version != self._hashes[id_]}


def _versions(rows: Sequence[Any], of: Container[str]) -> dict[str, int]:
    """Return a hash of the last version of some rows, by their id."""
    ids = ((parse_uuid(row.get("id")), row) for row in rows if isinstance(row, dict))
    return {id_: hash(_ENCODE(row)) for id_, row in ids if id_ and id_ in of}


def with_following(entries: Iterator[Entry]) -> Iterator[tuple[Entry, Entry | None]]:
    """Yield each entry with the one that follows it, None after the last one."""
    entry = next(entries, None)
    for following in entries:
        if entry:
            yield entry, following
        entry = following
    if entry:
        yield entry, None


class DroppedPages:
    """The dropped pages of a load whose rows it lacks.

    A page that was dropped at the head was bought again: the page after it goes on from the same
    position. Of any other one, a later sync may have read the rows again.
    """

    def __init__(self) -> None:
        self._missing: list[tuple[int, EntryHeader]] = []
        self._last: list[tuple[int, EntryHeader]] = []  # those with no other page after them

    def note(self, number: int, header: EntryHeader, *, ends_sync: bool) -> None:
        """Take up an entry, in the order of the archive."""
        if header.is_dropped:
            self._last.append((number, header))
            return
        self._missing = self._missing_before(header.before)
        self._last = []
        if header.sync and ends_sync:
            self._missing = [each for each in self._missing if not _reads_again(header.sync, *each)]

    def note_damaged(self) -> None:
        """Take up an entry that cannot be read: perhaps it has no rows of the pages before it."""
        self._missing += self._last
        self._last = []

    def _missing_before(self, position: Position) -> list[tuple[int, EntryHeader]]:
        """Return the pages that are missing where the feed is read from a position on."""
        return self._missing + [each for each in self._last if each[1].before != position]

    @property
    def _headers(self) -> dict[int, EntryHeader]:
        head = self._last[-1:]  # its page is bought again
        return dict(self._missing_before(head[0][1].before) if head else self._missing)

    @property
    def numbers(self) -> list[int]:
        """Their numbers."""
        return [*self._headers]

    @property
    def since(self) -> str | None:
        """The date of `restart --since` that buys their rows, None if only a full sync does."""
        syncs = [header.sync for header in self._headers.values()]
        dates = [sync.since if sync and sync.kind != "full" else None for sync in syncs]
        return min(filter(None, dates)) if all(dates) and dates else None

    def are_read_by(self, sync: Sync) -> bool:
        """Return whether a sync, once it is complete, has read all of their rows again."""
        return all(_reads_again(sync, *each) for each in self._headers.items())


def _reads_again(sync: Sync, number: int, dropped: EntryHeader) -> bool:
    """Return whether a complete sync has read the rows of a dropped page: it began after that."""
    if (sync.first or 0) <= number:
        return False
    old = dropped.sync
    if sync.kind == "full" or old is None or old.kind == "full":
        return sync.kind == "full"
    return sync.kind == "changes" and (sync.since or "") <= (old.since or "")
