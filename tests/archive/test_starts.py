"""Where a run starts, whatever state it gets and whatever has become of the archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from tests.archive.helpers import (
    Warehouse,
    archive_command,
    change,
    kill,
    loaded,
    refused,
    succeeded,
)
from tests.support import Tap, state_at
from tests.support.archives import Files, files_at
from tests.support.jobs import tap_of

pytestmark = pytest.mark.slow

GERMAN: Any = {"country_codes": ["DE"], "batch_size": 5}
CHOICES = ["error", "resync", "keep"]


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap without a lookback: no change is billed twice."""
    return Tap(sandbox, tmp_path, {"lookback_minutes": 0})


@pytest.fixture
def warehouse(tap: Tap, files: Files) -> Warehouse:
    """A warehouse after its first sync."""
    warehouse = Warehouse(tap)
    warehouse.run()
    assert files.page_numbers == [1, 2, 3]
    return warehouse


def goes_on(warehouse: Warehouse, files: Files) -> None:
    """Assert that nothing is to be told or bought again, and that the archive is complete."""
    names = files.names
    run = warehouse.run()
    assert (run.records, run.lines("WARNING")) == ([], [])
    assert files.names == names
    assert Warehouse(warehouse.tap).rows_billed() == 0


def keys_of(warehouse: Warehouse) -> list[str]:
    return [*warehouse.target.rows]


# The archive is older than the state


def test_an_archive_that_was_restored_is_loaded_and_what_changed_is_bought_again(
    warehouse: Warehouse, files: Files
) -> None:
    a, b, *_ = keys_of(warehouse)
    backup = files.copy()
    for changed in ([a], [a, b]):
        change(warehouse.tap, *changed, name=f"Change of {len(changed)}")
        warehouse.run()
    files.restore(backup)
    billed = warehouse.tap.sandbox.rows_billed
    run = warehouse.run()
    assert run.codes("WARNING") == ["archive-behind"]
    assert loaded(run) == 120
    assert warehouse.is_current
    assert warehouse.tap.sandbox.rows_billed == billed + 2
    assert files.page_numbers == [1, 2, 3, 4]
    goes_on(warehouse, files)


def test_an_archive_that_another_pipeline_went_on_with_is_known_by_its_entries(
    warehouse: Warehouse, files: Files
) -> None:
    """The numbers fit: the ids of the entries don't."""
    tap, (a, b, *_) = warehouse.tap, keys_of(warehouse)
    backup = files.copy()
    for key in (a, b):
        change(tap, key, name="Before the restore")
        warehouse.run()
    files.restore(backup)
    other = Warehouse(tap)
    for key in (a, b):
        change(tap, key, name="After the restore")
        other.run()
    assert other.state["bookmarks"]["career_sites"]["offset"] == 5
    assert warehouse.state["bookmarks"]["career_sites"]["offset"] == 5
    billed = tap.sandbox.rows_billed
    run = warehouse.run()
    assert run.codes("WARNING") == ["archive-behind"]
    assert warehouse.is_current
    assert tap.sandbox.rows_billed == billed
    goes_on(warehouse, files)


def test_a_backup_from_the_middle_of_the_first_sync_buys_nothing_again(
    tap: Tap, files: Files
) -> None:
    """The archive goes on from the state, without what came before."""
    kill(tap, files, 2)
    backup = files.copy()
    warehouse = Warehouse(tap)
    warehouse.run()
    files.restore(backup)
    change(tap, keys_of(warehouse)[0])
    billed = tap.sandbox.rows_billed
    run = warehouse.run()
    assert run.codes("WARNING") == ["archive-adopted"]
    assert run.ids == [keys_of(warehouse)[0]]
    assert tap.sandbox.rows_billed == billed + 1
    assert files.page_numbers == [1, 4]  # above all numbers that were ever used
    assert warehouse.run().lines("WARNING") == []
    assert refused(tap) == "archive-incomplete"


