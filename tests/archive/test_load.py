"""A load from the archive: never an older version of a row over a newer one, wherever it dies."""

from __future__ import annotations

import signal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.archive.helpers import Warehouse, change, kill, loaded
from tests.support import Run, Tap
from tests.support.archives import Files
from tests.support.companies import records_of
from tests.support.crash import cut_after, parse, rows_billed_twice, wait_until_quiet
from tests.support.jobs import tap_of

pytestmark = pytest.mark.slow

SMALL: Any = {"batch_size": 10}


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap without a lookback: no change is billed twice."""
    return Tap(sandbox, tmp_path, {"lookback_minutes": 0})


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


def test_only_the_last_version_of_a_row_is_delivered(
    warehouse: Warehouse, states: dict[int, Any]
) -> None:
    run = warehouse.tap.succeed()
    world = warehouse.tap.sandbox.world.rows()
    assert {row["id"]: row["name"] for row in run.records} == {
        key: row["name"] for key, row in world.items()
    }
    assert len(run.ids) == 120
    assert loaded(run) == 120
    key = warehouse.tap.sandbox.feed_requests[0].row_ids[2]
    assert names_of(run, key) == ["Change 2"]
    assert names_of(warehouse.tap.succeed(state=states[14]), key) == ["Change 2"]


def test_no_state_is_written_while_a_row_that_was_left_out_is_outstanding(
    warehouse: Warehouse, states: dict[int, Any]
) -> None:
    """Rows of the first page come last."""
    for state, offsets in ((None, [0, 16]), (states[12], [16]), (states[15], [16])):
        run = warehouse.tap.succeed(state=state)
        written = [each["bookmarks"]["career_sites"]["offset"] for each in run.states]
        assert [each for each in written if each != (state and written[0])] == offsets


def test_a_row_that_is_as_it_was_is_delivered_where_it_first_comes(tap: Tap, files: Files) -> None:
    """The archive may be lost halfway."""
    first = tap.succeed(**SMALL)
    key, name = first.ids[0], first.records[0]["name"]
    state = first.state
    for each in ("Changed", name):
        change(tap, key, name=each)
        state = tap.succeed(state=state, **SMALL).state
    run = tap.succeed()
    assert {*names_of(run, key)} == {name}
    assert key in run.ids[:10]
    assert len(files.pages) == 14


def test_a_row_whose_values_are_rescued_is_compared_as_it_came(tap: Tap, files: Files) -> None:
    """Records are made of rows in place."""
    key, *_ = tap.sandbox.world.rows()
    tap.sandbox.world.touch(key, industries="no list", summary=["no text"])
    state = tap.succeed().state
    change(tap, key)
    tap.sandbox.world.touch(key, industries="no list", summary=["no text"])
    tap.succeed(state=state)
    for _ in range(2):
        change(tap, key)  # as it was, so it comes twice
        state = tap.succeed(state=state).state
    run = tap.succeed()
    assert {*names_of(run, key)} == {"Changed"}
    assert len({*run.ids}) == 120
    assert len(files.pages) > 4


def test_of_two_versions_in_a_page_the_last_one_stays(tap: Tap) -> None:
    def repeat(body: dict[str, Any]) -> dict[str, Any]:
        first, *others = body["career_sites"]
        return body | {"career_sites": [first | {"name": "Old"}, *others, first | {"name": "New"}]}

    tap.sandbox.faults.add(Fault(replace=repeat), on=1)
    key = tap.succeed().ids[0]
    run = tap.succeed()
    assert names_of(run, key)[-1] == "New"
    assert len({*run.ids}) == 120


@pytest.mark.parametrize("seed", range(4))
def test_a_load_that_dies_anywhere_leaves_no_older_row(
    warehouse: Warehouse, files: Files, seed: int
) -> None:
    """Whether Meltano keeps the state of before, a state of the load, or none."""
    tap, target, rng = warehouse.tap, warehouse.target, Random(seed)
    billed = tap.sandbox.rows_billed
    for _ in range(5):
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


def test_an_older_state_that_dies_and_a_newer_one_that_comes_back(
    warehouse: Warehouse, files: Files, states: dict[int, Any]
) -> None:
    tap, target, newest = warehouse.tap, warehouse.target, warehouse.state
    for older in (states[12], states[3], states[14]):
        target.receive(kill(tap, files, 1, state=older).messages, states_lost=1, is_ahead=True)
        target.state = newest
        assert warehouse.rows_billed() == 0


def test_a_restored_archive_writes_no_older_version_wherever_the_run_dies(
    tap: Tap, files: Files
) -> None:
    """What is no newer than the state is not loaded again."""
    warehouse = Warehouse(tap)
    first = warehouse.run(**SMALL)
    backup = files.copy()
    change(tap, *first.ids[:3])
    warehouse.run(**SMALL)
    for states_lost in (0, 3, 100):
        newest = warehouse.state
        files.restore(backup)
        cut = kill(tap, files, 1, state=newest)
        assert cut.codes("WARNING") == ["archive-behind"]
        warehouse.target.receive(cut.messages, states_lost=states_lost, is_ahead=True)
        assert warehouse.is_current
        assert warehouse.rows_billed() == 3
        assert Warehouse(tap).rows_billed() == 0


def test_a_sync_of_other_filters_in_progress_goes_on_without_a_state(
    tap: Tap, files: Files
) -> None:
    """What came before it is loaded, too."""
    german = tap.succeed(country_codes=["DE"])
    other: Any = {"country_codes": ["FR", "US"], "batch_size": 5}
    part = tap.succeed(state=german.state, on_filter_change="resync", max_credits=500, **other)
    run = tap.succeed(**other)
    assert {*german.ids, *part.ids} < {*run.ids}
    assert loaded(run) == len(german.ids) + 10
    assert rows_billed_twice(tap.sandbox) == 0
    again = tap.succeed(state=german.state, country_codes=["DE"])
    assert {*again.ids} >= {*run.ids[len(german.ids) :]}
    assert again.codes("WARNING") == ["other-rows"]
    assert files.page_numbers[0] == 1


def test_all_streams_of_a_full_refresh_are_loaded(
    hiring: Sandbox, tmp_path: Path, files: Files
) -> None:
    tap = tap_of(hiring, tmp_path, "career_sites", "expired_jobs", "jobs", "managed_jobs")
    tap.settings |= {"archive_dir": files.store.location, "jobs_batch_size": 20}
    tap.settings |= {"lookback_minutes": 0}
    first = tap.succeed()
    billed = hiring.rows_billed
    again = tap.succeed()
    for stream in ("career_sites", "expired_jobs", "jobs", "managed_jobs"):
        rows = [records_of(run.messages, stream) for run in (first, again)]
        assert {row["id"] for row in rows[0]} == {row["id"] for row in rows[1]}
    assert hiring.rows_billed == billed
    lines = [line for line in again.lines("INFO") if " no state: loading " in line]
    assert len(lines) == 4
