"""What is wrong with pages that are delivered all the same: rows may be missing, or too many."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from tap_jobo.clock import format_timestamp, parse_timestamp, to_minute
from tap_jobo.commands import run_with
from tap_jobo.model import EntryHeader, Sync
from tap_jobo.records.values import PARSERS
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.filters import describe
from tap_jobo.wording import plural

_NEVER: Final = "2000"  # earlier times, such as 0001-01-01, stand for none
_TOLERANCE: Final = timedelta(hours=1)  # the API may widen the window a little
_MOST: Final = 5  # values of a filter in a message
_FAR_BELOW: Final = 0.8  # the share of an estimate below which rows may be missing


class Doubts:
    """Warns of what a page or a sync shows, without any error, that Jobo's API may get wrong.

    Args:
        spec: The feed.
        warn: Logs a warning, given its code, its fact, and what its ways out may name.
    """

    def __init__(self, spec: FeedSpec, warn: Callable[..., None]) -> None:
        self._spec = spec
        self._warn = warn
        self._reported: set[str] = set()  # what is said once in a run

    def missing_rows(self, fact: str) -> None:
        """Warn that rows may be missing."""
        self._warn("missing-rows", fact)

    def check_error(self, *, has_error: bool) -> None:
        """Warn once of an error beside the rows of a page."""
        if has_error and self._is_first("error"):
            self.missing_rows(f"A page of {self._spec.name} has an error beside its rows.")

    def check_window(self, sync: Sync, items: list[Any]) -> None:
        """Warn once of rows that changed long before the start of the window."""
        if "window" in self._reported or not sync.since:
            return
        start, parse = parse_timestamp(max(sync.since, "0002-01-01")), PARSERS["date-time"]
        limit, key = format_timestamp(start - _TOLERANCE), self._spec.replication_key
        times = [parse(row.get(key)) for row in items if isinstance(row, dict)]
        if count := sum(_NEVER < each < limit for each in times if each):
            self._reported.add("window")
            self._warn(
                "unexpected-bill",
                f"{plural(count, 'row')} of a page of {self._spec.name} last changed before "
                f"{self._spec.since_parameter} {to_minute(sync.since)}.",
            )

    def check_sync(self, header: EntryHeader, rows: int, estimate: int) -> None:
        """Warn if a complete sync has no row, or far fewer than Jobo estimated.

        Args:
            header: That of its last page.
            rows: The rows of that page.
            estimate: The rows of the whole sync, by its first page.
        """
        sync, name = header.sync, self._spec.name
        assert sync is not None  # noqa: S101 - it has just been bought
        rows += header.rows_before
        is_without_rows = not rows and sync.kind == "full" and header.before.bookmark is None
        if is_without_rows and sync.reads:
            self._warn(
                "no-match",
                f"No row of {name} matches {describe(sync.reads, _MOST)}, so none was bought.",
                resync=run_with("on_filter_change", "resync"),
            )
        elif is_without_rows and not (sync.since or self._spec.is_free):
            self.missing_rows(
                f"The first sync of {name} returned no row, although no filter is set."
            )
        if rows + sync.batch_size < _FAR_BELOW * estimate:
            self.missing_rows(
                f"The sync of {name} ended after {plural(rows, 'row')}, but Jobo estimated "
                f"{estimate:,}."
            )

    def missing_fields(self, names: Sequence[str]) -> None:
        """Warn once of fields that no row of a full page has, although the rows have nulls."""
        if names and self._is_first("fields"):
            fact = f"No row of a full page of {self._spec.name} has {', '.join(names)}."
            self._warn("new-fields", fact)

    def unexpected_format(self, number: int) -> None:
        """Warn once of an archived page that a check of this version does not let pass."""
        if self._is_first("format"):
            self._warn(
                "new-fields",
                f"Page {number} of {self._spec.name}, and perhaps others, is in a format that this "
                "version does not expect.",
            )

    def _is_first(self, what: str) -> bool:
        is_first = what not in self._reported
        self._reported.add(what)
        return is_first
