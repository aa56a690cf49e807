"""Where a sync starts: the pending scan, or a new one from the bookmark or the start date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import StateError
from tap_jobo.scan import Scan, new_id

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tap_jobo.clock import Clock
    from tap_jobo.scan import Filters
    from tap_jobo.streams.feed_spec import FeedSpec
    from tap_jobo.sync.state import StreamState

_IN_HAND: Final = timedelta(hours=1)
_IN_HAND_UNKNOWN_CLOCK: Final = timedelta(days=1)


@dataclass(frozen=True)
class SyncStart:
    """What the settings and the catalog ask of a sync.

    Attributes:
        spec: The feed.
        filters: The filters, as `FeedSpec.filters_of` gives them.
        on_filter_change: `error`, `resync` or `keep`.
        start_date: Where the first sync starts, if set.
        lookback_minutes: How far before the bookmark a scan starts.
        batch_size: Rows per page of a new scan.
        is_full_table: Whether the catalog says FULL_TABLE, which ignores the bookmark.
        trusts_local_clock: Whether the user vouches for the local clock.
        clock: The local clock; a bookmark that lies in its future is only warned about.
        api_now: Tells the API's clock, None where no answer of the run has.
        logger: Where decisions are reported.
    """

    spec: FeedSpec
    filters: Filters
    on_filter_change: str
    start_date: datetime | None
    lookback_minutes: int
    batch_size: int
    is_full_table: bool
    trusts_local_clock: bool
    clock: Clock
    api_now: Callable[[], datetime | None]
    logger: logging.Logger

    def bookmark(self, state: StreamState) -> datetime | None:
        """Return the bookmark that a new scan continues from, None for a full read."""
        if self.is_full_table or self._must_resync(state):
            return None
        return state.bookmark

    def new_scan(self, state: StreamState) -> Scan:
        """Return a new scan of what was updated since the bookmark or the start date."""
        bookmark = self.bookmark(state)
        # A full read over a state is told from one without: what it may resume differs.
        base = state.completed if bookmark or not state.completed else f"full-{state.completed}"
        return self._scan(bookmark, base)

    def catch_up(self, replayed: Scan) -> Scan:
        """Return the scan of what may have changed since one that came from the journal began."""
        return self._scan(parse_timestamp(replayed.started_at or ""), replayed.id)

    def _scan(self, bookmark: datetime | None, base: str) -> Scan:
        since = window(self.spec, bookmark, self.start_date, self.lookback_minutes)
        return Scan(
            id=new_id(), since=self._reachable(since), batch_size=self.batch_size, base=base
        )

    def _reachable(self, since: str | None) -> str | None:
        """Return the start of a window, no earlier than the API lets the feed be asked for."""
        oldest = self._oldest()
        return max(since or "", format_timestamp(oldest)) if oldest else since

    def _oldest(self) -> datetime | None:
        """Return how far back the feed may be asked for, None for any time.

        An hour in hand covers the time that a sync takes; where the API's clock is not known, a
        day covers a local one that is behind.
        """
        if self.spec.longest_lookback is None:
            return None
        if api_now := self.api_now():
            return api_now - self.spec.longest_lookback + _IN_HAND
        return self.clock.now() - self.spec.longest_lookback + _IN_HAND_UNKNOWN_CLOCK

    def restarted(self, scan: Scan) -> Scan:
        """Return the scan that starts over one whose cursor was rejected."""
        return Scan(
            id=new_id(),
            since=self._reachable(scan.since),
            batch_size=self.batch_size,
            restarts=scan.restarts + 1,
            base=scan.base,
            replaces=scan.id,
        )

    def first_scan(self, state: StreamState) -> Scan:
        """Return the scan that the run begins with, the pending one if it can be resumed.

        Raises:
            StateError: The filters are not those of the state, and `on_filter_change` is `error`.
        """
        if self.have_filters_changed(state):
            self._report_changed_filters(state)
        elif state.pending and not self._is_too_old(state.pending):
            self._report_pending(state.pending, state)
            return state.pending
        elif state.filters is None and state.bookmark and self.filters:
            self.logger.info("The state does not name its filters; assuming the current ones.")
        bookmark = self.bookmark(state)
        self._report_gap(state)
        if bookmark and bookmark > self.clock.now():
            self.logger.warning(
                "The bookmark %s lies in the future by the local clock: it is kept unless the "
                "API's clock says so too.",
                format_timestamp(bookmark),
            )
        if bookmark and self.start_date and self.start_date > bookmark:
            self.logger.info(
                "start_date is later than the bookmark %s and overrides it: rows updated in "
                "between are not read.",
                format_timestamp(bookmark),
            )
        return self.new_scan(state)

    def _is_too_old(self, pending: Scan) -> bool:
        """Tell whether the API would refuse the window of a scan by now."""
        oldest = self._oldest()
        return oldest is not None and (pending.since or "") < format_timestamp(oldest - _IN_HAND)

    def _report_gap(self, state: StreamState) -> None:
        """Warn where a feed cannot be asked for all that happened since the last sync.

        A first sync that did not end is no more than its start: what lay before that is what a
        first sync does not reach anyway.
        """
        oldest, known = self._oldest(), state.bookmark
        if known is None and state.pending:
            known = parse_timestamp(state.pending.started_at or "")
        if self.spec.longest_lookback and oldest and known and known < oldest:
            self.logger.warning(
                "The API lists %s of the last %d days only, so those from %s to %s cannot be known "
                "any more. %s",
                self.spec.name.replace("_", " "),
                self.spec.longest_lookback.days,
                format_timestamp(known),
                format_timestamp(oldest),
                self.spec.gap_advice,
            )

    def have_filters_changed(self, state: StreamState) -> bool:
        """Tell whether the state was reached with other filters."""
        if state.bookmark is None and state.pending is None:
            return False
        return state.filters is not None and state.filters != self.filters

    def _must_resync(self, state: StreamState) -> bool:
        return self.on_filter_change == "resync" and self.have_filters_changed(state)

    def _report_changed_filters(self, state: StreamState) -> None:
        before = state.filters or {}
        difference = "; ".join(
            f"{name} was {_show(before.get(name))} and is {_show(value)}"
            for name, value in self.filters.items()
            if before.get(name) != value
        )
        if self.on_filter_change == "error":
            raise StateError(
                f"The filters of {self.spec.name} have changed since the state was written "
                f"({difference}), so rows would be missing without a word. Set on_filter_change "
                "to 'resync' to read everything that matches from the start (each row costs), or "
                "to 'keep' to resume from the bookmark (rows last changed before it that match "
                "only the new filters are missing); or change the filters back."
            )
        self.logger.info(
            "The filters have changed (%s): on_filter_change is %s.",
            difference,
            self.on_filter_change,
        )

    def _report_pending(self, pending: Scan, state: StreamState) -> None:
        self.logger.info(
            "Resuming the sync of %s after %s rows.", pending.started_at, f"{pending.rows:,}"
        )
        usual = {
            window(self.spec, bookmark, self.start_date, self.lookback_minutes)
            for bookmark in (self.bookmark(state), None)
        }
        if pending.batch_size != self.batch_size or pending.since not in usual:
            self.logger.warning(
                "It resumes as it began, with %s %s and batch_size %s; start_date, "
                "lookback_minutes and the page size as they are set now apply to the next sync.",
                self.spec.since,
                pending.since,
                pending.batch_size,
            )


def window(
    spec: FeedSpec, bookmark: datetime | None, start_date: datetime | None, lookback_minutes: int
) -> str | None:
    """Return the `since` of a new scan, None for everything.

    From a bookmark the scan looks back, as Jobo's documentation asks; from a start date it does
    not, but a row updated exactly at it belongs in, also where the API leaves it out. A start date
    later than the bookmark overrides it.
    """
    try:
        if start_date and (bookmark is None or start_date > bookmark):
            margin = timedelta(0) if spec.since_is_inclusive else timedelta(milliseconds=1)
            return format_timestamp(start_date - margin)
        if bookmark is None:
            return None
        return format_timestamp(bookmark - timedelta(minutes=lookback_minutes))
    except OverflowError:  # before the year 1
        return None


def _show(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "not set" if value is None else str(value).lower()