def test_a_night_without_the_archive_is_bought_again(warehouse: Warehouse, files: Files) -> None:
    tap, (a, b, *_) = warehouse.tap, keys_of(warehouse)
    change(tap, a)
    off = warehouse.run(archive=False)
    assert off.ids == [a]
    assert off.bookmark["offset"] == 3
    change(tap, b)
    billed = tap.sandbox.rows_billed
    run = warehouse.run()
    assert run.codes("WARNING") == ["archive-behind"]
    assert loaded(run) == 0
    assert {*run.ids} == {a, b}
    assert tap.sandbox.rows_billed == billed + 2
    assert warehouse.is_current
    goes_on(warehouse, files)


def test_what_others_bought_in_a_night_without_the_archive_is_loaded(
    warehouse: Warehouse, files: Files
) -> None:
    tap, (a, b, *_) = warehouse.tap, keys_of(warehouse)
    change(tap, a, name="First")
    Warehouse(tap, warehouse.target).run(archive=False)
    change(tap, a, b, name="Second")
    assert Warehouse(tap).rows_billed() == 2
    billed = tap.sandbox.rows_billed
    run = warehouse.run()
    assert run.codes("WARNING") == ["archive-behind"]
    assert {*run.ids} == {a, b}
    assert warehouse.is_current
    assert tap.sandbox.rows_billed == billed
    goes_on(warehouse, files)


def test_a_first_sync_that_goes_on_without_the_archive_is_not_bought_again(
    tap: Tap, files: Files
) -> None:
    cut = kill(tap, files, 2)
    off = tap.succeed(state=cut.state, archive=False)
    assert len({*cut.ids, *off.ids}) == tap.sandbox.rows_billed == 120
    run = tap.succeed(state=off.state)
    assert (run.codes("WARNING"), run.ids) == (["archive-adopted"], [])
    assert tap.sandbox.rows_billed == 120


def test_a_state_without_an_archive_is_not_mixed_with_one(
    warehouse: Warehouse, files: Files
) -> None:
    names = files.names
    state = warehouse.tap.succeed(archive=False).state
    assert refused(warehouse.tap, state) == "other-archive"
    by_hand = state_at(warehouse.tap.sandbox.now().isoformat())
    assert refused(warehouse.tap, by_hand) == "other-archive"
    assert files.names == names


# The archive is lost


def test_an_archive_that_is_lost_goes_on_from_the_state(warehouse: Warehouse, files: Files) -> None:
    tap = warehouse.tap
    files.lose()
    run = warehouse.run()
    assert (run.codes("WARNING"), run.ids) == (["archive-empty"], [])
    assert warehouse.run().lines("WARNING") == []  # which is said once
    change(tap, keys_of(warehouse)[0])
    assert warehouse.rows_billed() == 1
    assert files.page_numbers == [4]
    assert warehouse.run().lines("WARNING") == []


def test_only_what_waited_in_an_archive_that_is_lost_is_billed_again(
    tap: Tap, files: Files
) -> None:
    cut = kill(tap, files, 3)
    assert files.page_numbers == [1, 2]
    files.lose()
    run = tap.succeed(state=cut.states[0])
    assert run.codes("WARNING") == ["archive-empty"]
    assert {*cut.ids[:50], *run.ids} == tap.sandbox.world.rows().keys()
    assert tap.sandbox.rows_billed == 100 + 70


def test_everything_is_billed_again_once_the_state_is_lost_too(
    warehouse: Warehouse, files: Files
) -> None:
    files.lose()
    anew = Warehouse(warehouse.tap)
    assert anew.rows_billed() == 120
    goes_on(anew, files)


def test_a_monthly_count_that_begins_anew_is_a_warning(warehouse: Warehouse, files: Files) -> None:
    """Otherwise, a container that keeps nothing has a new limit in each run.

    Without a state, it may as well be the first run.
    """
    limit: Any = {"max_credits_per_month": 100_000}
    assert warehouse.run(**limit).lines("WARNING") == []
    files.lose()
    assert warehouse.tap.succeed(**limit).codes("WARNING") == []
    files.lose()
    (warning,) = warehouse.run(**limit).messages_of("WARNING", "archive-empty")
    assert "max_credits_per_month counts from zero" in warning
    files.lose()
    (warning,) = warehouse.run().messages_of("WARNING", "archive-empty")
    assert "max_credits_per_month" not in warning


