"""What stops a sync: a page whose format has changed, and a feed that never ends.

A single bad row is skipped or rescued. If all rows are bad in the same way, the API has changed,
and continuing would discard rows that were billed, or overwrite good values with null.
"""

import mmap
from collections.abc import Collection
from typing import Final

from tap_jobo.errors import EndlessFeedError, FormatError
from tap_jobo.journal.journal import Journal
from tap_jobo.records.converter import Conversion

MIN_BAD_ROWS: Final = 5
"""Different rows that must be bad in the same way before the check stops a sync."""
MAX_REPEATED: Final = 10
"""Consecutive pages without any new id before a sync counts as endless."""
MAX_EMPTY: Final = 100
"""Consecutive empty pages before a sync counts as endless."""
_SEEN_BYTES: Final = 1 << 23  # 8 MB: six bits for each of ten million ids


def check_for_schema_drift(
    conversion: Conversion, rows: list[bytes], journal: Journal, stream: str
) -> bool:
    """Return whether all raw rows of a page are bad alike, and quarantined: none is emitted.

    Small pages of bad rows add up in quarantine, where a row that is read again counts once. If
    enough rows are bad alike, it raises `FormatError`.
    """
    bad = [field for field, count in conversion.damaged.items() if count == len(rows)]
    for field in bad:
        alike = max(journal.quarantined_with(rows, field), len(rows))
        if alike >= MIN_BAD_ROWS:
            raise FormatError(
                f"None of the last {alike:,} rows of {stream} has a usable '{field}', so the API's "
                "format has changed. No row of this page was emitted. Rows of earlier pages are "
                "quarantined. To see them, run `tap-jobo-journal export --quarantined`. To start "
                "the count again, run `tap-jobo-journal drop --quarantined`"
            )
    if bad and journal.is_on:
        journal.quarantine(rows, bad[0])
    return bool(bad and journal.is_on)


class LoopGuard:
    """Watches the pages of one sync in one run, replayed ones included.

    Each id that was read sets one bit of a table of fixed size, so a loop of any length shows. A
    new id counts as seen if it shares its bit with another: one in seven at ten million ids. So ten
    new ids, one per page, would all count as seen once in 300 million times.
    """

    def __init__(self) -> None:
        self._seen = mmap.mmap(-1, _SEEN_BYTES)  # takes no memory before it is written to
        self._repeated = 0
        self._empty = 0

    def detect_stall(self, ids: Collection[str]) -> None:
        """Check, once a page is delivered, that the sync still makes progress."""
        if ids:
            self._empty = 0
            self._repeated = self._repeated + 1 if self._add(ids) else 0
        else:
            self._empty += 1
        if self._empty >= MAX_EMPTY:
            raise EndlessFeedError(
                f"The feed makes no progress: {MAX_EMPTY} pages in a row are empty, although "
                "'has_more' is true"
            )
        if self._repeated >= MAX_REPEATED:
            raise EndlessFeedError(
                f"The feed makes no progress: {MAX_REPEATED} pages in a row have only rows that "
                "this sync has read before"
            )

    def _add(self, ids: Collection[str]) -> bool:
        were_all_seen = True
        for id_ in ids:
            byte, bit = divmod(hash(id_) % (_SEEN_BYTES * 8), 8)
            if not self._seen[byte] & 1 << bit:
                self._seen[byte] |= 1 << bit
                were_all_seen = False
        return were_all_seen
