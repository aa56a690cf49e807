"""The two promises at the boundary: no row is lost, and none is billed twice.

The worlds and histories of `world`, with the installed tap as a process: it is killed at any step,
or stopped there while another pipeline runs, and may lose its lock.
"""

import pytest

from tests.archive.helpers import spent_in
from tests.sync import test_traps as traps
from tests.sync.test_traps import TRAPS, Trap, both, put
from tests.sync.world import histories
from tests.sync.world.in_memory import PRICE
from tests.sync.world.process import process_world

NEAR = [
    "who narrows and widens again buys what changed",
    "in a first sync, there is nothing to keep",
    "added values in progress, and then another one",
    "who wants added values that another pipeline reads is not asked",
    "keep is told to those whom it concerns",
    "a page dropped at the head is bought again",
    "a restored backup",
    "a lost archive",
    "a limit of nothing loads in spite of a question",
    "a paid sync that is rejected twice ends the run",
    "changes that are rejected twice are begun over since their start",
    "a sync that its archive has lost is begun over",
    "an erased row is skipped and still counts",
]
"""The traps that the tests play with processes; the exhaustive ones play all others."""
IN_MEMORY = {"an old backup buys nothing old unasked"}
"""Where a week is short."""


def play(trap: Trap) -> None:
    with process_world("prod", "dev", "lab") as world:
        both(put(*range(9)), *trap)(world)


@pytest.mark.parametrize("name", NEAR)
def test_trap(name: str) -> None:
    play(TRAPS[name])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [name for name in TRAPS if name not in {*NEAR, *IN_MEMORY}])
def test_other_trap(name: str) -> None:
    play(TRAPS[name])


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
def test_runs_die_at_every_third_step(signal: str) -> None:
    """The target stores some rows behind the last state, or loses some."""
    with process_world() as world:
        put(*range(7))(world)
        for step in range(0, 45, 3):
            is_lost, batch = step % 2 == 0, step % 4 + 1
            world.run("prod", die_at=step, signal=signal, kills_target=is_lost, batch=batch)
            put(step % 9)(world)
        world.quiesce()
        world.check_all("prod")


def test_a_gap_is_told_before_a_state_has_it() -> None:
    """A run that does not reach its end has told of it: the next one says it at INFO."""
    with process_world("prod", "dev") as world:
        both(put(*range(5)), traps.run(), traps.drop(1), put(0), traps.run())(world)
        both(traps.damage_head, traps.asks("dev", "archive-damaged"))(world)
        assert world.warned["dev"]
        world.quiesce()


def test_a_run_that_lost_its_lock_loses_at_most_the_page_that_it_was_waiting_for() -> None:
    with process_world("prod", "dev", is_in_bucket=True) as world:
        for step in range(4, 36, 4):
            put(*range(9))(world)
            world.run("prod", other=("dev", step), loses_lock=True)
        both(traps.run(), traps.has_all("prod", "dev"))(world)


@pytest.mark.parametrize("turn", [0, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_a_bucket_fails_at_each_request(turn: int) -> None:
    """It goes away, or, at every other one, loses the response. The next run mends that."""
    with process_world("prod", is_in_bucket=True) as world:
        put(*range(9))(world)
        world.set_limit(10**9)  # so that each request counts before it is sent
        for number in range(1, 24):
            is_lost = number % 2 == turn
            world.run("prod", fails_at=number, loses_response=is_lost, batch=1)
            put(number % 9, (number + 4) % 9, (number + 7) % 9)(world)
        world.quiesce()
        world.check_all("prod")
        assert spent_in(world.stored("main").store).total() >= world.total * PRICE


def test_no_run_exceeds_the_limit_of_a_month() -> None:
    """Also if it is set later, and the runs before it were killed."""
    with process_world() as world:
        put(*range(9))(world)
        world.run("prod", die_at=40)
        world.set_limit(6 * PRICE)
        both(*[traps.run(outcome="limit")] * 2)(world)
        world.api.wait(histories.A_MONTH)
        both(traps.run(), traps.has_all("prod"))(world)


def test_a_random_history_is_right() -> None:
    assert not histories.find_wrong(seed=1, count=1, kind="bucket")


@pytest.mark.exhaustive
@pytest.mark.parametrize(("kind", "seed"), [("folder", 2), ("bucket", 4)])
def test_many_random_histories_are_right(kind: histories.Kind, seed: int) -> None:
    assert not histories.find_wrong(seed, 5, kind)
