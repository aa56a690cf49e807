"""Watches a sync over all of its pages, also those of earlier runs: whether it makes progress."""

import mmap
from collections.abc import Collection
from typing import Final

MAX_REPEATED: Final = 10
"""Consecutive pages without any new id before a sync counts as endless."""
MAX_EMPTY: Final = 100
"""Consecutive empty pages before a sync counts as endless."""
MORE: Final = 2
"""Pages that each later run buys of a sync that has ended so."""
_SEEN_BITS: Final = 1 << 26  # 8 MB: six for each of ten million ids


class SeenIds:
    """Two bits for each id that was seen, in a table of fixed size.

    A new id counts as seen if others have both: one in 15 at ten million ids, and one in 4,000 at
    500,000.
    """

    def __init__(self) -> None:
        self._seen = mmap.mmap(-1, _SEEN_BITS // 8)  # takes no memory before it is written to

    def add(self, id_: str) -> bool:
        """Add an id, and return whether it was seen before."""
        high, low = divmod(hash(id_), _SEEN_BITS)
        had_low, had_high = self._set(low), self._set(high % _SEEN_BITS)
        return had_low and had_high

    def _set(self, place: int) -> bool:
        """Set a bit, and return whether it was set before."""
        byte, bit = divmod(place, 8)
        old, mask = self._seen[byte], 1 << bit
        self._seen[byte] = old | mask
        return bool(old & mask)


class SyncWatch:
    """What the pages of one sync have shown.

    Ten new ids, one per page, would all count as seen once in 500 billion times.
    """

    def __init__(self, id_: str = "") -> None:
        self.id = id_  #: of the sync, empty before the first one
        self.estimate = 0  #: rows of the whole sync, if its first page says
        #: those that pages were requested with, None of the first page
        self.cursors: set[str | None] = set()
        self._seen = SeenIds()
        self._repeated = 0
        self._empty = 0

    def note_ids(self, ids: Collection[str | None]) -> None:
        """Take up the ids of a page, as far as they are usable."""
        were_seen = [self._seen.add(id_) for id_ in ids if id_]
        if were_seen:
            self._empty = 0
            self._repeated = self._repeated + 1 if all(were_seen) else 0
        else:
            self._empty += 1

    def allow_more(self) -> None:
        """Let a run buy a few pages, which show whether the feed makes progress again."""
        self._repeated = min(self._repeated, MAX_REPEATED - MORE)
        self._empty = min(self._empty, MAX_EMPTY - MORE)

    @property
    def stall(self) -> str:
        """Why the sync makes no progress, empty if it does."""
        if self._empty >= MAX_EMPTY:
            return f"{MAX_EMPTY} pages in a row were empty"
        return (
            f"{MAX_REPEATED} pages in a row had no new row"
            if self._repeated >= MAX_REPEATED
            else ""
        )
