"""The two promises: no row is lost, and no row is billed twice.

`Delivery._pages` below is the one place that shows why they hold. For each page, in this order:

1. The raw page is read from the journal if it has been billed before. Otherwise it is requested,
   and its raw body is written and synced to disk before anything parses it.
2. The page is parsed and passes the gate, or it stays in the journal for a newer tap version.
3. Its rows are written, followed by the profiles of their companies if selected.
4. The state moves past the page.

A crash between two steps repeats the later ones, free of charge: rows that are written twice are
the same rows to an upsert. Only a page that was requested but is not yet on disk can be billed
again after a crash.

The bookmark becomes the start of the scan: an instant before its first request, by the slower of
two clocks. It moves only when the scan is complete, so later changes are newer than the bookmark
and found by the next run. Only `StreamState.complete` moves it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from tap_jobo.api.page import check_has_more, falls_short, page_decoder, read_page
from tap_jobo.clock import parse_timestamp
from tap_jobo.errors import ApiError, BudgetReachedError, CursorRejectedError, FormatError
from tap_jobo.sync.gate import pass_gate
from tap_jobo.sync.loop_guard import LoopGuard
from tap_jobo.wording import dollars, plural

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Generator, Iterator, Sequence

    from tap_jobo.api.budget import FeedCost
    from tap_jobo.api.feed_reader import RawPage
    from tap_jobo.api.page import Page
    from tap_jobo.journal.journal import Journal
    from tap_jobo.journal.page_store import Entry
    from tap_jobo.records.converter import Conversion, RecordConverter, Row
    from tap_jobo.scan import Scan
    from tap_jobo.streams.feed_spec import FeedSpec
    from tap_jobo.sync.report import Report
    from tap_jobo.sync.start import SyncStart
    from tap_jobo.sync.state import StreamState


class _FetchesPages(Protocol):
    def fetch_page(self, scan: Scan) -> RawPage: ...

    def reconcile(self, page: RawPage, rows: int, requested: int) -> str: ...


@dataclass(frozen=True, slots=True)
class _StoredPage:
    """An unparsed page on disk; `raw` is set if it was billed in this run."""

    entry: Entry
    body: bytes
    raw: RawPage | None = None


class Delivery:
    """One sync of a feed: delivers scans from the journal and the API to standard output.

    Args:
        spec: The feed.
        start: What the settings ask for.
        state: The stream's state at the start of the run.
        journal: The pages that have been billed.
        reader: Fetches all other pages.
        converter: Converts rows to records.
        cost: What the feed has cost.
        report: Counts what was delivered.
        write_state: Writes a STATE message.
        check: Raises if the run must not continue: a signal arrived, or the target exited.
        after_page: Called after the rows of a page are written and before its state is.
        logger: Where progress and problems are reported.
    """

    def __init__(  # noqa: PLR0913 - each is a separate dependency
        self,
        *,
        spec: FeedSpec,
        start: SyncStart,
        state: StreamState,
        journal: Journal,
        reader: _FetchesPages,
        converter: RecordConverter,
        cost: FeedCost,
        report: Report,
        write_state: Callable[[StreamState], None],
        check: Callable[[], None],
        after_page: Callable[[], None],
        logger: logging.Logger,
    ) -> None:
        self._spec = spec
        self._start = start
        self._state = state
        self._journal = journal
        self._reader = reader
        self._converter = converter
        self._decoder = page_decoder(spec, converter.row_type)
        self._cost = cost
        self._report = report
        self._write_state = write_state
        self._check = check
        self._after_page = after_page
        self._logger = logger
        self._tally = journal.tally()
        self._has_expired_pages = False
        self._estimate: int | None = None
        self.received_at = start.clock.now()  # of the page that `pages` yields
        self._is_first_sync = state.bookmark is None and state.pending is None

    def pages(self) -> Iterator[Sequence[Row]]:
        """Yield the records of each page, which must be written before the next is requested.

        Raises:
            TapJoboError: The run cannot continue. The state covers what was delivered.
        """
        scan: Scan | None = self._first_scan()
        try:
            while scan:
                scan = yield from self._deliver(scan)
            self._report.is_complete = True
        except BudgetReachedError as reached:
            self._logger.warning("%s", reached)

    def _deliver(self, scan: Scan) -> Generator[Sequence[Row], None, Scan | None]:
        """Deliver a scan as far as possible, and return the scan to run next, if any."""
        self._journal.report_replay(scan)
        is_fresh, scan, rejection = yield from self._pages(scan)
        if rejection:
            return self._start_over(scan, rejection)
        if is_fresh:
            return None
        following = self._start.catch_up(scan)
        return self._journal.resume(following, scan.start)

    def _pages(
        self, scan: Scan
    ) -> Generator[Sequence[Row], None, tuple[bool, Scan, CursorRejectedError | None]]:
        """Deliver a scan's pages: raw page on disk, gate, rows, profiles, state.

        Returns:
            Whether the last page was fetched in this run, so that the rows are up to date; the
            scan as far as it got; the error if the API rejected its cursor.
        """
        guard = LoopGuard()
        while True:
            self._check()
            try:
                scan, stored = self._stored(scan) or self._fetch(scan)
            except CursorRejectedError as rejection:
                return False, scan, rejection
            page, conversion = self._open(scan, stored, guard)
            self.received_at = parse_timestamp(stored.entry.received_at)
            self._report.page_started(
                len(conversion.records), len(conversion.skipped), is_replayed=stored.raw is None
            )
            yield conversion.records
            self._after_page()
            scan = self._checkpoint(scan, page)
            self._write_state(self._state)
            self._report.show_progress()
            if not page.has_more:
                self._report_no_rows(scan)
                self._report_few_rows(scan)
                return stored.raw is not None, scan, None
            if page.estimated_total is not None and scan.rows == len(page.items):
                self._estimate = page.estimated_total
                self._report.estimate(page.estimated_total, scan.batch_size)
            guard.detect_stall([record["id"] for record in conversion.records])

    def _stored(self, scan: Scan) -> tuple[Scan, _StoredPage] | None:
        """Return the scan's next page if it has already been billed."""
        entry = self._journal.find(scan)
        return (scan, _StoredPage(entry, self._journal.load(entry))) if entry else None

    def _fetch(self, scan: Scan) -> tuple[Scan, _StoredPage]:
        """Request the scan's next page, and write it to disk before anything parses it."""
        raw = self._reader.fetch_page(scan)
        if scan.started_at is None:
            scan = replace(scan, started_at=raw.started_at)
        entry = self._journal.put(scan, raw.body, cost=raw.cost, received_at=raw.received_at)
        if not self._has_expired_pages:
            self._has_expired_pages = True
            self._journal.expire(self._start.clock.local, self._start.clock.now())
        return scan, _StoredPage(entry, raw.body, raw)

    def _open(self, scan: Scan, stored: _StoredPage, guard: LoopGuard) -> tuple[Page, Conversion]:
        """Parse a page and check it at the gate.

        Raises:
            FormatError: It cannot be delivered. It stays in the journal.
        """
        entry = stored.entry
        tally = self._tally if entry.rows is None else entry.tally
        try:
            page = read_page(stored.body, self._spec, scan.cursor, self._decoder)
            if stored.raw:
                self._reconcile(stored.raw, entry, scan, page)
            guard.detect_pagination_loop(scan, page)
            conversion = self._convert(scan, page)
            following_tally = pass_gate(conversion, tally, self._spec.name)
        except (ApiError, FormatError) as error:
            raise FormatError(f"{error}. {self._ways_out(entry)}") from error
        self._journal.quarantine([json.dumps(row).encode() for row in conversion.skipped])
        self._report.quarantined = self._journal.quarantined
        self._journal.note(
            entry,
            following=page.next_cursor if page.has_more else None,
            rows=len(page.items),
            tally=tally,
        )
        if following_tally != self._tally:
            self._tally = following_tally
            self._journal.set_tally(following_tally)
        return page, conversion

    def _reconcile(self, raw: RawPage, entry: Entry, scan: Scan, page: Page) -> None:
        """Correct the page's charge, and compare it and its header with what the body says.

        Raises:
            ApiError: Header and body contradict each other about whether more pages follow.
        """
        if dispute := self._reader.reconcile(raw, len(page.items), scan.batch_size):
            self._journal.quarantine([raw.body])  # evidence for a claim
            self._logger.error(
                "%s. Page %s is delivered, and its raw body is kept with the quarantined rows: "
                "contact Jobo about the difference.",
                dispute,
                entry.name,
            )
        check_has_more(page, raw.has_more)

    def _convert(self, scan: Scan, page: Page) -> Conversion:
        if page.are_rows_checked:
            return self._converter.complete(page.items)
        rows: list[Any] = [self._spec.to_row(item, scan.started_at or "") for item in page.items]
        return self._converter.convert(rows)

    def _ways_out(self, entry: Entry) -> str:
        if not self._journal.holds(entry):
            again = "requested" if self._spec.is_free else "billed"
            return (
                "The state stays as it was. Run again later, or look for a newer tap-jobo; the "
                f"page is then {again} again."
            )
        return (
            f"The page stays in the journal as {entry.name}, and the state is unchanged: a newer "
            "tap-jobo will replay it free of charge. Or drop it with `python -m tap_jobo.journal "
            f"drop {entry.name}`; fetching it again costs "
            f"{dollars(entry.credits or entry.batch_size * self._spec.list_price)}."
        )

    def _checkpoint(self, scan: Scan, page: Page) -> Scan:
        """Advance the state past a page whose rows are written, without writing the state yet."""
        cursor = page.next_cursor if page.has_more else None
        scan = replace(scan, rows=scan.rows + len(page.items), cursor=cursor)
        if page.has_more:
            self._state = self._state.checkpoint(scan, self._start.filters)
        else:
            self._state = self._state.complete(scan, self._start.filters)
        return scan

    def _report_no_rows(self, scan: Scan) -> None:
        """Warn if the first sync ever matched nothing: a filter may be misspelled."""
        filters = {name: value for name, value in self._start.filters.items() if value is not None}
        if self._is_first_sync and not (scan.rows or scan.base) and filters:
            self._logger.warning(
                "No row of %s matches the filters %s. A value that Jobo does not know matches "
                "nothing: check their spelling.",
                self._spec.name,
                ", ".join(filters),
            )

    def _report_few_rows(self, scan: Scan) -> None:
        """Warn if far fewer rows came than Jobo estimated at the start of the sync."""
        if self._estimate is not None and falls_short(scan, self._estimate):
            self._logger.warning(
                "The sync of %s ended after %s, but Jobo estimated %s. If rows are missing, run a "
                "full refresh or contact Jobo.",
                self._spec.name,
                plural(scan.rows, "row"),
                f"{self._estimate:,}",
            )

    def _first_scan(self) -> Scan:
        state = self._state
        scan = self._start.first_scan(
            state, are_pages_waiting=bool(self._journal.pages_of_others_after(state.completed))
        )
        self._journal.acknowledge(state.completed, state.pending)
        is_pending = state.pending is not None and scan.id == state.pending.id
        if not is_pending:
            scan = self._journal.resume(scan, self._start.bookmark(state))
        self._report_unused(scan, None if is_pending else state.pending)
        return scan

    def _report_unused(self, scan: Scan, previous: Scan | None) -> None:
        rows, cost = self._journal.unused(scan, previous, self._state.completed)
        if rows or cost:
            self._logger.warning(
                "The journal holds %s of %s, worth %s, that this run does not use: they "
                "belong to a sync with other filters, a shorter lookback_minutes, a later "
                "start_date, or another state. To use them, run with those settings or that "
                "state.",
                plural(rows, "row"),
                self._spec.name,
                dollars(cost or rows * self._cost.price),
            )

    def _start_over(self, scan: Scan, rejection: CursorRejectedError) -> Scan:
        """Return the scan that replaces one whose cursor was rejected, once per sync."""
        if scan.cursor is None:
            raise rejection
        cost = dollars(scan.rows * self._cost.price)
        if scan.restarts:
            raise ApiError(
                f"{rejection}, again in a sync that was started over once. To start over costs "
                f"{cost} for the {plural(scan.rows, 'row')} so far: "
                f"{self._how_to_start_over(scan)}."
            ) from rejection
        self._logger.warning(
            "%s: the sync starts over, and the %s so far will be billed again for %s.",
            rejection,
            plural(scan.rows, "row"),
            cost,
        )
        return self._journal.resume(self._start.restarted(scan), None)

    def _how_to_start_over(self, scan: Scan) -> str:
        """Return what the user can do about a sync whose cursor was rejected twice."""
        is_kept = self._journal.holds_any(scan)
        drop = f"`python -m tap_jobo.journal drop {scan.id}`, then " if is_kept else ""
        if not scan.since:
            return f"run {drop}a full refresh (without state)"
        return (
            f"run {drop}the tap with a state in which 'started_at' of 'scan' is null; a full "
            "refresh (without state) is billed for all rows"
        )
