"""What stops a sync: a page whose format has changed, and a feed that never ends.

A single bad row is skipped or rescued. If all rows are bad in the same way, the API has changed,
and continuing would discard rows that were billed, or overwrite good values with null.
"""

import mmap
from collections.abc import Collection
from typing import Final

from tap_jobo.errors import EndlessFeedError, FormatError
from tap_jobo.records.converter import Conversion

MIN_BAD_ROWS: Final = 5
"""Rows that a page must have, unless it is full, before bad rows count as a changed format."""
MIN_RENAMED: Final = 2
"""Fields under another name in all rows that count as a changed format on a smaller page."""
MAX_REPEATED: Final = 10
"""Consecutive pages without any new id before a sync counts as endless."""
MAX_EMPTY: Final = 100
"""Consecutive empty pages before a sync counts as endless."""
_SEEN_BYTES: Final = 1 << 23  # 8 MB: six bits for each of ten million ids


def check_for_schema_drift(conversion: Conversion, page_size: int, stream: str) -> None:
    """Raise FormatError if all rows of a page are bad alike. A smaller page shows too little."""
    rows = len(conversion.records) + len(conversion.skipped)
    renamed = conversion.renamed
    if len(renamed) >= MIN_RENAMED or (renamed and rows >= MIN_BAD_ROWS):
        compared = len(conversion.records) or rows
        raise FormatError(
            f"Each of the {compared:,} rows of this page of {stream} has another name in place of "
            f"{' and '.join(map(repr, renamed[:2]))}, so the API's format has changed. No row of "
            "the page was emitted"
        )
    for field, bad in conversion.damaged.items():
        if field not in conversion.left_out and bad == rows >= min(MIN_BAD_ROWS, page_size):
            raise FormatError(
                f"None of the {rows:,} rows of this page of {stream} has a usable '{field}', so "
                "the API's format has changed. No row of the page was emitted"
            )
    if conversion.missing and rows >= min(MIN_BAD_ROWS, page_size):
        examples = " and ".join(map(repr, conversion.missing[:2]))
        raise FormatError(
            f"No row of this page of {stream} has any of {len(conversion.missing)} documented "
            f"fields, such as {examples}, so the API's format has changed. No row of the page was "
            "emitted"
        )


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
