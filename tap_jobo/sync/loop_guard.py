"""Detects syncs that never end: repeated pages, and endless empty pages."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Final

from tap_jobo.errors import EndlessFeedError

if TYPE_CHECKING:
    from collections.abc import Collection


MAX_REPEATED: Final = 10
"""Consecutive pages without any new id before a sync counts as endless."""
MAX_EMPTY: Final = 100
"""Consecutive empty pages before a sync counts as endless."""
_SEEN_BYTES: Final = 1 << 23
"""8 MB: six bits for each of ten million ids."""


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
        """Check, once a page is delivered, that the sync still makes progress.

        Raises:
            EndlessFeedError: Too many pages in a row were empty, or repeated rows.
        """
        if ids:
            self._empty = 0
            self._repeated = self._repeated + 1 if self._add(ids) else 0
        else:
            self._empty += 1
        if self._empty >= MAX_EMPTY:
            raise EndlessFeedError(
                f"The feed makes no progress: {MAX_EMPTY} pages in a row are empty, and each says "
                "that more follow"
            )
        if self._repeated >= MAX_REPEATED:
            raise EndlessFeedError(
                f"The feed makes no progress: {MAX_REPEATED} pages in a row have no row that this "
                "sync did not read before"
            )

    def _add(self, ids: Collection[str]) -> bool:
        """Add the ids of a page, and return whether all of them count as seen before."""
        were_all_seen = True
        for id_ in ids:
            byte, bit = divmod(hash(id_) % (_SEEN_BYTES * 8), 8)
            if not self._seen[byte] & 1 << bit:
                self._seen[byte] |= 1 << bit
                were_all_seen = False
        return were_all_seen
