"""A simulated world with pipelines that share archives, the answers of their users, and an oracle.

The oracle does not derive the rules again. It compares each warehouse with what the API lists, each
page that is bought with what the archive has, and what an archive claims with its pages.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from io import StringIO
from itertools import takewhile
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

from click import ClickException

from tap_jobo import archive_cli
from tap_jobo.errors import FormatError
from tap_jobo.model import ALL, Filters, Position, Read, State, Sync
from tap_jobo.sync.plan import best
from tests.sync.world.in_memory import SimClock, TapRun
from tests.sync.world.parts import (
    RULES,
    Api,
    Asked,
    Entry,
    Folder,
    Pipe,
    Row,
    RowOrder,
    Way,
    Wrong,
    at,
    minute,
    minutes,
    wants_nothing,
)
from tests.sync.world.runs import AnyRun, Conditions, Outcome

_ROUNDS: Final = 12
"""As often may a pipeline run, or all of them, until nothing is left to buy or to ask."""


class World:
    """Pipelines, their archives, and the API."""

    steps = 40  #: about as many has a run that buys some pages

    def __init__(self, *names: str, order: RowOrder = "time", is_free: bool = False) -> None:
        self.api = Api(order, is_free)
        self.folders: dict[str, Folder] = {}
        self.copies: dict[str, list[Folder]] = {}
        self.pipes = {name: Pipe(name, wants_nothing()) for name in names or ("prod",)}
        #: whether folders and `archive` were never touched; states may have been lost
        self.is_calm = True
        self.has_kept = False
        self.starts: set[str] = set()  #: the start dates that pipelines have had
        self.skew = 0  #: how far the earlier clock is behind
        self.drift = 0  #: how far the local clock is ahead, which a run has until it buys
        self.margin = 0  #: the most minutes that a run may read again
        self.billed = 0  #: the rows that the last run was billed for
        self.total = 0  #: the rows that all runs were billed for
        #: of each row that `erase` took out, the last version, and when it had changed
        self.erased: dict[int, tuple[int, int]] = {}
        self.erased_rows: set[Row] = set()  #: the rows that it took out
        self.log: list[str] = []
        self.begun: set[str] = set()  # the orders that syncs carry out

    # Folders

    def new_folder(self, name: str) -> Folder:  # noqa: ARG002 - in memory, it needs no name
        """Return the folder of an archive, which has nothing yet."""
        return Folder()

    def lose_folder(self, name: str) -> None:
        self.is_calm = False
        self.folders.pop(name, None)

    def copy_folder(self, name: str) -> None:
        self.copies.setdefault(name, []).append(self.folders[name].copy())

    def restore_folder(self, name: str, number: int = -1) -> None:
        """Restore a copy, by default the last one."""
        self.is_calm = False
        self.folders[name] = self.copies[name][number].copy()

    def note(self, text: str) -> None:
        self.log.append(f"{self.api.now:5} {text}")

    def wrong(self, text: str) -> Wrong:
        return Wrong("\n".join([text, *self.log]))

    def require(self, condition: object, text: str) -> None:
        if not condition:
            raise self.wrong(text)

    def describe(self, pipe: Pipe) -> str:
        folder, state = self.folders.get(pipe.folder), pipe.state
        own = f"{state.offset} {state.entry} {state.time} {state.position}" if state else "none"
        there = f"1..{folder.head} {folder.order}" if folder else "none"
        return f"state: {own}; archive: {there}"

    # Runs

    def new_run(self, pipe: Pipe, happens: Conditions) -> AnyRun:
        """Return a run of the tap."""
        return TapRun(self, pipe, happens)

    def run(self, name: str, **conditions: Any) -> Outcome:
        """Let a pipeline run, and check what it did."""
        return self.conclude(self.begin(name, **conditions))

    def begin(self, name: str, **conditions: Any) -> AnyRun:
        """Return a run that begins now."""
        pipe = self.pipes[name]
        pipe.question = None
        self.starts.add(pipe.wanted.start)
        self.margin = max(self.margin, self.skew + pipe.lookback)
        pipe.shortest = min(pipe.lookback, pipe.shortest if pipe.since else pipe.lookback)
        self.api.tick()
        return self.new_run(pipe, Conditions(**conditions))

    def conclude(self, run: AnyRun) -> Outcome:
        """Let a run go to its end, and check what it did."""
        pipe, happens = run.pipe, run.conditions
        outcome, question = run.go()
        pipe.question = None if happens.only_buys else question
        if not (outcome == "died" and happens.kills_target):
            run.target.flush()
        if outcome == "died" and not run.lasts:
            pipe.is_true = False  # its rows are newer than its state says
        self.billed = run.billed
        self.total += self.billed
        self.note(
            f"{pipe.name} {'buys' if happens.only_buys else 'runs'}: {outcome} {question or ''} "
            f"{self.billed} rows are billed. "
            f"{self.describe(pipe)}"
        )
        if question and question.code in {"filters-changed", "archive-lacks-rows"}:
            self.require(not self.api.is_free, "a free feed asks")
            self.require(not run.target.received, "loaded before a question")
        if happens.only_buys:
            self._check_bought(run, is_done=outcome == "done")
        elif outcome == "done":
            self._check(run)
        if not happens.only_buys:
            self._check_with_archive(run, is_done=outcome == "done")
        if happens.is_offline:
            self._check_offline(run, is_over=outcome == "failed")
        self._check_truth(self.folders.get(pipe.folder))
        most = int(outcome in {"died", "failed"})  # the page in flight
        self.require(run.lost <= most, f"{run.lost} pages are lost")
        return outcome

    def adopt(self, pipe: Pipe) -> None:
        """Let another tap fill a warehouse up to now, and pass on its state."""
        if self.api.is_free:  # whose state is refused
            return
        wanted, until = pipe.wanted, at(self.api.tick())
        pipe.forget()
        pipe.warehouse = {
            row.id: row
            for row in self.api.rows.values()
            if row.matches(wanted.filters) and at(row.at) >= wanted.start
        }
        read = Read(filters=wanted.filters, start=wanted.start, until=until)
        position = Position(reads=(read,), is_begun=True)
        pipe.state = State(owner="", offset=0, entry=None, time=until, position=position)
        pipe.done.append((wanted.filters, wanted.start, until))
        self.is_calm = False
        self.note(f"another tap has filled the warehouse of {pipe.name}")

    def note_behind(self, pipe: Pipe, offset: int) -> None:
        self.require(not self.is_calm, "an archive is behind, although folders were never touched")
        self.note(f"WARNING the archive of {pipe.name} is behind, which loads after {offset}")

    # Questions

    def answer(self, name: str, way: Way) -> Outcome:
        """Let a user do what a message names, and run again."""
        pipe = self.pipes[name]
        question = pipe.question
        assert question
        self.note(f"the user of {name} answers {question.code} with {way}")
        if way in {"resync", "keep"}:
            was = pipe.wanted
            pipe.wanted = replace(was, choice=way)
            outcome = self.run(name)
            pipe.wanted = was
            asks_again = bool(pipe.question and pipe.question.code == question.code)
            self.require(not asks_again, f"{way} is no way out of {question.code}")
            return outcome
        if way == "no-state":
            pipe.state = None
        elif way == "drop":
            self._drop_damaged(pipe, question)
        else:
            self._restart_stuck(pipe)
        return self.run(name)

    def _drop_damaged(self, pipe: Pipe, question: Asked) -> None:
        folder = self.folders.get(pipe.folder)
        if folder and question.page in folder.intact:
            self.drop(pipe.folder, question.page)

    def _restart_stuck(self, pipe: Pipe) -> None:
        self.restart_sync(pipe.folder, pipe, pipe.own if pipe.state else None)

    # The command

    def _refusal(self, command: Callable[..., None], *arguments: Any, **given: Any) -> str:
        """Run a command on an archive, with the settings of a pipeline; return why it refuses."""
        clock = SimClock(self)
        settings = SimpleNamespace(**given)
        with (
            redirect_stdout(StringIO()),
            patch.object(archive_cli, "Clock", lambda: clock),
            patch.object(archive_cli, "_settings", lambda *_: settings),
        ):
            try:
                command(*arguments)
            except (ClickException, FormatError) as error:
                return str(error)
        return ""

    def restart(
        self, name: str, since: str | None = None, filters: Filters | None = None, start: str = ALL
    ) -> None:
        """Order to read again what pipelines of some filters have read."""
        folder = self.folders.get(name)
        if folder is None:
            return
        self.api.tick()
        order = partial(archive_cli._restart, folder.archive, (), since, None, yes=True)
        if not self._refusal(order, filters=filters or {}, start=start):
            self.note(f"restart: {folder.order}")

    def restart_sync(self, name: str, pipe: Pipe, own: Position | None = None) -> bool:
        """Order to begin a sync over that is stuck, and return whether there is one.

        Args:
            name: The folder.
            pipe: Whose filters the sync has.
            own: The position that the message of a run was about, which has named the sync.
        """
        folder, wanted = self.folders.get(name), pipe.wanted
        over = ""
        if own is not None:
            folder = self.folders.setdefault(name, self.new_folder(name))
            going = [each.sync for each in own.progress if each.sync.filters == wanted.filters]
            over = max(going, key=lambda sync: sync.started).id if going else ""
        if folder is None:
            return False
        self.api.tick()
        order = partial(archive_cli._restart, folder.archive, (), None, over, yes=True)
        if self._refusal(order, filters=wanted.filters, start=wanted.start):
            return False
        self.api.has_rejected = True
        self.note(f"restart --sync: {folder.order}")
        return True

    def drop(self, name: str, number: int) -> None:
        """Drop a page, and before that another one if the command says so."""
        folder = self.folders[name]
        refusal = self._refusal(partial(archive_cli._drop, folder.archive, number, yes=True))
        self.is_calm = False
        if not refusal:
            folder.intact.pop(number, None)
            folder.headless.discard(number)
            self.note(f"page {number} of {name} is dropped")
            return
        first = int(re.findall(r"[Pp]age (\d+)", refusal)[0])
        self.require(first in folder.intact and first != number, refusal)
        self.drop(name, first)
        self.drop(name, number)

    def erase(self, name: str, row_id: int, *, in_warehouses: bool) -> None:
        """Take a row out of all pages of an archive, and perhaps out of warehouses."""
        folder = self.folders[name]
        rows = {row for entry in folder.entries for row in entry.rows if row.id == row_id}
        self._refusal(archive_cli._erase, folder.archive, {self.api.key(row_id)})
        self.erased_rows |= rows
        row = self.api.rows.get(row_id)
        self.erased[row_id] = self.api.versions.get(row_id, 0), row.at if row else -1
        if in_warehouses:
            for pipe in self.pipes.values():
                pipe.warehouse.pop(row_id, None)
        self.note(f"row {row_id} is erased from {name}")

    def damage(self, name: str, number: int, *, is_headless: bool = False) -> None:
        folder = self.folders[name]
        header = folder.entries[number - 1].header
        if header.dropped:
            return
        folder.damage(number, is_headless=is_headless)
        self.is_calm = False
        self.note(f"page {number} of {name} is damaged, its header, too: {is_headless}")

    # The oracle: rows

    def _is_erased(self, row: Row) -> bool:
        """Return whether no page lists a version any more; one without a new time never is."""
        version, changed_at = self.erased.get(row.id, (0, -1))
        return row.version <= version or row.at <= changed_at

    def _check(self, run: AnyRun) -> None:
        """Check what a warehouse has after a run that was done."""
        pipe, wanted, own = run.pipe, run.wanted, run.position
        pipe.is_true = pipe.is_true or run.target.has_state
        has = best(own, wanted)
        if not own.is_begun:  # the first page had no rows
            has = Read(filters=wanted.filters, start=wanted.start, until=at(run.began))
        if has is None:
            raise self.wrong(f"{pipe.name} is done, but does not have its filters")
        if has.gap is not None:
            is_caused = not self.is_calm or self.has_kept
            self.require(is_caused, f"a gap without a cause: {has}")
            self.note(f"WARNING [gap] of {pipe.name} since {has.gap}")
        until = at(max(run.began - self.margin, 0))
        for row in self.api.rows.values():
            is_wanted = row.matches(wanted.filters) and wanted.start <= at(row.at) < until
            is_told = has.gap is not None and at(row.at) >= has.gap
            if is_wanted and not is_told and self._can_be_read(pipe, row):
                self._require_row(pipe, row)
        if own.is_begun:
            pipe.done.append((wanted.filters, wanted.start, has.until))
        pipe.since = run.began if pipe.since is None else pipe.since

    def _can_be_read(self, pipe: Pipe, row: Row) -> bool:
        """Return whether a row became visible in time for all lookbacks of a pipeline."""
        shown_at, late = self.api.late.get((row.id, row.version), (0, 0))
        return not late or (
            self.is_calm
            and late <= pipe.shortest - self.skew
            and pipe.since is not None
            and shown_at > pipe.since
        )

    def _check_bought(self, run: AnyRun, *, is_done: bool) -> None:
        """Check a run that has no warehouse: it has written nothing, and bought all."""
        self.require(not run.target.received, "it delivers, although it only buys")
        has = best(run.position, run.wanted)
        is_bought = has is not None or not run.position.is_begun
        self.require(is_bought or not is_done, "it is done, but has not bought its filters")

    def _check_offline(self, run: AnyRun, *, is_over: bool) -> None:
        """Check a run without the API: it has loaded all that its archive has, free."""
        self.require(not run.billed, "a run without the API is billed")
        state = run.state
        if is_over and state and self.is_calm:
            is_loaded = state.offset == run.folder.head
            self.require(is_loaded, "a run without the API does not load all")

    def _require_row(self, pipe: Pipe, row: Row) -> None:
        has = pipe.warehouse.get(row.id)
        is_old = has is None or has.at < row.at
        if is_old and not self._is_erased(row):
            raise self.wrong(f"{pipe.name} has {has}, the API has {row}")

    def _check_with_archive(self, run: AnyRun, *, is_done: bool) -> None:
        """Check a warehouse against what its archive has up to the place of its state."""
        pipe, state, folder = run.pipe, run.pipe.state, self.folders.get(run.pipe.folder)
        if not (state and folder and pipe.uses_archive):
            return
        if self.is_calm or (is_done and run.first == 0):
            for row in (row for entry in folder.entries[: state.offset] for row in entry.rows):
                self._require_version(pipe, row)
        has_one_version = all(each.wanted.rules is RULES for each in self.pipes.values())
        if self.is_calm and has_one_version and state.offset == folder.head:
            is_alike = state.position == folder.position
            self.require(is_alike, f"positions differ: {state.position}, {folder.position}")

    def _require_version(self, pipe: Pipe, row: Row) -> None:
        has = pipe.warehouse.get(row.id)
        is_newest = has is not None and has.version >= row.version
        self.require(is_newest or self._is_erased(row), f"{pipe.name} has {has}, not {row}")

    def check_all(self, name: str) -> None:
        """Check that a warehouse has all rows of its filters."""
        pipe = self.pipes[name]
        for row in self.api.rows.values():
            if row.matches(pipe.wanted.filters) and self._can_be_read(pipe, row):
                self._require_row(pipe, row)

    def _check_truth(self, folder: Folder | None) -> None:
        """Check that what an archive's position says of rows is true of its entries."""
        if folder is None or folder.headless:
            return
        has: dict[int, int] = {}
        rows = (row for entry in folder.entries for row in entry.rows)
        for row in (*rows, *self.erased_rows):
            has[row.id] = max(has.get(row.id, 0), row.at)
        for read in folder.position.reads:
            until = read.until if read.gap is None else min(read.gap, read.until)
            for row in self.api.rows.values():
                is_claimed = row.matches(read.filters) and read.start <= at(row.at) < until
                is_claimed &= (row.id, row.version) not in self.api.late
                if is_claimed and has.get(row.id, 0) < row.at:
                    raise self.wrong(f"the archive claims {row} by {read}")

    # The oracle: money

    def check_bought(self, run: AnyRun, entry: Entry, before: Sequence[Entry]) -> None:
        """Check a page that a run has bought, which follows some entries of the archive."""
        sync = entry.sync
        if entry.header.page == 1:
            self.note(f"  {run.pipe.name} begins {sync}")
            self.has_kept |= sync.kept is not None
            if sync.replaces:
                run.known |= {sync.id} if sync.replaces in run.known else set()
            else:
                self._check_new(run, entry)
                if sync.order is not None:
                    self._note_order(run, sync, sync.order)
        is_wanted = sync.since >= run.wanted.start or sync.id in run.known
        is_free = self.api.is_free or run.conditions.only_buys
        self.require(is_wanted or is_free, f"rows from before the start date are bought: {sync}")
        self._check_bill(run, entry, before)

    def _check_new(self, run: AnyRun, entry: Entry) -> None:
        """Check that a sync begins which the user expects, and reads nothing that is known."""
        pipe, wanted, own, sync = run.pipe, run.wanted, entry.header.buyer, entry.sync
        if wanted.choice != "error" or sync.order is not None or not own.is_begun:
            return
        is_of_others = not own.reads and all(
            each.sync.filters == sync.filters and each.sync.since < wanted.start
            for each in own.progress
        )
        self.require(
            best(own, wanted) or is_of_others, "bought unasked, although something was read"
        )
        until = [
            end
            for filters, start, end in pipe.done
            if RULES.covers(filters, sync.filters) and start <= wanted.start
        ]
        known = max(until, default="")
        if not self.is_calm and (there := best(entry.header.before, wanted)):
            known = min(known, there.until)
        is_new = not known or minute(sync.since) >= minute(known) - self.margin
        self.require(is_new, f"old rows since {sync.since} are bought unasked, known until {known}")

    def _check_bill(self, run: AnyRun, entry: Entry, before: Sequence[Entry]) -> None:
        """Check that no row is billed again that has not changed since it was read."""
        sync = entry.sync
        if not run.lasts or sync.order is not None or run.wanted.choice != "error":
            return
        if not self.is_calm or len(self.starts) > 1 or self.api.has_rejected:
            return
        has = {row for each in before for row in each.rows} | self.erased_rows
        complete = [
            each.sync.started
            for each in takewhile(lambda each: each.sync.id != sync.id, before)
            if each.is_last
            and each.sync.reads == each.sync.filters
            and each.sync.started < sync.started
            and RULES.covers(each.sync.filters, sync.filters)
        ]
        until = minute(max(complete, default="")) - self.margin
        again = [row for row in entry.rows if row in has and row.at < until]
        self.require(not again, f"billed again {again} by {sync}")

    def _note_order(self, run: AnyRun, sync: Sync, time: str) -> None:
        order = run.folder.order
        if order and order.time == time:
            is_own = order.filters == sync.filters == sync.reads
            is_own_start = self.api.is_free or order.start == run.wanted.start
            self.require(is_own and is_own_start, "an order is carried out for others")
        is_twice = self.is_calm and time in self.begun
        self.require(not is_twice, "an order is carried out twice")
        self.begun.add(time)

    # The end

    def quiesce(self, choose: Callable[[list[Way]], Way] = lambda ways: ways[0]) -> None:
        """Run all pipelines until nothing is left, and check them, and a new warehouse."""
        self.note("the world comes to rest")
        self.api.rejects = self.skew = self.drift = 0
        self.api.stuck = set() if self.api.is_free else self.api.stuck - {"all"}
        for pipe in self.pipes.values():
            pipe.wanted = replace(pipe.wanted, choice="error")
        quiet = 0
        for _ in range(_ROUNDS):
            asked = [self._finish(pipe, choose) for pipe in self.pipes.values()]
            quiet = 0 if any(asked) else quiet + 1
            if quiet == 2:
                break
        else:
            raise self.wrong("the pipelines ask for ever")
        for folder in self.folders.values():
            self._check_order(folder)
        for pipe in [*self.pipes.values()]:
            if pipe.uses_archive and pipe.folder in self.folders:
                self._check_new_warehouse(pipe, self.folders[pipe.folder])

    def _finish(self, pipe: Pipe, choose: Callable[[list[Way]], Way]) -> bool:
        """Run a pipeline until nothing is left to buy, and return whether it asked something."""
        has_asked = has_waited = False
        for _ in range(_ROUNDS):
            outcome = self.run(pipe.name)
            if outcome == "done":
                # With a lookback, each run buys the last minutes again.
                if not self.billed or (self.margin and has_waited):
                    return has_asked
                self.api.wait(100)
                has_waited = True
                continue
            has_asked = True
            for _ in range(_ROUNDS):  # an answer may lead to another question
                if question := pipe.question:
                    self.answer(pipe.name, choose([*question.ways]))
        raise self.wrong(f"{pipe.name} never comes to rest: {pipe.question}")

    def _check_order(self, folder: Folder) -> None:
        """Check that an order is carried out by a pipeline that fits it, if it has any rows."""
        order = folder.order
        if order is None or order.over or not self.is_calm or self.api.is_free:
            return
        wanted = [(pipe.wanted.filters, pipe.wanted.start) for pipe in self.pipes.values()]
        since = max(order.since or ALL, order.start)
        has_rows = any(
            row.matches(order.filters) and at(row.at) >= since for row in self.api.rows.values()
        )
        if has_rows and (order.filters, order.start) in wanted:
            is_begun = any(each.sync.order == order.time for each in folder.entries)
            self.require(is_begun, f"an order is never carried out: {order}")

    def _check_new_warehouse(self, pipe: Pipe, folder: Folder) -> None:
        """Check that a new warehouse is loaded, and in a calm world free."""
        wanted = replace(pipe.wanted, lookback=minutes(0))
        third = self.pipes["third"] = Pipe("third", wanted, pipe.folder)
        outcome = self.run("third")
        while third.question and third.question.page:
            outcome = self.answer("third", "drop")
        if self.is_calm:
            self.require(outcome == "done", f"a new warehouse asks {third.question}")
            is_paid = self.billed and not folder.order and not self.api.is_free
            self.require(not is_paid, "a new warehouse pays")
        del self.pipes["third"]
