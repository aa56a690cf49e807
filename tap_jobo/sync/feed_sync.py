"""The two promises: no row is lost, and no row is bought twice.

`FeedSync.pages` is the one place that shows why they hold; ARCHITECTURE.md draws its steps. First,
it loads what the archive has and the warehouse lacks, free. Then it buys what the plan says, page
by page. A page is in the archive before it is parsed, its rows are written before the state moves
past it, and a crash between two steps repeats the later ones, free. Only a page in flight, whose
response is not in the archive yet, is billed again after a kill.
"""

import secrets
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from tap_jobo.api.api_clock import ApiClock
from tap_jobo.api.feed import FeedReader
from tap_jobo.api.pages import ParsedPage
from tap_jobo.archive import layout
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.archive.month import MonthCount
from tap_jobo.archive.store import StoreError
from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import (
    ApiError,
    ArchiveError,
    BudgetReachedError,
    EndlessFeedError,
    FormatError,
    PageCutOffError,
    RejectedError,
)
from tap_jobo.model import Entry, EntryHeader, Position, Receipt, Sync, new_id
from tap_jobo.records.converter import Conversion, RecordConverter, Row
from tap_jobo.sync import position as fold
from tap_jobo.sync.bill import bill_rows
from tap_jobo.sync.checks import PageChecks
from tap_jobo.sync.load import Contents, DroppedPages, LastVersions, with_following
from tap_jobo.sync.messages import Messages
from tap_jobo.sync.opening import Opening
from tap_jobo.sync.plan import NewSync, Request, Run, begun_over, oldest_since, plan
from tap_jobo.sync.report import Report
from tap_jobo.sync.settings import SyncSettings
from tap_jobo.sync.start import Adopt, Question
from tap_jobo.sync.state import State
from tap_jobo.sync.watch import SyncWatch

_SMALL: Final = 1_000  # bytes of a page that may have no rows


@dataclass(frozen=True, slots=True)
class Delivery:
    """What to write: records, when they were received, and the state that follows them."""

    records: Sequence[Row]
    bill: Sequence[Row]  # of the stream billed_pages, none if nothing is billed
    received_at: datetime
    state: State | None  # None: the next state covers these rows, too