def test_an_archive_that_was_off_so_far_goes_on_from_the_state(tap: Tap, files: Files) -> None:
    state = tap.succeed(archive=False).state
    run = tap.succeed(state=state)
    assert (run.codes("WARNING"), run.ids) == (["archive-empty"], [])
    assert tap.sandbox.rows_billed == 120
    assert files.pages == []


def test_a_state_that_was_written_by_hand_is_adopted(tap: Tap, files: Files) -> None:
    """Or by another tap."""
    by_hand = state_at(tap.sandbox.now().isoformat())
    run = tap.succeed(state=by_hand)
    assert (run.codes("WARNING"), run.ids) == (["archive-empty"], [])
    change(tap, next(iter(tap.sandbox.world.rows())))
    last = tap.succeed(state=by_hand)
    assert (last.lines("WARNING"), len(last.ids)) == ([], 1)
    assert files.page_numbers == [1]


# An archive that went on from a state


@pytest.fixture
def adopted(warehouse: Warehouse, files: Files) -> Any:
    """The state that the archive went on from: there is one change since."""
    before = warehouse.state
    files.lose()
    change(warehouse.tap, keys_of(warehouse)[0])
    assert warehouse.run().codes("WARNING") == ["archive-empty"]
    assert files.page_numbers == [4]
    return before


def test_a_new_warehouse_is_refused_as_long_as_it_would_lack_rows(
    warehouse: Warehouse, files: Files, adopted: Any
) -> None:
    tap = warehouse.tap
    assert refused(tap) == "archive-incomplete"
    line = tap.refuse()
    assert "`tap-jobo-archive state career_sites`" in line
    assert "`tap-jobo-archive restart career_sites`" in line
    billed = tap.sandbox.rows_billed
    assert loaded(tap.run(state=adopted)) == 1
    assert tap.sandbox.rows_billed == billed
    succeeded(archive_command(tap, "restart", "career_sites", "--yes"))
    warehouse.run()
    assert tap.sandbox.rows_billed == billed + 120
    assert Warehouse(tap).rows_billed() == 0
    goes_on(warehouse, files)


def test_an_older_state_than_the_one_that_was_adopted_is_of_another_archive(
    warehouse: Warehouse, adopted: Any
) -> None:
    assert adopted
    older = Warehouse(warehouse.tap)
    older.target.state = state_at("2026-01-01T00:00:00Z")
    assert refused(warehouse.tap, older.state) == "other-archive"


@pytest.mark.parametrize("request_", [1, 2])
def test_an_adoption_that_dies_is_neither_told_nor_bought_twice(
    tap: Tap, files: Files, request_: int
) -> None:
    warehouse = Warehouse(tap)
    warehouse.run(batch_size=10)
    keys = keys_of(warehouse)[:15]
    change(tap, *keys)
    files.lose()
    billed = tap.sandbox.rows_billed
    cut = kill(tap, files, request_, state=warehouse.state, batch_size=10)
    assert cut.codes("WARNING") == ["archive-empty"]
    run = warehouse.run(batch_size=10)
    assert run.lines("WARNING") == []
    assert loaded(run) == 10 * (request_ - 1)
    assert warehouse.is_current
    assert tap.sandbox.rows_billed == billed + 15


def test_a_state_that_is_lost_again_and_again_is_adopted_once(
    warehouse: Warehouse, files: Files, adopted: Any
) -> None:
    file = files.store.read(files.file)
    for _ in range(2):
        run = warehouse.tap.succeed(state=adopted)
        assert run.lines("WARNING") == []
        assert loaded(run) == 1
    assert files.store.read(files.file) == file


# The archive of another pipeline, key, or account


