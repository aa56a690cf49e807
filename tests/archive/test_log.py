"""What users get since nobody shares a position: what is billed, emitted, and stored.

The histories are those that left rows missing, or billed some again, when the archive had a
position of its own. What a page costs that can't be written is in `test_damage` and
`test_object_storage`, and a million pages in `test_large_archive`.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jobo_sandbox import Fault, Hold, Sandbox
from tests.archive.helpers import (
    Warehouse,
    archive_command,
    change,
    in_both,
    keys_in,
    loaded,
    pass_time,
    refused,
    succeeded,
)
from tests.support import Run, Tap, commands_in, error_code
from tests.support.archives import Files, files_at
from tests.support.crash import cut_after, parse, wait_until_quiet
from tests.support.jobs import tap_of

pytestmark = pytest.mark.slow

GERMAN: Any = {"country_codes": ["DE"]}
WIDER: Any = {"country_codes": ["DE", "US"]}
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def ran(warehouse: Warehouse, **settings: Any) -> tuple[int, int, list[str]]:
    """Run the tap: the rows billed, the rows emitted, and the codes of the warnings."""
    before = warehouse.tap.sandbox.rows_billed
    run = warehouse.run(**settings)
    billed = warehouse.tap.sandbox.rows_billed - before
    return billed, len(run.ids), run.codes("WARNING")


def order(tap: Tap, *args: str) -> None:
    """Order a restart, a minute before the next run."""
    succeeded(archive_command(tap, "restart", "career_sites", *args, "--yes"))
    pass_time(tap, MINUTE)


def page_of(rows: list[Any]) -> Fault:
    """A last page of some rows, for which nothing is billed."""
    return Fault(status=200, body={"career_sites": rows, "next_cursor": None, "has_more": False})


# Histories that left rows missing


@in_both
@pytest.mark.parametrize("count", [0, 10])
def test_a_restart_with_few_rows_or_none_hides_no_older_page(
    warehouse: Warehouse, count: int
) -> None:
    """One without rows is still ordered."""
    tap, rows = warehouse.tap, [*warehouse.tap.sandbox.world.rows().values()]
    order(tap)
    tap.sandbox.faults.add(page_of(rows[:count]), endpoint="career_sites")
    assert ran(warehouse) == (0, count, ["no-price" if count else "missing-rows"])
    new = Warehouse(tap)
    assert ran(new, max_credits=0)[:2] == (0, 120 + count)
    assert new.is_current
    if not count:
        assert ran(warehouse) == (120, 120, [])
    assert ran(warehouse) == (0, 0, [])


@in_both
@pytest.mark.parametrize("lines", [2, 45])
def test_a_load_that_dies_in_a_restart_loses_nothing_if_an_older_backup_is_restored(
    warehouse: Warehouse, files: Files, lines: int
) -> None:
    tap, backup, other = warehouse.tap, files.copy(), Warehouse(warehouse.tap)
    other.run()
    change(tap, *tap.sandbox.world.rows())
    order(tap)
    assert ran(warehouse, max_credits=2_500)[:2] == (50, 50)
    kill_load(other, files, lines)
    files.restore(backup)
    pass_time(tap, MINUTE)
    for each in (other, warehouse, Warehouse(tap)):
        each.run()
        assert each.is_current


def kill_load(warehouse: Warehouse, files: Files, lines: int) -> None:
    """Kill a run after so many lines, of which the loader has stored all."""
    _, written = cut_after(warehouse.tap, lines, signal.SIGKILL, state=warehouse.state)
    wait_until_quiet(warehouse.tap.sandbox)
    files.expire_leases()
    warehouse.target.receive(parse(written), is_ahead=True)


@in_both
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
    succeeded(archive_command(tap, "drop", "career_sites", "4"))
    assert ran(new) == (1, 1, [])
    assert ran(warehouse) == (0, 1, [])
    assert new.is_current
    assert warehouse.is_current
    assert files.page_numbers == [1, 2, 3, 4, 5]


@in_both
def test_a_backup_from_the_middle_of_a_restart_buys_nothing_of_it_again(
    warehouse: Warehouse, files: Files
) -> None:
    order(warehouse.tap)
    assert ran(warehouse, max_credits=2_500)[:2] == (50, 50)
    backup = files.copy()
    assert ran(warehouse) == (70, 70, [])
    files.restore(backup)
    pass_time(warehouse.tap, MINUTE)
    assert ran(warehouse) == (0, 0, ["archive-behind"])
    assert ran(warehouse) == (0, 0, [])
    assert Warehouse(warehouse.tap).rows_billed() == 70  # which the archive lacks


@in_both
def test_a_backup_of_before_a_restart_brings_no_older_version_back(
    warehouse: Warehouse, files: Files
) -> None:
    """Although the row was changed without a new `updated_at`, so only a restart has read it."""
    tap, key, backup = warehouse.tap, next(iter(warehouse.target.rows)), files.copy()
    tap.sandbox.world.touch(key, at=datetime(2020, 1, 1, tzinfo=UTC), name="Changed")
    assert ran(warehouse) == (0, 0, [])
    order(tap)
    assert ran(warehouse) == (120, 120, [])
    assert warehouse.is_current
    files.restore(backup)
    pass_time(tap, MINUTE)
    assert ran(warehouse) == (0, 0, ["archive-behind"])
    assert ran(warehouse) == (0, 0, [])
    assert warehouse.is_current


@in_both
def test_dev_that_narrows_and_goes_back_leaves_prod_current(warehouse: Warehouse) -> None:
    tap, dev = warehouse.tap, Warehouse(warehouse.tap)
    (german, *_), (other, *_) = keys_in(tap, "DE"), keys_in(tap, "US")
    assert ran(dev) == (0, 120, [])
    assert ran(dev, **GERMAN) == (0, 0, [])
    change(tap, german, other)
    assert ran(dev, **GERMAN) == (1, 1, [])
    pass_time(tap, MINUTE)
    assert ran(dev, on_filter_change="keep")[0] == 2  # both changed since it read all of them
    assert warehouse.rows_billed() == 0
    assert dev.is_current


@in_both
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
    succeeded(archive_command(tap, "restart", "jobs", "--yes"))
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


@in_both
def test_an_order_since_a_date_outlasts_an_answer(tap: Tap, files: Files) -> None:
    warehouse = Warehouse(tap)
    warehouse.run(**GERMAN)
    pass_time(tap, MINUTE)
    order(tap, "--since", "2020-01-01")
    billed, _, codes = ran(warehouse, on_filter_change="resync", **WIDER)
    assert (billed, codes) == (len(keys_in(tap, "US")), ["filters-applied"])
    pass_time(tap, MINUTE)
    assert ran(warehouse, **GERMAN)[0] == len(keys_in(tap, "DE"))
    pass_time(tap, MINUTE)
    assert ran(warehouse, **GERMAN) == (0, 0, [])
    assert files.pages


# What users get


@in_both
def test_filters_that_are_narrowed_and_widened_again_cost_what_changed(
    warehouse: Warehouse,
) -> None:
    tap = warehouse.tap
    (german, *_), (other, *_) = keys_in(tap, "DE"), keys_in(tap, "US")
    assert ran(warehouse, **GERMAN) == (0, 0, [])
    change(tap, german, other)
    assert ran(warehouse, **GERMAN) == (1, 1, [])
    pass_time(tap, MINUTE)
    assert ran(warehouse) == (2, 2, [])
    assert warehouse.is_current


@in_both
def test_pipelines_of_other_filters_never_stop_each_other(tap: Tap, files: Files) -> None:
    prod, dev = Warehouse(tap), Warehouse(tap)
    germans, others = keys_in(tap, "DE"), keys_in(tap, "US")
    assert ran(prod, **GERMAN)[:2] == (len(germans), len(germans))
    pass_time(tap, MINUTE)
    added, emitted, _ = ran(dev, on_filter_change="resync", **WIDER)
    assert (added, emitted) == (len(others), len(germans | others))
    for codes in (["other-rows"], []):  # it is told once
        pass_time(tap, MINUTE)
        assert ran(prod, **GERMAN)[0::2] == (0, codes)
    change(tap, next(iter(germans)), next(iter(others)))
    assert ran(prod, **GERMAN) == (1, 1, [])
    assert ran(dev, **WIDER)[0] == 2
    assert {*dev.target.rows} == germans | others
    assert files.pages


@in_both
def test_rows_that_were_never_bought_are_asked_for_before_anything_is_loaded(
    tap: Tap, files: Files
) -> None:
    """Once another pipeline has bought them, nobody is asked."""
    own, other = Warehouse(tap), Warehouse(tap)
    own.run(**GERMAN)
    pass_time(tap, MINUTE)
    change(tap, *keys_in(tap, "DE"))
    for state in (own.state, None):
        assert refused(tap, state, **WIDER) == "filters-changed"
    other.run(on_filter_change="resync", **WIDER)
    for each in (own, Warehouse(tap)):
        pass_time(tap, MINUTE)
        assert ran(each, **WIDER)[::2] == (0, [])
        assert {*each.target.rows} == keys_in(tap, "DE", "US")
    assert files.pages


@in_both
def test_a_lost_archive_goes_on_from_the_state(warehouse: Warehouse, files: Files) -> None:
    """Without a state, the archive asks before it buys what was lost."""
    tap = warehouse.tap
    files.lose()
    change(tap, next(iter(warehouse.target.rows)))
    assert ran(warehouse) == (1, 1, ["archive-behind"])
    assert ran(warehouse) == (0, 0, [])
    assert warehouse.is_current
    assert files.page_numbers == [1]
    assert refused(tap) == "archive-lacks-rows"
    state = json.loads(succeeded(archive_command(tap, "state", "career_sites")).stdout)
    assert tap.succeed(state=state).records == []
    new = Warehouse(tap)
    assert ran(new, on_filter_change="resync")[0] == 120
    assert new.is_current


@in_both
def test_a_restored_archive_heals_itself(warehouse: Warehouse, files: Files) -> None:
    """It buys what it lacks of the last seven days, and the warning has the price."""
    tap, backup, (first, second, *_) = warehouse.tap, files.copy(), warehouse.target.rows
    change(tap, first)
    assert ran(warehouse) == (1, 1, [])
    files.restore(backup)
    pass_time(tap, 6 * DAY)
    other = Warehouse(tap)
    change(tap, second)
    assert ran(other, max_credits=0)[:2] == (0, 120)
    before = tap.sandbox.rows_billed
    run = warehouse.run()
    (warning,) = run.messages_of("WARNING", "archive-behind")
    assert "$50.00 per 1,000 rows" in warning
    assert {*run.ids} == {first, second}
    assert tap.sandbox.rows_billed == before + 2
    assert ran(warehouse) == (0, 0, [])
    assert other.rows_billed() == 0


@in_both
@pytest.mark.parametrize("seed", range(2))
def test_a_load_that_dies_skips_nothing_whatever_archive_comes_next(
    warehouse: Warehouse, files: Files, seed: int
) -> None:
    tap, rng, late = warehouse.tap, Random(seed), Warehouse(warehouse.tap)
    late.run()
    backups: list[Callable[[], None]] = [files.lose, lambda: None]
    for _ in range(3):
        backups.append(partial(files.restore, files.copy()))
        change(tap, *rng.sample([*warehouse.target.rows], 30), name=f"{rng.random()}")
        warehouse.run()
    kill_load(late, files, rng.randrange(1, 100))
    rng.choice(backups)()
    pass_time(tap, MINUTE)
    for each in (late, warehouse):
        each.run()
        assert each.is_current


@in_both
def test_a_new_warehouse_gets_the_newest_version_of_all_that_was_ever_bought(
    warehouse: Warehouse,
) -> None:
    """Also of rows that Jobo lists no more, and that a restart of other filters did not read."""
    tap = warehouse.tap
    tap.settings |= GERMAN
    change(tap, *keys_in(tap, "DE"))
    order(tap)
    assert ran(warehouse)[0] == len(keys_in(tap, "DE"))
    pass_time(tap, MINUTE)
    new = Warehouse(tap)
    assert new.rows_billed() == 0
    assert new.target.rows.keys() == warehouse.target.rows.keys()


@in_both
def test_rows_that_were_kept_are_told_to_each_pipeline_with_their_date(
    tap: Tap, files: Files
) -> None:
    tap.settings |= {"start_date": "2026-06-01T00:00:00Z"}
    prod, dev, other = Warehouse(tap), Warehouse(tap), Warehouse(tap)
    prod.run()
    pass_time(tap, MINUTE)
    tap.settings |= {"start_date": "2026-01-01T00:00:00Z"}
    kept = prod.run(on_filter_change="keep")
    other.run(start_date="2026-06-01T00:00:00Z")  # it has the page, and lacks nothing yet
    for run in (kept, dev.run(), other.run()):
        (warning,) = run.messages_of("WARNING", "gap")
        assert " 2026-01-01T00:00Z" in warning
        (command,) = commands_in(warning)
        assert command[:3] == ["restart", "career_sites", "--since"]
        pass_time(tap, MINUTE)
    assert ran(prod) == ran(dev) == (0, 0, [])  # each is told once
    order(tap, *command[2:])
    prod.run()
    billed = tap.sandbox.rows_billed
    dev.run()
    assert {*dev.target.rows} == {*prod.target.rows}
    assert tap.sandbox.rows_billed == billed
    assert files.pages


def test_restart_without_settings_is_for_the_pipeline_that_bought_last(
    warehouse: Warehouse, files: Files
) -> None:
    """Also in an archive that has only what changed, because an earlier one was lost."""
    tap = warehouse.tap
    files.lose()
    change(tap, *list(keys_in(tap, "DE"))[:2])
    warehouse.run()
    order(tap)
    pass_time(tap, MINUTE)
    assert ran(warehouse)[0] == 120


def test_jobs_that_a_new_warehouse_keeps_open_are_told(hiring: Sandbox, tmp_path: Path) -> None:
    tap_of(hiring, tmp_path, "jobs").succeed()
    both = tap_of(hiring, tmp_path, "jobs", "expired_jobs")
    pass_time(both, timedelta(days=10))
    both.succeed()
    pass_time(both, MINUTE)
    (warning,) = both.succeed().messages_of("WARNING", "expired-gap")
    assert "later than jobs" in warning
    assert commands_in(warning) == [["restart", "jobs"]]


def test_pages_that_are_lost_with_their_headers_leave_a_gap_that_a_restart_ends(
    tap: Tap, files: Files
) -> None:
    tap.settings["batch_size"] = 40
    tap.succeed()
    for page in files.pages[:2]:
        files.damage(page, 5)
    for number in ("1", "2"):
        succeeded(archive_command(tap, "drop", "career_sites", number))
    pass_time(tap, timedelta(minutes=30))
    assert (len({*tap.succeed().ids}), tap.sandbox.rows_billed) == (40, 120)
    assert tap.succeed().codes("WARNING") == ["gap"]
    succeeded(archive_command(tap, "restart", "career_sites", "--yes"))
    assert len({*tap.succeed().ids}) == 120
    new = tap.succeed()
    assert (len({*new.ids}), new.codes("WARNING"), tap.sandbox.rows_billed) == (120, [], 240)


def test_a_page_that_is_dropped_after_a_restart_leaves_no_gap(tap: Tap, files: Files) -> None:
    tap.settings["batch_size"] = 40
    tap.succeed()
    succeeded(archive_command(tap, "restart", "career_sites", "--yes"))
    pass_time(tap, timedelta(minutes=1))
    tap.succeed()
    files.damage(files.pages[1], 5)
    succeeded(archive_command(tap, "drop", "career_sites", "2"))
    pass_time(tap, timedelta(minutes=1))
    new = tap.succeed()
    assert (len({*new.ids}), new.codes("WARNING")) == (120, [])


def test_pages_that_are_removed_during_a_run_are_told_in_the_next_one(
    tap: Tap, files: Files
) -> None:
    tap.settings["batch_size"] = 40
    hold = Hold()
    tap.sandbox.faults.add(Fault(hold=hold), on=3)
    with tap.start() as process:
        hold.wait()
        files.store.remove([files.pages[0]])
        hold.release()
        assert process.stdout
        written = [*process.stdout]
    pass_time(tap, MINUTE)
    *_, state = [each["value"] for each in parse(written) if each["type"] == "STATE"]
    again = tap.succeed(state=state)
    assert again.codes("WARNING") == ["archive-behind"]
    assert again.metrics["jobo_archive_complete"] == 0
    assert tap.sandbox.rows_billed == 120


# The archive is off for a night, or that of another pipeline


def goes_on(warehouse: Warehouse, files: Files) -> None:
    """Assert that nothing is to be told or bought again, and that the archive has all rows."""
    names = files.names
    run = warehouse.run()
    assert (run.records, run.lines("WARNING")) == ([], [])
    assert files.names == names
    assert Warehouse(warehouse.tap).rows_billed() == 0


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


def test_a_pipeline_goes_on_in_the_archive_of_another_one(
    warehouse: Warehouse, files: Files
) -> None:
    """It loads what came after its last page. What it lacks from before is free without a state."""
    tap, settings = warehouse.tap, {**warehouse.tap.settings}
    pass_time(tap, timedelta(hours=1))
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
    dev.target.state = {}
    assert dev.run().lines("WARNING") == []
    assert dev.is_current
    assert tap.sandbox.rows_billed == billed
    goes_on(dev, files)


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