@dataclass(kw_only=True)
class FeedSync:
    """One stream's part of a run: pages from the archive and the API to standard output.

    Attributes:
        settings: What the pipeline wants.
        opening: Opens the archive, and finds where the run starts in it.
        reader: Fetches and parses pages.
        clock: Returns the API's clock.
        converter: Makes records of rows.
        messages: What the user is told.
        report: Counts and announces what is read.
        has_bills: Whether the stream `billed_pages` is read.
        lock: Keeps other runs from buying the stream. It yields what raises if the lock is lost.
        open_month: Returns the count of the month. The run has the lock.
        raise_if_over: Raises if the run must not go on: a signal arrived, or the lock was lost.
    """

    settings: SyncSettings
    opening: Opening
    reader: FeedReader
    clock: Callable[[], ApiClock]
    converter: RecordConverter
    messages: Messages
    report: Report
    has_bills: bool
    lock: Callable[[StreamArchive], AbstractContextManager[Callable[[], None]]]
    open_month: Callable[[StreamArchive, Callable[[], None]], MonthCount]
    raise_if_over: Callable[[], None]

    def __post_init__(self) -> None:
        self._spec = self.settings.spec
        self._checks = PageChecks(self._spec, self.converter, self.messages.warn)
        self._watch = SyncWatch()
        self._announced = ""  # the id of the sync that the user was told of
        self._run = Run()
        self._run_id = secrets.token_hex(8)
        self._has_restarted = False  # a free sync, which may begin over once in a run
        self._month: MonthCount | None = None
        self._refusal: StoreError | None = None  # why the last page is not in the archive
        self._is_warned = False  # that the state is ahead of the archive
        self._end: ArchiveError | None = None  # what ends the run once that page is delivered
        state = self.opening.state
        self._bill_offset = state.bill_offset if state else None

    def pages(self) -> Generator[Delivery]:
        """Load, then buy. To resume means that the rows, and then the state, are written.

        Raises:
            HeldError: Another run buys the stream. What the archive has is loaded: call this again.
        """
        if self.opening.is_ahead and not self._is_warned:
            self._is_warned = True
            self.messages.warn_of_state_ahead()
        yield from self._load()
        archive = self.opening.archive
        with self.lock(archive) if archive else nullcontext(_nothing) as raise_if_lost:
            self.opening.look()  # again, because another run may have bought meanwhile
            self._adopt_or_create()
            yield from self._load()
            if self.opening.archive:
                self._month = self.open_month(self.opening.archive, raise_if_lost)
            self.reader.cost.count_in(self._month, is_test=False)
            try:
                yield from self._buy()
                self.report.is_complete = True
            except BudgetReachedError as reached:
                self.messages.logger.warning("%s", reached)
            finally:
                self.reader.cost.settle()

    def ask(self) -> None:
        """Raise `StateError` if the run has nothing to load, and then a question what to buy.

        So that is asked before any other stream is billed.
        """
        opening = self.opening
        if opening.has_pages_to_load:
            return
        request = self._planned()
        if isinstance(request, Question):
            raise self.messages.question(request, opening.standing(opening.position))

    def _planned(self) -> Request | Question | None:
        """Return what the run is going to buy, or to ask, once all is loaded."""
        opening = self.opening
        return plan(opening.position, self.settings, self._run, self.new_sync(), opening.ordered)

    def _adopt_or_create(self) -> None:
        """Write `archive.json` if the archive is new, or goes on from the state."""
        opening, archive = self.opening, self.opening.archive
        if archive is None:
            return
        if isinstance(opening.decision, Adopt):
            has_limit = self.report.budget.max_credits_per_month is not None
            begins_count = has_limit and not archive.store.list(layout.MONTHS)
            counted = "max_credits_per_month" if begins_count else None
            self.messages.warn_of_adoption(opening.standing(opening.position), counted)
            opening.adopt()
        elif archive.file is None:
            archive.save(opening.view.file)

    # Load

    def _load(self) -> Iterator[Delivery]:
        """Yield what the archive has and the warehouse lacks."""
        opening, archive = self.opening, self.opening.archive
        if archive is None or isinstance(opening.decision, Adopt):
            return
        first = opening.first
        yield from self._load_bills(archive, first)
        if not opening.has_pages_to_load:
            return
        contents, versions, dropped = Contents(), LastVersions(self.reader), DroppedPages()
        for entry, following in with_following(archive.read_all(first, keep=True)):
            self.raise_if_over()
            contents.note(entry.header, self.reader.count_rows(entry))
            versions.note(entry)
            after = following.header.before if following else opening.view.position
            dropped.note(entry.number, entry.header, ends_sync=after.progress is None)
        self._announce_load(contents, dropped)  # before a kill can come between
        for entry, following in with_following(archive.read_all(first)):
            self.raise_if_over()
            header = following.header if following else None
            delivery = self._deliver_loaded(entry, header, versions)
            yield delivery
            self.report.count_loaded(len(delivery.records))  # they are written
            self.report.show_progress()

    def _announce_load(self, contents: Contents, dropped: DroppedPages) -> None:
        """Report what is loaded, and what is missing there."""
        opening, position = self.opening, self.opening.view.position
        planned = self._planned()
        request = planned if isinstance(planned, Request) else None
        if contents.pages or opening.state is None:  # none, if the last page was dropped
            has_state, has_profiles = opening.state is not None, self.report.profiles is not None
            self.messages.announce_load(contents, has_state=has_state, has_profiles=has_profiles)
        standing = opening.standing(position)
        is_bought = request is not None and (
            (request.page > 1 or request.why == "restart") and dropped.are_read_by(request.sync)
        )
        if not is_bought or self._spec.longest_lookback:  # which may list less than was dropped
            self.messages.warn_of_dropped(dropped, standing)
        closes = request is not None and request.sync.kind == "full" and not request.sync.gap
        if opening.state is None and position.gap and not closes:
            self.messages.warn_of_gap(standing)

    def _deliver_loaded(
        self,
        entry: Entry,
        following: EntryHeader | None,
        versions: LastVersions,
    ) -> Delivery:
        """Return an entry of the archive to write.

        Only the head is checked: every page behind it was, when it was bought. The position after
        those is what the next entry says was before it.
        """
        header = entry.header
        if header.is_dropped or header.sync is None:
            return self._delivery(entry, (), 0, header.before)
        page = self.reader.parse_loaded(entry) if following else self._parse(entry)
        older = versions.older(self.reader.rows(entry, page))  # now: what follows changes rows
        if following:
            checked, after = self._checks.accept(entry, page), following.before
        else:
            is_resumed = header.page > 1 and page.following is not None
            self._watch_sync(header.sync, entry.number - 1, is_resumed=is_resumed)
            checked, after = self._check(entry, page), self._advance(header, page)
            self._note_in_watch(entry.number, checked)
            self._watch.allow_more()
        records = checked.records
        self._log_skipped(entry, page, checked)
        if older:
            records = [record for record in records if record["id"] not in older]
        self.report.count_page(len(checked.skipped), is_loaded=True)
        return self._delivery(entry, records, len(page.items), after)

    def _load_bills(self, archive: StreamArchive, first: int) -> Iterator[Delivery]:
        """Yield the bills of the pages whose rows the warehouse has, once, if it lacks them."""
        opening = self.opening
        start = archive.numbers.start
        if not opening.is_on_archive or self._bill_offset is None:
            self._bill_offset = start - 1 if self.has_bills else None
        if not self.has_bills or self._bill_offset is None or self._bill_offset >= first - 1:
            return
        for entry in archive.read_all(max(start, self._bill_offset + 1), first - 1):
            self.raise_if_over()
            bill = bill_rows(self._spec, entry.header, self.reader.count_rows(entry))
            self._bill_offset = entry.number
            yield Delivery((), bill, self._received_at(entry), None)
        if opening.state and opening.is_on_archive:  # otherwise, the first loaded page has a state
            now = self.clock().now()
            opening.state = State(
                opening.state.archive,
                opening.state.offset,
                opening.state.entry,
                opening.state.position,
                self._bill_offset,
            )
            yield Delivery((), (), now, opening.state)

    # Buy

    def _buy(self) -> Iterator[Delivery]:
        """Yield what the plan says, page by page."""
        position, base = self.opening.position, self.opening.complete_base
        overcount = self.opening.overcount
        ordered = self.opening.ordered
        while True:
            self.raise_if_over()
            request = plan(position, self.settings, self._run, self.new_sync(), ordered)
            if isinstance(request, Question):
                raise self.messages.question(request, self.opening.standing(position))
            if request is None:
                return
            self._prepare(request, position)
            request, receipt, body = self._fetch(request, position)
            header = self._header(request, receipt, position, base, overcount)
            if self._moves_nothing(header, body, is_ordered=ordered is not None):
                self.reader.cost.reconcile(receipt, 0, request.sync.batch_size)
                self.report.count_page(0)
                if state := self.opening.state:
                    # It may lack its filters, if another tap wrote it, or be ahead of the archive.
                    state = self.opening.place(position, state.bill_offset)
                    yield Delivery((), (), self.clock().now(), state)
                return
            entry = self._put(header, body)
            page = self._parse_bought(entry)
            checked = self._check(entry, page)
            self._log_skipped(entry, page, checked)
            position = self._advance(entry.header, page)
            base = fold.base_after(entry.header, page.following)
            self._run.note(request.sync, request.page, is_last=position.progress is None)
            rows, ordered = len(page.items), None
            overcount = entry.header.credits - entry.header.cost(rows)
            self.report.count_page(rows - len(checked.records))
            yield self._delivery(entry, checked.records, rows, position)
            self.report.show_progress()
            self._end_if_wanted()
            self._note_in_watch(entry.number, checked)
            if position.progress and page.estimated_total is not None and request.page == 1:
                self.report.estimate(page.estimated_total, request.sync.batch_size)

    def new_sync(self) -> NewSync:
        """Return what a sync gets that begins now."""
        archive = self.opening.archive
        now = format_timestamp(self.clock().now())
        return NewSync(
            id=new_id(),
            now=format_timestamp(self.clock().earlier()),
            oldest=oldest_since(now, self._spec.longest_lookback),
            number=archive.head + 1 if archive else None,
        )

    def _prepare(self, request: Request, position: Position) -> None:
        """Report what is bought next, and stop a sync that makes no progress."""
        if request.page == 1:
            self.messages.report_decision(request, self.opening.standing(position))
        if self._announced != request.sync.id:
            self._announced = request.sync.id
            self.report.announce(request)
        head = self.opening.archive.head if self.opening.archive else 0
        self._watch_sync(request.sync, head, is_resumed=request.page > 1)
        try:
            self._watch.detect_stall()
        except EndlessFeedError as error:
            assert position.progress is not None  # noqa: S101 - a page follows another one
            spent = position.progress.rows * self.reader.cost.price
            raise self.messages.endless(error, position.progress, spent) from error

    def _fetch(self, request: Request, position: Position) -> tuple[Request, Receipt, bytes]:
        """Fetch a page; if its cursor is rejected, the first page of the sync that begins over."""
        try:
            return request, *self.reader.fetch_page(request.sync, request.cursor)
        except PageCutOffError as error:
            if position.progress is None:
                raise
            spent = position.progress.rows * self.reader.cost.price
            raise self.messages.cut_off(error, position.progress, spent) from error
        except RejectedError as rejection:
            if not (request.cursor and rejection.names_cursor):
                raise
            request = self._begin_over(rejection, position)
        return request, *self.reader.fetch_page(request.sync, None)

    def _begin_over(self, rejection: RejectedError, position: Position) -> Request:
        progress, is_free = position.progress, self._spec.is_free
        assert progress is not None  # noqa: S101 - only a sync in progress has a cursor
        spent = progress.rows * self.reader.cost.price
        if self._has_restarted or (progress.sync.restarts and not is_free):
            raise self.messages.rejected_twice(rejection, progress, spent) from rejection
        self._has_restarted = is_free
        self.messages.warn_of_restart(rejection, spent)
        request = begun_over(progress, self.settings, self.new_sync(), "rejected")
        self._watch, self._announced = SyncWatch(request.sync.id), request.sync.id
        return request

    def _header(
        self,
        request: Request,
        receipt: Receipt,
        before: Position,
        base: int | None,
        overcount: int,
    ) -> EntryHeader:
        """Return the header of a page that was just billed, as its entry has it."""
        archive = self.opening.archive
        last = archive.header(archive.head) if archive else None
        id_, cost = new_id(), receipt.charge.credits
        return EntryHeader(
            id=id_,
            previous=archive.id_of(archive.head) if archive else None,
            before=before,
            base=base,
            sync=request.sync,
            page=request.page,
            receipt=receipt,
            total=(last.total - overcount if last else 0) + cost,
            run=self._run_id,
            spent=self._month.with_page(cost, id_, archive.head + 1)
            if archive and self._month
            else {},
            is_dropped=False,
        )

    def _moves_nothing(self, header: EntryHeader, body: bytes, *, is_ordered: bool) -> bool:
        """Return whether a page needs no entry: it is small, was not billed, and has no rows.

        It is the only page that is parsed before it is in the archive.
        """
        if len(body) > _SMALL or (header.receipt and header.receipt.charge.deducted):
            return False
        if not fold.moves_nothing(header, is_ordered=is_ordered, is_free_feed=self._spec.is_free):
            return False
        try:
            page = self.reader.parse_page(Entry(0, header, body))
        except ApiError:
            return False
        return not (page.items or page.has_more or page.has_error)

    def _put(self, header: EntryHeader, body: bytes) -> Entry:
        """Write a page to the archive. If that fails, it is delivered, and the run then ends."""
        archive = self.opening.archive
        if archive is None:
            return Entry(0, header, body)
        try:
            return archive.create(header, body)
        except StoreError as error:
            self._refusal = error
            self._end = ArchiveError(self.messages.not_written(header, archive, error.why))
            if header.page == 1 and header.sync:  # the archive does not have it
                header = replace(header, sync=replace(header.sync, first=None))
            return Entry(0, header, body)

    def _end_if_wanted(self) -> None:
        """Raise that a page was not written, once it is delivered."""
        if self._end:
            raise self._end

    def _parse_bought(self, entry: Entry) -> ParsedPage:
        """Parse a page that was just bought, and settle what it cost."""
        header = entry.header
        assert header.sync is not None  # noqa: S101 - it has just been bought
        assert header.receipt is not None  # noqa: S101 - the same
        page = self._parse(entry)
        self.reader.cost.reconcile(header.receipt, len(page.items), header.sync.batch_size)
        return page

    # Pages

    def _parse(self, entry: Entry) -> ParsedPage:
        """Parse the page at the head."""
        try:
            page = self.reader.parse_page(entry)
        except ApiError as error:
            raise self._unreadable(error, entry) from error
        return page

    def _check(self, entry: Entry, page: ParsedPage) -> Conversion:
        """Check the page at the head, and return its records."""
        header = entry.header
        self._watch.note_cursor(header.cursor)
        if header.page == 1:
            self._watch.estimate = page.estimated_total or 0
        try:
            return self._checks.check(
                header,
                page,
                cursors=self._watch.cursors,
                estimate=self._watch.estimate,
                is_bought=header.run == self._run_id,
            )
        except FormatError as error:
            raise self._unreadable(error, entry) from error

    def _unreadable(self, error: Exception, entry: Entry) -> FormatError:
        archive, why_lost = self.opening.archive, "The archive is off"
        if archive and self._refusal:
            why_lost = f"{archive.store.location} can't be written ({self._refusal.why})"
        return self.messages.unreadable(error, entry, archive, why_lost)

    def _advance(self, header: EntryHeader, page: ParsedPage) -> Position:
        return fold.advance(header, len(page.items), page.following)

    def _delivery(
        self, entry: Entry, records: Sequence[Row], rows: int, after: Position
    ) -> Delivery:
        """Return a page to write, with the state after it.

        A feed that is read anew has no state before the archive has its first page: a run that dies
        before that has to begin anew again.
        """
        opening, bill = self.opening, list[Row]()
        if self.has_bills and (not entry.number or entry.number > (self._bill_offset or 0)):
            bill = bill_rows(self._spec, entry.header, rows)
            self._bill_offset = entry.number or self._bill_offset
        if entry.number and opening.archive and opening.archive.file:
            id_, number = opening.archive.file.id, entry.number
            opening.state = State(id_, number, entry.header.id, after, self._bill_offset)
        else:
            opening.state = opening.place(after, self._bill_offset)
        is_before = opening.is_anew and entry.number <= opening.view.head
        state = None if is_before else opening.state
        return Delivery(records, bill, self._received_at(entry), state)

    def _received_at(self, entry: Entry) -> datetime:
        receipt = entry.header.receipt
        return parse_timestamp(receipt.received_at) if receipt else self.clock().now()

    def _log_skipped(self, entry: Entry, parsed: ParsedPage, checked: Conversion) -> None:
        """Log the rows without a usable id, where they can be found."""
        if checked.skipped:
            rows, archive = len(parsed.items), self.opening.archive
            page, known = self.messages.skipped(entry, rows, archive)
            self.converter.log_skipped(checked.skipped, page, known)

    # The watch

    def _watch_sync(self, sync: Sync, head: int, *, is_resumed: bool) -> None:
        """Watch a sync, whose pages up to the entry `head` are known.

        If it is resumed, earlier runs may have bought them, so the archive shows them.
        """
        if (self._watch.id, self._watch.head) == (sync.id, head):
            return
        watch, archive = SyncWatch(sync.id, head), self.opening.archive
        self._watch = watch
        if archive is None or not is_resumed:
            return
        with suppress(FormatError):  # of a damaged entry, which this run may not need
            for entry in archive.read_all(max(archive.numbers.start, sync.first or 0), head):
                self.raise_if_over()
                header = entry.header
                if header.is_dropped or header.sync is None or header.sync.id != sync.id:
                    continue
                watch.note_cursor(header.cursor)
                watch.note_ids(self.reader.read_ids(entry))
                if header.page == 1:
                    watch.estimate = self.reader.parse_loaded(entry).estimated_total or 0
        watch.allow_more()

    def _note_in_watch(self, number: int, checked: Conversion) -> None:
        """Show the watch the entry that it has to expect next."""
        self._watch.note_ids([record["id"] for record in checked.records])
        self._watch.head = number


def _nothing() -> None:
    """Without an archive, there is no lock to lose."""
