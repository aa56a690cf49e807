"""A simulated world with pipelines that share archives, the answers of their users, and an oracle.

The oracle does not derive the rules again. It compares each warehouse with what the API lists, each
page that is bought with what the archive has, and each question with what has happened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tap_jobo.model import Position
from tap_jobo.sync import repair
from tap_jobo.sync.settings import SyncSettings
from tap_jobo.sync.start import Question, Way
from tap_jobo.sync.state import State, read_state
from tests.sync.rules.parts import (
    BILLED_FEED,
    FREE_FEED,
    KEY,
    Api,
    Folder,
    Order,
    Page,
    Pipeline,
    Row,
    Wrong,
    minute,
)
from tests.sync.rules.run import Asked, Conditions, Ended, Outcome, TapRun

if TYPE_CHECKING:
    from tap_jobo.sync.load import DroppedPages
    from tap_jobo.sync.plan import Request

_ROUNDS = 10
"""As often may a pipeline run, or all of them, until nothing is left to buy or to ask."""


class World:
    """Pipelines, their archives, and the API.

    Attributes:
        is_calm: Whether folders and `archive` were never touched; states may have been lost.
        has_same_settings: Whether filters and dates never changed, and are the same everywhere.
        excused: Row versions that may be missing, since a user said `keep`.
        skew: How far the earlier clock is behind.
    """

    def __init__(self, *names: str, order: Order = "time", is_free: bool = False) -> None:
        spec = FREE_FEED if is_free else BILLED_FEED
        self.api = Api(order, spec)
        self.folders: dict[str, Folder] = {}
        self.copies: dict[str, list[Folder]] = {}
        settings = SyncSettings(
            spec=spec,
            filters={},
            start_date=None,
            on_filter_change="error",
            lookback=timedelta(0),
            batch_size=2,
        )
        self.pipes = {name: Pipeline(name, settings) for name in names or ("prod",)}
        self.is_calm = True
        self.has_same_settings = True
        self.excused: set[tuple[int, int]] = set()
        self.skew = 0
        self.most_skew = 0
        self.billed = 0  # rows, in the last run
        self.loaded = 0  # rows that it wrote, also those that it bought
        self.log: list[str] = []
        self._ids = 0
        self._known_until: dict[str, int] = {}  # by the id of a sync: rows from before are known

    @property
    def is_free(self) -> bool:
        return self.api.spec.is_free

    def new_id(self) -> str:
        self._ids += 1
        return f"{self._ids}"

    def new_archive_id(self) -> str:
        return f"{KEY}-{self.new_id()}"

    def note(self, text: str) -> None:
        self.log.append(f"{self.api.now:5} {text}")

    def wrong(self, text: str) -> Wrong:
        return Wrong("\n".join([text, *self.log]))

    def require(self, condition: object, text: str) -> None:
        if not condition:
            raise self.wrong(text)

    def describe(self, pipe: Pipeline) -> str:
        state, folder = pipe.state, self.folders.get(pipe.folder)
        has = "no archive"
        if folder:
            file, view = folder.file, folder.view
            ordered = ", restart" if view.ordered else ""
            has = f"archive {file.id[-4:]} {file.first}..{folder.head}, base {view.base}{ordered}"
        if state is None:
            return f"no state; {has}"
        progress = state.position.progress
        doing = f", {progress.sync.kind} to page {progress.pages}" if progress else ""
        place = f"{(state.archive or '-')[-4:]}@{state.offset}"
        return f"state {place}, bookmark {state.position.bookmark}{doing}; {has}"

    # A run

    def run(self, name: str, **conditions: Any) -> Outcome:
        """Let a pipeline run, and check that its warehouse has everything if it ends as it should.

        Args:
            name: The pipeline.
            conditions: What happens meanwhile, see `Conditions`.
        """
        pipe, happens = self.pipes[name], Conditions(**conditions)
        pipe.question = None
        self.api.tick()
        run, served = TapRun(self, pipe, happens), self.api.served
        outcome: Outcome = "done"
        try:
            run.go()
        except Asked as asked:
            outcome = asked.outcome
            pipe.question, pipe.damaged = asked.question, asked.damaged
            self._check_question(run, asked.question)
        except Ended as ended:
            outcome = ended.outcome
        if not (outcome == "died" and happens.kills_target):
            run.target.flush()
        if self.is_calm and pipe.overwritten:
            raise self.wrong(f"an older version was written over a newer one: {pipe.overwritten}")
        self.billed, self.loaded = self.api.served - served, run.target.received
        self.note(
            f"{name} runs: {outcome} {pipe.question or ''} {self.billed} rows are billed. "
            f"{self.describe(pipe)}"
        )
        if outcome == "done":
            self.check(pipe, until=run.began_at - pipe.lookback - self.skew)
        return outcome

    def note_adoption(self, pipe: Pipeline) -> None:
        self.require(not self.is_calm, "adopted, although folders were never touched")
        self.note(f"WARNING {pipe.name} adopts: {self.describe(pipe)}")

    def warn_of_dropped(self, pipe: Pipeline, dropped: DroppedPages) -> None:
        folder = self.folders[pipe.folder]
        for number in dropped.numbers:
            self.note(f"WARNING [gap] page {number} was dropped, since {dropped.since}")
            pipe.excused |= {(row.id, row.version) for row in folder.lost[number]}

    # Questions

    def _check_question(self, run: TapRun, question: Question) -> None:
        """Check that a question has a cause."""
        code, state = question.code, run.state_before
        folder = self.folders.get(run.pipe.folder)
        if self.is_calm and code in {"other-archive", "archive-incomplete", "archive-damaged"}:
            raise self.wrong(f"asked {code}, although folders were never touched")
        if self.has_same_settings and code in {"other-filters", "filters-changed"}:
            raise self.wrong(f"asked {code}, although filters and dates never changed")
        if self.is_free and code != "archive-damaged":
            raise self.wrong(f"asked {code}, although the feed is free")
        is_own = folder is not None and state is not None and state.archive == folder.file.id
        needs_all = code == "archive-incomplete" or (code == "other-archive" and is_own)
        if folder and not folder.file.origin and needs_all:
            raise self.wrong(f"asked {code} of an archive that has everything")

    def ways(self, pipe: Pipeline) -> list[Way]:
        """Return the ways out that fit the user: `state` only if the warehouse has those rows."""
        assert pipe.question
        return [way for way in pipe.question.ways if way != "state" or self._had_origin(pipe)]

    def _had_origin(self, pipe: Pipeline) -> bool:
        folder = self.folders.get(pipe.folder)
        if folder is None or folder.file.origin is None:
            return False
        origin = folder.file.origin
        for raw in pipe.saved:
            state = read_state(raw, pipe.settings)
            assert state
            is_origin = (state.entry, state.position) == (origin.entry, origin.position)
            is_in = state.archive == folder.file.id and state.offset >= folder.file.first
            if is_origin or (is_in and folder.id_of(state.offset) == state.entry):
                return True
        return False

    def answer(self, name: str, way: Way) -> Outcome:
        """Let a user do what a message names, and run again."""
        pipe = self.pipes[name]
        question, pipe.question = pipe.question, None
        assert question
        self.note(f"the user of {name} answers {question.code} with {way}")
        if way in {"resync", "keep"}:
            return self._run_once(pipe, way)
        if way == "no-state":
            if question.code == "other-filters":
                return self._run_once(pipe, "resync", full_refresh=True)
            pipe.raw = {}
        else:
            self._repair(pipe, way)
        return self.run(name)

    def _run_once(self, pipe: Pipeline, choice: Any, **conditions: Any) -> Outcome:
        """Run with another `on_filter_change`, as messages say."""
        pipe.settings = replace(pipe.settings, on_filter_change=choice)
        outcome = self.run(pipe.name, **conditions)
        pipe.settings = replace(pipe.settings, on_filter_change="error")
        return outcome

    def _repair(self, pipe: Pipeline, way: Way) -> None:
        """Do what the message says, if the folder is still as it was then."""
        folder = self.folders.get(pipe.folder)
        if way == "own-dir":
            self.is_calm = False
            pipe.folder = f"{pipe.name}-{self.new_id()}"
        elif folder is None:
            return
        elif way == "drop":
            self.is_calm = False
            if pipe.damaged is not None and pipe.damaged in folder.damaged:
                self.drop(pipe.folder, pipe.damaged)
        elif way == "state":
            self._restore_origin(pipe, folder)
        elif way == "restart":
            self.restart(pipe.folder)
        elif progress := folder.view.position.progress:
            self.restart(pipe.folder, repair.since_to_begin_over(progress.sync))

    def _restore_origin(self, pipe: Pipeline, folder: Folder) -> None:
        if origin := folder.file.origin:
            before = folder.file.first - 1
            state = State(folder.file.id, before, origin.entry, origin.position)
            pipe.raw = state.as_raw(pipe.settings.spec)

    # The command

    def restart(self, folder: str, since: str | None = None, **filters: Any) -> bool:
        """Order to buy again, and return whether that is allowed."""
        archive = self.folders.get(folder)
        if archive is None or archive.head in archive.headless:
            return False
        file = repair.restart(archive.view, since, **filters)
        archive.file = file or archive.file
        return file is not None

    def drop(self, folder: str, number: int) -> None:
        """Drop a damaged page, and first those before it without which that cannot be done."""
        archive = self.folders[folder]
        before = archive.pages.get(number - 1) if number > archive.file.first else None
        header = repair.dropped(
            number,
            archive.file,
            own=archive.header(number),
            before=before.read if before and number - 1 not in archive.damaged else None,
            after=archive.header(number + 1),
        )
        if header is None:
            self.drop(folder, number - 1)
            self.drop(folder, number)
            return
        archive.lost[number] = archive.pages[number].rows
        archive.pages[number] = Page(header, (), None)
        archive.damaged.discard(number)
        archive.headless.discard(number)

    # The oracle: money

    def check_request(self, run: TapRun, request: Request, position: Position) -> None:
        """Check that a request is one that the user expects."""
        pipe, sync = run.pipe, request.sync
        folder = self.folders.get(pipe.folder) if pipe.uses_archive else None
        progress = position.progress
        if request.cursor is not None:
            self._check_next_page(folder, request)
            return
        self.require((request.page, request.rows) == (1, 0), f"no first page: {request}")
        s, is_ordered = pipe.settings, request.why in {"rejected", "restart", "old"}
        is_allowed = s.on_filter_change != "error" or is_ordered
        if not is_allowed:
            self.require(not progress, "a sync in progress is given up without a question")
            self.require(
                sync.kind == "changes" or self._has_nothing(run, position),
                f"a sync of kind {sync.kind} that nobody asked for, by {self.describe(pipe)}",
            )
        if sync.gap:  # only a gap that is noted is excused
            self.excused |= {(row.id, row.version) for row in self.api.rows.values()}

    def _check_next_page(self, folder: Folder | None, request: Request) -> None:
        """Check that the archive lacks the page, and that its rows follow those it has."""
        of_sync = [
            page
            for page in _bought(folder)
            if page.header.sync and page.header.sync.id == request.sync.id
        ]
        numbers = [page.header.page for page in of_sync]
        self.require(request.page not in numbers, "a page is bought that the archive has")
        if numbers == [*range(1, request.page)]:
            rows = sum(len(page.rows) for page in of_sync)
            self.require(rows == request.rows, f"{rows} rows are before the page: {request}")

    def _has_nothing(self, run: TapRun, position: Position) -> bool:
        """Return whether the archive has nothing, and the state at most a page not written."""
        folder, state = self.folders.get(run.pipe.folder), run.state_before
        is_first_dropped = bool(folder and folder.last and folder.last.header.is_dropped)
        progress = state.position.progress if state else None
        has_one_page = bool(progress and progress.pages == 1)
        is_state_empty = state is None or not state.position.has_begun or has_one_page
        return not position.has_begun and (is_state_empty or is_first_dropped)

    def check_bill(self, run: TapRun, request: Request, rows: Sequence[Row]) -> None:
        """Check that no row is billed again that has not changed since the last sync began."""
        pipe, sync = run.pipe, request.sync
        if not pipe.uses_archive or self.is_free:
            return
        pages = _bought(self.folders[pipe.folder])
        if request.page == 1:
            is_again = sync.kind != "changes" or request.why in {"restart", "rejected"}
            known = 0 if is_again else max(map(_complete_since, pages), default=0)
            self._known_until[sync.id] = known - pipe.lookback - self.most_skew
        known = self._known_until.get(sync.id, 0)
        if not any(row.at < known for row in rows):
            return
        has = {row for page in pages for row in page.rows}
        for row in rows:
            if row in has and row.at < known:
                raise self.wrong(f"billed again: {row} by {request}")

    # The oracle: rows

    def check(self, pipe: Pipeline, until: int | None = None) -> None:
        """Check that a warehouse has all rows that it can have, or those of before a minute."""
        excused = self.excused | pipe.excused
        lost = self._overwritten_and_lost(pipe)
        for row in self.api.reachable:
            is_late = until is not None and row.at >= until
            is_excused = (row.id, row.version) in excused or row.id in lost
            if is_late or is_excused or not pipe.wants(row):
                continue
            has = pipe.warehouse.get(row.id)
            if has is None or has.version < row.version:
                raise self.wrong(f"{pipe.name} has {has}, but the API has {row}")

    def _overwritten_and_lost(self, pipe: Pipeline) -> set[int]:
        """Return rows that only an archive would mend that is no longer there.

        It was behind the state, since it was restored from a backup, off, or could not be written.
        A load from its beginning died, and then it was lost before it bought what it lacked.
        """
        folder = self.folders.get(pipe.folder) if pipe.uses_archive else None
        id_ = folder.file.id if folder else None
        return {row for row, archive in pipe.overwritten.items() if archive != id_}

    def quiesce(self, choose: Callable[[list[Way]], Way] = lambda ways: ways[0]) -> None:
        """Run all pipelines until nothing is left, and check them, and a new warehouse.

        Args:
            choose: What users answer to questions.
        """
        self.note("the world comes to rest")
        self.api.rejects = self.skew = 0
        quiet = 0
        for _ in range(_ROUNDS):
            asked = [self._finish(pipe, choose) for pipe in self.pipes.values()]
            quiet = 0 if any(asked) else quiet + 1
            if quiet == 2:
                break
        else:
            raise self.wrong("the pipelines ask for ever")
        for pipe in self.pipes.values():
            self.check(pipe)
        for pipe in [*self.pipes.values()]:
            self._check_new_warehouse(pipe)

    def _finish(self, pipe: Pipeline, choose: Callable[[list[Way]], Way]) -> bool:
        """Run a pipeline until nothing is left to buy, and return whether it asked something."""
        has_asked = has_waited = False
        for _ in range(_ROUNDS):
            outcome = self.run(pipe.name)
            if outcome == "asked":
                has_asked = True
                self.answer(pipe.name, choose(self.ways(pipe)))
            elif outcome == "done":
                # With a lookback, each run buys the last minutes again.
                if not self.billed or (pipe.lookback and has_waited):
                    return has_asked
                self.api.now += 100
                has_waited = True
        raise self.wrong(f"{pipe.name} never comes to rest: {pipe.question}")

    def _check_new_warehouse(self, pipe: Pipeline) -> None:
        """Check that a new warehouse is loaded free, and completely."""
        folder = self.folders.get(pipe.folder)
        if not (pipe.uses_archive and folder and folder.view.is_complete):
            return
        third = Pipeline("third", replace(pipe.settings, lookback=timedelta(0)), pipe.folder)
        self.pipes["third"] = third
        was_damaged, served = bool(folder.damaged), self.api.served
        while self.run("third") == "asked":
            assert third.question
            self.require(third.damaged, f"a new warehouse is refused: {third.question}")
            self.drop(pipe.folder, third.damaged or 0)
        is_bought = self.api.served != served
        self.require(not is_bought or was_damaged or self.is_free, "a new warehouse pays")
        self.check(third)
        if self.is_free and folder.file.first == 1:
            self._check_has_archive(third, folder)
        del self.pipes["third"]

    def _check_has_archive(self, pipe: Pipeline, folder: Folder) -> None:
        """Check that a warehouse has rows that the API has listed once."""
        for page in folder.pages.values():
            for row in page.rows:
                has = pipe.warehouse.get(row.id)
                self.require(has and has.version >= row.version, f"{row} of the archive is missing")


def _bought(folder: Folder | None) -> list[Page]:
    """Return the pages of an archive that were not dropped."""
    pages = folder.current.values() if folder else ()
    return [page for page in pages if not page.header.is_dropped]


def _complete_since(page: Page) -> int:
    """Return the minute at which the sync began that a page completes, 0 if it completes none."""
    sync = page.header.sync
    if sync is None or page.next_cursor is not None or sync.kind == "added":
        return 0
    return minute(sync.started_at)
