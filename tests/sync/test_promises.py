"""A model of user, API, archive, target and kills: no row is lost, and none is billed twice.

The machine runs the installed tap against the sandbox, see `model`. Up to three pipelines share an
archive, with filters that change, each for itself. Rows change, also while the tap runs; it is
killed at any step; its target stores early or late; states are lost and restored. In a world that
is troubled, the archive is lost, copied, restored, damaged, full, and off for a night, too.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.sync.model import (
    FEWER,
    MODEL,
    NEVER,
    Accident,
    Pipeline,
    World,
    new_world,
    utc,
)

NUMBERS = st.integers(0, 9)
CHANGED = st.lists(NUMBERS, min_size=1, max_size=4)
PIPELINES = st.integers(0, 2)
EVENTS = st.lists(
    st.one_of(
        st.none().map(lambda _: lambda _: None),
        NUMBERS.map(lambda number: lambda world: world.touch(number)),
        st.just(lambda world: world.sandbox.expire_cursors()),
    ),
    max_size=3,
)
STEPS = st.integers(0, 30) | st.integers(15, 45)
"""Of a run. It loads from the first ones on, and has bought a page after about 20."""
ACCIDENTS = st.builds(
    Accident,
    die_at=STEPS,
    signal=st.sampled_from(["SIGKILL", "SIGKILL", "SIGKILL", "SIGTERM"]),
    pages=st.sampled_from([None, 1, 2, 3]),
    states_lost=st.sampled_from([0, 0, 0, 1, 2, 99]),
    is_ahead=st.booleans(),
    events=EVENTS,
)
COUNTRIES = st.sampled_from([(), ("DE",), ("FR",), ("DE", "FR"), ("DE", "US")])
"""Nested, overlapping, and disjoint."""
PLACES = st.sampled_from([-1, -1, *range(6)])
END_OF_MONTH = datetime(2026, 1, 31, 23, 50, tzinfo=UTC).timestamp()
PRICE = 50
"""Credits of a row."""


class Promises(RuleBasedStateMachine):
    """Nothing but runs touches the archive."""

    is_in_bucket = False
    names: tuple[str, ...] = ("prod", "dev", "lab")

    def __init__(self) -> None:
        super().__init__()
        self._end = ExitStack()
        self.world: World = self._end.enter_context(
            new_world(is_in_bucket=self.is_in_bucket, names=self.names)
        )

    @initialize(
        rows=st.integers(0, 7),
        pipelines=st.sampled_from([1, 2, 2, 3]),
        order=st.sampled_from(["id", "updated_asc", "updated_desc"]),
        skew=st.sampled_from([0, 0, 3_600, -3_600]),
        lookback=st.sampled_from([0, 0, 15, 3_000]),
        size=st.integers(1, 3),
        countries=COUNTRIES,
        choices=st.lists(st.integers(0, 3), min_size=1, max_size=8),
        limit=st.sampled_from([0, 0, 8, 14]),
    )
    def fill(  # noqa: PLR0913
        self,
        *,
        rows: int,
        pipelines: int,
        order: Any,
        skew: int,
        lookback: int,
        size: int,
        countries: tuple[str, ...],
        choices: list[int],
        limit: int,
    ) -> None:
        world = self.world
        world.sandbox.order, world.skew, world.choices = order, skew, cycle(choices)
        for name in self.names[pipelines:]:
            del world.pipelines[name]
        world.change_settings(lookback_minutes=lookback, batch_size=size, countries=countries)
        if limit:  # in rows
            world.pass_time(END_OF_MONTH - world.time)
            world.set_limit(limit * PRICE)
        for number in range(rows):
            world.touch(number)

    def pipe(self, number: int) -> Pipeline:
        pipes = [*self.world.pipelines.values()]
        return pipes[number % len(pipes)]

    @rule(numbers=CHANGED)
    def change(self, numbers: list[int]) -> None:
        for number in numbers:
            self.world.touch(number)

    @rule(seconds=st.sampled_from([1, 60, 100_000]))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(rows=st.integers(3, 20))
    def set_limit(self, rows: int) -> None:
        """Set the limit of each month later, or another one."""
        self.world.set_limit(rows * PRICE)

    @rule(p=PIPELINES, events=EVENTS)
    def run_to_end(self, p: int, events: list[Any]) -> None:
        self.world.attempt(self.pipe(p), Accident(events=events))

    @rule(p=PIPELINES, accident=ACCIDENTS)
    def stop_at_limit(self, p: int, accident: Accident) -> None:
        self.world.attempt(self.pipe(p), replace(accident, die_at=NEVER))

    @rule(p=PIPELINES, accident=ACCIDENTS, changed=CHANGED, is_fresh=st.booleans())
    def die(self, p: int, accident: Accident, changed: list[int], *, is_fresh: bool) -> None:
        """Kill a run that has something to buy, or a full refresh."""
        self.change(changed)
        self.world.attempt(self.pipe(p), accident, is_fresh=is_fresh)

    @rule(p=PIPELINES, accidents=st.tuples(ACCIDENTS, ACCIDENTS), changed=CHANGED)
    def die_twice(self, p: int, accidents: tuple[Accident, ...], changed: list[int]) -> None:
        for accident in accidents:
            self.die(p, accident, changed, is_fresh=False)

    @rule(p=PIPELINES)
    def refresh(self, p: int) -> None:
        self.world.attempt(self.pipe(p), is_fresh=True)

    @rule(
        p=PIPELINES,
        crashes=st.tuples(STEPS, STEPS),
        changed=st.lists(NUMBERS, max_size=3),
        lost=st.sampled_from([0, 99]),
    )
    def refresh_twice(
        self, p: int, crashes: tuple[int, int], changed: list[int], lost: int
    ) -> None:
        """Let a full refresh die, then another one after a good run."""
        for die_at in crashes:
            accident = Accident(die_at, states_lost=lost, is_ahead=True)
            self.world.attempt(self.pipe(p), accident, is_fresh=True)
            self.change(changed)
            self.world.attempt(self.pipe(p))

    @rule(p=PIPELINES, accident=ACCIDENTS)
    def load_new_warehouse(self, p: int, accident: Accident) -> None:
        self.world.load_new_warehouse(self.pipe(p), accident)

    @rule(p=PIPELINES, page=st.integers(0, 3))
    def wait_for_lock(self, p: int, page: int) -> None:
        """Let a run wait until another one ends."""
        self.world.run_after(self.pipe(p), self.pipe(p + 1), page)

    @rule(p=PIPELINES, step=STEPS, changed=CHANGED)
    def pause(self, p: int, step: int, changed: list[int]) -> None:
        """Stop a run at any step, and let another one go on, which may wait in vain."""
        self.change(changed)
        self.world.pause(self.pipe(p), step, lambda: self.world.run(self.pipe(p + 1)))

    @precondition(lambda self: self.is_in_bucket)  # a folder's lock can't be lost
    @rule(p=PIPELINES, page=st.integers(0, 3), accident=ACCIDENTS)
    def lose_lock(self, p: int, page: int, accident: Accident) -> None:
        """Suspend a run beyond its lease, let another one go on, and wake it up."""
        other = self.pipe(p + 1)
        self.world.run_beside(self.pipe(p), page, lambda: self.world.attempt(other, accident))

    @rule(p=PIPELINES, keeps_rows=st.booleans())
    def lose_state(self, p: int, *, keeps_rows: bool) -> None:
        pipe = self.pipe(p)
        pipe.lose_state()
        if not keeps_rows:
            pipe.target.tables.clear()

    @rule(p=PIPELINES, back=st.integers(0, 6), keeps_rows=st.booleans())
    def restore_state(self, p: int, back: int, *, keeps_rows: bool) -> None:
        self.world.restore_state(self.pipe(p), back, keeps_rows=keeps_rows)

    @rule(
        p=PIPELINES,
        is_alone=st.booleans(),
        countries=COUNTRIES,
        start=st.sampled_from([None, None, "now", 0, 2]),
        choice=st.sampled_from(["error", "error", "error", "resync", "keep"]),
    )
    def change_filters(
        self,
        p: int,
        countries: tuple[str, ...],
        start: str | int | None,
        choice: str,
        *,
        is_alone: bool,
    ) -> None:
        """Change filters and start date: to none, to now, or to the time of a row's change."""
        world = self.world
        start_date = None
        if start is not None:
            times = sorted(row.changed_at for row in world.rows.values())
            is_row = isinstance(start, int) and start < len(times)
            start_date = utc(times[int(start)] if is_row else world.time)
        world.change_settings(
            self.pipe(p) if is_alone else None,
            countries=countries,
            start_date=start_date,
            on_filter_change=choice,
        )

    @rule(
        p=PIPELINES,
        countries=st.tuples(COUNTRIES, COUNTRIES),
        choice=st.sampled_from(["error", "resync"]),
        changed=CHANGED,
        accident=ACCIDENTS,
    )
    def change_filters_and_die(
        self,
        p: int,
        countries: tuple[tuple[str, ...], ...],
        choice: str,
        changed: list[int],
        accident: Accident,
    ) -> None:
        """Change the filters after a complete sync, and again while a sync is in progress."""
        self.run_to_end(p, [])
        for each in countries:
            self.world.change_settings(self.pipe(p), countries=each, on_filter_change=choice)
            self.die(p, accident, changed, is_fresh=False)

    @rule(p=PIPELINES, row=st.none() | NUMBERS)
    def restart(self, p: int, row: int | None) -> None:
        """Order to buy everything, or what changed since the time of a row's change."""
        times = [each.changed_at for each in self.world.rows.values()]
        since = ["--since", utc(times[row % len(times)])] if row is not None and times else []
        self.world.restart(self.pipe(p).archive, *since)

    @rule(p=PIPELINES)
    def restart_sync(self, p: int) -> None:
        self.world.restart(self.pipe(p).archive, "--sync")

    @rule(p=PIPELINES, number=NUMBERS)
    def erase(self, p: int, number: int) -> None:
        self.world.erase(self.pipe(p).archive, number)

    @rule()
    def kill_cursors(self) -> None:
        self.world.sandbox.expire_cursors()

    def teardown(self) -> None:
        with self._end:
            self.world.settle()


