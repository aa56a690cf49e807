"""A run of the tap in a simulated world: `FeedSync` and `Opening` without I/O.

It calls the same pure functions in the same order, and can die between any two steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from msgspec.structs import replace

from tap_jobo.api.feed import FeedReader
from tap_jobo.api.pages import ParsedPage
from tap_jobo.model import (
    NOTHING,
    ArchiveFile,
    Charge,
    Entry,
    EntryHeader,
    Position,
    Progress,
    Receipt,
)
from tap_jobo.sync import repair
from tap_jobo.sync.load import DroppedPages, LastVersions
from tap_jobo.sync.plan import ANEW, NewSync, Request, Run, begun_over, oldest_since, plan
from tap_jobo.sync.position import ArchiveView, empty_view, moves_nothing
from tap_jobo.sync.start import Adopt, Load, Question, Way, adopt, other_pipeline, where
from tap_jobo.sync.state import State
from tests.sync.rules.parts import Folder, Page, Pipeline, Row, Target, Wrong, at

if TYPE_CHECKING:
    from tests.sync.rules.world import World

Outcome = Literal["done", "asked", "limit", "failed", "died"]
_ENDLESS: Final = 300  # pages
_PRICE: Final = 50  # credits per row


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What happens to a run.

    Attributes:
        die_at: The step at which it dies.
        kills_target: Whether the target dies with it, with all that it has not stored.
        pages: How many pages its limit allows.
        batch: How many rows the target stores at a time.
        full_refresh: Whether it has no state.
        is_disk_full: Whether the first page that it buys cannot be written.
        changes: Rows that change meanwhile, with their countries.
    """

    die_at: int | None = None
    kills_target: bool = False
    pages: int | None = None
    batch: int = 3
    full_refresh: bool = False
    is_disk_full: bool = False
    changes: tuple[tuple[int, str], ...] = ()


