"""A run of the tap in a simulated world: plan, fetch, append, deliver, without I/O.

It can die between any two steps, and another run may come between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from tap_jobo.model import NOTHING, State
from tap_jobo.sync.fold import Page, advance, completed
from tap_jobo.sync.plan import (
    Log,
    NewSync,
    Request,
    Run,
    after_rejection,
    moves_nothing,
    plan,
)
from tap_jobo.sync.start import Question, where
from tap_jobo.sync.wanted import Wanted
from tests.sync.log_rules.parts import (
    OWNER,
    REQUESTED,
    Entry,
    Folder,
    Pipe,
    Row,
    Target,
    at,
    first_damaged,
)

if TYPE_CHECKING:
    from tests.sync.log_rules.world import World

Outcome = Literal["done", "asked", "limit", "failed", "rejected", "died"]
_ENDLESS: Final = 400  # pages


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What happens to a run.

    Attributes:
        die_at: The step at which it dies.
        kills_target: Whether the target dies with it, with all that it has not stored.
        pages: How many pages its limit allows.
        batch: How many rows the target stores at a time.
        full_refresh: Whether it has no state.
        changes: Rows that change meanwhile.
        other: Another pipeline that runs from some step on, unless this run has the lock.
    """

    die_at: int | None = None
    kills_target: bool = False
    pages: int | None = None
    batch: int = 3
    full_refresh: bool = False
    changes: tuple[tuple[int, str, str], ...] = ()
    other: tuple[str, int] | None = None


class Ended(Exception):  # noqa: N818 - not all are errors
    """The run ends before there is nothing left to buy."""

    def __init__(
        self, outcome: Outcome, question: Question | None = None, damaged: int | None = None
    ) -> None:
        self.outcome = outcome
        self.question = question
        self.damaged = damaged


