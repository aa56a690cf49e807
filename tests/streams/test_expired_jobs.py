"""The expired jobs: ids that are gone, free of charge, and how far back the API tells of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from jobo_sandbox import Fault
from tests.support import entry_of
from tests.support.companies import records_of
from tests.support.jobs import (
    bookmark_of,
    instant,
    metrics_of,
    pending_of,
    rows_of,
    state_of,
    tap_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from jobo_sandbox import Sandbox
    from tests.support import Run
    from tests.support.companies import CompaniesTap, Json

WEEK = timedelta(days=7)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def alone(hiring: Sandbox, tmp_path: Path, discovered: Json) -> CompaniesTap:
    """The tap with expired jobs alone: the API's clock is not known before its request."""
    return tap_of(hiring, tmp_path, discovered, "expired_jobs")


@pytest.fixture
def both(hiring: Sandbox, tmp_path: Path, discovered: Json) -> CompaniesTap:
    """The tap with jobs too, whose answer tells the API's clock."""
    return tap_of(hiring, tmp_path, discovered, "jobs", "expired_jobs")


def asked_since(sandbox: Sandbox) -> datetime:
    """The start of the window of the last request."""
    return instant(sandbox.requests_to("expired_jobs")[-1].body["expired_since"])


def gaps(run: Run) -> list[str]:
    return [line for line in run.lines("WARNING") if "can no longer be fetched" in line]


def interval(warning: str) -> tuple[datetime, datetime]:
    start, end = re.findall(r"\d{4}-\S+Z", warning)
    return instant(start), instant(end)


def more(body: Any) -> Any:
    """Let a page that is the last one say that another follows."""
    return {**body, "has_more": True, "next_cursor": "the-next"}


def test_catalog_has_ids_and_the_sync_that_reported_them(discovered: Json) -> None:
    entry = entry_of(discovered, "expired_jobs")
    (about,) = (each["metadata"] for each in entry["metadata"] if each["breadcrumb"] == [])
    assert about["table-key-properties"] == ["id"]
    assert about["valid-replication-keys"] == ["reported_at"]
    assert about["selected-by-default"] is False
    properties = entry["schema"]["properties"]
    assert properties.keys() == {"id", "reported_at"}
    assert properties["id"]["type"] == ["string"]
    assert properties["reported_at"]["format"] == "date-time"
    assert "later than its updated_at in jobs" in properties["reported_at"]["description"]


def test_rows_are_ids_with_the_start_of_the_sync(both: CompaniesTap, hiring: Sandbox) -> None:
    hiring.world.expire_job(next(iter(hiring.world.jobs())))
    run = both.run()
    assert run.returncode == 0, run.stderr
    bookmark = bookmark_of(run, "expired_jobs")
    week_ago = hiring.now() - WEEK + HOUR
    recent = {key for key, at in hiring.world.expired_jobs().items() if at >= week_ago}
    rows = rows_of(run, "expired_jobs")
    assert rows.keys() == recent != set()
    assert {row["reported_at"] for row in rows.values()} == {bookmark["replication_key_value"]}
    assert instant(bookmark["replication_key_value"]) <= hiring.requests_to("expired_jobs")[0].time
    assert bookmark["replication_key"] == "reported_at"
    assert bookmark["filters"] == {}


def test_every_page_repeats_the_query(alone: CompaniesTap, hiring: Sandbox) -> None:
    hiring.faults.add(Fault(replace=more), on=1, endpoint="expired_jobs")
    hiring.faults.add(
        Fault(status=200, body={"job_ids": [], "next_cursor": None, "has_more": False}),
        on=2,
        endpoint="expired_jobs",
    )
    assert alone.run().returncode == 0
    first, second = (request.body for request in hiring.requests_to("expired_jobs"))
    assert first.keys() == {"expired_since", "batch_size"}
    assert first["batch_size"] == "10000"
    assert second == {**first, "cursor": "the-next"}


# How far back