def test_a_state_of_another_archive_is_refused(warehouse: Warehouse, tmp_path: Path) -> None:
    tap = warehouse.tap
    other: Any = {"archive_dir": str(tmp_path / "other")}
    state = tap.succeed(**other).state
    billed = tap.sandbox.rows_billed
    assert refused(tap, state) == "other-archive"
    assert loaded(tap.run()) == 120  # without a state
    run = tap.succeed(state=state, archive_dir=str(tmp_path / "new"))
    assert run.codes("WARNING") == ["archive-empty"]
    assert succeeded(tap.run(state=state, **other)).lines("WARNING") == []
    assert tap.sandbox.rows_billed == billed


@pytest.mark.parametrize("has_entries", [False, True])
def test_a_state_of_another_kind_of_key_is_refused(
    warehouse: Warehouse, *, has_entries: bool
) -> None:
    """Also by an archive without entries, which would go on from any other state."""
    tap = warehouse.tap
    live: Any = {"api_key": "jbe_live_another"}
    tap.sandbox.api_key = live["api_key"]
    if has_entries:
        tap.succeed(**live)
    assert refused(tap, warehouse.state, **live) == "other-archive"
    assert len(tap.succeed(**live).ids) == 120
    assert tap.sandbox.rows_billed == 240


def test_managed_jobs_of_another_account_are_refused(hiring: Sandbox, tmp_path: Path) -> None:
    """A rotated key may be another account's."""
    tap = tap_of(hiring, tmp_path, "managed_jobs")
    state = tap.succeed().state
    hiring.api_key = hiring.api_key[:-1] + "x"
    assert refused(tap, state) == "other-archive"
    billed = hiring.rows_billed
    jobs = tap.succeed().ids
    assert hiring.rows_billed == billed + len(jobs)
    assert len(files_at(str(tmp_path / "archive")).names) == 6


# An archive of other filters


@pytest.mark.parametrize("choice", CHOICES)
def test_an_archive_of_other_filters_is_anothers_unless_a_pipeline_has_answered(
    warehouse: Warehouse, choice: str
) -> None:
    """Without a state and with an answer, it buys, and the others are asked."""
    tap, state = warehouse.tap, warehouse.state
    billed = tap.sandbox.rows_billed
    given: Any = {"on_filter_change": choice, **GERMAN}
    if choice == "error":
        assert refused(tap, **given) == "other-filters"
    else:
        tap.succeed(**given)
        for each in CHOICES:
            assert refused(tap, state, on_filter_change=each) == "other-filters"
    assert tap.sandbox.rows_billed == billed
    own = tap.folder / "own"
    run = tap.succeed(archive_dir=str(own), **given)
    assert len(run.ids) == 13
    assert tap.sandbox.rows_billed == billed + 13


def test_wider_filters_without_a_state_buy_only_what_an_answer_allows(
    tap: Tap, files: Files
) -> None:
    german = tap.succeed(**GERMAN)
    wider: Any = {**GERMAN, "country_codes": ["DE", "FR"]}
    assert refused(tap, **wider) == "other-filters"
    run = tap.succeed(on_filter_change="resync", **wider)
    assert {*german.ids} < {*run.ids}
    assert loaded(run) == 13
    assert tap.sandbox.rows_billed == len({*run.ids})
    assert refused(tap, german.state, on_filter_change="resync", **GERMAN) == "other-filters"
    assert loaded(tap.run(**wider)) == tap.sandbox.rows_billed
    assert files.page_numbers[0] == 1


def test_a_pipeline_that_has_changed_its_filters_is_asked_what_to_buy(
    warehouse: Warehouse,
) -> None:
    """Its state and the archive agree, so the archive is its own."""
    tap = warehouse.tap
    start: Any = {"start_date": "2020-01-01T00:00:00Z"}
    other = Warehouse(tap)
    other.run(archive_dir=str(tap.folder / "other"), **GERMAN)
    wider: Any = {"archive_dir": str(tap.folder / "other"), "batch_size": 5, **start}
    run = tap.run(state=other.state, **wider)
    assert run.codes("CRITICAL") == ["filters-changed"]
    assert len(tap.succeed(state=other.state, on_filter_change="resync", **wider).ids) == 120
