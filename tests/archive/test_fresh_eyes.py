"""What an attacker of states and archives found."""

from __future__ import annotations

import re
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
    kill,
    pass_time,
    succeeded,
)
from tests.support import Tap, complaint, error_code, state_at
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


def test_a_page_that_was_dropped_and_bought_again_does_not_put_a_state_ahead(
    warehouse: Warehouse, files: Files
) -> None:
    other = Warehouse(warehouse.tap)
    other.run()
    files.damage(files.pages[-1])
    succeeded(archive_command(warehouse.tap, "drop", "career_sites", "3"))
    assert other.rows_billed() == 20
    assert warehouse.run().lines("WARNING") == []
    assert warehouse.rows_billed() == 0


def test_a_state_that_is_ahead_is_told_once_though_nothing_has_to_be_bought(
    hiring: Sandbox, tmp_path: Path
) -> None:
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
    assert run.codes("WARNING") == ["archive-behind"]
    assert tap.succeed(state=run.state).lines("WARNING") == []


def test_filters_that_are_changed_back_cost_only_changes_as_the_question_says(
    tap: Tap, files: Files
) -> None:
    state = tap.succeed(**GERMAN).state
    cut = kill(tap, files, 2, state=state, on_filter_change="resync", **WIDER)
    question = tap.run(state=cut.state, **GERMAN)
    assert error_code(question) == "filters-changed"
    assert re.search(r"=resync .* since \S+Z, ", complaint(question))  # and not all rows
    billed, backup = tap.sandbox.rows_billed, files.copy()
    for answer in ("resync", "keep"):
        files.restore(backup)
        run = tap.succeed(state=cut.state, on_filter_change=answer, **GERMAN)
        assert not run.bookmark["gap"]
        assert tap.sandbox.rows_billed == billed


def test_the_price_of_an_incomplete_archive_is_not_that_of_what_it_has(
    warehouse: Warehouse, files: Files
) -> None:
    files.lose()
    change(warehouse.tap, next(iter(warehouse.target.rows)))
    warehouse.run()
    line = warehouse.tap.refuse(code="archive-incomplete")
    assert "($50.00 per 1,000 rows)" in line
    assert "at least" not in line


def test_a_bookmark_in_the_future_is_corrected_as_the_message_says(
    warehouse: Warehouse, files: Files
) -> None:
    """Without a state, the archive still has it."""
    tap, now = warehouse.tap, warehouse.tap.sandbox.now()
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
    corrected = state_at((now - timedelta(hours=1)).isoformat())
    assert tap.succeed(state=corrected).codes("WARNING") == ["archive-empty"]
    assert tap.sandbox.rows_billed <= billed + 1


def test_a_dropped_first_page_of_other_filters_is_not_taken_for_another_pipelines(
    tap: Tap, files: Files
) -> None:
    """The state had the page, so its filters are those of the settings."""
    state = tap.succeed(**GERMAN).state
    page = files.page_numbers[-1] + 1
    cut = kill(tap, files, 2, state=state, on_filter_change="resync", **WIDER)
    files.damage(files.pages[-1])
    succeeded(archive_command(tap, "drop", "career_sites", str(page)))
    assert error_code(tap.run(state=cut.state, **WIDER)) == "filters-changed"
    tap.succeed(state=cut.state, on_filter_change="resync", **WIDER)
    billed = tap.sandbox.rows_billed
    new = tap.succeed(**WIDER)
    assert (len(new.ids), new.lines("WARNING")) == (billed - 5, [])


@pytest.mark.usefixtures("files")
def test_a_state_whose_last_page_was_dropped_stays_in_its_archive(tap: Tap) -> None:
    """Although the page was bought again since, and dropped once more."""
    state = tap.succeed().state
    succeeded(archive_command(tap, "drop", "career_sites", "3", "--yes"))
    tap.succeed()
    succeeded(archive_command(tap, "drop", "career_sites", "4", "--yes"))
    billed = tap.sandbox.rows_billed
    run = tap.succeed(state=state)
    assert run.lines("WARNING") == []
    assert tap.sandbox.rows_billed == billed + 20
    assert len({*tap.succeed().ids}) == 120
    assert tap.sandbox.rows_billed == billed + 20
