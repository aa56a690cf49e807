"""Where a sync starts: the sync in progress, or a new one from the bookmark or the start date."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

from tap_jobo.api.api_clock import ApiClock
from tap_jobo.archive.history import History
from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import EndlessFeedError
from tap_jobo.model import Filters, Sync, new_id
from tap_jobo.settings.common import START_DATE
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.filters import FilterChange
from tap_jobo.sync.gate import UnusedPages
from tap_jobo.sync.start_date import StartDate, start_of
from tap_jobo.sync.state import StreamState
from tap_jobo.wording import dollars, plural

_START: Final = START_DATE.name
SAFETY_MARGIN: Final = timedelta(hours=1)
"""Of the longest lookback: it covers the duration of a sync."""


@dataclass(kw_only=True)
class SyncStart:
    """What the settings and the catalog request of a sync.

    Attributes:
        spec: The feed.
        config: The settings.
        clock: Returns the API's clock. Its first call sends a free request.
        logger: Where decisions are reported.
        is_full_table: Whether the catalog says FULL_TABLE, which ignores the bookmark.
    """

    spec: FeedSpec
    config: Mapping[str, Any]
    clock: Callable[[], ApiClock]
    logger: logging.Logger
    is_full_table: bool

    def __post_init__(self) -> None:
        self.start_date = StartDate.parse(self.config.get("start_date"))
        self.filters = self.spec.filters_of(self.config)
        self.selected = {name: each for name, each in self.filters.items() if each is not None}
        self.lookback_minutes: int = self.config["lookback_minutes"]
        self.batch_size = self.spec.page_size(self.config)
        # To read a free feed again costs nothing, so there is nothing to decide.
        self.on_filter_change = "resync" if self.spec.is_free else self.config["on_filter_change"]
        self.on_missing_state = self.config["on_missing_state"]

    def bookmark(self, state: StreamState) -> datetime | None:
        """Return the bookmark that a new sync continues from, None for a full sync.

        In place of a full sync in progress, that is a full one, too: the bookmark may be of other
        filters.
        """
        change = self.filter_change(state)
        if self.is_full_table or (not change and state.pending and state.pending.is_full):
            return None
        if change and self._is_resync(state):
            return state.bookmark if change.only_narrows and not state.pending else None
        return state.bookmark

    def _is_resync(self, state: StreamState) -> bool:
        """Return whether changed filters are read anew; a sync of added values has decided it."""
        return self.on_filter_change == "resync" or bool(state.pending and state.pending.added)

    def new_sync(self, state: StreamState) -> Sync:
        """Return a new sync of rows updated since the bookmark or the start date."""
        bookmark = self.bookmark(state)
        added = self.added(state) if self._is_resync(state) else None
        is_full = bookmark is None and not added
        return self._sync(bookmark, state.completed, is_full=is_full, added=added)

    def with_defaults(self, state: StreamState) -> StreamState:
        """Return a state with what it does not say: its start date, and whether its sync is full.

        A state lacks the start date if it was written by hand.
        """
        covered, pending = state.covered_from or self.start_date, state.pending
        if pending:
            is_full = not pending.added and pending.since == self._window_start(covered)
            pending = replace(pending, is_full=is_full)
        return replace(state, covered_from=covered, pending=pending)

    def without_unwanted(self, state: StreamState) -> StreamState:
        """Return a state without a sync of added values that the settings do not add any more."""
        pending = state.pending
        if pending and pending.added and pending.added != self.added(state):
            return replace(state, pending=None, dropped=pending)
        return state

    def added(self, state: StreamState) -> Filters | None:
        """Return the filters of the rows that a change adds, None if they have no such filters."""
        is_other = state.pending and not state.pending.added
        change = self.filter_change(state)
        if is_other or self.is_full_table or not (state.bookmark and change and change.added):
            return None
        name, added = change.added
        return self.filters | {name: added}

    def first_sync(self, state: StreamState, history: History) -> tuple[Sync, StreamState]:
        """Return the sync that a run starts with, and the state before it.

        The archive then forgets what has arrived.
        """
        if state.bookmark and not state.pending:
            filters = self.filters if state.filters is None else state.filters
            covered = state.covered_from or self.start_date
            history.acknowledge(state.completed, state.bookmark, covered.text, filters)
        pending, bookmark = self.resumable(state), self.bookmark(state)
        if pending and (sync := history.go_on(pending)):
            return sync, state
        is_refresh = self.on_missing_state == "resync"
        sync = history.resume(self.new_sync(state), bookmark, is_refresh=is_refresh)
        if not sync.added:
            state = replace(state, covered_from=self.covered_from(state, bookmark, sync))
        return sync, state

    def covered_from(self, state: StreamState, bookmark: datetime | None, sync: Sync) -> StartDate:
        """Return from when on all rows have been read once a sync is complete.

        Without a gap between the bookmark and the window of the sync, that is where the earlier
        syncs began, or what the setting asks for, if that is earlier.
        """
        window = since = self.start_date
        if sync.number and sync.since != self._since(bookmark):
            window = start_of(self.spec, sync.since)  # it was begun with another start_date
            since = StartDate.parse(sync.since)  # without a lookback, the bookmark itself
        if bookmark is None or since.is_after(bookmark):
            return window
        return self.start_date.earlier_of(state.covered_from or self.start_date)

    def catch_up(self, replayed: Sync) -> Sync:
        """Return the sync of rows that may have changed since a replayed sync started."""
        return self._sync(parse_timestamp(replayed.started_at or ""), replayed.id)

    def restarted(self, sync: Sync) -> Sync:
        """Return the sync that replaces one whose cursor was rejected."""
        return Sync(
            id=new_id(),
            since=self._reachable(sync.since),
            batch_size=self.batch_size,
            restarts=sync.restarts + 1,
            parent_id=sync.parent_id,
            replaces=sync.id,
            is_full=sync.is_full,
            added=sync.added,
            selected=sync.selected,
        )

    def check(self, state: StreamState, history: History) -> None:
        """Check a state and what the archive has before the first billed request.

        Raises:
            ClockError: A time of the state is in the future.
            StateError: Rows could be missing after a change of filters, or billed pages could not
                be used any more, and the user has not decided.
        """
        is_addition = bool(self.added(state))
        self.clock().reject_future(state.bookmark if is_addition else self.bookmark(state))
        self.clock().reject_future(state.pending.start if state.pending else None)
        is_decided = state.pending and state.pending.added
        change = None if is_decided else self.filter_change(state)
        unused = self._left_behind(state, history)
        if change and not (change.is_harmless and not state.pending):
            self._decide(change, state, history)
        elif change:
            self.logger.info(
                "%s: no row is missing, and rows that no longer match stay in the warehouse.",
                change.describe(),
            )
        if unused and not self._is_given_up(state):
            raise unused.question()
        if unused:
            self.logger.warning("%s", unused.loss)
        refreshes = replace(unused, syncs=history.refreshes(unused.used))
        if refreshes:
            self.logger.warning("%s", refreshes.other_state)
        if state.dropped:
            self._report_dropped(state.dropped)

    def _report_dropped(self, sync: Sync) -> None:
        self.logger.warning(
            "%s They are billed again if this run or a later one reads these values. "
            "[unused-pages]",
            self._describe_dropped(sync),
        )

    def _describe_dropped(self, sync: Sync) -> str:
        why = "the filters or start_date have changed again"
        if self.is_full_table:
            why = "the catalog says FULL_TABLE"
        rows, cost = plural(sync.rows, "row"), dollars(sync.rows * self.spec.list_price)
        return (
            f"The sync of values added to the filters of {self.spec.name} is given up after {rows} "
            f"({cost} at list price), because {why}."
        )

    def _decide(self, change: FilterChange, state: StreamState, history: History) -> None:
        """Raise StateError if the user has not decided what to do; otherwise log the decision."""
        is_addition = self.added(state) is not None
        ways = {
            choice: self._choosing(choice)._left_behind(state, history)  # noqa: SLF001
            for choice in ("resync", "keep")
        }
        uses = {choice: way.uses for choice, way in ways.items()}
        if self.on_filter_change == "error":
            gives_up = {choice: way.clause for choice, way in ways.items()}
            raise change.error(state, uses, gives_up, is_addition=is_addition)
        log = self.logger.info if self.spec.is_free else self.logger.warning
        log("%s", change.decision(state, uses, self.on_filter_change, is_addition=is_addition))

    def _choosing(self, on_filter_change: str) -> Self:
        return replace(self, config={**self.config, "on_filter_change": on_filter_change})

    def _is_given_up(self, state: StreamState) -> bool:
        """Return whether the user has decided that pages need not be used."""
        is_refresh = self.on_missing_state == "resync" and not state.has_begun
        return is_refresh or self.on_filter_change != "error"

    def record_decision(self, state: StreamState, history: History) -> None:
        """Record what the run gives up, once all streams are checked, so that no later run asks."""
        with suppress(EndlessFeedError):
            sync, _ = self.first_sync(state, history)
            unused = self.unused(state, history, sync)
            history.record_decision(sync, unused.syncs, self.catch_up)
            has_state = state.has_begun and self.on_missing_state == "error"
            history.record_overwritten(sync, unused.delivered, has_state=has_state)

    def _left_behind(self, state: StreamState, history: History) -> UnusedPages:
        """Return the billed pages that no state covers, and that the run can't use."""
        with suppress(EndlessFeedError):  # raised once the stream is read
            sync, _ = self.first_sync(state, history)
            return self.unused(state, history, sync)
        return UnusedPages(self.spec, self.new_sync(state), [], history)

    def unused(self, state: StreamState, history: History, used: Sync) -> UnusedPages:
        """Return the billed pages that no state covers, and that no run can use after a sync."""
        delivered = state.dropped or state.pending
        return UnusedPages(
            spec=self.spec,
            used=used,
            syncs=history.unused(used, delivered, self.catch_up),
            history=history,
            delivered=delivered,
            filters=state.filters if state.has_begun else None,
            is_full_table=self.is_full_table,
        )

    def resumable(self, state: StreamState) -> Sync | None:
        """Return the sync in progress, None if there is none that can be resumed."""
        pending = state.pending
        is_wanted = pending and (pending.added or not self.filter_change(state))
        if pending and is_wanted and not self._is_too_old(pending):
            return replace(pending, selected=self.selected)
        return None

    def report(self, state: StreamState) -> None:
        """Report what a new sync does not read."""
        if self.resumable(state):
            return
        self._report_gap(state)
        bookmark = self.bookmark(state)
        if bookmark and self.start_date.is_after(bookmark):
            self.logger.info(
                "start_date is later than the bookmark %s: rows updated in between are not read.",
                format_timestamp(bookmark),
            )

    def report_resumed(self, sync: Sync, bookmark: datetime | None) -> None:
        """Warn if settings do not apply to a sync that is resumed."""
        usual = {self._since(bookmark), self._since(None)}
        if sync.batch_size != self.batch_size or sync.since not in usual:
            self.logger.warning(
                "The resumed sync keeps its page size (%s) and window. New values of start_date, "
                "lookback_minutes, and the page size apply from the next sync.",
                sync.batch_size,
            )

    def filter_change(self, state: StreamState) -> FilterChange | None:
        """Return how filters and start date differ from those of the state, if rows could miss."""
        if not state.has_begun:
            return None
        old = (self.filters if state.filters is None else state.filters) | {_START: None}
        new = self.filters | {_START: None}
        if state.covered_from and not state.covered_from.covers(self.start_date):
            old[_START], new[_START] = state.covered_from.text, self.start_date.text
        return None if old == new else FilterChange(self.spec, old, new, self.is_full_table)

    # The window

    def _sync(
        self,
        bookmark: datetime | None,
        parent_id: str,
        *,
        is_full: bool = False,
        added: Filters | None = None,
    ) -> Sync:
        return Sync(
            id=new_id(),
            since=self._reachable(self._since(bookmark)),
            batch_size=self.batch_size,
            parent_id=parent_id,
            is_full=is_full,
            added=added,
            selected=self.selected,
        )

    def _since(self, bookmark: datetime | None) -> str | None:
        if bookmark is None or self.start_date.is_after(bookmark):
            return self._window_start(self.start_date)
        with suppress(OverflowError):  # before the year 1
            return format_timestamp(bookmark - timedelta(minutes=self.lookback_minutes))
        return None

    def _window_start(self, start: StartDate) -> str | None:
        with suppress(OverflowError):  # before the year 1
            return format_timestamp(start.instant - self.spec.margin) if start.instant else None
        return None

    def _reachable(self, since: str | None) -> str | None:
        """Return the start of a window, no earlier than the API allows for the feed."""
        oldest = self._oldest()
        return max(since or "", format_timestamp(oldest)) if oldest else since

    def _oldest(self) -> datetime | None:
        if self.spec.longest_lookback is None:
            return None
        return self.clock().now() - self.spec.longest_lookback + SAFETY_MARGIN

    def _is_too_old(self, pending: Sync) -> bool:
        oldest = self._oldest()
        return bool(oldest and (pending.since or "") < format_timestamp(oldest - SAFETY_MARGIN))

    def _report_gap(self, state: StreamState) -> None:
        """Warn if a feed no longer covers everything since the last sync."""
        lookback, oldest = self.spec.longest_lookback, self._oldest()
        known = state.bookmark or (state.pending and state.pending.start)
        if lookback and oldest and known and known < oldest:
            self.logger.warning(
                "Jobo lists %s of the last %d days only, so those from %s to %s can no longer be "
                "fetched. %s [expired-gap]",
                self.spec.name.replace("_", " "),
                lookback.days,
                format_timestamp(known),
                format_timestamp(oldest),
                self.spec.gap_advice,
            )
