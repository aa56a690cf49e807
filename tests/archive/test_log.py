"""What users get since nobody shares a position: what is billed, emitted, and stored.

`log_rules` plays many more such histories in memory. What a page costs that can't be written is in
`test_damage` and `test_object_storage`, and a million pages in `test_large_archive`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.archive.helpers import (
    DAY,
    Warehouse,
    change,
    drop,
    keys_in,
    pass_time,
    refused,
    restart,
    succeeded,
    written,
)
from tests.support import Run, Tap, commands_in, error_code
from tests.support.archives import Files, files_at
from tests.support.crash import run_meanwhile
from tests.support.jobs import tap_of

pytestmark = pytest.mark.slow

GERMAN: Any = {"country_codes": ["DE"]}
WIDER: Any = {"country_codes": ["DE", "US"]}


def ran(warehouse: Warehouse, **settings: Any) -> tuple[int, int, list[str]]:
    """Run the tap: the rows billed, the rows emitted, and the codes of the warnings."""
    before = warehouse.tap.sandbox.rows_billed
    run = warehouse.run(**settings)
    billed = warehouse.tap.sandbox.rows_billed - before
    return billed, len(run.ids), run.codes("WARNING")


def page_of(rows: list[Any]) -> Fault:
    """A last page of some rows, for which nothing is billed."""
    return Fault(status=200, body={"career_sites": rows, "next_cursor": None, "has_more": False})


@pytest.mark.parametrize("count", [0, 10])
def test_a_restart_with_few_rows_or_none_hides_no_older_page(
    warehouse: Warehouse, count: int
) -> None:
    """One without rows is still ordered."""
    tap, rows = warehouse.tap, [*warehouse.tap.sandbox.world.rows().values()]
    restart(tap)
    tap.sandbox.faults.add(page_of(rows[:count]), endpoint="career_sites")
    assert ran(warehouse) == (0, count, ["no-price" if count else "missing-rows"])
    new = Warehouse(tap)
    assert ran(new, max_credits=0)[:2] == (0, 120 + count)
    assert new.is_current
    if not count:
        assert ran(warehouse) == (120, 120, [])
    assert ran(warehouse) == (0, 0, [])


def test_a_last_page_that_cannot_be_parsed_hides_nothing_and_may_be_dropped(
    warehouse: Warehouse, files: Files
) -> None:
    tap, key = warehouse.tap, next(iter(warehouse.target.rows))
    change(tap, key)
    unknown = Fault(replace=lambda body: {**body, "has_more": "maybe"})
    tap.sandbox.faults.add(unknown, endpoint="career_sites")
    assert error_code(tap.run(state=warehouse.state)) == "format-changed"
    new = Warehouse(tap)
    run = tap.run()
    new.target.receive(run.messages)
    assert error_code(run) == "format-changed"
    assert len(new.target.rows) == len(run.ids) == 120
    assert tap.sandbox.rows_billed == 121
    drop(tap, 4)
    assert ran(new) == (1, 1, [])
    assert ran(warehouse) == (0, 1, [])
    assert new.is_current
    assert warehouse.is_current
    assert files.page_numbers == [1, 2, 3, 4, 5]


def test_jobs_that_ended_have_ended_in_a_new_warehouse(
    hiring: Sandbox, tmp_path: Path, files: Files
) -> None:
    """A job is open if it was received later than its end."""
    tap = tap_of(hiring, tmp_path, "jobs", "expired_jobs")
    tap.settings |= {"archive_dir": files.store.location, "lookback_minutes": 0}
    (first, second, third, *_) = hiring.world.jobs()
    states: list[Any] = [None]
    old: dict[tuple[str, str], str] = {}

    def run_a_day_later() -> None:
        run = tap.succeed(state=states[-1])
        states.append(run.state)
        old.update(times_of(run))
        pass_time(tap, DAY)

    run_a_day_later()
    hiring.world.expire_job(first)
    hiring.world.expire_job(second)
    run_a_day_later()
    hiring.world.touch_job(second, title="Open again")
    hiring.world.expire_job(third)
    run_a_day_later()
    written(tap, "restart", "jobs", "--yes")
    run_a_day_later()
    billed = hiring.rows_billed
    new = times_of(tap.succeed())
    assert hiring.rows_billed == billed
    assert new.keys() == old.keys()
    for times in (old, new):
        for key, is_open in ((first, False), (second, True), (third, False)):
            assert (times["jobs", key] > times["expired_jobs", key]) == is_open


def times_of(run: Run) -> dict[tuple[str, str], str]:
    """When each row was received last, by its stream and id."""
    records = [each for each in run.messages if each["type"] == "RECORD"]
    return {(each["stream"], each["record"]["id"]): each["time_extracted"] for each in records}


def test_pipelines_of_other_filters_never_stop_each_other(tap: Tap) -> None:
    prod, dev = Warehouse(tap), Warehouse(tap)
    germans, others = keys_in(tap, "DE"), keys_in(tap, "US")
    assert ran(prod, **GERMAN)[:2] == (len(germans), len(germans))
    pass_time(tap)
    added, emitted, _ = ran(dev, on_filter_change="resync", **WIDER)
    assert (added, emitted) == (len(others), len(germans | others))
    for codes in (["other-rows"], []):  # it is told once
        pass_time(tap)
        assert ran(prod, **GERMAN)[0::2] == (0, codes)
    change(tap, next(iter(germans)), next(iter(others)))
    assert ran(prod, **GERMAN) == (1, 1, [])
    assert ran(dev, **WIDER)[0] == 2
    assert {*dev.target.rows} == germans | others


def test_rows_that_were_kept_are_told_to_each_pipeline_with_their_date(tap: Tap) -> None:
    tap.settings |= {"start_date": "2026-06-01T00:00:00Z"}
    prod, dev, other = Warehouse(tap), Warehouse(tap), Warehouse(tap)
    prod.run()
    pass_time(tap)
    tap.settings |= {"start_date": "2026-01-01T00:00:00Z"}
    kept = prod.run(on_filter_change="keep")
    other.run(start_date="2026-06-01T00:00:00Z")  # it has the page, and lacks nothing yet
    for run in (kept, dev.run(), other.run()):
        (warning,) = run.messages_of("WARNING", "gap")
        assert " 2026-01-01T00:00Z" in warning
        (command,) = commands_in(warning)
        assert command[:3] == ["restart", "career_sites", "--since"]
        pass_time(tap)
    assert ran(prod) == ran(dev) == (0, 0, [])  # each is told once
    restart(tap, *command[2:])
    prod.run()
    billed = tap.sandbox.rows_billed
    dev.run()
    assert {*dev.target.rows} == {*prod.target.rows}
    assert tap.sandbox.rows_billed == billed


def test_pages_that_are_removed_during_a_run_are_told_in_the_next_one(
    tap: Tap, files: Files
) -> None:
    tap.settings["batch_size"] = 40
    run = succeeded(run_meanwhile(tap, lambda _: files.remove(files.pages[0]), on=3))
    pass_time(tap)
    again = tap.succeed(state=run.state)
    assert again.codes("WARNING") == ["archive-behind"]
    assert again.metrics["jobo_archive_complete"] == 0
    assert tap.sandbox.rows_billed == 120


def test_what_was_bought_without_the_archive_is_bought_again(warehouse: Warehouse) -> None:
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
    assert run.loaded == 0
    assert {*run.ids} == {a, b}
    assert tap.sandbox.rows_billed == billed + 2
    assert warehouse.is_current
    assert ran(warehouse) == (0, 0, [])
    assert Warehouse(tap).rows_billed() == 0


def test_an_archive_that_is_behind_is_told_once_though_nothing_has_to_be_bought(
    hiring: Sandbox, tmp_path: Path
) -> None:
    """An empty page is then an entry, so that the state has a place in the archive."""
    tap = tap_of(hiring, tmp_path, "jobs")
    tap.settings["lookback_minutes"] = 0
    state = tap.succeed().state
    key = next(iter(hiring.world.jobs()))
    hiring.world.touch_job(key, title="Changed")
    pass_time(tap)
    state = tap.succeed(state=state, archive=False).state
    hiring.world.expire_job(key)
    pass_time(tap)
    run = tap.succeed(state=state)
    assert (run.codes("WARNING"), run.records) == (["archive-behind"], [])
    again = tap.succeed(state=run.state)
    assert (again.lines("WARNING"), again.state) == ([], run.state)


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
