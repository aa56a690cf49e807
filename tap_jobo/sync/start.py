"""What a run begins with: the pending scan, or a new one from the bookmark or the start date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_jobo.clock import format_timestamp
from tap_jobo.errors import StateError
from tap_jobo.scan import Scan, window

if TYPE_CHECKING:
    import logging
    from datetime import datetime

    from tap_jobo.clock import Clock
    from tap_jobo.scan import Filters, StreamState


@dataclass(frozen=True)
class SyncStart:
    """What the settings and the catalog ask of a run.

    Attributes:
        filters: The filters, as `filters_of` gives them.
        on_filter_change: `error`, `resync` or `keep`.
        start_date: Where the first run starts, if set.
        lookback_minutes: How far before the bookmark a scan starts.
        batch_size: Rows a page of a new scan.
        is_full_table: Whether the catalog says FULL_TABLE, which ignores the bookmark.
        clock: The local clock, against which a bookmark is only warned of.
        logger: Where decisions are told.
    """

    filters: Filters
    on_filter_change: str
    start_date: datetime | None
    lookback_minutes: int
    batch_size: int
    is_full_table: bool
    clock: Clock
    logger: logging.Logger

    def new_scan(self, bookmark: datetime | None) -> Scan:
        """Return a scan of what was updated since the bookmark or the start date."""
        return Scan(window(bookmark, self.start_date, self.lookback_minutes), self.batch_size)

    def bookmark(self, state: StreamState) -> datetime | None:
        """Return the bookmark that a scan goes on from."""
        return None if self.is_full_table else state.bookmark

    def first_scan(self, state: StreamState) -> Scan:
        """Return the scan that the run begins with, the pending one if there is one.

        Raises:
            StateError: The filters are not those of the state, and `on_filter_change` is `error`.
        """
        bookmark = self.bookmark(state)
        if self._filters_changed(state):
            state.pending = None
            if self.on_filter_change == "resync":
                bookmark = None
        if state.pending:
            self._tell_of_pending(state.pending, state.bookmark)
            return state.pending
        if bookmark and bookmark > self.clock.now():
            self.logger.warning(
                "The bookmark %s lies in the future by the local clock: it is kept unless the "
                "API's clock says so too.",
                format_timestamp(bookmark),
            )
        if bookmark and self.start_date and self.start_date > bookmark:
            self.logger.info(
                "start_date is later than the bookmark %s and wins: rows updated in between are "
                "not read.",
                format_timestamp(bookmark),
            )
        return self.new_scan(bookmark)

    def _filters_changed(self, state: StreamState) -> bool:
        if state.bookmark is None and state.pending is None:
            return False
        if state.filters is None:
            self.logger.info("The state says nothing of filters and is taken to be of these.")
            return False
        if state.filters == self.filters:
            return False
        difference = "; ".join(
            f"{name} was {_show(state.filters[name])} and is {_show(self.filters[name])}"
            for name in self.filters
            if state.filters[name] != self.filters[name]
        )
        if self.on_filter_change == "error":
            raise StateError(
                f"The filters have changed since the state was written ({difference}), so that "
                "rows would silently be left out. Set on_filter_change to 'resync' to read all "
                "that matches from the start (each row costs), or to 'keep' to go on from the "
                "bookmark without what matched before; or change the filters back."
            )
        self.logger.info(
            "The filters have changed (%s): on_filter_change is %s.",
            difference,
            self.on_filter_change,
        )
        return True

    def _tell_of_pending(self, pending: Scan, bookmark: datetime | None) -> None:
        self.logger.info(
            "Going on with the scan of %s after %s rows.",
            pending.started_at,
            f"{pending.rows:,}",
        )
        usual = {self.new_scan(bookmark).updated_after, self.new_scan(None).updated_after}
        if pending.batch_size != self.batch_size or pending.updated_after not in usual:
            self.logger.warning(
                "It goes on as it began, with updated_after %s and batch_size %s; start_date, "
                "lookback_minutes and batch_size as they are set now apply to the next scan.",
                pending.updated_after,
                pending.batch_size,
            )


def _show(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "not set" if value is None else str(value).lower()
