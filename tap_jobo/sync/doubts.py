"""What is wrong with pages that are delivered all the same: rows may be missing, or too many."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.model import EntryHeader, Sync
from tap_jobo.records.values import PARSERS
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.filters import describe
from tap_jobo.wording import plural

_NEVER: Final = "2000"  # earlier times, such as 0001-01-01, stand for none
_TOLERANCE: Final = timedelta(hours=1)  # the API may widen the window a little
_FAR_BELOW: Final = 0.8  # the share of an estimate below which rows may be missing


class Doubts:
    """Warns of what a page or a sync shows, without any error, that Jobo's API may get wrong.

    Args:
        spec: The feed.
        logger: Gets the warnings.
        read_again: Returns what to run to read everything again, None if nothing was read, as by
            `--test`.
    """

    def __init__(
        self, spec: FeedSpec, logger: logging.Logger, read_again: Callable[[], str] | None
    ) -> None:
        self._spec = spec
        self._logger = logger
        self._read_again = read_again
        self._reported: set[str] = set()  # what is said once in a run

    def missing_rows(self, why: str) -> None:
        """Warn that rows may be missing.

        Args:
            why: A sentence without its period.
        """
        then = ""
        if self._read_again:
            verb, price = "read" if self._spec.is_free else "buy", self._spec.price_per_thousand
            then = f", and then {verb} everything again ({price}): {self._read_again()}"
        self._logger.warning("%s. If rows are missing, contact Jobo%s. [missing-rows]", why, then)

    def check_error(self, *, has_error: bool) -> None:
        """Warn once of an error beside the rows of a page."""
        if has_error and self._is_first("error"):
            self.missing_rows(f"A page of {self._spec.name} has an error beside its rows")

    def check_window(self, sync: Sync, items: list[Any]) -> None:
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
                "%s. If Jobo ignores that date, every run is billed for every row. Set max_credits "
                "to limit what a run spends, and contact Jobo. [unexpected-bill]",
                plural(count, "row"),
                self._spec.name,
                f"{self._spec.since_parameter} {sync.since}",
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
            self._logger.warning(
                "No row of %s matches %s, so none was bought. Correct the values, which must match "
                "exactly, and run once with on_filter_change: resync, which buys all rows that "
                "match (%s). [no-match]",
                name,
                describe(sync.reads),
                self._spec.price_per_thousand,
            )
        elif is_without_rows and not (sync.since or self._spec.is_free):
            self.missing_rows(
                f"The first sync of {name} returned no row, although no filter is set. Later runs "
                "read only what changes from now on"
            )
        if rows + sync.batch_size < _FAR_BELOW * estimate:
            self.missing_rows(
                f"The sync of {name} ended after {plural(rows, 'row')}, but Jobo estimated "
                f"{estimate:,}"
            )

    def unexpected_format(self, number: int) -> None:
        """Warn once of an archived page that a check of this version does not let pass."""
        if self._is_first("format"):
            self._logger.warning(
                "Page %s of %s in the archive, and perhaps others, is in a format that this "
                "version does not expect. What does not fit is in _rescued_data, if that is "
                "selected. Upgrade tap-jobo. [format-changed]",
                number,
                self._spec.name,
            )

    def _is_first(self, what: str) -> bool:
        is_first = what not in self._reported
        self._reported.add(what)
        return is_first
