"""What stops a sync: a page that contradicts itself or its request, and a feed that never ends.

A single bad row is skipped or rescued. If all rows are bad in the same way, the API has changed,
and continuing would discard rows that were billed, or overwrite good values with null.
"""

import logging
import mmap
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from tap_jobo.api.pages import ParsedPage, broken
from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import EndlessFeedError, FormatError
from tap_jobo.model import Entry, EntryHeader, Sync, hash_cursor
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


class SeenIds:
    """A bit for each id that was seen, in a table of fixed size.

    A new id counts as seen if it shares its bit with another: one in seven at ten million ids.
    """

    def __init__(self) -> None:
        self._seen = mmap.mmap(-1, _SEEN_BYTES)  # takes no memory before it is written to

    def add(self, id_: str) -> bool:
        """Add an id, and return whether it was seen before."""
        byte, bit = divmod(hash(id_) % (_SEEN_BYTES * 8), 8)
        old, mask = self._seen[byte], 1 << bit
        self._seen[byte] = old | mask
        return bool(old & mask)


class LoopGuard:
    """Watches the pages of one sync in one run, those that are loaded included.

    Ten new ids, one per page, would all count as seen once in 300 million times.
    """

    def __init__(self) -> None:
        self._seen = SeenIds()
        self._cursors: set[str] = set()  # hashes of those that pages were requested with
        self._repeated = 0
        self._empty = 0

    def note_cursor(self, cursor: str | None) -> None:
        """Remember the cursor that a page was requested with."""
        self._cursors.add(hash_cursor(cursor))

    def check_cursor(self, page: ParsedPage) -> None:
        """Raise `ApiError` if a page leads back to itself, or to one that was read before it."""
        if page.has_more and hash_cursor(page.next_cursor) in self._cursors:
            raise broken("its 'next_cursor' was used before, so the pages would repeat")

    def note_ids(self, ids: Collection[str]) -> None:
        """Take up the ids of a page."""
        if ids:
            self._empty = 0
            were_seen = [self._seen.add(id_) for id_ in ids]
            self._repeated = self._repeated + 1 if all(were_seen) else 0
        else:
            self._empty += 1

    def detect_stall(self) -> None:
        """Raise `EndlessFeedError` if the sync makes no progress, before another page is bought."""
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
        read_again: What to run to read everything again, for messages.
        page_size: The rows of a full page, if the sync requests fewer of them, as `--test` does:
            they show too little of the format.
    """

    def __init__(
        self,
        spec: FeedSpec,
        converter: RecordConverter,
        logger: logging.Logger,
        read_again: str,
        page_size: int | None = None,
    ) -> None:
        self._spec = spec
        self._converter = converter
        self._logger = logger
        self._page_size = page_size
        self._read_again = read_again
        self._reported: set[str] = set()

    def check(self, header: EntryHeader, page: ParsedPage, *, estimate: int) -> CheckedPage:
        """Return a page with its records.

        Args:
            header: The header of its entry. The response and its body must agree on whether it is
                the last page.
            page: What its body says.
            estimate: The rows of the whole sync, by its first page.

        Raises:
            ApiError: they do not agree, or a full page has no `next_cursor`.
            FormatError: all rows are bad in the same way.
        """
        sync = header.sync
        assert sync is not None  # noqa: S101 - only a dropped page has none
        page = self._check_end(header, sync, page, estimate=estimate)
        self._check_error(page)
        self._check_window(sync, page.items)
        if page.are_rows_checked:
            return CheckedPage(page, self._converter.complete(page.items), ())
        conversion = self._converter.convert(self._spec.rows(page.items, sync.started_at))
        check_for_schema_drift(conversion, self._page_size or sync.batch_size, self._spec.name)
        return CheckedPage(page, conversion.records, conversion.skipped)

    def accept(self, entry: Entry, page: ParsedPage) -> CheckedPage:
        """Return a page with its records that was checked when it was bought.

        A stricter check of a later version is only a WARNING: otherwise, each new warehouse would
        stop at it.
        """
        if page.are_rows_checked:
            return CheckedPage(page, self._converter.complete(page.items), ())
        sync = entry.header.sync
        started_at, batch_size = (sync.started_at, sync.batch_size) if sync else ("", 1)
        conversion = self._converter.convert(self._spec.rows(page.items, started_at))
        try:
            check_for_schema_drift(conversion, batch_size, self._spec.name)
        except FormatError:
            if self._is_first("format"):
                self._logger.warning(
                    "Page %s of %s in the archive, and perhaps others, is in a format that this "
                    "version does not expect. What does not fit is in _rescued_data, if that is "
                    "selected. [format-changed]",
                    entry.number,
                    self._spec.name,
                )
        return CheckedPage(page, conversion.records, conversion.skipped)

    def _is_first(self, what: str) -> bool:
        is_first = what not in self._reported
        self._reported.add(what)
        return is_first

    def _check_end(
        self, header: EntryHeader, sync: Sync, page: ParsedPage, *, estimate: int
    ) -> ParsedPage:
        rows, has_more = len(page.items), header.receipt and header.receipt.has_more
        is_full = rows >= sync.batch_size
        if has_more and not page.has_more:
            raise broken("'has_more' is False, but X-Has-More is True")
        if page.has_more and not page.next_cursor:
            if is_full:
                raise broken("it has 'has_more' without a 'next_cursor'")
            read = header.rows_before + rows
            estimated = ""
            if estimate > read:
                estimated = f" It has {plural(read, 'row')}, but Jobo estimated {estimate:,}."
            self._logger.warning(
                "Jobo's last page of %s has 'has_more' without a 'next_cursor'. The sync ends "
                "there, because the page has fewer rows than requested.%s If rows are missing, "
                "contact Jobo, and then run %s. [missing-rows]",
                self._spec.name,
                estimated,
                self._read_again,
            )
            return replace(page, has_more=False)
        if page.next_cursor and not page.has_more and is_full:
            self._logger.warning(
                "Jobo's last page of %s is full and has a 'next_cursor', but its 'has_more' is "
                "False, so the sync ends there. Rows may be missing. To find out, run the contract "
                "check, or contact Jobo. [missing-rows]",
                self._spec.name,
            )
        if header.cursor and not (rows or page.has_more):
            self._logger.warning(
                "The last page of %s is empty, although the page before it reported that more rows "
                "follow. If rows are missing, contact Jobo, and then run %s. [missing-rows]",
                self._spec.name,
                self._read_again,
            )
        return page

    def _check_error(self, page: ParsedPage) -> None:
        """Warn once of an error beside the rows of a page."""
        if page.has_error and self._is_first("error"):
            self._logger.warning(
                "A page of %s has an error beside its rows, so some rows may be missing. To be "
                "sure, contact Jobo, and then run %s. [missing-rows]",
                self._spec.name,
                self._read_again,
            )

    def _check_window(self, sync: Sync, items: list[Any]) -> None:
        """Warn once of rows that changed long before the start of the window."""
        if "window" in self._reported or not sync.since:
            return
        start, parse = parse_timestamp(max(sync.since, "0002-01-01")), PARSERS["date-time"]
        limit, key = format_timestamp(start - _TOLERANCE), self._spec.replication_key
        times = [parse(row.get(key)) for row in items if isinstance(row, dict)]
        if count := sum(_NEVER < each < limit for each in times if each):
            self._reported.add("window")
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
