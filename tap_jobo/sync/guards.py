"""What stops a sync: a page that contradicts itself, or whose rows are all bad alike.

A single bad row is skipped or rescued. If all rows lack an id, a field that is never null, or most
fields, the API has changed, and continuing would discard rows that were billed, or overwrite good
values with null. Any other field that a full page lacks is a warning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tap_jobo.api.pages import ParsedPage, broken
from tap_jobo.errors import FormatError
from tap_jobo.model import Entry, EntryHeader, Sync
from tap_jobo.records.converter import Conversion, RecordConverter, Row
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.doubts import Doubts
from tap_jobo.wording import plural

MIN_BAD_ROWS: Final = 5
"""Rows that a page must have, unless it is full, before bad rows count as a changed format."""


@dataclass(frozen=True, slots=True)
class CheckedPage:
    """A page that may be delivered.

    Attributes:
        page: What it says; it is the last one of its sync if nothing can follow it.
        records: Its rows.
        skipped: Those of its rows that have no usable id, by their numbers in the page.
    """

    page: ParsedPage
    records: Sequence[Row]
    skipped: Mapping[int, object]


class PageGuard:
    """Checks all that a page must pass before any of its rows is written.

    Args:
        spec: The feed.
        converter: Makes records of its rows.
        doubts: Warns of what is no error.
        page_size: The rows of a full page, if the sync requests fewer of them, as `--test` does:
            they show too little of the format.
    """

    def __init__(
        self,
        spec: FeedSpec,
        converter: RecordConverter,
        doubts: Doubts,
        page_size: int | None = None,
    ) -> None:
        self._spec = spec
        self._converter = converter
        self._doubts = doubts
        self._page_size = page_size

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
        self._doubts.check_error(has_error=page.has_error)
        self._doubts.check_window(sync, page.items)
        if page.are_rows_checked:
            return CheckedPage(page, self._converter.complete(page.items), {})
        conversion = self._converter.convert(self._spec.rows(page.items, sync.started_at))
        page_size = self._page_size or sync.batch_size
        check_for_schema_drift(conversion, page_size, self._spec.name)
        if conversion.writes_nulls and len(page.items) >= page_size:
            self._doubts.missing_fields(
                [name for name in conversion.missing if name not in self._spec.undocumented]
            )
        return CheckedPage(page, conversion.records, conversion.skipped)

    def accept(self, entry: Entry, page: ParsedPage) -> CheckedPage:
        """Return a page with its records that was checked when it was bought.

        A stricter check of a later version is only a WARNING: otherwise, each new warehouse would
        stop at it.
        """
        if page.are_rows_checked:
            return CheckedPage(page, self._converter.complete(page.items), {})
        sync = entry.header.sync
        started_at, batch_size = (sync.started_at, sync.batch_size) if sync else ("", 1)
        conversion = self._converter.convert(self._spec.rows(page.items, started_at))
        try:
            check_for_schema_drift(conversion, batch_size, self._spec.name)
        except FormatError:
            self._doubts.unexpected_format(entry.number)
        return CheckedPage(page, conversion.records, conversion.skipped)

    def _check_end(
        self, header: EntryHeader, sync: Sync, page: ParsedPage, *, estimate: int
    ) -> ParsedPage:
        rows, has_more = len(page.items), header.receipt and header.receipt.has_more
        is_full, last = rows >= sync.batch_size, f"The last page of {self._spec.name}"
        if has_more and not page.has_more:
            raise broken("'has_more' is False, but X-Has-More is True")
        if page.has_more and not page.next_cursor:
            if is_full:
                raise broken("it has 'has_more' without a 'next_cursor'")
            read = header.rows_before + rows
            estimated = f" after {plural(read, 'row')}, but Jobo estimated {estimate:,}"
            self._doubts.missing_rows(
                f"{last} has 'has_more' without a 'next_cursor', so the sync ends there"
                f"{estimated if estimate > read else ''}."
            )
            return replace(page, has_more=False)
        if page.next_cursor and not page.has_more and is_full:
            self._doubts.missing_rows(
                f"{last} is full and has a 'next_cursor', but its 'has_more' is False."
            )
        if header.cursor and not (rows or page.has_more):
            self._doubts.missing_rows(
                f"{last} is empty, although the page before it reported that more rows follow."
            )
        return page


def check_for_schema_drift(conversion: Conversion, page_size: int, stream: str) -> None:
    """Raise FormatError if all rows of a page are bad alike. A smaller page shows too little."""
    rows = len(conversion.records) + len(conversion.skipped)
    for field, bad in conversion.damaged.items():
        if field not in conversion.left_out and bad == rows >= min(MIN_BAD_ROWS, page_size):
            raise FormatError(
                f"None of the {rows:,} rows of this page of {stream} has a usable '{field}', so "
                "the API's format has changed. No row of the page was loaded"
            )
    if not conversion.has_most_fields and rows >= min(MIN_BAD_ROWS, page_size):
        examples = " and ".join(map(repr, conversion.missing[:2]))
        raise FormatError(
            f"No row of this page of {stream} has any of {len(conversion.missing)} documented "
            f"fields, such as {examples}, so the API's format has changed. No row of the page was "
            "loaded"
        )
