"""A wider list of values: only the rows that it adds are read and billed from the start."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.journal.helpers import replayed
from tests.support import Run, Tap, complaint
from tests.support.jobs import rows_of, tap_of
from tests.sync.test_scan import full_table

WIDER: Any = {"country_codes": ["DE", "FR", "US"], "batch_size": 5}
RESYNC: Any = {"on_filter_change": "resync", **WIDER}


def matching(tap: Tap, *countries: str) -> set[str]:
    return {*tap.run(country_codes=[*countries], journal=False).ids}


@pytest.fixture
def german(tap: Tap) -> Run:
    """A complete sync of one country and a half."""
    return tap.run(country_codes=["DE"])


def cut_after_page(tap: Tap, state: Any) -> Run:
    """The first page of a difference; the budget allows no other."""
    return tap.succeed(state=state, max_credits=250, **RESYNC)


def test_only_the_added_rows_are_billed(tap: Tap, german: Run) -> None:
    added = matching(tap, "FR", "US")
    billed = tap.sandbox.rows_billed
    line = complaint(tap.run(state=german.state, **WIDER))
    assert "'resync' reads the rows with country_codes FR, US, then what changed since" in line
    assert tap.sandbox.rows_billed == billed
    run = tap.succeed(state=german.state, **RESYNC)
    assert {*run.ids} == added
    assert tap.sandbox.rows_billed == billed + len(added)
    asked = [entry.body for entry in tap.sandbox.feed_requests][-1]
    assert asked["country_codes"] == ["DE", "FR", "US"]  # what has changed since
    assert run.bookmark["filters"]["country_codes"] == ["DE", "FR", "US"]
    again = tap.run(state=run.state, **WIDER)
    assert (again.returncode, again.ids) == (0, [])


def test_rows_that_changed_meanwhile_arrive(tap: Tap, german: Run) -> None:
    """The difference does not read them, so its start must not become the bookmark."""
    (changed, *_) = german.ids
    part = cut_after_page(tap, german.state)
    assert part.bookmark["filters"]["country_codes"] == ["DE"]
    assert part.bookmark["sync"]["filters"]["country_codes"] == ["FR", "US"]
    old = german.bookmark["replication_key_value"]
    assert part.bookmark["replication_key_value"] == old
    tap.sandbox.world.touch(changed, name="Newer")
    rest = tap.succeed(state=part.state, **WIDER)  # the setting was meant for one run
    assert "Newer" in {row["name"] for row in rest.records}
    states = [state["bookmarks"]["career_sites"] for state in rest.states]
    first = next(state for state in states if state["filters"]["country_codes"] != ["DE"])
    assert first["replication_key_value"] == old
    assert {*part.ids, *rest.ids} >= matching(tap, "FR", "US")


@pytest.mark.parametrize(
    "change",
    [
        {"country_codes": ["FR"]},  # no old value remains
        {},
        {"country_codes": ["DE", "FR"], "founded_after": 1990},
        {"country_codes": ["DE", "FR"], "industries": ["fintech", "biotech"]},
    ],
)
def test_any_other_change_reads_everything(tap: Tap, change: Any) -> None:
    before: Any = {"country_codes": ["DE"], "industries": ["fintech"], "founded_after": 2000}
    state = tap.run(**before).state
    given: Any = {"founded_after": 2000, "industries": ["fintech"], **change}
    assert "'resync' reads all matching rows" in complaint(tap.run(state=state, **given))


def test_other_filters_may_narrow_at_the_same_time(tap: Tap, german: Run) -> None:
    run = tap.succeed(state=german.state, is_agency=False, **RESYNC)
    bodies = [entry.body for entry in tap.sandbox.feed_requests][-2:]
    assert {body["is_agency"] for body in bodies} == {False}
    assert run.bookmark["filters"]["is_agency"] is False


def test_a_full_table_and_an_earlier_start_date_read_everything(tap: Tap) -> None:
    state = tap.run(country_codes=["DE"], start_date="2026-01-01").state
    assert "'resync' reads all matching rows" in complaint(tap.run(state=state, **WIDER))
    tap.succeed(state=state, catalog=full_table(), start_date="2026-01-01", **RESYNC)
    asked = [entry.body.get("country_codes") for entry in tap.sandbox.feed_requests]
    assert ["FR", "US"] not in asked


def test_a_difference_that_is_no_longer_wanted_is_dropped(tap: Tap, german: Run) -> None:
    part = cut_after_page(tap, german.state)
    back = tap.run(state=part.state, country_codes=["DE"])
    assert (back.returncode, back.ids) == (0, [])
    assert "is given up after 5 rows" in back.lines("WARNING")[0]
    assert "after 5 rows ($0.25 at list price), because" in back.lines("WARNING")[0]
    assert back.bookmark["filters"]["country_codes"] == ["DE"]
    assert set(back.bookmark["sync"].pop("filters").values()) == {None}
    other = tap.run(state=part.state, on_filter_change="resync", country_codes=["DE", "US"])
    assert {*other.ids} == matching(tap, "US")


def test_a_killed_difference_is_replayed_and_followed_from_the_old_bookmark(
    tap: Tap, german: Run
) -> None:
    (changed, *_) = german.ids
    tap.sandbox.world.touch(changed, name="Newer")
    part = cut_after_page(tap, german.state)
    again = tap.run(state=german.state, **RESYNC)  # the target has lost it
    assert replayed(again) == 5
    assert "Newer" in {row["name"] for row in again.records}
    assert {*again.ids} == matching(tap, "FR", "US") | {changed}
    assert {*part.ids} <= {*again.ids}


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
    assert "start_date was" in complaint(tap.run(state=rest.state, **WIDER))
    again = tap.run(state=rest.state, **RESYNC)
    assert "Newer" in {row["name"] for row in again.records}


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
    assert ("a full refresh (without state)" in line) != is_kept


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
