"""A wider list of values: only the rows that it adds are read and billed from the start."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.support import Run, Tap, complaint, error_code
from tests.support.jobs import rows_of, tap_of

WIDER: Any = {"country_codes": ["DE", "FR", "US"], "batch_size": 5}
RESYNC: Any = {"on_filter_change": "resync", **WIDER}


def matching(tap: Tap, *countries: str) -> set[str]:
    return {*tap.run(country_codes=[*countries], archive=False).ids}


@pytest.fixture
def german(tap: Tap) -> Run:
    """A complete sync of one country and a half."""
    return tap.run(country_codes=["DE"])


def cut_after_page(tap: Tap, state: Any) -> Run:
    """The first page of a difference; the budget allows no other."""
    return tap.succeed(state=state, max_credits=250, **RESYNC)


def test_filters_and_bookmark_stay_until_a_difference_is_complete(tap: Tap, german: Run) -> None:
    """It does not read the other rows that changed, so its start must not become the bookmark."""
    (changed, *_) = german.ids
    part = cut_after_page(tap, german.state)
    tap.sandbox.world.touch(changed, name="Newer")
    rest = tap.succeed(state=part.state, **WIDER)  # the setting was meant for one run
    assert "Newer" in {row["name"] for row in rest.records}
    states = [state["bookmarks"]["career_sites"] for state in (*part.states, *rest.states)]
    during = [state for state in states if state["filters"]["country_codes"] == ["DE"]]
    assert during[-1]["sync"]["filters"]["country_codes"] == ["FR", "US"]
    after = states[len(during)]
    assert after["filters"]["country_codes"] == ["DE", "FR", "US"]
    old = german.bookmark["replication_key_value"]
    assert {state["replication_key_value"] for state in (*during, after)} == {old}


def test_a_start_date_set_during_a_difference_is_no_silent_gap(tap: Tap, german: Run) -> None:
    """What follows the difference starts there, so an earlier date is a decision again."""
    tap = replace(tap, settings={"lookback_minutes": 0})
    part = cut_after_page(tap, german.state)
    (changed, *_) = german.ids
    later = datetime.now(UTC)
    tap.sandbox.world.touch(changed, at=later - timedelta(milliseconds=50), name="Newer")
    rest = tap.run(state=part.state, start_date=later.isoformat(), **WIDER)
    assert rest.returncode == 0, rest.stderr
    assert "Newer" not in {row["name"] for row in rest.records}
    assert error_code(tap.run(state=rest.state, **WIDER)) == "filters-changed"
    again = tap.run(state=rest.state, **RESYNC)
    assert "Newer" in {row["name"] for row in again.records}


def test_a_difference_keeps_the_start_date(tap: Tap) -> None:
    tap.settings["start_date"] = "2020-01-01"
    run = tap.succeed(state=tap.run(country_codes=["DE"]).state, **RESYNC)
    states = [state["bookmarks"]["career_sites"] for state in run.states]
    assert {state["start_date"] for state in states} == {"2020-01-01T00:00:00.000000Z"}


def test_a_restarted_difference_keeps_its_filters(tap: Tap, german: Run) -> None:
    part = cut_after_page(tap, german.state)
    tap.sandbox.faults.add(Fault(reject_cursor="409"))
    rest = tap.succeed(state=part.state, **WIDER)
    assert {*rest.ids} == matching(tap, "FR", "US")


@pytest.mark.parametrize(
    ("filters", "since", "is_kept"),
    [(WIDER, None, True), ({"country_codes": ["US"], "batch_size": 5}, "2020-01-01", False)],
)
def test_the_way_out_after_two_rejections_goes_on_from_a_bookmark_of_these_filters_only(
    tap: Tap, filters: Any, since: str | None, *, is_kept: bool
) -> None:
    """Without the sync, the bookmark of other filters would skip the rows of the new ones."""
    tap = replace(tap, settings={"start_date": since})
    state = tap.run(country_codes=["DE"]).state
    resync: Any = {"on_filter_change": "resync", **filters}
    tap.sandbox.faults.add(Fault(reject_cursor="400", times=None))
    line = complaint(tap.run(state=state, **resync))
    assert ("'started_at' of 'sync' set to null" in line) == is_kept
    assert ("a full refresh of all streams (without state)" in line) != is_kept


def test_added_locations_of_jobs_are_a_difference(hiring: Sandbox, tmp_path: Path) -> None:
    tap = tap_of(hiring, tmp_path, "jobs")
    old: Any = {"jobs_locations": [{"country": "Germany"}]}
    new: Any = {"jobs_locations": [{"country": "Germany"}, {"country": "France"}]}
    state = tap.run(**old).state
    run = tap.succeed(state=state, on_filter_change="resync", **new)
    bodies = [entry.body for entry in hiring.requests_to("jobs")]
    first, last = bodies[-2:]
    assert first["locations"] == [{"country": "France"}]
    assert len(last["locations"]) == 2
    assert rows_of(run, "jobs")
