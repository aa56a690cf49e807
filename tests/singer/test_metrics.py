"""METRIC lines and summaries, also of streams that fail."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.support import Tap, complaint, discover
from tests.support.companies import ids_of, selecting
from tests.support.jobs import tap_of


def test_a_run_has_no_metrics_of_requests(tap: Tap) -> None:
    run = tap.run(env={"TAP_JOBO_LOGLEVEL": "DEBUG"})
    assert run.metrics.keys() == {
        "record_count", "sync_duration", "jobo_sync_complete", "jobo_credits",
        "jobo_credits_balance",
    }  # fmt: skip
    assert "; sync complete" in run.summaries["career_sites"]


def test_rows_that_are_loaded_have_a_figure_of_their_own(tap: Tap, sandbox: Sandbox) -> None:
    """An older version of a row is not loaded."""
    state = tap.succeed().state
    assert "jobo_rows_loaded" not in tap.succeed(state=state).metrics
    for key in [*sandbox.world.rows()][:10]:
        at = sandbox.now() - timedelta(minutes=1)
        sandbox.world.touch(key, name="Changed", at=at)
    tap.succeed(state=state)
    sandbox.world.add()
    run = tap.succeed(lookback_minutes=0)
    assert run.metrics["jobo_rows_loaded"] == 120
    assert run.metrics["record_count"] == 121
    assert run.metrics["jobo_credits"] == 50
    text = "121 rows in 5 pages, 120 from the archive, 50 credits ($0.05); sync complete."
    assert run.summaries["career_sites"].startswith(text)


def test_a_sync_that_a_limit_ends_is_not_complete(hiring: Sandbox, tmp_path: Path) -> None:
    """The exit code is 0: a monitor must find that no new rows come."""
    tap = tap_of(hiring, tmp_path, "career_sites", "companies", "jobs")
    run = tap.succeed(max_credits=1_015, batch_size=20, jobs_batch_size=5)
    complete = {
        each["tags"]["stream"]: each["value"]
        for each in run.points
        if each["metric"] == "jobo_sync_complete"
    }
    assert complete == {"career_sites": 1, "companies": 1, "jobs": 0}


@pytest.mark.parametrize("status", [401, 403])
def test_a_stream_that_fails_has_not_succeeded(tap: Tap, sandbox: Sandbox, status: int) -> None:
    """401 ends the run, and 403 the stream."""
    sandbox.faults.add(Fault(status=status, times=None), endpoint="career_sites", on=2)
    run = tap.run()
    assert str(status) in complaint(run)
    (duration,) = (point for point in run.points if point["metric"] == "sync_duration")
    assert duration["tags"]["status"] == "failed"
    assert "50 rows in 1 page" in run.summaries["career_sites"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_first_request_that_fails_has_a_summary(tap: Tap, sandbox: Sandbox, status: int) -> None:
    catalog = selecting(discover(), companies=True)
    sandbox.faults.add(Fault(status=status, times=None), endpoint="career_sites")
    run = tap.run(catalog=catalog)
    assert str(status) in complaint(run)
    nothing = "0 rows in 0 pages, 0 credits ($0.00); sync not complete."
    assert run.summaries["career_sites"].startswith(nothing)
    assert run.summaries["companies"] == "0 profiles, 0 credits ($0.00); not complete."
    run = tap.run(catalog=catalog, state={"bookmarks": {"career_sites": {"sync": 5}}})
    assert "The state is not from this tap" in complaint(run)
    assert run.summaries == {}


def test_rows_of_a_page_whose_profiles_fail_are_counted(tap: Tap, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(status=403, times=None), endpoint="profile")
    run = tap.run(catalog=selecting(discover(), companies=True))
    assert run.returncode == 1
    # The rows of the page were written, although its state was not: the page comes again.
    assert run.metrics["record_count"] == len(ids_of(run, "career_sites")) == 50
    assert "2,500 credits" in run.stderr
