"""The expired jobs: ids that are gone, free, and how far back the API lists them."""

import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.clock import parse_timestamp
from tap_jobo.sync.wanted import MARGIN
from tests.archive.helpers import archive_command, pass_time
from tests.support import Json, Run, Tap, commands_in, tap_of
from tests.support.clock import with_clock

WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)


@pytest.fixture
def alone(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with expired jobs alone."""
    return tap_of(hiring, tmp_path, "expired_jobs")


@pytest.fixture
def both(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with jobs too."""
    return tap_of(hiring, tmp_path, "jobs", "expired_jobs")


def asked_since(sandbox: Sandbox) -> datetime:
    """The start of the window of the last request."""
    return parse_timestamp(sandbox.requests_to("expired_jobs")[-1].body["expired_since"])


def gaps(run: Run) -> list[str]:
    return run.messages_of("WARNING", "expired-gap")


def test_rows_are_ids_with_the_start_of_the_sync(both: Tap, hiring: Sandbox) -> None:
    hiring.world.expire_job(next(iter(hiring.world.jobs())))
    run = both.succeed()
    bookmark = run.of("expired_jobs").bookmark
    week_ago = hiring.now() - WEEK + MARGIN
    recent = {key for key, at in hiring.world.expired_jobs().items() if at >= week_ago}
    rows = run.of("expired_jobs").rows
    assert rows.keys() == recent != set()
    started = bookmark["replication_key_value"]
    assert {row["reported_at"] for row in rows.values()} == {started}
    assert parse_timestamp(started) <= hiring.requests_to("expired_jobs")[0].time
    assert bookmark["replication_key"] == "reported_at"
    assert bookmark["position"]["filter_sets"] == [{}]


@pytest.mark.parametrize("hours", [-20, 0, 20])
def test_first_run_reaches_7_days_less_6_hours_by_the_apis_clock(
    alone: Tap, hiring: Sandbox, hours: int
) -> None:
    hiring.clock_offset = hours * 3600
    before = hiring.now()
    run = alone.succeed()
    assert before - SECOND - WEEK + MARGIN < asked_since(hiring) <= hiring.now() - WEEK + MARGIN
    assert [entry.endpoint for entry in hiring.ledger] == ["clock", "expired_jobs"]
    assert gaps(run) == []


@pytest.mark.parametrize(
    ("stream", "other", "days"),
    [("jobs", "managed_jobs", 8), ("managed_jobs", "jobs", 8), ("jobs", "managed_jobs", 5)],
)
def test_jobs_that_were_read_more_than_a_week_before_are_told_to_stay_open(
    hiring: Sandbox, tmp_path: Path, stream: str, other: str, days: int
) -> None:
    before = tap_of(hiring, tmp_path, stream).succeed()
    both = tap_of(hiring, tmp_path, stream, "expired_jobs")
    pass_time(both, timedelta(days=days))
    first = both.succeed(state=before.state)
    told = gaps(first)
    assert [commands_in(warning) for warning in told] == [[["restart", stream]]] * (days > 7)
    assert not any(f" {other}" in warning for warning in told)
    assert gaps(both.succeed(state=first.state)) == []


@pytest.mark.parametrize("has_jobs", [False, True])
def test_the_command_for_jobs_is_for_the_pipeline_that_reads_them(
    alone: Tap, both: Tap, hiring: Sandbox, tmp_path: Path, *, has_jobs: bool
) -> None:
    """Its own settings say nothing of the filters of another one."""
    tap, chosen = both if has_jobs else alone, ["remote"]
    tap_of(hiring, tmp_path, "jobs").succeed(jobs_work_models=chosen)
    state = tap.succeed(jobs_work_models=chosen).state
    pass_time(tap, timedelta(days=20))
    run = tap.succeed(state=state, jobs_work_models=chosen)
    (command,) = re.findall("`(.* restart jobs.*)`", run.stderr)
    assert ("--config" in command) == has_jobs


def test_jobs_that_the_archive_has_from_before_are_told_to_a_new_warehouse(both: Tap) -> None:
    both.succeed()
    (folder,) = (both.folder / "archive" / "v4").glob("*/expired_jobs")
    shutil.rmtree(folder)  # as retention by stream does
    pass_time(both, timedelta(days=9))
    (warning,) = gaps(both.succeed())
    assert "jobs" in warning


def test_jobs_that_an_archive_had_that_was_lost_are_told_to_stay_open(
    both: Tap, hiring: Sandbox, tmp_path: Path
) -> None:
    jobs = tap_of(hiring, tmp_path, "jobs")
    first = jobs.succeed()
    shutil.rmtree(jobs.folder / "archive")
    hiring.world.touch_job(first.ids[0])
    second = jobs.succeed(state=first.state)
    assert len(gaps(both.succeed(state=second.state))) == 1


@pytest.mark.parametrize("hours", [-23, 0, 23])
def test_what_a_page_had_that_was_dropped_behind_the_last_one_is_read_again(
    alone: Tap, hiring: Sandbox, hours: int
) -> None:
    """It is as long as the API's clock says so, whatever the local one says."""
    run = alone.succeed()
    gone = expire(hiring, 4)
    for _ in range(2):
        pass_time(alone, timedelta(hours=8))
        run = alone.succeed(state=run.state)
        expire(hiring, 2)
    assert archive_command(alone, "drop", "expired_jobs", "2", "--yes").returncode == 0
    pass_time(alone, timedelta(days=6))
    new = with_clock(alone, timedelta(days=6, hours=16 + hours)).succeed()
    assert {*new.ids} >= gone
    assert gaps(new) == []


def more(body: Json) -> Json:
    """A page that another one follows, whose cursor is then rejected."""
    return {**body, "next_cursor": "unknown", "has_more": True}


def test_second_rejection_in_a_run_ends_the_stream(alone: Tap, hiring: Sandbox) -> None:
    rejected = Fault(replace=more, times=2)
    hiring.faults.add(rejected, endpoint="expired_jobs", when=lambda e: not e.cursor)
    run = alone.fail(code="cursor-rejected")
    assert commands_in(run.complaint) == []
    assert "$" not in run.complaint
    assert len(hiring.requests_to("expired_jobs")) == 4
    assert alone.run(state=run.state).returncode == 0


def test_a_price_that_it_starts_to_have_counts_toward_the_limit(
    alone: Tap, hiring: Sandbox
) -> None:
    billed = {"X-Credits-Deducted": "40"}
    hiring.faults.add(Fault(replace=more, headers=billed), endpoint="expired_jobs")
    run = alone.succeed(max_credits=70)
    assert run.of("expired_jobs").metrics["jobo_credits"] == 40
    assert run.messages_of("WARNING", "limit-reached")
    assert len(hiring.requests_to("expired_jobs")) == 1


def expire(hiring: Sandbox, count: int) -> set[str]:
    keys = list(hiring.world.jobs())[:count]
    for key in keys:
        hiring.world.expire_job(key)
    return {*keys}


def test_a_new_warehouse_gets_all_that_were_ever_read(alone: Tap, hiring: Sandbox) -> None:
    """Also those that Jobo lists no more."""
    first = alone.succeed()
    read = {*first.ids} | expire(hiring, 3)
    second = alone.succeed(state=first.state)
    days = timedelta(days=9)
    hiring.clock_offset = days.total_seconds()
    late = with_clock(alone, days).succeed()
    assert {*late.ids} == read
    assert late.loaded == len(first.ids) + 3
    (warning,) = gaps(late)
    bookmark = second.of("expired_jobs").bookmark["replication_key_value"]
    start, end = re.findall(r"\d{4}-\S+Z", warning)  # to the minute
    assert start[:16] == bookmark[:16]
    assert hiring.now() - WEEK < parse_timestamp(end) <= asked_since(hiring)
    assert commands_in(warning) == []  # others may have read them, into an archive of their own
    assert gaps(with_clock(alone, days).succeed(state=late.state)) == []
    assert late.of("expired_jobs").metrics["jobo_credits"] == 0


@pytest.mark.parametrize("minutes", [20, 120])
def test_a_first_page_that_is_dropped_soon_is_read_again_whole(
    alone: Tap, hiring: Sandbox, minutes: int
) -> None:
    gone = expire(hiring, 4)
    first = alone.succeed()
    expire(hiring, 2)
    pass_time(alone, timedelta(minutes=20))
    alone.succeed(state=first.state)
    assert archive_command(alone, "drop", "expired_jobs", "1", "--yes").returncode == 0
    pass_time(alone, timedelta(minutes=minutes - 20))
    run = alone.succeed()
    assert {*run.ids} >= gone
    assert bool(gaps(run)) == (minutes > 60)