class Ended(Exception):  # noqa: N818 - not all are errors
    """The run ends before there is nothing left to buy."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


class Asked(Ended):
    """The user has to decide."""

    def __init__(self, question: Question, damaged: int | None = None) -> None:
        super().__init__("asked")
        self.question = question
        self.damaged = damaged


class TapRun:
    """One run of a pipeline."""

    def __init__(self, world: World, pipe: Pipeline, conditions: Conditions) -> None:
        self.world = world
        self.pipe = pipe
        self.settings = pipe.settings
        self.is_free = pipe.settings.spec.is_free
        self.target = Target(pipe, conditions.batch)
        self.state = None if conditions.full_refresh else pipe.state
        self.state_before = self.state
        self.began_at = world.api.now
        self._conditions = conditions
        self._changes = list(conditions.changes)
        self._steps = 0
        self._folder: Folder | None = None
        self._view: ArchiveView | None = None
        self._start: Load | Adopt = Load(1)
        self._is_anew = False
        self._has_restarted = False
        self._run = Run()

    def go(self) -> None:
        """Load, then buy. Raises `Ended` if more may be left."""
        self._step()
        if self.pipe.uses_archive:
            self._look()
            self._load()
            self._look()  # again, with the lock
            self._adopt_or_create()
            self._load()
        self._buy()

    def _step(self) -> None:
        self._steps += 1
        if self._changes and self._steps % 3 == 0:
            self.world.api.put(*self._changes.pop())
        die_at = self._conditions.die_at
        if die_at is not None and self._steps >= die_at:
            raise Ended("died")

    # Where it starts

    @property
    def view(self) -> ArchiveView:
        assert self._view
        return self._view

    def _look(self) -> None:
        self._folder = folder = self.world.folders.get(self.pipe.folder)
        if folder is None:
            file = ArchiveFile(id=self.world.new_archive_id(), first=1, origin=None, again=None)
            self._view = empty_view(file, is_free_feed=self.is_free)
        else:
            self._require_readable(range(folder.head, folder.head + 1))
            self._view = folder.view
        start = where(self.state, self._view)
        if isinstance(start, Question):
            if not self.is_free:
                raise Asked(start)
            start, self._is_anew = Load(self._view.file.first), True
        self._start = start
        if isinstance(start, Load):
            if start.is_ahead:
                self.world.note(f"WARNING the state of {self.pipe.name} is ahead of the archive")
            self._ask_whose()

    def _ask_whose(self) -> None:
        if question := other_pipeline(self.state, self.view, self.settings):
            if not self.is_free:
                raise Asked(question)
            self._is_anew = True

    def _require_readable(self, numbers: range) -> None:
        assert self._folder
        if (damaged := self._folder.first_damaged(numbers)) is not None:
            raise Asked(Question("archive-damaged", ("drop",)), damaged)

    def _adopt_or_create(self) -> None:
        file = self.view.file
        if isinstance(self._start, Adopt):
            assert self.state
            self.world.note_adoption(self.pipe)
            head = self._folder.head if self._folder else 0
            file = adopt(self.state, head, self.world.new_archive_id())
            self._start = Load(file.first)
        elif self._folder:
            return
        self._step()
        if self._folder:
            self._folder.file = file
        else:
            self._folder = Folder(self.settings.spec, file)
            self.world.folders[self.pipe.folder] = self._folder
        self._view = self._folder.view
        self._step()

    # Load

    def _load(self) -> None:
        folder = self._folder
        if folder is None or isinstance(self._start, Adopt):
            return
        numbers = range(self._start.first, folder.head + 1)
        self._require_readable(numbers)
        if not numbers:
            return
        self.target.archive = folder.file.id
        previous = folder.id_of(numbers.start - 1)
        for number in numbers:
            header = folder.pages[number].header
            self.world.require(header.previous == previous, f"page {number} breaks the chain")
            previous = header.id
        self._step()
        versions, dropped = LastVersions(_reader(folder)), DroppedPages()
        for number in numbers:
            page = folder.pages[number]
            versions.note(Entry(number, page.header, b""))
            dropped.note(number, page.header, ends_sync=page.position.progress is None)
        self.world.warn_of_dropped(self.pipe, dropped)
        for number in numbers:
            page = folder.pages[number]
            older = versions.older([row.as_raw() for row in page.rows])
            rows = [row for row in page.rows if row.uuid not in older]
            self._deliver(number, page, rows)

    def _deliver(self, number: int, page: Page, rows: list[Row]) -> None:
        for row in rows:
            self.target.row(row)
            self._step()
        if number and self._folder:
            id_ = self._folder.file.id
            self.state = State(id_, number, page.header.id, page.position)
        else:
            self.state = self._place(page.position)
        if not (self._is_anew and number <= self.view.head):
            self.target.state(self.state)
        self._step()

    def _place(self, position: Position) -> State:
        """Return the state of a page that the archive does not have."""
        if self.state:
            return State(self.state.archive, self.state.offset, self.state.entry, position)
        if self._view is None:
            return State(None, 0, None, position)
        before = self._view.file.first - 1
        return State(self._view.file.id, before, self._view.id_of(before), position)

    # Buy

    def _buy(self) -> None:
        position, ordered = self.state.position if self.state else NOTHING, None
        if self._folder:
            position, ordered = self.view.position, self.view.ordered
        if self._is_anew:
            ordered = ANEW
        for bought in range(_ENDLESS):
            request = plan(position, self.settings, self._run, self._new_sync(), ordered)
            if isinstance(request, Question):
                raise Asked(request)
            if request is None:
                return
            if bought == self._conditions.pages:
                raise Ended("limit")
            self.world.check_request(self, request, position)
            self._step()
            request, rows, next_cursor = self._fetch(request, position)
            self._step()
            self.world.check_bill(self, request, rows)
            header = self._header(request, position, _PRICE * len(rows))
            page = Page(header, rows, next_cursor)
            if self._moves_nothing(page, is_ordered=ordered is not None):
                return
            position, ordered = self._put(page).position, None
        raise Wrong("a run never ends")

    def _moves_nothing(self, page: Page, *, is_ordered: bool) -> bool:
        if page.rows or page.next_cursor is not None:
            return False
        return moves_nothing(page.header, is_ordered=is_ordered, is_free_feed=self.is_free)

    def _new_sync(self) -> NewSync:
        api = self.world.api
        return NewSync(
            id=self.world.new_id(),
            now=at(api.now - self.world.skew),
            oldest=oldest_since(at(api.now), self.settings.spec.longest_lookback),
            number=self._folder.head + 1 if self._folder else None,
        )

    def _fetch(
        self, request: Request, position: Position
    ) -> tuple[Request, tuple[Row, ...], str | None]:
        if page := self.world.api.page(request.sync, request.cursor):
            return request, *page
        assert position.progress
        if self._has_restarted or (position.progress.sync.restarts and not self.is_free):
            self._give_up(position.progress)
        self._has_restarted = self.is_free
        request = begun_over(position.progress, self.settings, self._new_sync(), "rejected")
        self._step()
        page = self.world.api.page(request.sync, None)
        assert page
        return request, *page

    def _give_up(self, progress: Progress) -> None:
        if self.is_free:
            raise Ended("failed")
        since = repair.since_to_begin_over(progress.sync)
        way: Way = "restart-since" if since else "restart"
        raise Asked(Question("cursor-rejected", (way if self._folder else "no-state",)))

    def _header(self, request: Request, before: Position, cost: int) -> EntryHeader:
        folder = self._folder
        last = folder.last if folder else None
        charge = Charge(credits=cost, deducted=cost, fall=0)
        return EntryHeader(
            id=self.world.new_id(),
            previous=folder.id_of(folder.head) if folder else None,
            before=before,
            base=last.base if last else None,
            sync=request.sync,
            page=request.page,
            receipt=Receipt(
                charge=charge, received_at=at(self.world.api.now), has_more=None, encoding=""
            ),
            total=(last.header.total if last else 0) + cost,
            run="run",
            spent={},
            is_dropped=False,
        )

    def _put(self, page: Page) -> Page:
        """Write a page to the archive, and deliver it."""
        number, header, sync = 0, page.header, page.header.sync
        assert sync
        if self._folder and self._conditions.is_disk_full:
            if header.page == 1:
                header = replace(header, sync=replace(sync, first=None))
            page = Page(header, page.rows, page.next_cursor)
        elif self._folder:
            number = self._folder.head + 1
            self._folder.pages[number] = page
            self._step()
        self._run.note(sync, header.page, is_last=page.position.progress is None)
        self._deliver(number, page, [*page.rows])
        if self._folder and not number:
            raise Ended("failed")
        return page


class _Reader:
    """What `LastVersions` reads of pages."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def read_ids(self, entry: Entry) -> list[str]:
        return [row.uuid for row in self._folder.pages[entry.number].rows]

    def parse_loaded(self, entry: Entry) -> ParsedPage:
        rows = [row.as_raw() for row in self._folder.pages[entry.number].rows]
        return ParsedPage(
            rows, None, has_more=False, estimated_total=None, are_rows_checked=True, has_error=False
        )

    def rows(self, _: Entry, page: ParsedPage) -> list[Any]:
        return page.items


def _reader(folder: Folder) -> FeedReader:
    return cast("FeedReader", _Reader(folder))
