"""A model of two pipelines and runs side by side on one archive key: nothing is lost or wasted.

Like `test_promises`, this drives the tap's own code in process. Here the clocks are right and the
filters stay. Instead, runs are suspended past their lease while others go on, two pipelines share
the archive by mistake, disks are full for a while, pages get damaged, and states are lost,
restored, or stored with only a part of the rows behind them. A row may be billed twice only within
the lookback, or for a reason that the user was told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tap_jobo.archive.contents import Contents
from tap_jobo.archive.layout import FILE
from tap_jobo.clock import parse_timestamp
from tap_jobo.errors import TapJoboError
from tests.support.clock import FakeClock
from tests.support.target import Row, Target
from tests.sync.model import (
    FEWER,
    MODEL,
    NEVER,
    Accident,
    CrashError,
    FakeApi,
    FaultyStore,
    OneRun,
    Settings,
    code_of,
    drop_pages,
    temporary_folder,
)

PAGE = 2
LOOKBACK = timedelta(minutes=1)
PACE = 20.0
"""Seconds between two changes."""
PIPELINES = st.sampled_from([0, 0, 0, 1])
CRASHES = st.none() | st.integers(0, 60)
LOST = st.sampled_from([0, 0, 1, 2, 9])
CHOICES = st.sampled_from(["resync", "resume"])

Started = tuple[OneRun, "Iterator[None]", list[dict[str, Any]]]


@dataclass
class Pipeline:
    """A pipeline.

    Attributes:
        name: Its number.
        target: Its target, and the state.
        past: Earlier states, each with the rows of its time.
        billed: The versions of rows that were billed to it.
        syncs: The ids of syncs of which it has delivered pages.
        newest: Start of the newest sync that it has read to its end.
        allowed: How many rows may be billed again, as a crash or an error said.
        excess: How many rows were billed again without such a reason.
        is_excused: Whether the user has decided for something that is billed.
        is_behind: Whether the warehouse has lost rows, so that the user must not resume.
    """

    name: int
    target: Target = field(default_factory=lambda: Target(merges_states=True, state={}))
    past: list[tuple[dict[str, Any], dict[str, Row]]] = field(default_factory=list)
    billed: set[tuple[str, int]] = field(default_factory=set)
    syncs: set[str] = field(default_factory=set)
    newest: datetime | None = None
    allowed: int = 0
    excess: int = 0
    is_excused: bool = False
    is_behind: bool = True

    @property
    def stream_state(self) -> dict[str, Any]:
        """The state of its stream; empty if there is none."""
        state: dict[str, Any] = self.target.state.get("career_sites", {})
        return state


class SharedArchive(RuleBasedStateMachine):
    """The world of two pipelines."""

    is_in_bucket = False

    def __init__(self) -> None:
        super().__init__()
        self._temporary = temporary_folder()
        self.clock = FakeClock()
        self.api = FakeApi(self.clock, PACE)
        self.store = FaultyStore(None if self.is_in_bucket else Path(self._temporary.name))
        self.settings = Settings(lookback_minutes=1, batch_size=PAGE)
        self.pipelines = [Pipeline(0), Pipeline(1)]
        self.used = {0}
        self._billing = self.pipelines[0]

    @initialize(rows=st.integers(0, 7))
    def fill(self, rows: int) -> None:
        for number in range(1, rows + 1):
            self.api.touch(number)

    def billed(self) -> None:
        """Count the rows of a page that were billed before."""
        self.clock.passed += 1
        pipe = self._billing
        for key, version in self.api.pages[-1].rows:
            changed_at = self.api.rows[key][0]
            is_overlap = pipe.newest and changed_at > pipe.newest - LOOKBACK - timedelta(seconds=3)
            if (key, version) in pipe.billed and not is_overlap and not pipe.is_excused:
                pipe.excess += 1
            pipe.billed.add((key, version))

    # One run

    def start(self, pipe: Pipeline, accident: Accident | None = None, **changes: Any) -> Started:
        self.used.add(pipe.name)
        self.store.unsynced.clear()
        seen: list[dict[str, Any]] = []
        state = deepcopy(changes.pop("state", pipe.target.state))

        def take(message: dict[str, Any]) -> None:
            seen.append(deepcopy(message))
            if message["type"] != "STATE":
                return
            part = message["value"]["career_sites"]
            pipe.syncs.add(part["sync"]["id"] or part["completed_sync"])
            if not part["sync"]["id"]:
                start = parse_timestamp(part["replication_key_value"])
                pipe.newest = max(pipe.newest or start, start)

        now = replace(self.settings, **changes)
        run = OneRun(self, now, state, take, accident or Accident())
        return run, run.messages(), seen

    def go(  # noqa: PLR0913
        self,
        pipe: Pipeline,
        started: Started,
        *,
        lost: int = 0,
        is_ahead: bool = False,
        pages: int | None = None,
        power: int | None = None,
    ) -> str | TapJoboError:
        """Go on with a run; return "", "crash", "paused" or the error that ended it."""
        run, messages, seen = started
        outcome: str | TapJoboError = ""
        self._billing = pipe
        try:
            for number, _ in enumerate(messages, 1):
                if number == pages:
                    return "paused"
        except CrashError:
            outcome = "crash"
            pipe.allowed += PAGE * (self.store.in_flight is not None)
            if power is not None:
                self.store.lose_power(power)
        except TapJoboError as error:
            outcome = error
            pipe.allowed += PAGE * (code_of(error) == "run-in-progress")
        finally:
            self.store.step = lambda: False
            self.store.in_flight = None
        pipe.allowed += PAGE * self.store.unwritten
        self.store.unwritten = 0
        pipe.target.receive(seen, states_lost=lost, is_ahead=is_ahead)
        pipe.past.append((pipe.target.state, dict(pipe.target.rows)))
        is_shared = self.pipelines[0].syncs & self.pipelines[1].syncs
        if pipe.excess > pipe.allowed and not is_shared:
            raise AssertionError(f"{pipe.excess} rows billed again, {pipe.allowed} allowed")
        if run.is_complete and outcome == "" and not lost and self._is_current(pipe):
            pipe.is_excused = pipe.is_behind = False
        return outcome

    @staticmethod
    def _is_current(pipe: Pipeline) -> bool:
        """Whether no state is back that is older than what was delivered."""
        text = pipe.stream_state.get("replication_key_value")
        bookmark = parse_timestamp(text) if text else None
        return bookmark is not None and bookmark >= (pipe.newest or bookmark)

    def attempt(
        self,
        pipe: Pipeline,
        choice: str = "resync",
        accident: Accident | None = None,
        **how: Any,
    ) -> bool:
        """Run; if an error says what to do, do it. Return whether the run went well."""
        started = self.start(pipe, accident)
        outcome = self.go(pipe, started, **how)
        if isinstance(outcome, TapJoboError):
            self.follow(pipe, outcome, choice)
            return False
        return outcome == "" and not how.get("lost") and started[0].is_complete

    def follow(self, pipe: Pipeline, error: TapJoboError, choice: str) -> None:
        """Do what an error asks the user to do."""
        code, text = code_of(error), str(error)
        if code == "unused-pages":
            assert "Nothing was billed" in text
            assert pipe.is_excused or len(self.used) > 1, "a pipeline alone must not be refused"
        if code == "lost-state":
            self._follow_missing_state(pipe, text, choice)
        elif code in ("cursor-rejected", "archive-damaged", "unused-pages"):
            drop_pages(self.store, text)
            for each in self.pipelines:
                each.is_excused = True
            if code == "cursor-rejected":
                others = {k: v for k, v in pipe.stream_state.items() if k != "sync"}
                pipe.target.state = {"career_sites": others}
        elif code == "archive-unusable":
            assert self.store.is_full or self.is_in_bucket, text  # where responses get lost
        elif code != "run-in-progress":
            raise error

    def _follow_missing_state(self, pipe: Pipeline, text: str, choice: str) -> None:
        found = re.search(r"'(resume:[0-9a-f]+)'", text)
        assert found or "a sync that continues from a complete one" in text, text
        # The error says: only if no other pipeline uses the archive, and with all rows there.
        setting = "resync"
        if found and choice == "resume" and len(self.used) == 1 and not pipe.is_behind:
            setting = found[1]
        pipe.is_excused |= setting == "resync" or self._has_newer_full_sync()
        outcome = self.go(pipe, self.start(pipe, on_missing_state=setting))
        if isinstance(outcome, TapJoboError):
            self.follow(pipe, outcome, choice)

    def _has_newer_full_sync(self) -> bool:
        contents = Contents(self.store)
        completed = contents.completed(self.settings.key().name)
        assert completed
        syncs = contents.syncs(self.settings.key().name).values()
        return any(kept.sync.is_full and kept.sync.number > completed.number for kept in syncs)

    # Rules

    @rule(numbers=st.lists(st.integers(1, 10), min_size=1, max_size=3))
    def change(self, numbers: list[int]) -> None:
        for number in numbers:
            self.api.touch(number)

    @rule(p=PIPELINES)
    def run_to_end(self, p: int) -> None:
        self.attempt(self.pipelines[p])

    @rule(
        p=PIPELINES,
        crash_at=st.integers(0, 60),
        choice=CHOICES,
        how=st.fixed_dictionaries(
            {"lost": LOST, "is_ahead": st.booleans(), "power": st.none() | st.integers(0, 3)}
        ),
    )
    def crash(self, p: int, crash_at: int, choice: str, how: dict[str, Any]) -> None:
        self.attempt(self.pipelines[p], choice, Accident(crash_at), **how)

    @rule(p=PIPELINES, pages=st.integers(0, 3), lost=LOST, is_ahead=st.booleans())
    def run_to_budget(self, p: int, pages: int, lost: int, *, is_ahead: bool) -> None:
        accident = Accident(pages=pages)
        self.attempt(self.pipelines[p], accident=accident, lost=lost, is_ahead=is_ahead)

    @rule(is_full=st.booleans())
    def fill_disk(self, *, is_full: bool) -> None:
        self.store.is_full = is_full

    @rule(p=PIPELINES, back=st.integers(1, 9), keep_rows=st.booleans())
    def restore(self, p: int, back: int, *, keep_rows: bool) -> None:
        """Go back to an older state, of the pipeline alone or of the warehouse too."""
        pipe = self.pipelines[p]
        if back < len(pipe.past):
            pipe.target.state, rows = pipe.past[-1 - back]
            pipe.is_excused = True
            if not keep_rows:
                pipe.target.tables["career_sites"] = dict(rows)
                pipe.is_behind = True
                del pipe.past[-back:]

    @rule(p=PIPELINES, choice=CHOICES)
    def lose_state(self, p: int, choice: str) -> None:
        self.pipelines[p].target.state = {}
        self.attempt(self.pipelines[p], choice)

    @rule(p=PIPELINES, pages=st.integers(0, 9), lost=LOST, is_ahead=st.booleans())
    def refresh_fully(self, p: int, pages: int, lost: int, *, is_ahead: bool) -> None:
        pipe = self.pipelines[p]
        pipe.is_excused = True
        started = self.start(pipe, Accident(pages=pages), state={}, on_missing_state="resync")
        outcome = self.go(pipe, started, lost=lost, is_ahead=is_ahead)
        if isinstance(outcome, TapJoboError):
            self.follow(pipe, outcome, "resync")

    @rule(times=st.sampled_from([1, 1, 2]))
    def reject_cursors(self, times: int) -> None:
        self.api.rejections = times
        for each in self.pipelines:
            each.is_excused = True

    @rule(days=st.sampled_from([1, 31]))
    def pass_time(self, days: int) -> None:
        self.clock.passed += days * 86_400
        if days > 30:  # what no state acknowledged has expired
            for each in self.pipelines:
                each.is_excused = True

    @rule(
        p=st.integers(0, 1),
        q=st.integers(0, 1),
        pages=st.integers(0, 3),
        runs=st.integers(1, 3),
        budget=st.integers(1, 9),
        lost=LOST,
    )
    def run_side_by_side(  # noqa: PLR0913, PLR0917
        self, p: int, q: int, pages: int, runs: int, budget: int, lost: int
    ) -> None:
        """Suspend a run past its lease, let others go on, and wake it up."""
        pipe, other = self.pipelines[p], self.pipelines[q]
        slow = self.start(pipe)
        slow[0].is_alone = False
        outcome = self.go(pipe, slow, pages=pages) if pages else "paused"
        # Its state will be old or is, or a cursor that is rejected only once makes one run start
        # over, and the other go on.
        is_excused = p == q and (not pages or self.api.rejections > 0 or pipe.is_excused)
        pipe.is_excused |= is_excused
        for _ in range(runs):
            self.attempt(other, accident=Accident(pages=budget))
        pipe.is_excused |= is_excused
        if outcome == "paused":
            outcome = self.go(pipe, slow, lost=lost)
            pipe.is_excused |= p == q  # the state that is stored last wins: an older one is back
        if isinstance(outcome, TapJoboError):
            self.follow(pipe, outcome, "resync")

    @rule(
        p=st.integers(0, 1),
        q=st.integers(0, 1),
        accident=st.builds(Accident, CRASHES.map(lambda at: NEVER if at is None else at)),
        lost=LOST,
    )
    def wait_for_lock(self, p: int, q: int, accident: Accident, lost: int) -> None:
        """Let a run wait until another one ends, whatever its end is."""
        pipe, other = self.pipelines[p], self.pipelines[q]

        def end_other() -> None:
            self.attempt(other, accident=accident, lost=lost)
            pipe.is_excused |= p == q  # the state of the run that waits is older by now
            self._billing = pipe

        self.store.while_waiting = end_other
        outcome = self.go(pipe, self.start(pipe))
        self.store.while_waiting = lambda: None
        pipe.is_excused |= p == q  # an older state may be back
        if isinstance(outcome, TapJoboError):
            assert code_of(outcome) != "run-in-progress"
            self.follow(pipe, outcome, "resync")

    @precondition(lambda self: self.is_in_bucket)
    @rule(lost=st.sampled_from(["retried", "error"]))
    def lose_response(self, lost: str) -> None:
        self.store.memory.lost = lost

    @rule(number=st.integers(0, 9))
    def damage(self, number: int) -> None:
        if pages := sorted(name for name in self.store.list("v2") if name.endswith(".page")):
            self.store.damage(pages[number % len(pages)])

    @rule(choice=CHOICES)
    def settle(self, choice: str) -> None:
        """All faults end; each pipeline runs until two runs in a row went well."""
        self.store.is_full = False
        # What has changed since a sync began is read by the run after it if that is this recent.
        self.clock.passed += LOOKBACK.total_seconds()
        for number in sorted(self.used):
            pipe = self.pipelines[number]
            good = 0
            for _ in range(30):
                good = good + 1 if self.attempt(pipe, choice) else 0
                if good == 2:
                    break
            else:
                raise AssertionError("no two good runs in 30 that did what the errors say")
            wanted = {key: str(version) for key, (_, version) in self.api.rows.items()}
            found = {key: row["name"] for key, row in pipe.target.rows.items()}
            assert found == wanted, pipe.name

    def teardown(self) -> None:
        with self._temporary:  # which is also removed if that fails
            self.settle("resync")


class SharedBucket(SharedArchive):
    """The same with a bucket."""

    is_in_bucket = True


# Sequences that the model seldom finds by itself


@pytest.fixture(params=[SharedArchive, SharedBucket])
def world(request: pytest.FixtureRequest) -> Iterator[SharedArchive]:
    world: SharedArchive = request.param()
    world.fill(8)
    world.pipelines[0].allowed = 99  # the tests count by themselves
    yield world
    world.teardown()


def other_runs(world: SharedArchive) -> None:
    """Three complete runs, each with changes, and each acknowledging the one before."""
    for _ in range(3):
        world.change([1, 2, 3])
        assert world.attempt(world.pipelines[0])


@pytest.mark.parametrize("is_first", [True, False])
def test_a_replaced_sync_is_not_gone_back_to(world: SharedArchive, *, is_first: bool) -> None:
    """Its cursor was rejected once, and works again after a crash.

    The state has the sync in progress, if it is the first one. Otherwise, it knows neither the sync
    nor what replaced it, only the one that both continue from.
    """
    pipe = world.pipelines[0]
    if not is_first:
        assert world.attempt(pipe)
    world.fill(30)  # the rest of it would be more pages than the catch-up has
    if is_first:
        world.attempt(pipe, accident=Accident(pages=3))
    state = pipe.target.state
    world.api.rejections = 1
    world.go(pipe, world.start(pipe), lost=99)
    assert pipe.target.state == state
    billed = len(world.api.pages)
    assert world.attempt(pipe)
    assert len(world.api.pages) - billed <= 3  # those of the catch-up


def drop_all(world: SharedArchive) -> None:
    """What `other_runs` leave in the archive is dropped, too."""
    other_runs(world)
    world.store.remove([name for name in world.store.list("v2") if FILE.fullmatch(name)])


def go_on(world: SharedArchive) -> None:
    """One more page of the sync in progress."""
    world.attempt(world.pipelines[0], accident=Accident(pages=1))


@pytest.mark.parametrize("meanwhile", [other_runs, drop_all, go_on])
def test_a_sync_is_not_begun_beside_another_run(
    world: SharedArchive, meanwhile: Callable[[SharedArchive], None]
) -> None:
    """A run is suspended between reading the archive and its first request.

    It takes no number that was freed, and begins no sync while another one goes on.
    """
    pipe = world.pipelines[0]
    assert world.attempt(pipe)
    world.change([1, 2, 3, 4, 5, 6])
    world.attempt(pipe, accident=Accident(pages=1))
    slow = world.start(pipe, state={}, on_missing_state="resync")
    slow[0].is_alone = False
    create, billed = world.store.create, 0
    left: list[str] = []

    def suspend(name: str, content: bytes) -> None:
        nonlocal billed
        world.store.create = create  # type: ignore[method-assign]
        meanwhile(world)
        billed = len(world.api.pages)
        left.extend(world.store.list("v2"))
        create(name, content)

    world.store.create = suspend  # type: ignore[method-assign]
    assert code_of(world.go(pipe, slow)) == "run-in-progress"
    assert slow[2] == []  # nothing was emitted
    assert len(world.api.pages) == billed
    assert world.store.list("v2") == left  # without the sync


def test_what_a_run_bills_while_another_waits_for_its_lock_is_replayed(
    world: SharedArchive,
) -> None:
    pipe = world.pipelines[0]
    world.store.while_waiting = lambda: world.attempt(pipe, accident=Accident(pages=3), lost=99)
    assert world.attempt(pipe)
    contents = [page.rows for page in world.api.pages if page.rows]
    assert [rows for n, rows in enumerate(contents) if rows in contents[:n]] == []


def test_a_sync_that_others_have_removed_is_not_gone_on_with(world: SharedArchive) -> None:
    """A run is suspended between two pages, past its lease."""
    pipe = world.pipelines[0]
    slow = world.start(pipe)
    slow[0].is_alone = False
    assert world.go(pipe, slow, pages=2) == "paused"
    other_runs(world)
    billed = len(world.api.pages)
    assert "it has removed the sync" in str(world.go(pipe, slow))
    pipe.is_excused = True  # an older state is back
    assert len(world.api.pages) == billed + 1


def test_pages_of_another_key_that_a_run_goes_on_with_do_not_expire(world: SharedArchive) -> None:
    """It goes on between the moment in which they were listed, and the one of the lock."""
    pipe, other = world.pipelines
    world.attempt(pipe, accident=Accident(pages=2), lost=99)
    world.clock.passed += 31 * 86_400
    live, lock = world.settings, world.store.exclusive_lock

    def go_on(key: str) -> Any:
        world.store.exclusive_lock = lock
        world.settings = live
        assert world.attempt(pipe)
        return lock(key)

    world.store.exclusive_lock = go_on  # type: ignore[assignment]
    world.settings = replace(live, api_key="jbe_test_1")
    assert world.attempt(other)
    assert not world.store.removed
    world.settings = live


TestSharedArchive = pytest.mark.slow(SharedArchive.TestCase)
TestSharedArchive.settings = settings(MODEL, stateful_step_count=20)
TestSharedBucket = pytest.mark.exhaustive(SharedBucket.TestCase)
TestSharedBucket.settings = settings(FEWER, stateful_step_count=20)