class BucketPromises(Promises):
    """The same with a bucket."""

    is_in_bucket = True


class Troubled(Promises):
    """The same world, in which the archive gets lost, restored, damaged, full, or is off."""

    @rule(p=PIPELINES, accident=ACCIDENTS, changed=CHANGED, die_at=STEPS)
    def lose_archive(self, p: int, accident: Accident, changed: list[int], die_at: int) -> None:
        """Lose the archive with pages that have not arrived, and kill the next run."""
        self.die(p, accident, changed, is_fresh=False)
        self.world.lose_archive(self.pipe(p).archive)
        self.world.attempt(self.pipe(p), Accident(die_at, is_ahead=accident.is_ahead))

    @rule(p=PIPELINES)
    def copy_archive(self, p: int) -> None:
        self.world.copy_archive(self.pipe(p).archive)

    @rule(back=st.integers(0, 3))
    def restore_archive(self, back: int) -> None:
        self.world.restore_archive(back)

    @rule(
        p=PIPELINES,
        q=PIPELINES,
        accident=ACCIDENTS,
        changed=st.tuples(CHANGED, CHANGED),
        back=st.integers(0, 3),
        keeps_rows=st.booleans(),
    )
    def restore_both(  # noqa: PLR0913
        self,
        *,
        p: int,
        q: int,
        accident: Accident,
        changed: tuple[list[int], list[int]],
        back: int,
        keeps_rows: bool,
    ) -> None:
        """Restore the archive; once a run has gone on with it, restore a state from before."""
        self.copy_archive(p)
        self.die(p, accident, changed[0], is_fresh=False)
        self.run_to_end(p, [])
        self.restore_archive(0)
        self.change(changed[1])
        self.run_to_end(q, [])
        self.restore_state(p, back, keeps_rows=keeps_rows)

    @rule(p=PIPELINES, accident=ACCIDENTS, changed=CHANGED)
    def run_without_archive(self, p: int, accident: Accident, changed: list[int]) -> None:
        """Let the archive be off for a night, in which the run may die."""
        self.change(changed)
        self.world.attempt(self.pipe(p), accident, is_off=True)

    @rule(p=PIPELINES, accident=ACCIDENTS, changed=CHANGED)
    def fill_disk(self, p: int, accident: Accident, changed: list[int]) -> None:
        self.change(changed)
        self.world.attempt(self.pipe(p), accident, is_full=True)

    @rule(p=PIPELINES, place=PLACES)
    def drop(self, p: int, place: int) -> None:
        self.world.drop(self.pipe(p).archive, place)

    @rule(p=PIPELINES, place=PLACES, byte=st.integers(0, 2_000))
    def damage(self, p: int, place: int, byte: int) -> None:
        self.world.damage(self.pipe(p).archive, place, byte)


