"""What stops a sync: a page that contradicts itself or its request, and a feed that never ends.

A single bad row is skipped or rescued. If all rows are bad in the same way, the API has changed,
and continuing would discard rows that were billed, or overwrite good values with null.
"""

import logging
import mmap
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from tap_jobo.api.pages import ParsedPage, broken
from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import EndlessFeedError, FormatError
from tap_jobo.model import PageHeader, Sync, hash_cursor
from tap_jobo.records.converter import Conversion, RecordConverter, Row
from tap_jobo.records.values import PARSERS
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.wording import plural

MIN_BAD_ROWS: Final = 5
"""Rows that a page must have, unless it is full, before bad rows count as a changed format."""
MIN_RENAMED: Final = 2
"""Fields under another name in all rows that count as a changed format on a smaller page."""
MAX_REPEATED: Final = 10
"""Consecutive pages without any new id before a sync counts as endless."""
MAX_EMPTY: Final = 100
"""Consecutive empty pages before a sync counts as endless."""
_SEEN_BYTES: Final = 1 << 23  # 8 MB: six bits for each of ten million ids
_NEVER: Final = "2000"  # earlier times, such as 0001-01-01, stand for none
_TOLERANCE: Final = timedelta(hours=1)  # the API may widen the window a little


class LoopGuard:
    """Watches the pages of one sync in one run, replayed ones included.

    Each id that was read sets one bit of a table of fixed size, so a loop of any length shows. A
    new id counts as seen if it shares its bit with another: one in seven at ten million ids. So ten
    new ids, one per page, would all count as seen once in 300 million times.
    """

    def __init__(self) -> None:
        self._seen = mmap.mmap(-1, _SEEN_BYTES)  # takes no memory before it is written to
        self._cursors: set[str] = set()  # hashes of those that pages were requested with
        self._repeated = 0
        self._empty = 0

    def note_cursor(self, cursor_hash: str) -> None:
        """Remember the hash of the cursor that a page was requested with."""
        self._cursors.add(cursor_hash)

    def check_cursor(self, cursor_hash: str, page: ParsedPage) -> None:
        """Raise `ApiError` if a page leads back to itself, or to one that was read before it."""
        self.note_cursor(cursor_hash)
        if page.has_more and hash_cursor(page.next_cursor) in self._cursors:
            raise broken("its 'next_cursor' was used before, so the pages would repeat")

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


@dataclass(frozen=True, slots=True)
class CheckedPage:
    """A page that may be delivered.

    Attributes:
        page: What it says; it is the last one of its sync if nothing can follow it.
        records: Its rows.
        skipped: Those of its rows that have no usable id, as received.
    """

    page: ParsedPage
    records: Sequence[Row]
    skipped: Sequence[object]


class PageGuard:
    """Checks all that a page must pass before any of its rows is written.

    Args:
        spec: The feed.
        converter: Makes records of its rows.
        logger: Gets the warnings.
        page_size: The rows of a full page, if the sync requests fewer of them, as `--test` does:
            they show too little of the format.
        in_place_of: Returns what to run to read everything again, in place of a sync.
    """

    def __init__(
        self,
        spec: FeedSpec,
        converter: RecordConverter,
        logger: logging.Logger,
        page_size: int | None = None,
        in_place_of: Callable[[Sync], str] = lambda _sync: "a full refresh",
    ) -> None:
        self._spec = spec
        self._converter = converter
        self._logger = logger
        self._page_size = page_size
        self._in_place_of = in_place_of
        self._is_window_ignored = False
        self._has_reported_error = False

    def check(
        self, sync: Sync, header: PageHeader, page: ParsedPage, loops: LoopGuard, *, estimate: int
    ) -> CheckedPage:
        """Return the next page of a sync with its records.

        Args:
            sync: The sync, before the page.
            header: What its response's headers say.
            page: What its body says: both must agree on whether it is the last one.
            loops: What the pages before it have shown.
            estimate: The rows of the whole sync, by its first page.

        Raises:
            ApiError: they do not agree, a full page has no `next_cursor`, or it was used before.
            FormatError: all rows are bad in the same way.
        """
        page = self._check_end(sync, page, has_more=header.has_more, estimate=estimate)
        self._check_error(sync, page)
        self._check_window(sync, page.items)
        loops.check_cursor(header.cursor, page)
        if page.are_rows_checked:
            return CheckedPage(page, self._converter.complete(page.items), ())
        conversion = self._converter.convert(self._spec.rows(page.items, header.started_at))
        check_for_schema_drift(conversion, self._page_size or sync.batch_size, self._spec.name)
        return CheckedPage(page, conversion.records, conversion.skipped)

    def _check_end(
        self, sync: Sync, page: ParsedPage, *, has_more: bool | None, estimate: int
    ) -> ParsedPage:
        rows = len(page.items)
        is_full = rows >= sync.batch_size
        if has_more and not page.has_more:
            raise broken("'has_more' is False, but X-Has-More is True")
        if page.has_more and not page.next_cursor:
            if is_full:
                raise broken("it has 'has_more' without a 'next_cursor'")
            read = sync.rows + rows
            estimated = ""
            if estimate > read:
                estimated = f" It has {plural(read, 'row')}, but Jobo estimated {estimate:,}."
            self._logger.warning(
                "Jobo's last page of %s has 'has_more' without a 'next_cursor'. The sync ends "
                "there, because the page has fewer rows than requested.%s If rows are missing, "
                "contact Jobo, and then run %s. [missing-rows]",
                self._spec.name,
                estimated,
                self._in_place_of(sync),
            )
            return replace(page, has_more=False)
        if page.next_cursor and not page.has_more and is_full:
            self._logger.warning(
                "Jobo's last page of %s is full and has a 'next_cursor', but its 'has_more' is "
                "False, so the sync ends there. Rows may be missing. To find out, run the contract "
                "check, or contact Jobo. [missing-rows]",
                self._spec.name,
            )
        if sync.cursor and not (rows or page.has_more):
            self._logger.warning(
                "The last page of %s is empty, although the page before it reported that more rows "
                "follow. If rows are missing, contact Jobo, and then run %s. [missing-rows]",
                self._spec.name,
                self._in_place_of(sync),
            )
        return page

    def _check_error(self, sync: Sync, page: ParsedPage) -> None:
        """Warn once of an error beside the rows of a page."""
        if page.has_error and not self._has_reported_error:
            self._has_reported_error = True
            self._logger.warning(
                "A page of %s has an error beside its rows, so some rows may be missing. To be "
                "sure, contact Jobo, and then run %s. [missing-rows]",
                self._spec.name,
                self._in_place_of(sync),
            )

    def _check_window(self, sync: Sync, items: list[Any]) -> None:
        """Warn once of rows that changed long before the start of the window."""
        if self._is_window_ignored or not sync.since:
            return
        start, parse = parse_timestamp(max(sync.since, "0002-01-01")), PARSERS["date-time"]
        limit, key = format_timestamp(start - _TOLERANCE), self._spec.replication_key
        times = [parse(row.get(key)) for row in items if isinstance(row, dict)]
        if count := sum(_NEVER < each < limit for each in times if each):
            self._is_window_ignored = True
            self._logger.warning(
                "A page has %s of %s that last changed more than an hour before the requested "
                "%s. If Jobo ignores this, every run is billed for every row. Set max_credits to "
                "limit what a run spends, and contact Jobo. [unexpected-bill]",
                plural(count, "row"),
                self._spec.name,
                f"{self._spec.since} {sync.since}",
            )


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
