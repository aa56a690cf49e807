"""Wrong clocks, and a lookback that changes after a crash: nothing is lost or billed twice."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.clock import format_timestamp
from tests.support import Tap, complaint, error_code, state_until
from tests.support.clock import NOON, with_clock
from tests.support.crash import cut_in_request

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)
MONTH = timedelta(days=31)


def change(sandbox: Sandbox, rows: int, at: datetime | None = None) -> list[str]:
    """Let so many rows change, by default now, and return their ids."""
    keys = sorted(sandbox.world.rows())[:rows]
    for key in keys:
        sandbox.world.touch(key, at=at, name="changed")
    return keys


@pytest.mark.parametrize(("hours", "what"), [(-3, "ahead"), (3, "behind")])
def test_a_wrong_local_clock_loses_no_update_and_is_told(tap: Tap, hours: int, what: str) -> None:
    """If it is behind, what changed meanwhile is billed again, as the warning says."""
    tap.settings["lookback_minutes"] = 0
    tap.sandbox.clock_offset = hours * HOUR.total_seconds()
    run = tap.run()
    assert run.bookmark["replication_key_value"] <= format_timestamp(
        tap.sandbox.feed_requests[0].time
    )
    (warning,) = run.lines("WARNING")
    assert run.codes("WARNING") == ["clock-wrong"]
    assert f"180 minutes {what}" in warning
    assert ("billed again" in warning) == (hours > 0)
    (updated,) = change(tap.sandbox, 1)
    second = tap.run(state=run.state)
    assert second.ids == [updated]
    if hours > 0:
        assert tap.run(state=second.state).ids == [updated]


# The pages of a run that a crash took are loaded, whatever the clocks say


@pytest.mark.parametrize(
    ("after", "again_billed"),
    [(-HOUR, 0), (timedelta(0), 60)],
    ids=["still_behind", "set_right"],
)
def test_a_local_clock_behind_the_bookmark_bills_the_lookback_once_at_most(
    tap: Tap, after: timedelta, again_billed: int
) -> None:
    """It says less than it might, so a run with the right clock reads the lookback again."""
    tap.settings["lookback_minutes"] = 10
    first = tap.run()
    changed = change(tap.sandbox, 60)
    cut = cut_in_request(with_clock(tap, -HOUR), 2, state=first.state, billed=False)
    started_at = cut.progress["sync"]["started"]
    assert started_at < first.bookmark["replication_key_value"]
    again = with_clock(tap, after).succeed(state=first.state)
    assert set(again.ids) == set(changed)
    assert again.loaded == 50
    assert tap.sandbox.rows_billed == 120 + 60 + again_billed
    assert again.bookmark["replication_key_value"] >= first.bookmark["replication_key_value"]


def test_two_syncs_within_a_second_bill_nothing_twice(tmp_path: Path) -> None:
    with Sandbox(size=120, seed=1, clock=NOON.timestamp) as sandbox:
        tap = with_clock(Tap(sandbox, tmp_path, {"lookback_minutes": 1}), NOON - 5 * HOUR)
        first = tap.run()
        changed = change(sandbox, 60)
        cut = cut_in_request(tap, 2, state=first.state, billed=False)
        started_at = cut.progress["sync"]["started"]
        assert started_at[:19] == first.bookmark["replication_key_value"][:19]
        again = tap.run(state=first.state)
        assert set(again.ids) == set(changed)
        assert again.loaded == 50
        assert sandbox.rows_billed == 120 + 60


@pytest.mark.parametrize("ahead", [MONTH, -MONTH], ids=["ahead", "behind"])
def test_a_local_clock_31_days_off_bills_nothing_twice(tap: Tap, ahead: timedelta) -> None:
    cut_in_request(tap, 2, billed=False)
    assert error_code(with_clock(tap, ahead).run()) == "clock-wrong"
    assert tap.sandbox.rows_billed == 50
    again = tap.succeed()
    assert again.loaded == 50
    assert tap.sandbox.rows_billed == 50 + 70


# `lookback_minutes` is set otherwise after a crash


@pytest.fixture
def begun() -> int:
    """Its value before the crash."""
    return 15


@pytest.fixture
def state(tap: Tap, begun: int) -> Any:
    """The state that a killed run of 60 changed rows was given; 50 of them are on disk.

    They changed before the second in which the run began.
    """
    now = tap.sandbox.now()
    state = state_until(tap, format_timestamp(now - timedelta(minutes=5)))
    change(tap.sandbox, 60, at=now - timedelta(minutes=1))
    cut_in_request(tap, 2, state=state, billed=False, lookback_minutes=begun)
    return state


@pytest.mark.parametrize(("begun", "minutes"), [(15, 0), (15, 60), (0, 15)])
def test_any_lookback_loads_the_pages(tap: Tap, state: Any, minutes: int) -> None:
    again = tap.run(state=state, lookback_minutes=minutes)
    assert again.loaded == 50
    assert len(again.ids) == 60
    assert tap.sandbox.rows_billed == 60


@pytest.mark.parametrize(
    ("minutes", "seconds", "in_same_run"), [(15, 60, 0), (30, 30 * 60 + 10, 1)]
)
def test_what_changes_meanwhile_follows_at_once_or_within_the_lookback(
    tap: Tap, state: Any, minutes: int, seconds: int, in_same_run: int
) -> None:
    tap.sandbox.clock_offset = seconds
    tap = with_clock(tap, timedelta(seconds=seconds))
    keys = change(tap.sandbox, 1)
    again = tap.run(state=state, lookback_minutes=minutes)
    assert [key for key in again.ids[60:] if key in keys] == keys * in_same_run
    following = tap.run(state=again.state, lookback_minutes=minutes)
    assert keys[0] in again.ids[60:] + following.ids


def test_one_odd_date_in_a_page_changes_nothing(tap: Tap) -> None:
    odd = Fault(headers={"Date": "Wed, 01 Jan 2020 00:00:00 GMT"}, times=None)
    tap.sandbox.faults.add(odd)
    first = tap.run()
    assert first.bookmark["replication_key_value"] > "2021"
    assert tap.run(state=first.state).ids == []
    assert tap.sandbox.rows_billed == 120


# What lies in the future by the API's clock, or by both, would become the bookmark


@pytest.mark.parametrize("hours", [1, 10**6], ids=["by the API's clock", "by both clocks"])
def test_a_bookmark_in_the_future_ends_the_run_also_if_there_is_a_question(
    tap: Tap, hours: int
) -> None:
    tap.sandbox.clock_offset = -2 * HOUR.total_seconds()
    bookmark = format_timestamp(tap.sandbox.now() + timedelta(hours=hours))
    state = state_until(tap, bookmark, country_codes=["DE"])
    for countries in (["DE"], ["DE", "FR"]):
        run = tap.run(state=state, country_codes=countries)
        assert error_code(run) == "future-bookmark"
        assert bookmark[:16] in complaint(run)
        assert tap.sandbox.feed_requests == []
        assert all(emitted == state for emitted in run.states)


def test_a_sync_in_progress_from_the_future_ends_the_run_before_it_is_billed(tap: Tap) -> None:
    cut = cut_in_request(tap, 2, billed=False, archive=False)
    requests = len(tap.sandbox.feed_requests)
    start = format_timestamp(tap.sandbox.now() + HOUR)
    state = cut.state
    state["bookmarks"]["career_sites"]["position"]["progress"][0]["sync"]["started"] = start
    run = with_clock(tap, 5 * HOUR).run(state=state, archive=False)
    assert error_code(run) == "future-bookmark"
    assert start[:16] in complaint(run)
    assert run.records == []
    assert len(tap.sandbox.feed_requests) == requests
