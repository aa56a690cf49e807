"""A model of user, API, archive, target and kills: no row is lost, and none is billed twice.

The machine runs the installed tap against the sandbox, see `model`. Rows change, also while the tap
runs; it is killed at any step; its target stores early or late; states are lost and restored; the
archive is lost, copied, restored, full, and off for a night; filters change.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

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
PIPELINES = st.integers(0, 3)
EVENTS = st.lists(
    st.one_of(
        st.none().map(lambda _: lambda _: None),
        NUMBERS.map(lambda number: lambda world: world.touch(number)),
        st.just(lambda world: world.sandbox.expire_cursors()),
    ),
    max_size=3,
)
ACCIDENTS = st.builds(
    Accident,
    die_at=st.integers(0, 30),
    signal=st.sampled_from(["SIGKILL", "SIGKILL", "SIGKILL", "SIGTERM"]),
    pages=st.sampled_from([None, 1, 2, 3]),
    states_lost=st.sampled_from([0, 0, 0, 1, 2, 99]),
    is_ahead=st.booleans(),
    events=EVENTS,
)
COUNTRY_FILTERS = st.sampled_from([(), ("DE",), ("FR",), ("DE", "FR"), ("DE", "US")])


class Promises(RuleBasedStateMachine):
    """One pipeline: whatever happens, the next good runs bring every row as it is now."""

    is_in_bucket = False
    names: tuple[str, ...] = ("prod",)

    def __init__(self) -> None:
        super().__init__()
        self._end = ExitStack()
        self.world: World = self._end.enter_context(
            new_world(is_in_bucket=self.is_in_bucket, names=self.names)
        )

    @initialize(
        rows=st.integers(0, 7),
        order=st.sampled_from(["id", "updated_asc", "updated_desc"]),
        skew=st.sampled_from([0, 0, 3_600, -3_600]),
        lookback=st.sampled_from([0, 0, 15, 3_000]),
        size=st.integers(1, 3),
        countries=COUNTRY_FILTERS,
        choices=st.lists(st.integers(0, 2), min_size=1, max_size=8),
    )
    def fill(  # noqa: PLR0913
        self,
        *,
        rows: int,
        order: Any,
        skew: int,
        lookback: int,
        size: int,
        countries: tuple[str, ...],
        choices: list[int],
    ) -> None:
        world = self.world
        world.sandbox.order, world.skew, world.choices = order, skew, cycle(choices)
        world.change_settings(lookback_minutes=lookback, batch_size=size, countries=countries)
        for number in range(rows):
            world.touch(number)

    def pipe(self, number: int) -> Pipeline:
        names = [*self.world.pipelines]
        return self.world.pipelines[names[number % len(names)]]

    @rule(numbers=CHANGED)
    def change(self, numbers: list[int]) -> None:
        for number in numbers:
            self.world.touch(number)

    @rule(seconds=st.sampled_from([1, 60, 100_000]))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(p=PIPELINES, events=EVENTS)
    def run_to_end(self, p: int, events: list[Any]) -> None:
        self.world.attempt(self.pipe(p), Accident(events=events))

    @rule(p=PIPELINES, accident=ACCIDENTS)
    def stop_at_limit(self, p: int, accident: Accident) -> None:
        self.world.attempt(self.pipe(p), replace(accident, die_at=NEVER))

    @rule(p=PIPELINES, accident=ACCIDENTS, changed=CHANGED)
    def die(self, p: int, accident: Accident, changed: list[int]) -> None:
        """Kill a run that has something to buy."""
        self.change(changed)
        self.world.attempt(self.pipe(p), accident)

    @rule(p=PIPELINES, accident=ACCIDENTS, changed=CHANGED)
    def refresh_and_die(self, p: int, accident: Accident, changed: list[int]) -> None:
        """Kill a full refresh."""
        self.change(changed)
        self.world.attempt(self.pipe(p), accident, is_fresh=True)

    @rule(p=PIPELINES, accidents=st.tuples(ACCIDENTS, ACCIDENTS), changed=CHANGED)
    def die_twice(self, p: int, accidents: tuple[Accident, ...], changed: list[int]) -> None:
        for accident in accidents:
            self.die(p, accident, changed)

    @rule(p=PIPELINES)
    def refresh(self, p: int) -> None:
        self.world.attempt(self.pipe(p), is_fresh=True)

    @rule(
        p=PIPELINES,
        crashes=st.tuples(st.integers(0, 60), st.integers(0, 60)),
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
        countries=COUNTRY_FILTERS,
        start=st.sampled_from([None, None, "now", 0, 2]),
        on_filter_change=st.sampled_from(["error", "error", "resync"]),
    )
    def change_filters(
        self, countries: tuple[str, ...], start: str | int | None, on_filter_change: str
    ) -> None:
        """Change filters and start date: to none, to now, or to the time of a row's change."""
        world = self.world
        start_date = None
        if start is not None:
            times = sorted(row.changed_at for row in world.rows.values())
            is_row = isinstance(start, int) and start < len(times)
            start_date = utc(times[int(start)] if is_row else world.time)
        world.change_settings(
            countries=countries, start_date=start_date, on_filter_change=on_filter_change
        )

    @rule(
        p=PIPELINES,
        countries=st.tuples(COUNTRY_FILTERS, COUNTRY_FILTERS),
        on_filter_change=st.sampled_from(["error", "resync"]),
        changed=CHANGED,
        accident=ACCIDENTS,
    )
    def change_filters_and_die(
        self,
        p: int,
        countries: tuple[tuple[str, ...], ...],
        on_filter_change: str,
        changed: list[int],
        accident: Accident,
    ) -> None:
        """Change the filters after a complete sync, and again while a sync is in progress."""
        self.run_to_end(p, [])
        for each in countries:
            self.world.change_settings(countries=each, on_filter_change=on_filter_change)
            self.die(p, accident, changed)

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
    """The same world, in which the archive gets lost, restored, full, or is off."""

    @rule(p=PIPELINES, accident=ACCIDENTS, changed=CHANGED, die_at=st.integers(0, 14))
    def lose_archive(self, p: int, accident: Accident, changed: list[int], die_at: int) -> None:
        """Lose the archive with pages that have not arrived, and kill the run that adopts it."""
        self.die(p, accident, changed)
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
        self.die(p, accident, changed[0])
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

    @rule(p=PIPELINES, row=st.none() | NUMBERS)
    def restart(self, p: int, row: int | None) -> None:
        """Order to buy everything, or what changed since the time of a row's change."""
        times = [each.changed_at for each in self.world.rows.values()]
        since = utc(times[row % len(times)]) if row is not None and times else None
        self.world.restart(self.pipe(p).archive, since)

    @rule(p=PIPELINES, place=st.sampled_from([-1, -1, *range(6)]))
    def drop(self, p: int, place: int) -> None:
        self.world.drop(self.pipe(p).archive, place)

    @rule(p=PIPELINES, place=st.sampled_from([-1, -1, *range(6)]), byte=st.integers(0, 2_000))
    def damage(self, p: int, place: int, byte: int) -> None:
        self.world.damage(self.pipe(p).archive, place, byte)


class TroubledBucket(Troubled):
    """The same with a bucket."""

    is_in_bucket = True


TestPromises = pytest.mark.exhaustive(Promises.TestCase)
TestPromises.settings = MODEL
TestBucketPromises = pytest.mark.exhaustive(BucketPromises.TestCase)
TestBucketPromises.settings = FEWER
TestTroubled = pytest.mark.exhaustive(Troubled.TestCase)
TestTroubled.settings = MODEL
TestTroubledBucket = pytest.mark.exhaustive(TroubledBucket.TestCase)
TestTroubledBucket.settings = FEWER
