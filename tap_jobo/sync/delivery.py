"""The two promises: no row is lost, and no row is bought twice.

`Delivery._pages` below is the one place that shows why they hold. For each page, in this order:

1. the journal: a page that was paid for before is read from disk; one that was not is bought,
   and on disk before anything else happens;
2. the rows: all of them are written, and the profiles of their companies if these are wanted,
   before
3. the state says so.

A crash between two of these steps repeats what follows it, for nothing: rows that are written
twice are the same row to an upsert. A page that is bought but not yet on disk is the only one
that a crash can make the user pay for again.

The bookmark becomes the start of the scan, an instant before its first request by the slower of
two clocks, and only when the scan has reached its end: whatever changed since is newer than the
bookmark and found by the next run. Nothing but `StreamState.complete` moves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tap_jobo.api.budget import dollars
from tap_jobo.errors import ApiError, BudgetReachedError, CursorRejectedError
from tap_jobo.scan import Scan

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Generator, Iterator
    from datetime import datetime

    from tap_jobo.api.budget import Account
    from tap_jobo.api.page import Page
    from tap_jobo.journal.journal import Journal
    from tap_jobo.records.converter import RecordConverter, Row
    from tap_jobo.scan import StreamState
    from tap_jobo.sync.report import Report
    from tap_jobo.sync.start import SyncStart


class _Buys(Protocol):
    def fetch_page(self, scan: Scan, bookmark: datetime | None) -> Page: ...


class Delivery:
    """One run: scans, from the journal and the feed, to standard output and the state.

    Args:
        plan: What the settings ask for.
        state: The stream's state, written to after each page.
        journal: The pages that are paid for.
        feed: Where pages are bought.
        cleaner: Makes records of rows.
        account: What the feed costs.
        report: Counts what was delivered.
        write_state: Writes a STATE message with the state as it is.
        check: Raises if the run must not go on: a signal came, or the target went away.
        logger: Where the course of the run is told.
        finish_page: Does what remains to be done for a page whose rows are out.
    """

    def __init__(  # noqa: PLR0913 - the parts of a run, each with a purpose of its own
        self,
        *,
        plan: SyncStart,
        state: StreamState,
        journal: Journal,
        feed: _Buys,
        cleaner: RecordConverter,
        account: Account,
        report: Report,
        write_state: Callable[[], None],
        check: Callable[[], None],
        logger: logging.Logger,
        finish_page: Callable[[], None] = lambda: None,
    ) -> None:
        self._plan = plan
        self._state = state
        self._journal = journal
        self._feed = feed
        self._cleaner = cleaner
        self._account = account
        self._report = report
        self._finish_page = finish_page
        self._write_state = write_state
        self._check = check
        self._logger = logger
        self._passed: set[str] = set()
        """Starts of the scans that this run is through with."""

    def records(self) -> Iterator[Row]:
        """Yield the records of the run; each must be written before the next is asked for.

        Raises:
            TapJoboError: The run cannot go on. What was delivered is in the state.
        """
        scan: Scan | None = self._first_scan()
        try:
            while scan:
                scan = yield from self._scan(scan)
        except BudgetReachedError as reached:
            self._logger.warning("%s", reached)

    def _scan(self, scan: Scan) -> Generator[Row, None, Scan | None]:
        """Deliver a scan as far as it goes, and return the one to follow it, if any."""
        self._journal.tell_of_replay(scan)
        try:
            is_fresh = yield from self._pages(scan)
        except CursorRejectedError as rejection:
            return self._start_over(scan, rejection)
        return None if is_fresh else self._catch_up(scan)

    def _pages(self, scan: Scan) -> Generator[Row, None, bool]:
        """Deliver the scan's pages to its end: journal, rows, state.

        Returns:
            Whether the last page was bought now, so that the rows are as fresh as they can be.
        """
        self._report.is_complete = False
        used: set[int] = set()
        while True:
            self._check()
            page = self._journal.read(scan)
            is_replayed = page is not None
            if page is None:
                page = self._feed.fetch_page(scan, self._plan.bookmark(self._state))
            detect_pagination_loop(scan, page, used)
            if not is_replayed:
                self._journal.write(scan, page)
            yield from self._cleaner.clean(page.rows, is_plain=page.is_plain)
            self._finish_page()
            self._note(scan, page)
            self._write_state()
            self._report.page_delivered(len(page.rows), is_replayed=is_replayed)
            if not page.has_more:
                return not is_replayed

    def _note(self, scan: Scan, page: Page) -> None:
        """Put into the state, not yet written, that a page's rows are out."""
        scan.rows += len(page.rows)
        scan.cursor = page.next_cursor
        self._report.is_complete = not page.has_more
        if page.has_more:
            self._state.checkpoint(scan, self._plan.filters)
        else:
            self._state.complete(scan, self._plan.filters)

    def _first_scan(self) -> Scan:
        scan = self._plan.first_scan(self._state)
        self._journal.acknowledge(bookmark=self._state.bookmark, pending=self._state.pending)
        return scan if self._state.pending else self._adopt(scan)

    def _adopt(self, scan: Scan) -> Scan:
        """Let a scan that would begin go on as one that was paid for but is not in the state."""
        self._journal.resume(scan, self._passed)
        return scan

    def _catch_up(self, scan: Scan) -> Scan:
        """Return the scan that follows one which came from the journal and may be old."""
        self._pass(scan)
        return self._adopt(self._plan.new_scan(self._state.bookmark))

    def _start_over(self, scan: Scan, rejection: CursorRejectedError) -> Scan:
        """Return the scan that begins again what the API cannot continue, once a scan."""
        if scan.cursor is None:
            raise rejection
        cost = dollars(scan.rows * self._account.price)
        if scan.restarts:
            raise ApiError(
                f"{rejection}, again in a scan that was started over once. To start over costs "
                f"{cost} for the {scan.rows:,} rows so far: run a full refresh (without state) "
                "to do so."
            ) from rejection
        self._logger.warning(
            "%s: the scan starts over, and the %s rows so far are bought again for %s.",
            rejection,
            f"{scan.rows:,}",
            cost,
        )
        self._journal.discard(scan)
        self._pass(scan)
        again = Scan(scan.updated_after, self._plan.batch_size, restarts=scan.restarts + 1)
        return self._adopt(again)

    def _pass(self, scan: Scan) -> None:
        if scan.started_at:
            self._passed.add(scan.started_at)


def detect_pagination_loop(scan: Scan, page: Page, used: set[int]) -> None:
    """See that a page does not lead back to one before it, which would be bought for ever.

    Args:
        scan: The scan, whose cursor asked for the page.
        page: The page.
        used: Hashes of the cursors used so far, to which the scan's is added.

    Raises:
        ApiError: It does.
    """
    used.add(hash(scan.cursor))
    if page.has_more and hash(page.next_cursor) in used:
        raise ApiError(
            "Jobo's answer gives a cursor as 'next_cursor' that was used before, so that the scan "
            "would go round for ever: the run stops here and the state stays where it was. Try "
            "again later; if it stays so, run a full refresh."
        )
