"""What is wrong with a page, or with its sync: a list of checks, each a function of what is seen.

Every page is kept, so the tap need not guess. A page that is not as documented stops the stream,
and a version that reads it loads it, free. A single bad row is only skipped or rescued.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from tap_jobo.api.pages import ParsedPage
from tap_jobo.clock import format_timestamp, parse_timestamp, to_minute
from tap_jobo.errors import FormatError
from tap_jobo.model import Entry, EntryHeader, Sync
from tap_jobo.records.converter import RecordConverter, most_missing
from tap_jobo.records.values import ERASED, PARSERS
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.filters import describe
from tap_jobo.wording import Told, plural

MIN_BAD_ROWS: Final = 5
"""Rows that a page must have, unless it is full, before bad rows count as a changed format."""
_NEVER: Final = "2000"  # earlier times, such as 0001-01-01, stand for none
_TOLERANCE: Final = timedelta(hours=1)  # the API may widen the window a little
_FAR_BELOW: Final = 0.8  # the share of an estimate below which rows may be missing


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What the checks see of a page."""

    spec: FeedSpec
    converter: RecordConverter  #: knows the fields of its rows
    header: EntryHeader  #: the header of the page's entry
    sync: Sync
    page: ParsedPage  #: what its body says
    rows: Sequence[Any]  #: its rows as received, without those that were erased
    cursors: Collection[str | None] = ()  #: the cursors that led to the page and those before it
    estimate: int = 0  #: the rows of the whole sync, by its first page; 0 if that is not known

    @property
    def is_full(self) -> bool:
        """Whether the page has as many rows as were requested."""
        return len(self.page.rows) >= self.sync.batch_size

    @property
    def shows_format(self) -> bool:
        """Whether the page has enough rows, none of them erased, to show what all rows lack."""
        is_enough = len(self.rows) >= min(MIN_BAD_ROWS, self.sync.batch_size)
        is_whole = len(self.rows) == len(self.page.rows)
        return is_enough and is_whole and not self.page.are_rows_checked

    @property
    def total(self) -> int:
        """The rows of the sync so far."""
        return self.header.rows_before + len(self.page.rows)


Check = Callable[[Seen], str]
"""Returns what is wrong, empty if nothing is."""


# What stops the stream


def _ends_by_its_body_alone(seen: Seen) -> str:
    has_more = seen.header.receipt and seen.header.receipt.has_more
    is_end = has_more and not seen.page.has_more
    return "'has_more' is False, but X-Has-More is True" if is_end else ""


def _is_full_without_cursor(seen: Seen) -> str:
    lacks = seen.is_full and seen.page.has_more and not seen.page.next_cursor
    return "it has 'has_more' without a 'next_cursor'" if lacks else ""


def _leads_back(seen: Seen) -> str:
    following = seen.page.following
    is_known = following is not None and following in seen.cursors
    return "its 'next_cursor' was used before, so the pages would repeat" if is_known else ""


def _has_unusable_field(seen: Seen) -> str:
    names = seen.converter.unusable(seen.rows) if seen.shows_format else []
    return f"none of its {len(seen.rows):,} rows has a usable '{names[0]}'" if names else ""


def _lacks_most_fields(seen: Seen) -> str:
    missing = most_missing(seen.rows, seen.converter.fields) if seen.shows_format else []
    examples = " and ".join(map(repr, missing[:2]))
    return f"its rows lack {len(missing)} fields, such as {examples}" if missing else ""


# What is doubtful


def _ends_oddly(seen: Seen) -> str:
    page, how = seen.page, ""
    if page.has_more and not page.next_cursor:
        how = "has 'has_more' without a 'next_cursor', so the sync ends there"
    elif page.next_cursor and not page.has_more and seen.is_full:
        how = "is full and has a 'next_cursor', but its 'has_more' is False"
    elif seen.header.cursor and not (page.rows or page.has_more):
        how = "is empty, although the page before it has 'has_more'"
    return f"The last page of {seen.spec.name} {how}." if how else ""


def _has_error(seen: Seen) -> str:
    fact = f"A page of {seen.spec.name} has an error beside its rows."
    return fact if seen.page.has_error else ""


