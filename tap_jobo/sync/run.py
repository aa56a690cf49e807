"""The two promises: what is bought is appended, and what is appended is delivered.

A stream has three phases, and a run goes through each with all its streams. `open` finds where
the run starts, and plans. `load` delivers what the archive has. Neither sends a request. `buy`
opens the archive again under its lock, and decides all that costs money by the API's clock.

A page takes six steps: plan, what comes before the request, fetch, append, parse and check, rows
and state. Buying knows nothing of rows, and loading nothing of money. So there is one way to a
warehouse, whether a page was bought a second or a year ago, and a crash between two steps repeats
the later ones, free. Only a page in flight, which is not in the archive yet, is billed again.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from tap_jobo.api.feed import FeedReader
from tap_jobo.api.pages import ParsedPage
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.archive.store import StoreError
from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import (
    ApiError,
    ArchiveError,
    BudgetReachedError,
    FormatError,
    RejectedError,
)
from tap_jobo.messages import Known
from tap_jobo.model import (
    NOTHING,
    Entry,
    EntryHeader,
    Position,
    Receipt,
    State,
    new_id,
)
from tap_jobo.records.converter import Conversion, RecordConverter, Row
from tap_jobo.sync.checks import PageChecks
from tap_jobo.sync.fold import hole
from tap_jobo.sync.head import HeadReader
from tap_jobo.sync.log import ArchiveLog
from tap_jobo.sync.messages import Messages, Standing
from tap_jobo.sync.notices import Notices
from tap_jobo.sync.plan import (
    Log,
    Request,
    Run,
    after_rejection,
    moves_nothing,
    plan,
)
from tap_jobo.sync.report import Contents, Report
from tap_jobo.sync.start import Question, Start, where
from tap_jobo.sync.versions import NewestVersions
from tap_jobo.sync.wanted import Wanted

_SMALL: Final = 1_000  # bytes of a page that may have no rows


@dataclass(frozen=True, slots=True)
class Delivery:
    """What to write: records, when they were received, and the state that follows them."""

    records: Sequence[Row]
    received_at: datetime
    state: State | None  # None: the next state covers these rows, too


@dataclass(kw_only=True)
class FeedRun:
    """One stream's part of a run: pages from the archive and the API to standard output."""

    config: Mapping[str, Any]
    #: the state of the warehouse, None if there is none. It moves with each page.
    state: State | None
    open_archive: Callable[[int], StreamArchive]  #: lists the archive from an entry on
    reader: FeedReader  #: fetches and parses pages
    converter: RecordConverter  #: makes records of rows
    messages: Messages  #: what the user is told
    report: Report  #: counts and announces what is read
    #: keeps other runs from buying the stream. It yields what raises if the lock is lost.
    lock: Callable[[StreamArchive], AbstractContextManager[Callable[[], None]]]
    #: raises if the run must not go on: a signal arrived, or the lock was lost
    raise_if_over: Callable[[], None]
    edited: str | None = None  #: the bookmark of the state, if somebody has edited it
    only_buys: bool = False  #: whether the run has no warehouse, and starts at the archive's head
    #: what the run is going to buy, or to ask, once all is loaded
    planned: Request | Question | None = None
    problem: FormatError | None = None  #: why the run can't load all that the archive has

    def __post_init__(self) -> None:
        self.spec = self.reader.spec
        self._checks = PageChecks(self.spec, self.converter, self.messages.warn)
        self._head_reader = HeadReader(self.reader, self._checks, self.raise_if_over)
        self._announced = ""  # the id of the sync that the user was told of
        self._run = Run(known={each.sync.id for each in self.position.progress})
        self.had_state = self.state is not None  #: whether the warehouse had one before the run
        self._notices = Notices(self.messages, self.state)
        self._start = Start(0)
        known = self.state.warehouse if self.state else ""
        self._warehouse = "" if self.only_buys else known or new_id()
        self._last = 0  # the number of the last entry that can be loaded

    # Open

    def open(self) -> None:
        """Find where the run starts in the archive, and plan what it buys once all is loaded.

        This sends no request.

        Raises:
            StateError: The state is of another archive, or the user has to decide what to buy. If
                nothing may be bought, the latter is a warning.
        """
        self.wanted = replace(self.want(), warehouse=self._warehouse)
        if self.state and self.state.is_adopted:  # it would keep the run from loading anything
            self._check_times([self.state.time])
        self._find_start()
        self._plan_purchase()

    def want(self) -> Wanted:
        """Return what the run wants now. Time matters only for a feed that lists rows for days."""
        return Wanted.of(self.spec, self.config, format_timestamp(self.reader.clock.now()))

    def _find_start(self) -> None:
        """Find where the run starts. Raises as `open` does."""
        self.archive = archive = self.open_archive(self.state.offset if self.state else 0)
        self.log = self._head_reader.log = ArchiveLog(archive, self.reader)
        start = where(self.state, archive)
        if isinstance(start, Question):
            if not self.spec.is_free:
                raise self.messages.question(start, self.standing(NOTHING))
            start, self.state, self.had_state = Start(0), None, False
        self._start = start
        self.problem, self._last = None, archive.head
        _ = archive.file  # raises if it is damaged, before anything is loaded
        try:
            _ = self.log.position
            if archive.head > start.offset:
                self._head_reader.check_loaded()
        except FormatError as error:
            self.problem, self._last = error, archive.head - 1
        if self.only_buys:
            self._start_at_head()
        self._notices.tell_archive(archive)

    def _start_at_head(self) -> None:
        """Start where one is who has loaded everything, so that nothing is left to load."""
        self._start = Start(self._last)
        if self.archive.head and not self.problem:
            number = self.archive.head
            id_, time = self.archive.id_of(number), self.archive.time_of(number) or ""
            self.state = self._state_at(number, id_, time, self.log.position)
            self._run.known |= {each.sync.id for each in self.position.progress}

    def _plan_purchase(self) -> None:
        """Plan what the run buys once all is loaded. Raises as `open` does."""
        self.planned = None
        if self.problem:
            return
        loaded = self._position_once_loaded()
        self.planned = planned = self._plan(loaded, self.now())
        standing = self.standing(loaded)
        bought = None if self.only_loads else planned
        self._notices.tell_behind(self._start, bought, standing)
        if isinstance(planned, Question):
            question = self.messages.question(planned, standing)
            if not self.only_loads:
                raise question
            for text in question.messages:
                self._notices.warn_once(text)

    def check_times(self) -> None:
        """Check by the API's clock that nothing was read in the future.

        Raises:
            StateError: The state or the archive has a sync that starts in the future.
        """
        self._check_times(self._starts)

    def _check_times(self, instants: Iterable[str]) -> None:
        clock = self.reader.clock
        for instant in instants:
            if clock.is_future(parse_timestamp(instant)):
                archive = None if self.state and self.state.is_adopted else self.archive
                raise self.messages.in_future(instant, format_timestamp(clock.now()), archive)

    def _position_once_loaded(self) -> Position:
        """Return what the warehouse has read once all is loaded: a fold over the headers."""
        own, numbers = self.position, self.pages_to_load
        if numbers and not self.problem and own == self.log.position_before(numbers.start):
            return self.log.position
        for number, _ in zip(numbers, self.archive.headers(numbers), strict=True):
            own = self.log.after(number, own)
        return own

    @property
    def position(self) -> Position:
        """What the warehouse has read."""
        return self.state.position if self.state else NOTHING

    @property
    def only_loads(self) -> bool:
        """Whether the run buys nothing of the stream."""
        return self.reader.cost.budget.max_credits == 0 and not self.spec.is_free

    def _plan(self, position: Position, now: str) -> Request | Question | None:
        lacks_rows = self.log.has_lost and not self.had_state
        order = self.archive.file.order
        log = Log(position=self.log.position, order=order, lacks_rows=lacks_rows)
        return plan(position, log, self.wanted, self._run, now)

    def now(self) -> str:
        """Return the time at which a sync starts that begins now: by the earlier clock."""
        return format_timestamp(self.reader.clock.earlier())

    @property
    def _starts(self) -> Iterator[str]:
        """When the syncs started that the warehouse or the archive has: never in the future."""
        positions = [self.position] if self.problem else [self.position, self.log.position]
        for position in positions:
            yield from (read.until for read in position.reads)
            yield from (each.sync.started for each in position.progress)

    def standing(self, position: Position) -> Standing:
        """Return where the stream stands, for messages."""
        return Standing(wanted=self.wanted, log=self.log, position=position)

    @property
    def pages_to_load(self) -> range:
        """The numbers of the entries that the run loads."""
        return range(self._start.offset + 1, self._last + 1)

    # Load

    def load(self) -> Generator[Delivery]:
        """Yield what the archive has and the warehouse lacks. This sends no request.

        To resume means that the rows, and then the state, are written.

        Raises:
            FormatError: A page can't be read. Those before it are delivered.
        """
        newest = self._read_ahead()
        numbers = self.pages_to_load
        planned = None if self.only_loads else self.planned
        self._notices.tell_gap(self.standing(self._position_once_loaded()), planned)
        if self.state is None and numbers:
            yield Delivery((), self.reader.clock.now(), self._state_at(0, None, "", NOTHING))
        for entry in self.archive.read_all(numbers):
            self.raise_if_over()
            delivery = self._deliver_loaded(entry, newest)
            yield delivery
            self.report.count_loaded(len(delivery.records))  # they are written
            self.report.show_progress()
        if self.problem:
            raise self.problem

    def _read_ahead(self) -> NewestVersions:
        """Return the newest versions of the rows to load, up to a page that can't be read."""
        newest, contents, numbers = NewestVersions(self.reader), Contents(), self.pages_to_load
        self._last = self._start.offset
        try:
            for entry in self.archive.read_all(numbers):
                self.raise_if_over()
                ids = self.reader.read_ids(entry)
                newest.note(entry, ids)
                contents.note(entry.header, len(ids))
                self._notices.note_loaded(entry.header, len(ids), self.wanted)
                self._last = entry.number
        except FormatError as error:
            self.problem = error
        if contents.pages:
            self.messages.announce_load(contents, has_state=self.state is not None)
            self._notices.tell_other_rows()
        return newest

    def _deliver_loaded(self, entry: Entry, newest: NewestVersions) -> Delivery:
        records: Sequence[Row] = ()
        if entry.header.live_sync:
            page = self.reader.parse_loaded(entry)
            self._checks.accept(entry, page)
            older = newest.take_older(page.rows)
            found = self._convert(entry, page, is_loaded=True)
            records = [record for record in found if record["id"] not in older]
        position = self._position_after(entry)
        return self._delivery(entry, position, records, is_settled=newest.are_settled(entry.number))

    # Buy

    def buy(self) -> Generator[Delivery]:
        """Append what the settings ask for, page by page, and yield it as `load` does.

        Raises:
            HeldError: Another run buys the stream. What it buys can be loaded meanwhile.
        """
        with self.lock(self.archive) as raise_if_lost:
            self.open()  # again, because another run may have bought meanwhile
            yield from self.load()
            self.reader.cost.count_in(self.archive, raise_if_lost)
            try:
                yield from self._buy()
            except BudgetReachedError as reached:
                self.messages.logger.warning("%s", reached)
            finally:
                self.reader.cost.settle()

    def _buy(self) -> Iterator[Delivery]:
        """Buy until the plan says that nothing is left."""
        while True:
            self.raise_if_over()
            request = self._plan(self.position, self.now())
            if isinstance(request, Question):
                raise self.messages.question(request, self.standing(self.position))
            if request is None:
                break
            self._prepare(request)
            request, receipt, body = self._fetch(request)
            if self._is_void(request, receipt, body):
                break
            entry = self._append(request, receipt, body)
            delivery = self._deliver_bought(entry, request)
            yield delivery
            self.report.count_bought(len(delivery.records))
            self.report.show_progress()
        self.report.is_complete = True

    def _prepare(self, request: Request) -> None:
        """Report what is bought next, prove the place, and stop a sync without progress."""
        standing = self.standing(self.position)
        if request.page == 1:
            self.messages.report_decision(request, standing)
            self._notices.tell_behind(self._start, request, standing)
        if self._announced != request.sync.id:
            self._announced = request.sync.id
            self.report.announce(request)
            self.archive.prove_room()
        if why := self._head_reader.watch(request):
            raise self.messages.endless(why, self.reader.cost.credits, self._stuck(request))

    def _stuck(self, request: Request) -> Known:
        """Return what a message may name if a sync can't go on."""
        if not self.archive.store.lasts:
            return {}
        return {"restart_sync": self.archive.command("restart", "--sync", request.sync.id)}

    def _fetch(self, request: Request) -> tuple[Request, Receipt, bytes]:
        """Fetch a page; if its cursor is rejected, the first page of the sync that begins over."""
        try:
            return request, *self.reader.fetch_page(request.sync, request.cursor)
        except RejectedError as rejection:
            if not (request.cursor and rejection.names_cursor):
                raise
            request = self._begin_over(rejection, request)
        return request, *self.reader.fetch_page(request.sync, None)

    def _begin_over(self, rejection: RejectedError, old: Request) -> Request:
        """Return the first page of a sync whose cursor was rejected, or raise if it was twice."""
        request = after_rejection(old.sync, self.wanted, self._run, self.now())
        if request is None:
            raise self.messages.rejected_twice(rejection, self._stuck(old)) from rejection
        self.messages.warn_of_restart(rejection, old.rows * self.reader.cost.price)
        self._head_reader.watch(request)
        self._announced = request.sync.id
        return request

    def _is_void(self, request: Request, receipt: Receipt, body: bytes) -> bool:
        """Return whether a page is no entry: it is small, was not billed, and has no rows.

        It is the only page that is parsed before it is in the archive. The stream then buys no
        more in this run.
        """
        if request.page > 1 or len(body) > _SMALL or receipt.charge.deducted:
            return False
        if not moves_nothing(self.position, request, self.wanted):
            return False
        catches_up = self._start.is_behind and request.why == "changes"
        is_unknown = not self.wanted.is_honored(self.log.position.lookbacks)
        is_entry = catches_up or request.why == "behind" or (self.position.is_begun and is_unknown)
        if self.archive.store.lasts and is_entry:
            # The archive then has a place for the state, so the user is told once, and a lookback.
            return False
        try:
            page = self.reader.parse_page(request.sync, receipt, body)
        except ApiError:
            return False
        if page.rows or page.has_more or page.has_error:
            return False
        self.reader.cost.reconcile(receipt.charge, 0)
        self.report.count_page(0)
        if request.sync.since <= self.wanted.start:
            self._checks.warn_of_nothing(request.sync, is_first=not self.position.is_begun)
        return True

    def _append(self, request: Request, receipt: Receipt, body: bytes) -> Entry:
        """Add a page that was just billed to the archive.

        Raises:
            ArchiveError: It can't be written, so it is lost, and nothing of it is delivered.
        """
        archive, before = self.archive, self.log.position
        header = EntryHeader(
            id=new_id(),
            previous=self.log.previous(archive.head),
            before=before,
            own=None if self.position == before else self.position,
            sync=request.sync,
            page=request.page,
            time=max(receipt.received_at, archive.time_of(archive.head) or ""),
            receipt=receipt,
            spent=self.reader.cost.spent,
            dropped=None,
        )
        try:
            return archive.create(header, body)
        except StoreError as error:
            lost, requested = receipt.charge.full, request.sync.batch_size
            self.reader.cost.reconcile(receipt.charge, requested)  # it may have to be disputed
            raise ArchiveError(self.messages.not_written(lost, archive, error.why)) from error

    def _deliver_bought(self, entry: Entry, request: Request) -> Delivery:
        """Return a page to write that was just bought, and settle what it cost."""
        receipt = entry.header.receipt
        assert receipt is not None  # noqa: S101 - it has just been bought
        page = self.log.parse(entry)
        rows, cursor = len(page.rows), page.following
        self.reader.cost.reconcile(receipt.charge, rows)
        self._head_reader.check_bought(entry, page)
        records = self._convert(entry, page, is_loaded=False)
        self.log.note(entry.number, rows, cursor)
        self._run.note(request, is_last=cursor is None)
        if cursor and page.estimated_total is not None and request.page == 1:
            self.report.estimate(page.estimated_total)
        position = self._position_after(entry)
        if cursor is None:
            self._notices.tell_gap(self.standing(position), None)
        if not self.archive.store.lasts:
            self.archive.forget_body(entry.number - 1)
        return self._delivery(entry, position, records)

    # Both

    def _convert(self, entry: Entry, page: ParsedPage, *, is_loaded: bool) -> Sequence[Row]:
        """Return the records of a page, which was checked, and log the rows without a usable id."""
        checked = Conversion(page.rows, {})
        if page.are_rows_checked:
            self.converter.complete(page.rows)
        else:
            checked = self.converter.convert(page.rows)
        if checked.skipped:
            where, known = self.messages.skipped(entry, len(page.rows), self.archive)
            self.converter.log_skipped(checked.skipped, where, known)
        self.report.count_page(len(checked.skipped), is_loaded=is_loaded)
        return checked.records

    def _position_after(self, entry: Entry) -> Position:
        """Return the position after an entry. Warn of rows that the API lists no more before it."""
        page = self.log.page(entry.number)
        if page.sync and page.cursor is None and self.spec.longest_lookback:
            since = hole(self.position, page.sync, self.log.rules)
            if since is not None:
                self.messages.warn_of_hole(since, page.sync.since)
        return self.log.after(entry.number, self.position)

    def _delivery(
        self, entry: Entry, position: Position, records: Sequence[Row], *, is_settled: bool = True
    ) -> Delivery:
        """Move the state past an entry, and return what to write of it."""
        header = entry.header
        self.state = self._state_at(entry.number, header.id, header.time, position)
        return Delivery(records, parse_timestamp(header.time), self.state if is_settled else None)

    def _state_at(self, number: int, id_: str | None, time: str, position: Position) -> State:
        """Return the state at an entry. Without an archive, no later run finds that."""
        lasts = self.archive.store.lasts
        return State(
            owner=self.archive.key.owner,
            offset=number if lasts else 0,
            entry=id_ if lasts else None,
            time=time,
            position=position,
            gap=self._notices.gap,
            warehouse=self._warehouse,
        )
