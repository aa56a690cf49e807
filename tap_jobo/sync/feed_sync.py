"""The two promises: no row is lost, and no row is billed twice.

`FeedSync.pages` is the one place that shows why they hold; ARCHITECTURE.md draws its steps. A page
is on disk before it is parsed, its rows are written before the state moves past it, and a crash
between two steps repeats the later ones, free. Only a page in flight, whose response is not on disk
yet, is billed again after a kill. Only `StreamState.complete` moves the bookmark: to an instant
before the sync's first request, so the next run finds whatever changed since.
"""

import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import NAMESPACE_OID, uuid5

from tap_jobo.api.feed import FeedReader
from tap_jobo.api.pages import ParsedPage
from tap_jobo.archive.archive import DISPUTED, Archive
from tap_jobo.clock import parse_timestamp
from tap_jobo.errors import (
    ApiError,
    BudgetReachedError,
    EndlessFeedError,
    FormatError,
    RejectedError,
)
from tap_jobo.model import BilledPage, PageHeader, Sync
from tap_jobo.records.converter import RecordConverter, Row
from tap_jobo.records.values import parse_uuid
from tap_jobo.sync.filters import show
from tap_jobo.sync.guards import CheckedPage, LoopGuard, PageGuard
from tap_jobo.sync.report import Report
from tap_jobo.sync.start import SyncStart
from tap_jobo.sync.state import StreamState
from tap_jobo.wording import dollars, plural

_LET_ONE_RUN_FINISH: Final = (
    "A cursor may expire between runs, so let one run finish the sync: raise max_credits."
)
_FAR_BELOW: Final = 0.8  # the share of an estimate below which rows may be missing


@dataclass(frozen=True, slots=True)
class Delivery:
    """A page to write: its records, when it was received, and the state that follows them."""

    records: Sequence[Row]
    bill: Sequence[Row]  # of the stream billed_pages, none if nothing is billed
    received_at: datetime
    state: StreamState


