"""A load from the archive: never an older version of a row over a newer one, wherever it dies."""

from __future__ import annotations

import signal
from random import Random
from typing import Any

import pytest

from jobo_sandbox import Fault
from tests.archive.helpers import Warehouse, change, loaded
from tests.support import Run, Tap
from tests.support.archives import Files
from tests.support.crash import cut_after, parse, wait_until_quiet

pytestmark = pytest.mark.slow

SMALL: Any = {"batch_size": 10}


@pytest.fixture
def states() -> dict[int, Any]:
    """The states that the warehouse has had, by their place in the archive."""
    return {}


@pytest.fixture
def warehouse(tap: Tap, files: Files, states: dict[int, Any]) -> Warehouse:
    """A warehouse after syncs in which rows of the first page change again and again."""
    warehouse = Warehouse(tap)
    first = warehouse.run(**SMALL)
    states |= dict(enumerate(first.states, 1))
    for number in range(4):
        change(tap, *first.ids[number : number + 3], name=f"Change {number}")
        warehouse.run(**SMALL)
        states[13 + number] = warehouse.state
    assert warehouse.is_current
    assert files.page_numbers == [*range(1, 17)]
    return warehouse


def names_of(run: Run, key: str) -> list[str]:
    """The names under which a row is delivered, in order."""
    return [row["name"] for row in run.records if row["id"] == key]


def test_only_the_last_version_of_a_row_is_delivered_and_no_state_while_one_is_outstanding(
    warehouse: Warehouse, states: dict[int, Any]
) -> None:
    """Rows of the first page come last."""
    tap = warehouse.tap
    key = tap.sandbox.feed_requests[0].row_ids[2]
    for state, rows, offsets in (
        (None, 120, [0, 16]),
        (states[12], 6, [16]),
        (states[14], 4, [16]),
        (states[15], 3, [16]),
    ):
        run = tap.succeed(state=state)
        assert len(run.ids) == len({*run.ids}) == rows
        written = [each["bookmarks"]["career_sites"]["offset"] for each in run.states]
        assert [each for each in written if each != (state and written[0])] == offsets
        if state is None:
            world = tap.sandbox.world.rows()
            names = {row["id"]: row["name"] for row in run.records}
            assert names == {key: row["name"] for key, row in world.items()}
            assert loaded(run) == 120
            assert names_of(run, key) == ["Change 2"]


def test_a_row_that_is_as_it_was_is_delivered_where_it_first_comes(tap: Tap, files: Files) -> None:
    """The archive may be lost halfway. What is compared is the row as it came, if it is rescued."""
    key, *_ = tap.sandbox.world.rows()
    rescued: Any = {"industries": "no list", "summary": ["no text"]}
    tap.sandbox.world.touch(key, name="As it was", **rescued)
    state = tap.succeed(**SMALL).state
    for name in ("Changed", "As it was"):
        change(tap, key, name=name)
        tap.sandbox.world.touch(key, **rescued)
        state = tap.succeed(state=state, **SMALL).state
    run = tap.succeed()
    assert {*names_of(run, key)} == {"As it was"}
    assert len({*run.ids}) == 120
    assert key in run.ids[:10] or run.ids.count(key) == 2
    assert files.page_numbers == [*range(1, 15)]


def test_of_two_versions_in_a_page_the_last_one_stays(tap: Tap) -> None:
    def repeat(body: dict[str, Any]) -> dict[str, Any]:
        first, *others = body["career_sites"]
        return body | {"career_sites": [first | {"name": "Old"}, *others, first | {"name": "New"}]}

    tap.sandbox.faults.add(Fault(replace=repeat), on=1)
    key = tap.succeed().ids[0]
    run = tap.succeed()
    assert names_of(run, key)[-1] == "New"
    assert len({*run.ids}) == 120


def test_a_load_that_dies_anywhere_leaves_no_older_row(warehouse: Warehouse, files: Files) -> None:
    """Whether Meltano keeps the state of before, a state of the load, or none."""
    tap, target, rng = warehouse.tap, warehouse.target, Random(1)
    billed = tap.sandbox.rows_billed
    for _ in range(8):
        before = target.state
        given = rng.choice([None, before])
        _, lines = cut_after(tap, rng.randrange(1, 110), signal.SIGKILL, state=given)
        wait_until_quiet(tap.sandbox)
        files.expire_leases()
        target.receive(parse(lines), states_lost=rng.randrange(4), is_ahead=True)
        if rng.random() < 0.5:
            target.state = rng.choice([before, {}])
        assert warehouse.is_current
    assert warehouse.rows_billed() == 0
    assert tap.sandbox.rows_billed == billed
