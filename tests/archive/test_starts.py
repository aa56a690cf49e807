"""Where a run starts, if the archive is not the one that its state was written with.

`test_log` has the archives that are lost and restored, and `log_rules` the rules.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from tests.archive.helpers import Warehouse, change, loaded, pass_time, refused
from tests.support import Tap, complaint, error_code
from tests.support.archives import Files, files_at
from tests.support.jobs import tap_of

pytestmark = pytest.mark.slow

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


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
    tap, (a, b, *_) = warehouse.tap, warehouse.target.rows
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


def test_an_archive_that_is_behind_is_told_once_though_nothing_has_to_be_bought(
    hiring: Sandbox, tmp_path: Path
) -> None:
    """An empty page is then an entry, so that the state has a place in the archive."""
    tap = tap_of(hiring, tmp_path, "jobs")
    tap.settings["lookback_minutes"] = 0
    state = tap.succeed().state
    key = next(iter(hiring.world.jobs()))
    hiring.world.touch_job(key, title="Changed")
    pass_time(tap, MINUTE)
    state = tap.succeed(state=state, archive=False).state
    hiring.world.expire_job(key)
    pass_time(tap, MINUTE)
    run = tap.succeed(state=state)
    assert (run.codes("WARNING"), run.records) == (["archive-behind"], [])
    again = tap.succeed(state=run.state)
    assert (again.lines("WARNING"), again.state) == ([], run.state)


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
    assert "run once without a state" in complaint(asked)
    dev.target.state = {}
    assert dev.run().lines("WARNING") == []
    assert dev.is_current
    assert tap.sandbox.rows_billed == billed
    goes_on(dev, files)


# Another key, or account


def test_a_state_of_another_kind_of_key_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    tap = Tap(sandbox, tmp_path)
    state = tap.succeed().state
    live: Any = {"api_key": "jbe_live_another"}
    sandbox.api_key = live["api_key"]
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
