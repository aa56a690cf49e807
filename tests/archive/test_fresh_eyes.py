"""What an attacker of states and archives found."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.clock import to_minute
from tests.archive.helpers import (
    Warehouse,
    archive_command,
    change,
    keys_in,
    kill,
    pass_time,
    refused,
    succeeded,
)
from tests.support import Tap, complaint, error_code
from tests.support.archives import Files
from tests.support.jobs import tap_of

pytestmark = pytest.mark.slow

GERMAN: Any = {"country_codes": ["DE"], "batch_size": 5}
WIDER: Any = {**GERMAN, "country_codes": ["DE", "US"]}


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


def test_a_row_that_was_erased_from_the_last_page_does_not_put_the_state_ahead(
    tap: Tap, files: Files
) -> None:
    cut = kill(tap, files, 2)
    succeeded(archive_command(tap, "erase", cut.ids[0]))
    run = tap.succeed(state=cut.state)
    assert run.lines("WARNING") == []
    assert tap.sandbox.rows_billed == 120


def test_rows_that_were_erased_do_not_make_the_others_another_format(tap: Tap) -> None:
    def spoil(body: dict[str, Any]) -> dict[str, Any]:
        good, bad = body["career_sites"][:5], body["career_sites"][5:]
        return {**body, "career_sites": [*good, *({**row, "id": 7} for row in bad)]}

    tap.settings |= {"batch_size": 10, "max_credits": 500}
    tap.sandbox.faults.add(Fault(replace=spoil), endpoint="career_sites")
    first = tap.run()
    assert len(first.ids) == 5
    succeeded(archive_command(tap, "erase", *first.ids))
    anew = tap.run()
    assert anew.returncode == 0
    assert not {*first.ids} & {*anew.ids}
    assert tap.sandbox.rows_billed == 20


def test_a_page_that_was_dropped_is_bought_again_by_those_that_lack_it(
    warehouse: Warehouse, files: Files
) -> None:
    had_it, other = Warehouse(warehouse.tap), Warehouse(warehouse.tap)
    had_it.run()
    files.damage(files.pages[-1])
    succeeded(archive_command(warehouse.tap, "drop", "career_sites", "3"))
    assert other.rows_billed() == 20
    for each in (warehouse, had_it, other):
        assert each.run().lines("WARNING") == []
        assert each.rows_billed() == 0


def test_an_archive_that_is_behind_is_told_once_though_nothing_has_to_be_bought(
    hiring: Sandbox, tmp_path: Path
) -> None:
    """An empty page is then an entry, so that the state has a place in the archive."""
    tap = tap_of(hiring, tmp_path, "jobs")
    tap.settings["lookback_minutes"] = 0
    state = tap.succeed().state
    key = next(iter(hiring.world.jobs()))
    hiring.world.touch_job(key, title="Changed")
    pass_time(tap, timedelta(minutes=1))
    state = tap.succeed(state=state, archive=False).state
    hiring.world.expire_job(key)
    pass_time(tap, timedelta(minutes=1))
    run = tap.succeed(state=state)
    assert (run.codes("WARNING"), run.records) == (["archive-behind"], [])
    again = tap.succeed(state=run.state)
    assert (again.lines("WARNING"), again.state) == ([], run.state)


def test_an_archive_that_was_lost_is_told_once_though_nothing_has_to_be_bought(
    warehouse: Warehouse, files: Files
) -> None:
    files.lose()
    pass_time(warehouse.tap, timedelta(minutes=1))
    assert warehouse.run().codes("WARNING") == ["archive-behind"]
    assert files.page_numbers == [1]
    pass_time(warehouse.tap, timedelta(minutes=1))
    assert warehouse.run().codes("WARNING") == []
    assert files.page_numbers == [1]
    assert refused(warehouse.tap) == "archive-lacks-rows"  # nothing is bought again unasked


def test_filters_that_are_changed_back_cost_only_changes_without_a_question(
    tap: Tap, files: Files
) -> None:
    state = tap.succeed(**GERMAN).state
    cut = kill(tap, files, 2, state=state, on_filter_change="resync", **WIDER)
    change(tap, *tap.sandbox.world.rows())
    billed = tap.sandbox.rows_billed
    run = tap.succeed(state=cut.state, **GERMAN)
    assert {*run.ids} == keys_in(tap, "DE")
    assert tap.sandbox.rows_billed == billed + len(run.ids)
    back = tap.run(state=run.state, **WIDER)  # the sync in progress goes on
    assert back.returncode == 0
    assert back.codes("WARNING") == []


def test_the_price_of_what_an_archive_lacks_is_not_that_of_what_it_has(
    warehouse: Warehouse, files: Files
) -> None:
    files.lose()
    change(warehouse.tap, next(iter(warehouse.target.rows)))
    warehouse.run()
    assert refused(warehouse.tap) == "archive-lacks-rows"
    line = complaint(warehouse.tap.run())
    assert "($50.00 per 1,000 rows)" in line
    assert "at least" not in line


def test_a_sync_that_started_in_the_future_ends_as_the_message_says(
    warehouse: Warehouse, files: Files
) -> None:
    """Without a state, the archive still has it."""
    tap = warehouse.tap
    pass_time(tap, timedelta(hours=3))
    change(tap, next(iter(warehouse.target.rows)))
    warehouse.run()
    pass_time(tap, timedelta(hours=-4))
    billed = tap.sandbox.rows_billed
    bookmark = warehouse.state["bookmarks"]["career_sites"]["replication_key_value"]
    for state in (None, warehouse.state):
        run = tap.run(state=state)
        assert error_code(run) == "future-bookmark"
        assert f" {to_minute(bookmark)} " in complaint(run)
        assert run.records == []
    pass_time(tap, timedelta(hours=4))
    assert warehouse.rows_billed() == 0
    pass_time(tap, timedelta(hours=-4))
    files.lose()
    assert len(tap.succeed().ids) == 120
    assert tap.sandbox.rows_billed == billed + 120


def test_a_dropped_first_page_is_known_only_to_the_warehouse_that_has_it(
    tap: Tap, files: Files
) -> None:
    """Others are asked again before they buy its rows."""
    state = tap.succeed(**GERMAN).state
    page = files.page_numbers[-1] + 1
    cut = kill(tap, files, 2, state=state, on_filter_change="resync", **WIDER)
    files.damage(files.pages[-1])
    succeeded(archive_command(tap, "drop", "career_sites", str(page)))
    done = tap.succeed(state=cut.state, **WIDER)
    assert done.lines("WARNING") == []
    assert refused(tap, **WIDER) == "filters-changed"
    new = tap.succeed(on_filter_change="resync", **WIDER)
    assert {*new.ids} == keys_in(tap, "DE", "US")


@pytest.mark.usefixtures("files")
def test_a_state_whose_last_page_was_dropped_stays_in_its_archive(tap: Tap) -> None:
    """Although the page was bought again since, and dropped once more."""
    state = tap.succeed().state
    succeeded(archive_command(tap, "drop", "career_sites", "3", "--yes"))
    tap.succeed()
    succeeded(archive_command(tap, "drop", "career_sites", "4", "--yes"))
    billed = tap.sandbox.rows_billed
    run = tap.succeed(state=state)
    assert (run.records, run.lines("WARNING")) == ([], [])
    assert tap.sandbox.rows_billed == billed
    assert len({*tap.succeed().ids}) == 120
    assert tap.sandbox.rows_billed == billed + 20