@dataclass(kw_only=True)
class FeedSync:
    """One stream's part of a run: syncs from the archive and the API to standard output.

    Attributes:
        check: Raises if the run must not go on: a signal arrived, or another run has the lock.
    """

    start: SyncStart
    state: StreamState
    archive: Archive
    reader: FeedReader
    converter: RecordConverter
    report: Report
    check: Callable[[], None]

    def __post_init__(self) -> None:
        self._spec = self.start.spec
        self._logger = self.start.logger
        self._page_guard = PageGuard(
            self._spec, self.converter, self._logger, in_place_of=self._in_place_of
        )
        self._estimate = 0  # the rows of the whole sync, if its first page says
        self._has_restarted = False  # a free sync, which may start over once in a run
        self._is_announced = False
        self._is_first_sync = not self.state.has_begun

    def pages(self) -> Generator[Delivery]:
        """Yield each page. To resume means that its rows, and then its state, are written."""
        try:
            sync: Sync | None = self._begin(self._first_sync())
            while sync:
                self.check()
                try:
                    billed = self._find_or_fetch(sync)
                except RejectedError as rejection:
                    if not (sync.cursor and rejection.names_cursor):
                        raise
                    sync = self._begin(self._start_over(sync, rejection))
                    continue
                checked = self._parse_and_check(sync, billed)
                page, records = checked.page, checked.records
                sync = self._advance(sync, billed, page)
                received_at = parse_timestamp(billed.header.received_at)
                bill = self._bill(sync, billed.header, len(page.items))
                self._count(billed, len(page.items), len(records))  # even if it can't be written
                yield Delivery(records, bill, received_at, self.state)
                self.archive.check_written()
                sync = self._next(sync, billed, page, records)
            self.report.is_complete = True
        except BudgetReachedError as reached:
            why, _, code = str(reached).rpartition(" ")
            self._logger.warning("%s%s %s", why, self.report.describe_share(), code)

    def _first_sync(self) -> Sync:
        """Return the sync that the run starts with."""
        history = self.archive.history
        if self.state.has_begun:
            history.warn_if_restored(self.state.bookmark, self.state.completed, self.state.pending)
        self.start.report(self.state)
        sync, self.state = self.start.first_sync(self.state, history)
        history.expire(self._now(), sync, self.state.completed)
        return sync

    def _begin(self, sync: Sync) -> Sync:
        """Write a new sync to the archive; show the guard the pages that earlier runs delivered."""
        self._loop_guard = LoopGuard()
        self._has_replayed = self._has_fetched = False  # any page of the sync
        sync = self.archive.begin(sync, self._now())
        for billed in self.archive.delivered(sync):  # or runs of a few pages would hide a loop
            self._loop_guard.note_cursor(billed.header.cursor)
            try:
                page = self._parse(billed)
            except ApiError:  # an earlier version may have accepted more
                continue
            ids = [parse_uuid(row.get("id")) for row in page.items if isinstance(row, dict)]
            self._detect_stall(sync, [*filter(None, ids)])
        return sync

    def _find_or_fetch(self, sync: Sync) -> BilledPage:
        """Return the sync's next page from the archive, or fetch it and write it there."""
        page = self.archive.find(sync)
        if not self._is_announced:
            self._is_announced = True
            self.report.announce(sync, sync.reads, is_replay=page is not None)
        if page is None:
            if sync.cursor and not self._has_fetched:  # pages that are replayed are free
                self.start.report_resumed(sync, self.start.bookmark(self.state))
            self._has_fetched = True
            return self.archive.put(sync, self.reader.fetch_page(sync))
        if not self._has_replayed:
            self.archive.report_replay(sync, page)
            self._has_replayed = True
        return page

    def _parse_and_check(self, sync: Sync, billed: BilledPage) -> CheckedPage:
        header, dispute = billed.header, ""
        try:
            page = self._parse(billed)
            if not self.archive.is_replayed(billed):
                dispute = self.reader.cost.reconcile(header, len(page.items), sync.batch_size)
            checked = self._page_guard.check(
                sync, header, page, self._loop_guard, estimate=self._estimate
            )
        except (ApiError, FormatError) as error:
            ways_out = self._ways_out(sync, billed)
            raise FormatError(f"{error}. {ways_out}. [format-changed]") from error
        if dispute:
            self.archive.quarantine([billed.body], DISPUTED)
            self._logger.error(
                "%s. Contact Jobo. The page is delivered. [unexpected-bill]", dispute
            )
        self._quarantine(checked.skipped)
        return checked

    def _parse(self, billed: BilledPage) -> ParsedPage:
        page = self.reader.parse_page(billed)
        if not billed.header.cursor:
            self._estimate = page.estimated_total or 0
        return page

    def _quarantine(self, skipped: Sequence[object]) -> None:
        """Keep rows without a usable id in the archive."""
        are_kept = self.archive.quarantine([json.dumps(row).encode() for row in skipped])
        fate = ""
        if are_kept:
            export = self.archive.command("export", "--quarantined")
            fate = f" It was billed and is in quarantine: {export}."
        elif self.archive.failure:
            fate = " It was billed, and the archive could not keep it."
        self.converter.log_skipped(skipped, fate)

    def _advance(self, sync: Sync, billed: BilledPage, page: ParsedPage) -> Sync:
        """Return the sync past a page, and move the state in memory; `read` writes it later."""
        sync = replace(
            sync,
            started_at=billed.header.started_at,
            rows=sync.rows + len(page.items),
            pages=sync.pages + 1,
            cursor=page.next_cursor if page.has_more else None,
        )
        move = self.state.checkpoint if page.has_more else self.state.complete
        self.state = move(sync, self.start.filters)
        return sync

    def _bill(self, sync: Sync, header: PageHeader, rows: int) -> Sequence[Row]:
        """Return the row of a page, the same whenever the page is replayed."""
        credits_ = header.charge.of_rows(rows, sync.batch_size, self._spec.list_price)
        if self._spec.is_free or not (rows or credits_):
            return ()
        row = {
            "id": str(uuid5(NAMESPACE_OID, f"{sync.id}.{sync.pages}.{header.run}")),
            "stream": self._spec.name,
            "sync_id": sync.id,
            "page": sync.pages,
            "received_at": header.received_at,
            "rows": rows,
            "credits": credits_,
            "is_confirmed": header.charge.deducted == credits_,
            "filters": json.dumps(sync.reads, ensure_ascii=False, sort_keys=True),
        }
        return (row,)

    def _count(self, billed: BilledPage, rows: int, delivered: int) -> None:
        self.report.quarantined = self.archive.quarantined
        is_replayed = self.archive.is_replayed(billed)
        self.report.count_page(rows, rows - delivered, is_replayed=is_replayed)

    def _next(
        self, sync: Sync, billed: BilledPage, page: ParsedPage, records: Sequence[Row]
    ) -> Sync | None:
        """Return the sync to go on with after a page, None at the end."""
        if page.has_more:
            if page.estimated_total is not None and sync.rows == len(page.items):
                self.report.estimate(page.estimated_total, sync.batch_size)
            self._detect_stall(sync, [record["id"] for record in records])
            return sync
        self._report_missing_rows(sync)
        return self._following(sync, billed)

    def _following(self, sync: Sync, last: BilledPage) -> Sync | None:
        """Return the sync that follows a complete one, None at the end.

        After the rows that new filters add, that is what has changed of all rows since the
        bookmark. After a sync with replayed pages, it is what may have changed since that sync
        began, unless the run fetched its last page soon enough for the next run's lookback.
        """
        if sync.added:
            new, bookmark = self.start.new_sync(self.state), self.start.bookmark(self.state)
        else:
            bookmark = parse_timestamp(sync.started_at or "")
            passed = self.start.clock().earlier() - bookmark  # by the clock of the start
            is_recent = passed.total_seconds() <= self.start.lookback_minutes * 60
            if not self._has_replayed or (is_recent and not self.archive.is_replayed(last)):
                return None
            new = self.start.catch_up(sync)
        following = self.archive.history.resume(new, bookmark)
        covered = self.start.covered_from(self.state, bookmark, following)
        if bookmark:  # unless it reads everything: only a decision of the user accepts a gap
            covered = covered.later_of(self.state.covered_from or covered)
        self.state = replace(self.state, covered_from=covered)
        return self._begin(following)

    def _detect_stall(self, sync: Sync, ids: list[str]) -> None:
        try:
            self._loop_guard.detect_stall(ids)
        except EndlessFeedError as error:
            self.archive.end(sync)
            then = "The next run resumes from here"
            if self.archive.is_on:
                drop = self.archive.command("drop", sync.id)
                then = f"Later runs end before anything is billed, until you run {drop}"
            raise EndlessFeedError(
                f"{error}. Everything so far is delivered. {then}. [endless-feed]"
            ) from error

    def _start_over(self, sync: Sync, rejection: RejectedError) -> Sync:
        spent, is_free = dollars(sync.rows * self.report.cost.price), self._spec.is_free
        bill = f"its {plural(sync.rows, 'row')} so far are billed again ({spent})"
        if self._has_restarted or (sync.restarts and not is_free):
            way = self._in_place_of(sync)
            if not sync.is_full:  # the bookmark is of the same filters
                way = "the tap with 'started_at' of 'sync' set to null in the state"
                way = self._in_place_of(sync, way)
            again = f"To start over again, run {way}: {bill}. {_LET_ONE_RUN_FINISH}"
            if is_free:
                again = "Run again later: the next run starts over."
            raise ApiError(
                f"{rejection.why}. The sync has started over once, so it ends. {again} "
                "[cursor-rejected]"
            ) from rejection
        self._has_restarted = is_free
        self._logger.warning(
            "%s. The sync starts over, and %s [cursor-rejected]",
            rejection.why,
            "its rows are free." if is_free else f"{bill}. {_LET_ONE_RUN_FINISH}",
        )
        return self.archive.history.resume(self.start.restarted(sync), None)

    def _in_place_of(
        self, sync: Sync, way: str = "a full refresh of all streams (without state)"
    ) -> str:
        """Return what to run to read rows again: without the drop, the sync would be replayed."""
        archived = self.archive.history.syncs.get(sync.number)
        if not (archived and archived.pages):
            return way
        return f"{self.archive.command('drop', sync.id)}, then {way}"

    def _ways_out(self, sync: Sync, billed: BilledPage) -> str:
        if not self.archive.is_on or self.archive.failure:
            price = "free" if self._spec.is_free else "and pays for it again"
            then = f"The state is unchanged, so the next run fetches the page again, {price}"
            return f"{self.archive.failure}{then}"
        charge, page = billed.header.charge, sync.page_id(sync.pages + 1)
        again = "the page was free"
        if charge.credits:
            costs = "may cost" if charge.deducted is None else "costs"
            again = f"fetching it again {costs} {dollars(charge.credits)}"
        return (
            f"The page stays in the archive as {page}, and the state is unchanged. Upgrade "
            "tap-jobo to replay the page free, or drop it with "
            f"{self.archive.command('drop', page)}: {again}"
        )

    def _report_missing_rows(self, sync: Sync) -> None:
        """Warn if a complete sync may lack rows."""
        name, filters, estimate = self._spec.name, sync.reads, self._estimate
        is_without_rows = self._is_first_sync and not (sync.rows or sync.parent_id)
        if is_without_rows and filters:
            self._logger.warning(
                "No row of %s matches %s, so this run delivered nothing (%s). Values must match "
                "exactly: check their spelling. [no-match]",
                name,
                " and ".join(f"{each}={show(value)}" for each, value in filters.items()),
                dollars(self.report.cost.credits),
            )
        elif is_without_rows and not (sync.since or self._spec.is_free):
            self._logger.warning(
                "The first sync of %s has no row, although no filter is set. Later runs read only "
                "what changes from now on. If the key should have rows, contact Jobo, and then run "
                "%s. [missing-rows]",
                name,
                self._in_place_of(sync),
            )
        if sync.rows + sync.batch_size < _FAR_BELOW * estimate:
            self._logger.warning(
                "The sync of %s ended after %s, but Jobo estimated %s. If rows are missing, "
                "contact Jobo, and then run %s. [missing-rows]",
                name,
                plural(sync.rows, "row"),
                f"{estimate:,}",
                self._in_place_of(sync),
            )

    def _now(self) -> datetime:
        return self.start.clock().now()