class TroubledBucket(Troubled):
    """The same with a bucket."""

    is_in_bucket = True


# Sequences


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
def test_runs_die_at_every_third_step(signal: str) -> None:
    """What the target stores of them lags behind, or is ahead of the last state."""
    with new_world(is_in_bucket=False) as world:
        for number in range(7):
            world.touch(number)
        for step in range(0, 45, 3):
            accident = Accident(step, signal, states_lost=step % 4, is_ahead=step % 2 == 0)
            world.attempt(world.pipelines["prod"], accident)
            world.touch(step % 9)
        world.settle()


def test_a_gap_is_told_before_a_state_has_it() -> None:
    """A run that does not reach its end has told of it: the next one says it at INFO."""
    with new_world(is_in_bucket=False, names=("prod", "dev")) as world:
        for number in range(5):
            world.touch(number)
        assert world.attempt(world.pipelines["prod"])
        world.drop("shared", 1)
        world.touch(0)
        assert world.attempt(world.pipelines["prod"])
        world.damage("shared", -1, byte=3)
        world.attempt(world.pipelines["dev"])
        assert world.pipelines["dev"].warned
        world.settle()


TestPromises = pytest.mark.exhaustive(Promises.TestCase)
TestPromises.settings = MODEL
TestBucketPromises = pytest.mark.exhaustive(BucketPromises.TestCase)
TestBucketPromises.settings = FEWER
TestTroubled = pytest.mark.exhaustive(Troubled.TestCase)
TestTroubled.settings = MODEL
TestTroubledBucket = pytest.mark.exhaustive(TroubledBucket.TestCase)
TestTroubledBucket.settings = FEWER