def test_first_run_reaches_7_days_less_an_hour(both: CompaniesTap, hiring: Sandbox) -> None:
    hiring.clock_offset = 3 * 3600  # the API's clock decides, not the local one
    run = both.run()
    assert run.returncode == 0, run.stderr
    told = hiring.requests_to("jobs")[-1].time
    asked = hiring.requests_to("expired_jobs")[0].time
    assert told - SECOND - WEEK + HOUR < asked_since(hiring) <= asked - WEEK + HOUR
    assert gaps(run) == []


@pytest.mark.parametrize("days", [0, -3, 3])
def test_first_run_alone_asks_for_the_clock(
    alone: CompaniesTap, hiring: Sandbox, days: int
) -> None:
    hiring.clock_offset = days * 24 * 3600  # the local clock is as far off, the other way
    before = hiring.now()
    run = alone.run(trust_local_clock=True)
    assert run.returncode == 0, run.stderr
    assert before - SECOND - WEEK + HOUR < asked_since(hiring) <= hiring.now() - WEEK + HOUR
    assert [entry.endpoint for entry in hiring.ledger] == ["profile", "expired_jobs"]
    assert hiring.requests_to("expired_jobs")[0].status == 200
    assert gaps(run) == []


def test_first_run_reaches_6_days_if_no_clock_is_known(
    alone: CompaniesTap, hiring: Sandbox
) -> None:
    hiring.omit_date_header = True
    before = datetime.now(UTC)
    run = alone.run(trust_local_clock=True)
    assert run.returncode == 0, run.stderr
    six = timedelta(days=6)
    assert before - six <= asked_since(hiring) <= datetime.now(UTC) - six


def test_local_clock_20_hours_behind_is_not_refused(alone: CompaniesTap, hiring: Sandbox) -> None:
    hiring.clock_offset = 20 * 3600
    hiring.faults.add(Fault(drop=True, times=None), endpoint="profile")  # which tells the clock
    run = alone.run_quickly()
    assert run.returncode == 0, run.stderr
    assert hiring.requests_to("expired_jobs")[0].status == 200


def test_later_start_date_is_kept(both: CompaniesTap, hiring: Sandbox) -> None:
    start = (datetime.now(UTC) - timedelta(days=2)).isoformat().replace("+00:00", "Z")
    both.run(start_date=start)
    assert asked_since(hiring) == instant(start)


def test_next_run_asks_from_the_lookback_on(both: CompaniesTap, hiring: Sandbox) -> None:
    first = both.run()
    gone = next(iter(hiring.world.jobs()))
    hiring.world.expire_job(gone)
    second = both.run(state=first.state)
    bookmark = instant(bookmark_of(first, "expired_jobs")["replication_key_value"])
    assert asked_since(hiring) == bookmark - timedelta(minutes=15)
    assert gone in rows_of(second, "expired_jobs")
    assert gaps(second) == []


@pytest.mark.parametrize("knows_clock", [True, False])
def test_gap_names_interval_remedy_and_cost(
    both: CompaniesTap, alone: CompaniesTap, hiring: Sandbox, *, knows_clock: bool
) -> None:
    now = datetime.now(UTC)
    bookmark = now - timedelta(days=30)
    run = (both if knows_clock else alone).run(state=state_of("expired_jobs", bookmark))
    assert run.returncode == 0, run.stderr
    (warning,) = gaps(run)
    start, end = interval(warning)
    assert start == bookmark
    assert now - WEEK < end <= asked_since(hiring)
    assert "of the last 7 days" in warning
    assert "run a full refresh of jobs" in warning
    assert "$3.00 per 1,000" in warning
    assert "drop the rows that it did not return" in warning
    again = both.run(state=run.state)
    assert gaps(again) == []


def test_bookmark_within_the_lookback_is_no_gap(both: CompaniesTap, hiring: Sandbox) -> None:
    bookmark = hiring.now() - WEEK + HOUR + timedelta(minutes=5)
    run = both.run(state=state_of("expired_jobs", bookmark))
    assert run.returncode == 0, run.stderr
    assert gaps(run) == []
    assert asked_since(hiring) > bookmark - timedelta(minutes=15)