def _is_before_window(seen: Seen) -> str:
    """Find rows that changed long before the start of the window."""
    if not seen.sync.since:
        return ""
    start, parse = parse_timestamp(max(seen.sync.since, "0002-01-01")), PARSERS["date-time"]
    limit, key = format_timestamp(start - _TOLERANCE), seen.spec.replication_key
    times = [parse(row.get(key)) for row in seen.page.rows if isinstance(row, dict)]
    count = sum(_NEVER < each < limit for each in times if each)
    window = f"{seen.spec.since_parameter} {to_minute(seen.sync.since)}"
    fact = f"{plural(count, 'row')} of a page of {seen.spec.name} last changed before {window}."
    return fact if count else ""


def _lacks_fields(seen: Seen) -> str:
    """Find fields that no row of a full page has, although it has nulls."""
    names = seen.page.lacking if seen.is_full else ()
    return f"No row of a page of {seen.spec.name} has {', '.join(names)}." if names else ""


def _is_far_below_estimate(seen: Seen) -> str:
    is_far = seen.total + seen.sync.batch_size < _FAR_BELOW * seen.estimate
    rows, estimate = plural(seen.total, "row"), f"{seen.estimate:,}"
    fact = f"The sync of {seen.spec.name} ended after {rows}, but Jobo estimated {estimate}."
    return fact if is_far and not seen.page.following else ""


STOPS: Final[Sequence[Check]] = (
    _ends_by_its_body_alone,
    _is_full_without_cursor,
    _leads_back,
    _has_unusable_field,
    _lacks_most_fields,
)
OF_FORMAT: Final[Sequence[Check]] = (_has_unusable_field, _lacks_most_fields)
"""Those of the rows. A later version may be stricter."""
WARNINGS: Final[Mapping[Check, str]] = {
    _ends_oddly: "missing-rows",
    _has_error: "missing-rows",
    _is_before_window: "unexpected-bill",
    _lacks_fields: "new-fields",
    _is_far_below_estimate: "missing-rows",
}
"""The code of each. The page is delivered."""


class PageChecks:
    """Checks pages of a feed, and logs warnings as `Messages.warn` does."""

    def __init__(
        self, spec: FeedSpec, converter: RecordConverter, warn: Callable[..., None]
    ) -> None:
        self._spec = spec
        self._converter = converter
        self._warn = warn
        self._told = Told()

    def check(self, header: EntryHeader, page: ParsedPage, **more: Any) -> None:
        """Check a page, given more attributes of `Seen`. Raises `FormatError`."""
        seen = self._see(header, page, **more)
        if why := next(filter(None, (stop(seen) for stop in STOPS)), ""):
            raise FormatError(why)
        for check, code in WARNINGS.items():
            if fact := check(seen):
                self._warn_once(check, code, fact)

    def accept(self, entry: Entry, page: ParsedPage) -> None:
        """Check a page again that was checked when it was bought.

        A stricter check of a later version is only a WARNING: otherwise, each new warehouse would
        stop at it.
        """
        seen = self._see(entry.header, page)
        if any(check(seen) for check in OF_FORMAT):
            which = f"Page {entry.number} of {self._spec.name}, and perhaps others,"
            fact = f"{which} is in a format that this version does not expect."
            self._warn_once("accept", "new-fields", fact)

    def warn_of_nothing(self, sync: Sync, *, is_first: bool) -> None:
        """Warn of a sync of everything that has no row; nothing was read before the first one."""
        name, filters = self._spec.name, describe(sync.reads)
        if is_first and sync.reads:
            fact = f"No row of {name} matches {filters}, so none was bought."
            self._warn_once("nothing", "no-match", fact)
        elif not (self._spec.is_free or (is_first and sync.since)):
            fact = f"A sync of all of {name} has no row, so it counts as not read."
            self._warn_once("nothing", "missing-rows", fact)

    def _see(self, header: EntryHeader, page: ParsedPage, **more: Any) -> Seen:
        sync = header.sync
        assert sync is not None  # noqa: S101 - only a dropped page has none
        return Seen(
            spec=self._spec,
            converter=self._converter,
            header=header,
            sync=sync,
            page=page,
            rows=[row for row in page.rows if row != ERASED],
            **more,
        )

    def _warn_once(self, what: str | Check, code: str, fact: str, **known: str | None) -> None:
        if self._told.is_first(what):
            self._warn(code, fact, **known)
