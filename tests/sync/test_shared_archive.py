"""A model of two pipelines that share an archive, and of runs at once: nothing is bought twice.

It is the world of `test_promises`, in which dev and prod have the same filters, each a warehouse
and a state of its own. New warehouses are loaded from the archive. Runs wait for the lock of
others, or are suspended beyond their lease while others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.support import error_code
from tests.sync.model import FEWER, MODEL, Accident, Pipeline, World, new_world
from tests.sync.test_promises import ACCIDENTS, PIPELINES, Promises, Troubled


class SharedArchive(Promises):
    """Two pipelines on one archive, which nothing but runs touches."""

    names = ("prod", "dev")

    @rule(p=PIPELINES, accident=ACCIDENTS)
    def load_new_warehouse(self, p: int, accident: Accident) -> None:
        self.world.load_new_warehouse(self.pipe(p).archive, accident)

    @rule(p=st.integers(0, 1), page=st.integers(0, 3))
    def wait_for_lock(self, p: int, page: int) -> None:
        """Let a run wait until the other one ends."""
        self.world.run_after(self.pipe(p), self.pipe(1 - p), page)

    @precondition(lambda self: self.is_in_bucket)  # a folder's lock can't be lost
    @rule(p=st.integers(0, 1), page=st.integers(0, 3), accident=ACCIDENTS)
    def lose_lock(self, p: int, page: int, accident: Accident) -> None:
        """Suspend a run beyond its lease, let the other one go on, and wake it up."""
        other = self.pipe(1 - p)
        self.world.run_beside(self.pipe(p), page, lambda: self.world.attempt(other, accident))


class SharedBucket(SharedArchive):
    """The same with a bucket."""

    is_in_bucket = True


class TroubledShared(Troubled, SharedArchive):
    """The same, in which archives also get lost, restored, full, or are off."""


class TroubledSharedBucket(TroubledShared):
    """The same with a bucket."""

    is_in_bucket = True


# Sequences that the model seldom finds by itself


@pytest.fixture(params=[False, True], ids=["folder", "bucket"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world with eight rows and two pipelines."""
    with new_world(is_in_bucket=request.param, names=("prod", "dev")) as world:
        for number in range(8):
            world.touch(number)
        yield world
        world.settle()


@pytest.fixture
def bucket() -> Iterator[World]:
    """The same in a bucket, whose leases can be lost."""
    with new_world(is_in_bucket=True, names=("prod", "dev")) as world:
        for number in range(8):
            world.touch(number)
        yield world
        world.settle()


def change(world: World, *numbers: int) -> None:
    for number in numbers:
        world.touch(number)


def test_a_sync_that_began_over_is_not_gone_back_to(world: World) -> None:
    """Its cursor was rejected once, then a run is killed whose states are all lost."""
    prod = world.pipelines["prod"]
    world.attempt(prod, Accident(pages=2))
    world.sandbox.expire_cursors()
    world.run(prod, Accident(pages=3, states_lost=99))
    billed = world.sandbox.rows_billed
    assert world.attempt(prod)
    assert world.sandbox.rows_billed == billed + 2  # of the begun-over sync, only the last page


def run_thrice(world: World) -> None:
    """Three complete runs, each with changes."""
    for _ in range(3):
        change(world, 1, 2, 3)
        assert world.attempt(world.pipelines["dev"])


def go_on(world: World) -> None:
    """One more page of the sync in progress."""
    world.attempt(world.pipelines["dev"], Accident(pages=1))


@pytest.mark.parametrize("meanwhile", [run_thrice, go_on])
@pytest.mark.parametrize("page", [0, 1])
def test_a_run_beyond_its_lease_writes_nothing_beside_another_one(
    bucket: World, meanwhile: Callable[[World], None], page: int
) -> None:
    """It is suspended before its first page, or between two."""
    prod = bucket.pipelines["prod"]
    billed: list[int] = []
    entries: list[int] = []

    def others() -> None:
        meanwhile(bucket)
        billed.append(bucket.sandbox.rows_billed)
        entries.extend(bucket.held("shared").headers)

    run = bucket.run_beside(prod, page, others)
    assert error_code(run) == "run-in-progress"
    assert len(run.records) == 2 * page
    assert bucket.sandbox.rows_billed <= billed[0] + 2  # its page in flight
    assert [*bucket.held("shared").headers] == entries


def test_what_a_run_bought_while_another_waited_for_its_lock_is_loaded(world: World) -> None:
    prod, dev = world.pipelines["prod"], world.pipelines["dev"]
    run = world.run_after(prod, dev, 1)
    assert run.returncode == 0
    assert sorted(run.ids) == sorted(world.keys)
    assert world.sandbox.rows_billed == 8


def test_a_run_that_waits_too_long_has_loaded_what_is_there(world: World) -> None:
    """It exits with 1, and what it has loaded stays."""
    prod, dev = world.pipelines["prod"], world.pipelines["dev"]
    ends = []
    world.run_beside(prod, 2, lambda: ends.append(world.run(dev)), keeps_lock=True)
    assert error_code(ends[0]) == "run-in-progress"
    assert len(ends[0].ids) == 4
    assert dev.position["offset"] == 2
    assert world.attempt(dev)
    assert world.sandbox.rows_billed == 8


def test_a_new_warehouse_is_loaded_while_another_run_buys(world: World) -> None:
    prod = world.pipelines["prod"]
    assert world.attempt(prod)
    change(world, 1, 2, 3)
    ends = []
    laptop = Pipeline("laptop")
    world.run_beside(prod, 1, lambda: ends.append(world.run(laptop)), keeps_lock=True)
    assert len(laptop.target.rows) == 8
    assert error_code(ends[0]) == "run-in-progress"


TestSharedArchive = pytest.mark.exhaustive(SharedArchive.TestCase)
TestSharedArchive.settings = MODEL
TestSharedBucket = pytest.mark.exhaustive(SharedBucket.TestCase)
TestSharedBucket.settings = FEWER
TestTroubledShared = pytest.mark.exhaustive(TroubledShared.TestCase)
TestTroubledShared.settings = MODEL
TestTroubledSharedBucket = pytest.mark.exhaustive(TroubledSharedBucket.TestCase)
TestTroubledSharedBucket.settings = settings(FEWER)