def test_full_table_tells_of_a_gap_too(both: CompaniesTap) -> None:
    for each in entry_of(both.catalog, "expired_jobs")["metadata"]:
        if each["breadcrumb"] == []:
            each["metadata"]["replication-method"] = "FULL_TABLE"
    bookmark = datetime.now(UTC) - timedelta(days=30)
    (warning,) = gaps(both.run(state=state_of("expired_jobs", bookmark)))
    assert interval(warning)[0] == bookmark


# Interrupted syncs


def _interrupt(tap: CompaniesTap, sandbox: Sandbox) -> Json:
    """Return the state of a sync that ended after its first page, whose cursor is `the-next`."""

    sandbox.faults.add(Fault(replace=more), endpoint="expired_jobs")
    sandbox.faults.add(Fault(status=403), on=2, endpoint="expired_jobs")
    run = tap.run()
    assert run.returncode == 1
    assert bookmark_of(run, "expired_jobs")["scan"]["cursor"] == "the-next"
    return run.state


def test_interrupted_sync_resumes_from_its_cursor(alone: CompaniesTap, hiring: Sandbox) -> None:
    state = _interrupt(alone, hiring)
    end: Json = {"job_ids": [], "next_cursor": None, "has_more": False}
    hiring.faults.add(Fault(status=200, body=end), endpoint="expired_jobs")
    run = alone.run(state=state)
    assert run.returncode == 0, run.stderr
    first, *_, last = (request.body for request in hiring.requests_to("expired_jobs"))
    assert last == {**first, "cursor": "the-next"}
    part = bookmark_of(run, "expired_jobs")
    assert part["replication_key_value"] == state["bookmarks"]["expired_jobs"]["scan"]["started_at"]


@pytest.mark.parametrize("knows_clock", [True, False])
def test_interrupted_sync_older_than_7_days_starts_over(
    both: CompaniesTap, alone: CompaniesTap, hiring: Sandbox, *, knows_clock: bool
) -> None:
    started = datetime.now(UTC) - timedelta(days=9)
    state = pending_of("expired_jobs", started, started - timedelta(days=6))
    run = (both if knows_clock else alone).run(state=state)
    assert run.returncode == 0, run.stderr
    (request,) = hiring.requests_to("expired_jobs")
    assert "cursor" not in request.body
    (warning,) = gaps(run)
    assert interval(warning)[0] == started
    part = bookmark_of(run, "expired_jobs")
    assert instant(part["replication_key_value"]) > started + WEEK
    assert part["scan"]["started_at"] is None


def test_first_sync_resumed_hours_later_is_no_gap(alone: CompaniesTap, hiring: Sandbox) -> None:
    started = datetime.now(UTC) - timedelta(hours=5)
    state = pending_of("expired_jobs", started, started - WEEK + HOUR)
    run = alone.run(state=state)
    assert run.returncode == 0, run.stderr
    assert "cursor" not in hiring.requests_to("expired_jobs")[0].body
    assert gaps(run) == []


@pytest.mark.parametrize("answer", ["400", "400-message", "409"])
def test_rejected_cursor_starts_over_free_of_charge(
    alone: CompaniesTap, hiring: Sandbox, answer: Any
) -> None:
    hiring.faults.add(Fault(replace=more), endpoint="expired_jobs")
    hiring.faults.add(Fault(reject_cursor=answer), on=2, endpoint="expired_jobs")
    run = alone.run()
    assert run.returncode == 0, run.stderr
    first, _, third = (request.body for request in hiring.requests_to("expired_jobs"))
    assert third.keys() == first.keys() == {"expired_since", "batch_size"}
    assert [line for line in run.lines("WARNING") if "starts over" in line]
    assert hiring.credits_billed == 0


