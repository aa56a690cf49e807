"""Where a run starts, if the archive is not the one that its state was written with.

`test_log` has the archives that are lost and restored, and `log_rules` the rules.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from tests.archive.helpers import Warehouse, change, kill, loaded, pass_time, refused
from tests.support import Tap, complaint, error_code
from tests.support.archives import Files, files_at
from tests.support.jobs import tap_of

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)


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


def keys_of(warehouse: Warehouse) -> list[str]:
    return [*warehouse.target.rows]


def goes_on(warehouse: Warehouse, files: Files) -> None:
    """Assert that nothing is to be told or bought again, and that the archive has all rows."""
    names = files.names
    run = warehouse.run()
    assert (run.records, run.lines("WARNING")) == ([], [])
    assert files.names == names
    assert Warehouse(warehouse.tap).rows_billed() == 0


# The archive is off for a night


def test_what_was_bought_without_the_archive_is_bought_again(
    warehouse: Warehouse, files: Files
) -> None:
    """Others load it from there."""
    tap, (a, b, *_) = warehouse.tap, keys_of(warehouse)
    change(tap, a)
    off = warehouse.run(archive=False)
    assert (off.ids, off.lines("WARNING")) == ([a], [])
    assert (off.bookmark["offset"], off.bookmark["entry"]) == (0, None)
    change(tap, b)
    billed = tap.sandbox.rows_billed
    run = warehouse.run()
    assert run.codes("WARNING") == ["archive-behind"]
    assert loaded(run) == 0
    assert {*run.ids} == {a, b}
    assert tap.sandbox.rows_billed == billed + 2
    assert warehouse.is_current
    goes_on(warehouse, files)


def test_what_others_bought_meanwhile_is_loaded(warehouse: Warehouse, files: Files) -> None:
    tap, (a, b, *_) = warehouse.tap, keys_of(warehouse)
    change(tap, a, name="First")
    warehouse.run(archive=False)
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
    """The archive has its first page, and a new warehouse buys the others."""
    cut = kill(tap, files, 2)
    pass_time(tap, HOUR)
    off = tap.succeed(state=cut.state, archive=False)
    assert len({*cut.ids, *off.ids}) == tap.sandbox.rows_billed == 120
    pass_time(tap, HOUR)
    run = tap.succeed(state=off.state)
    assert (run.codes("WARNING"), run.ids) == (["archive-behind"], [])
    assert tap.sandbox.rows_billed == 120
    new = Warehouse(tap)
    assert new.rows_billed() == 70


def test_an_archive_that_is_behind_is_completed_by_a_later_run(
    warehouse: Warehouse, files: Files
) -> None:
    """The run before may not buy. It loads what is there, so its state has a place again."""
    tap = warehouse.tap
    german = tap.succeed(country_codes=["DE"], archive=False).ids[0]
    change(tap, german)
    warehouse.run(archive=False)
    change(tap, german, name="Again")
    Warehouse(tap).run(country_codes=["DE"])
    free = warehouse.run(max_credits=0)
    assert (free.ids, free.bookmark["offset"]) == ([german], 4)
    billed = tap.sandbox.rows_billed
    run = warehouse.run()
    assert run.codes("WARNING") == ["archive-behind"]
    assert tap.sandbox.rows_billed == billed + 1
    assert files.page_numbers == [1, 2, 3, 4, 5]
    goes_on(warehouse, files)


# The archive of another pipeline


def test_a_pipeline_goes_on_in_the_archive_of_another_one(
    warehouse: Warehouse, files: Files
) -> None:
    """It loads what came after its last page. What it lacks from before is free without a state."""
    tap, settings = warehouse.tap, {**warehouse.tap.settings}
    pass_time(tap, HOUR)
    own: Any = {"archive_dir": str(tap.folder / "own"), "country_codes": ["DE"]}
    dev = Warehouse(tap)
    german = dev.run(**own).ids
    change(tap, german[0])
    warehouse.run()
    billed = tap.sandbox.rows_billed
    tap.settings = settings
    run = dev.run(country_codes=["DE"])
    assert run.codes("WARNING") == ["archive-behind", "other-rows"]
    assert (run.ids, loaded(run)) == ([german[0]], 1)
    asked = tap.run(state=dev.state)
    assert (error_code(asked), asked.ids) == ("filters-changed", [])
    line = complaint(asked)
    assert "run once without a state" in line
    assert "free" in line
    dev.target.state = {}
    assert dev.run().lines("WARNING") == []
    assert dev.is_current
    assert tap.sandbox.rows_billed == billed
    goes_on(dev, files)


# Another key, or account


@pytest.mark.parametrize("has_entries", [False, True])
def test_a_state_of_another_kind_of_key_is_refused(
    sandbox: Sandbox, tmp_path: Path, *, has_entries: bool
) -> None:
    tap = Tap(sandbox, tmp_path)
    state = tap.succeed().state
    live: Any = {"api_key": "jbe_live_another"}
    sandbox.api_key = live["api_key"]
    if has_entries:
        tap.succeed(**live)
    assert refused(tap, state, **live) == "other-archive"
    assert len(tap.succeed(**live).ids) == 120
    assert sandbox.rows_billed == 240


def test_managed_jobs_of_another_account_are_refused(hiring: Sandbox, tmp_path: Path) -> None:
    """A rotated key may be another account's."""
    tap = tap_of(hiring, tmp_path, "managed_jobs")
    state = tap.succeed().state
    hiring.api_key = hiring.api_key[:-1] + "x"
    assert refused(tap, state) == "other-archive"
    billed = hiring.rows_billed
    jobs = tap.succeed().ids
    assert hiring.rows_billed == billed + len(jobs)
    owners = {name.split("/")[1] for name in files_at(str(tmp_path / "archive")).pages}
    assert len(owners) == 2


def test_a_state_of_before_the_log_is_refused(tap: Tap) -> None:
    part = {"replication_key_value": "2026-01-01T00:00:00.000000Z"}
    run = tap.run(state={"bookmarks": {"career_sites": part}})
    assert error_code(run) == "invalid-state"
    assert tap.sandbox.ledger == []
