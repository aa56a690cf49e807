"""METRIC lines and summaries, also of streams that fail."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.support import Run, Tap, discover
from tests.support.companies import selecting
from tests.support.jobs import tap_of


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
    assert run.summaries["career_sites"].startswith("120 rows in 4 pages ")


def test_a_sync_that_a_limit_ends_is_not_complete(hiring: Sandbox, tmp_path: Path) -> None:
    """The exit code is 0: a monitor must find that no new rows come."""
    tap = tap_of(hiring, tmp_path, "career_sites", "companies", "jobs")
    run = tap.succeed(max_credits=1_015, batch_size=20, jobs_batch_size=5)
    assert complete_by_stream(run) == {"career_sites": 1, "companies": 1, "jobs": 0}


@pytest.mark.parametrize("status", [401, 403])
def test_a_stream_that_fails_has_not_succeeded(tap: Tap, sandbox: Sandbox, status: int) -> None:
    """401 ends the run, and 403 the stream."""
    sandbox.faults.add(Fault(status=status, times=None), endpoint="career_sites", on=2)
    run = tap.fail(code="access-denied")
    (duration,) = (point for point in run.points if point["metric"] == "sync_duration")
    assert duration["tags"]["status"] == "failed"
    assert "50 rows in 1 page" in run.summaries["career_sites"]


def complete_by_stream(run: Run) -> dict[str, float]:
    points = [each for each in run.points if each["metric"] == "jobo_sync_complete"]
    return {each["tags"]["stream"]: each["value"] for each in points}


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"country_codes": ["FR"]}, "filters-changed"), ({"max_credits": 2_499}, "limit-too-low")],
)
def test_streams_of_a_run_that_stops_with_a_question_have_a_summary(
    tap: Tap, sandbox: Sandbox, settings: Any, code: str
) -> None:
    catalog = selecting(discover(), expired_jobs=True, billed_pages=True)
    state = tap.succeed(catalog=catalog, country_codes=["DE"]).state
    sent, billed = len(sandbox.feed_requests), sandbox.credits_billed
    run = tap.fail(code=code, catalog=catalog, state=state, **{"country_codes": ["DE"], **settings})
    incomplete = {name for name, text in run.summaries.items() if "sync not complete" in text}
    assert incomplete == {"billed_pages", "career_sites"}
    # What is free is read.
    assert complete_by_stream(run) == {"billed_pages": 0, "career_sites": 0, "expired_jobs": 1}
    assert len(sandbox.feed_requests) == sent
    assert sandbox.credits_billed == billed


def test_every_stream_of_a_run_that_ends_early_has_a_summary(
    hiring: Sandbox, tmp_path: Path
) -> None:
    """A key that is revoked ends the run, which has written rows of some streams."""
    tap = tap_of(hiring, tmp_path, "billed_pages", "career_sites", "companies", "jobs")
    hiring.faults.add(Fault(status=401, times=None), endpoint="career_sites", on=2)
    run = tap.fail(code="access-denied", batch_size=5)
    assert complete_by_stream(run) == dict.fromkeys(run.summaries, 0)
    incomplete = {name for name, text in run.summaries.items() if "sync not complete" in text}
    assert run.summaries.keys() - incomplete == {"jobs"}
    assert incomplete == {"billed_pages", "career_sites", "companies"}
    assert run.summaries["billed_pages"].startswith("0 rows,")
    again = tap.run(batch_size=5)  # which fails at once
    assert again.summaries["billed_pages"].startswith("1 row,")
