"""What a load delivers: of each row, only its newest version, and where a STATE may follow.

The newest version is the one that comes last in the archive. A row is delivered wherever it equals
that, and skipped elsewhere: so no load writes an older version over a newer one. As long as a row
that was skipped has yet to come, no STATE is written, so a load that dies begins there again.

A row that comes once is never hashed, which keeps memory small.
"""

from collections.abc import Container, Sequence
from typing import Any, Final

import msgspec

from tap_jobo.api.feed import FeedReader
from tap_jobo.model import Entry
from tap_jobo.records.values import parse_uuid
from tap_jobo.sync.watch import SeenIds

_ENCODE: Final = msgspec.json.Encoder(order="sorted").encode


class NewestVersions:
    """The newest versions of the rows that come more than once in a load."""

    def __init__(self, reader: FeedReader) -> None:
        self._reader = reader
        self._seen = SeenIds()  # a new id that counts as seen only costs a hash
        self._newest: dict[str, tuple[int, int]] = {}  # a hash, and the first entry that has it
        self._outstanding = 0

    def note(self, entry: Entry, ids: Sequence[str | None]) -> None:
        """Take up the rows of an entry, given their ids, in the order of the archive."""
        repeated = {id_ for id_ in ids if id_ and self._seen.add(id_)}
        if not repeated:
            return
        page = self._reader.parse_loaded(entry)
        for id_, version in _versions(page.rows, repeated).items():
            known = self._newest.get(id_)
            if known is None or known[0] != version:
                self._newest[id_] = version, entry.number

    def take_older(self, rows: Sequence[Any]) -> set[str]:
        """Return the ids of the rows of a page that have a newer version, which is outstanding.

        Call this before the rows are converted, which may change them in place.
        """
        if not self._newest:
            return set()
        found = _versions(rows, self._newest)
        older = {id_ for id_, version in found.items() if version != self._newest[id_][0]}
        for id_ in older:
            self._outstanding = max(self._outstanding, self._newest[id_][1])
        return older

    def are_settled(self, number: int) -> bool:
        """Return whether no skipped row is outstanding after an entry."""
        return self._outstanding <= number


def _versions(rows: Sequence[Any], of: Container[str]) -> dict[str, int]:
    """Return a hash of the last version of some rows, by their id."""
    ids = ((parse_uuid(row.get("id")), row) for row in rows if isinstance(row, dict))
    return {id_: hash(_ENCODE(row)) for id_, row in ids if id_ and id_ in of}