class TapRun:
    """One run of a pipeline."""

    def __init__(self, world: World, pipe: Pipe, conditions: Conditions) -> None:
        self.world = world
        self.pipe = pipe
        self.wanted = pipe.wanted
        if world.api.is_free:
            start = max(pipe.wanted.start, at(world.api.now - REQUESTED))
            self.wanted = replace(pipe.wanted, start=start, choice="resync", is_free=True)
        self._conditions = conditions
        self._changes = [*conditions.changes]
        self._other = conditions.other
        self._steps = 0
        self.state = None if conditions.full_refresh else pipe.state
        self.is_true = pipe.is_true and not conditions.full_refresh
        self.is_lie = pipe.is_lie and self.state is not None
        if self.state is None:
            pipe.is_true, pipe.epoch = False, world.new_id()
        self.has_state = self.state is not None
        self.began = world.api.now
        self.lasts = pipe.uses_archive
        self.target = Target(self, conditions.batch)
        self.position = NOTHING
        self.first: int | None = None  # the entry that it loads after
        self.bought = Run(has_state=self.has_state)
        self.has_full = False  # whether it bought a whole full sync
        self.is_empty = False  # whether the very first page had no rows
        self.folder = Folder()
        self._ids: set[str] = set()
        self.others_served = 0  # rows

    @property
    def may_be_older(self) -> bool:
        """Whether rows may come that are older than those of the warehouse."""
        if self.world.is_calm:
            return False
        is_whole = not self.folder.damaged and not any(
            entry.page.dropped for entry in self.folder.entries
        )
        return not (self.is_true and self.first != 0 and is_whole)

    def go(self) -> None:
        """Load, then buy. Raises `Ended` if more may be left."""
        self._step()
        self._look_and_load()
        self._other = None  # from here on it has the lock
        self._look_and_load()  # what came meanwhile
        self._buy()

    def _step(self) -> None:
        self._steps += 1
        if self._other and self._steps >= self._other[1]:
            (name, _), self._other = self._other, None
            served = self.world.api.served
            self.world.run(name)
            self.others_served += self.world.api.served - served
        if self._changes and self._steps % 3 == 0:
            self.world.api.put(*self._changes.pop())
        die_at = self._conditions.die_at
        if die_at is not None and self._steps >= die_at:
            raise Ended("died")

    # Load

    def _look_and_load(self) -> None:
        found = self.world.folders.get(self.pipe.folder) if self.lasts else None
        self.folder = folder = found or Folder()
        start = where(self.state, folder.places)
        if isinstance(start, Question):
            raise Ended("asked", start)
        if self.first is None:
            self.first = start.offset
        if start.is_behind:
            self.world.note_behind(self.pipe, start.offset)
        bad = first_damaged(folder, range(start.offset + 1, folder.head + 1))
        if bad is None:
            bad = first_damaged(folder, range(folder.head, folder.head + 1))
        entries = folder.entries[start.offset : folder.head if bad is None else bad - 1]
        at_head = start.position
        for entry in entries:
            at_head = advance(at_head, entry.page, self.wanted.rules)
        if bad is None:
            self._ask_before_load(plan(at_head, *self._known()))
        self.position = start.position
        self._load(entries, start.offset)
        if bad is not None:
            raise Ended("asked", Question("archive-damaged", ("drop",)), bad)

    def _ask_before_load(self, planned: Request | Question | None) -> None:
        """End with a question, unless nothing may be bought: then it is a warning."""
        if not isinstance(planned, Question):
            return
        if self._conditions.pages == 0:
            self.world.note(f"WARNING {planned}")
        else:
            raise Ended("asked", planned)

    def _known(self) -> tuple[Log, Wanted, Run, NewSync]:
        world = self.world
        log = self.folder.log(self.wanted.rules) if self.lasts else Log()
        now = at(world.api.now - world.skew)
        return log, self.wanted, self.bought, NewSync(id=world.new_id(), now=now)

    def _load(self, entries: Sequence[Entry], offset: int) -> None:
        """Deliver each row where it is its newest version, and a state where none is skipped."""
        if not entries:
            return
        newest = _newest(entries)
        self._step()
        if offset == 0 and self.state is None:
            self._begin_anew()
        outstanding = -1
        for number, entry in enumerate(entries):
            for row in entry.rows:
                if row.is_erased:
                    continue
                version, first = newest[row.id]
                if row.version == version:
                    self.target.row(row)
                else:
                    outstanding = max(outstanding, first)
                self._step()
            self._move_to(entry, offset + number + 1)
            if outstanding <= number:
                self._write_state()
            self._step()

    def _begin_anew(self) -> None:
        """Say before the first row that the old state is no longer true."""
        self.target.state(State(owner=OWNER, offset=0, entry=None, time="", position=NOTHING))

    def _move_to(self, entry: Entry, number: int) -> None:
        self.position = advance(self.position, entry.page, self.wanted.rules)
        self.state = State(
            owner=OWNER,
            offset=number if self.lasts else 0,
            entry=entry.id if self.lasts else None,
            time=at(entry.time),
            position=self.position,
        )

    def _write_state(self) -> None:
        assert self.state
        self.target.state(self.state)

    # Buy

    def _buy(self) -> None:
        for bought in range(_ENDLESS):
            request = self._plan()
            if isinstance(request, Question):
                raise Ended("limit" if self._conditions.pages == 0 else "asked", request)
            if request is None:
                return
            if bought == self._conditions.pages:
                raise Ended("limit")
            if request.page == 1 and not request.sync.replaces:
                self.world.check_new(self, request)
            self._prove_place()
            request, rows, cursor = self._fetch(request)
            if self._is_void(request, rows, cursor):
                self.folder.pending = None
                return
            self._keep(request, rows, cursor)
        raise self.world.wrong("a run never ends")

    def _plan(self) -> Request | Question | None:
        return plan(self.position, *self._known())

    def _prove_place(self) -> None:
        """Prove that a page can be written, if the last one perhaps could not."""
        if not self.lasts:
            self._step()
            return
        world, folder, head = self.world, self.folder, self.folder.id_of(self.folder.head) or ""
        is_outstanding = folder.pending == head
        if world.disk == "full" or (is_outstanding and world.disk != "ok"):
            raise Ended("failed")
        world.folders.setdefault(self.pipe.folder, folder)
        folder.pending = head
        self._step()

    def _fetch(self, request: Request) -> tuple[Request, tuple[Row, ...], str | None]:
        page = self.world.api.page(request.sync, request.cursor)
        if page is None:
            known = self._known()
            after = after_rejection(
                request.sync, self.wanted, self.bought, known[3], has_archive=self.lasts
            )
            if isinstance(after, Question):
                self.folder.pending = None
                raise Ended("rejected", after)
            request = after
            self._step()
            page = self.world.api.page(request.sync, None)
            assert page
        return request, *page

    def _is_void(self, request: Request, rows: Sequence[Row], cursor: str | None) -> bool:
        """Return whether a page is no entry, and the stream buys nothing more."""
        if rows or request.page > 1 or cursor is not None:
            return False
        if not moves_nothing(self.position, request, self.wanted):
            return False
        if not self.position.is_begun:
            self.is_empty = True
            self.position = completed(self.position, request.sync, self.wanted.rules)
        return True

    def _keep(self, request: Request, rows: tuple[Row, ...], cursor: str | None) -> None:
        """Append a page to the log, and deliver it."""
        world, folder, sync = self.world, self.folder, request.sync
        world.lost_pages += 1
        try:
            self._step()
        except Ended:
            world.most_lost_pages += 1
            raise
        world.check_bill(self, sync, rows)
        if self.lasts and world.disk != "ok":
            raise Ended("failed")
        entry = Entry(
            id=f"e{world.new_id()}",
            page=Page(sync=sync, page=request.page, rows=len(rows), cursor=cursor),
            rows=rows,
            before=folder.position_by(self.wanted.rules),
            own=self.position,
            time=world.api.now,
        )
        if self.lasts:
            world.folders.setdefault(self.pipe.folder, folder)
        folder.entries.append(entry)
        world.lost_pages -= 1
        self._note(request, is_last=cursor is None)
        self._step()
        for row in rows:
            self.target.row(row)
            self._step()
        self._move_to(entry, folder.head)
        self._write_state()
        self._step()

    def _note(self, request: Request, *, is_last: bool) -> None:
        sync = request.sync
        self.bought.note(request, is_last=is_last)
        if request.page == 1:
            self._ids.add(sync.id)
            self.world.note_begun(self, sync)
        if is_last and sync.id in self._ids:
            self.has_full |= sync.since <= self.wanted.start and sync.reads == self.wanted.filters


def _newest(entries: Sequence[Entry]) -> dict[int, tuple[int, int]]:
    """Return the newest version of each row that is not erased, and where it comes first."""
    newest: dict[int, tuple[int, int]] = {}
    for number, entry in enumerate(entries):
        for row in entry.rows:
            if not row.is_erased and newest.get(row.id, (0, 0))[0] != row.version:
                newest[row.id] = (row.version, number)
    return newest