def test_restart_stays_within_what_the_api_allows(both: CompaniesTap, hiring: Sandbox) -> None:
    """The window of a sync that was resumed in its last hour may be too old for a new one."""
    now = hiring.now()
    state = pending_of("expired_jobs", now - timedelta(days=1), now - WEEK + timedelta(minutes=5))
    hiring.faults.add(Fault(reject_cursor="409"), endpoint="expired_jobs")
    run = both.run(state=state)
    assert run.returncode == 0, run.stderr
    assert asked_since(hiring) > now - WEEK + HOUR - SECOND


# Free of charge


def test_nothing_is_journaled(alone: CompaniesTap, hiring: Sandbox, tmp_path: Path) -> None:
    first = alone.run()
    assert first.returncode == 0
    assert not list(tmp_path.rglob("v1"))
    second = alone.run()  # without the state of the first, so that a journal would replay
    assert len(hiring.requests_to("expired_jobs")) == 2
    assert metrics_of(second, "expired_jobs")["jobo_rows_replayed"] == 0


def test_nothing_is_charged(both: CompaniesTap, hiring: Sandbox) -> None:
    run = both.run()
    figures = metrics_of(run, "expired_jobs")
    assert figures["jobo_rows"] > 0
    assert figures["jobo_credits"] == figures["jobo_dollars"] == 0
    assert hiring.credits_billed == metrics_of(run, "jobs")["jobo_credits"] == 270


@pytest.mark.parametrize("max_credits", [1, 90, 100])
def test_budget_never_stops_it(
    hiring: Sandbox, tmp_path: Path, discovered: Json, max_credits: int
) -> None:
    streams = ("expired_jobs",) if max_credits == 1 else ("jobs", "expired_jobs")
    tap = tap_of(hiring, tmp_path, discovered, *streams)
    run = tap.run(max_credits=max_credits, jobs_batch_size=30)
    assert run.returncode == 0, run.stderr
    assert rows_of(run, "expired_jobs")
    assert bookmark_of(run, "expired_jobs")["replication_key_value"]
    assert hiring.credits_billed <= max_credits


def test_lost_answer_is_asked_for_again_and_not_charged(
    alone: CompaniesTap, hiring: Sandbox
) -> None:
    hiring.faults.add(Fault(truncate=0.5), endpoint="expired_jobs")
    run = alone.run_quickly()
    assert run.returncode == 0, run.stderr
    assert metrics_of(run, "expired_jobs")["jobo_credits_perhaps"] == 0
    assert rows_of(run, "expired_jobs")


# What it means


def test_job_is_gone_if_reported_after_its_last_update(both: CompaniesTap, hiring: Sandbox) -> None:
    def is_gone(*runs: Run) -> dict[str, bool]:
        jobs: dict[str, Any] = {}
        reports: dict[str, Any] = {}
        for run in runs:
            jobs |= {row["id"]: row for row in records_of(run.messages, "jobs")}
            reports |= {row["id"]: row for row in records_of(run.messages, "expired_jobs")}
        return {
            key: key in reports
            and instant(reports[key]["reported_at"]) > instant(row["updated_at"])
            for key, row in jobs.items()
        }

    stays, leaves, returns = list(hiring.world.jobs())[:3]
    first = both.run()
    for key in (leaves, returns):
        hiring.world.expire_job(key)
    second = both.run(state=first.state)
    assert [is_gone(first, second)[key] for key in (stays, leaves, returns)] == [False, True, True]
    hiring.world.touch_job(returns)
    third = both.run(state=second.state)
    gone = is_gone(first, second, third)
    assert [gone[key] for key in (stays, leaves, returns)] == [False, True, False]


def test_malformed_ids_are_skipped(alone: CompaniesTap, hiring: Sandbox) -> None:
    def spoil(body: Any) -> Any:
        return {**body, "job_ids": [*body["job_ids"], "x", None]}

    hiring.faults.add(Fault(replace=spoil), endpoint="expired_jobs")
    run = alone.run()
    assert run.returncode == 0, run.stderr
    assert metrics_of(run, "expired_jobs")["jobo_rows_left_out"] == 2
    assert rows_of(run, "expired_jobs").keys() <= hiring.world.expired_jobs().keys()
