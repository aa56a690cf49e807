"""METRIC lines and summaries, also of streams that fail."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.archive.helpers import damage, pages
from tests.support import Run, Tap, complaint, discover, error_code
from tests.support.companies import ids_of, selecting
from tests.support.jobs import tap_of


def test_a_run_has_no_metrics_of_requests(tap: Tap) -> None:
    run = tap.run(env={"TAP_JOBO_LOGLEVEL": "DEBUG"})
    assert run.metrics.keys() == {
        "record_count", "sync_duration", "jobo_sync_complete", "jobo_archive_complete",
        "jobo_credits", "jobo_credits_balance",
    }  # fmt: skip
    assert "; sync complete" in run.summaries["career_sites"]


def test_a_metric_of_zero_is_not_logged(tap: Tap) -> None:
    """Except what is complete, and the balance, once a response shows it."""
    state = tap.succeed(country_codes=["DE"]).state
    free = tap.succeed(state=state, country_codes=["DE"], lookback_minutes=0)
    always = {"sync_duration", "jobo_sync_complete"}
    assert free.metrics.keys() == {*always, "jobo_archive_complete", "jobo_credits_balance"}
    assert free.metrics["jobo_sync_complete"] == 1
    stopped = tap.run(state=state, country_codes=["FR"])
    assert error_code(stopped) == "filters-changed"
    assert stopped.metrics.keys() - {"sync_duration"} == {"jobo_sync_complete"}
    assert stopped.metrics["jobo_sync_complete"] == 0


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
    text = run.summaries["career_sites"]
    assert text.startswith("120 rows in 4 pages ")
    for part in (", 1 row in 1 page ", ", 50 credits ($0.05); ", "; sync complete."):
        assert part in text


def test_a_sync_that_a_limit_ends_is_not_complete(hiring: Sandbox, tmp_path: Path) -> None:
    """The exit code is 0: a monitor must find that no new rows come."""
    tap = tap_of(hiring, tmp_path, "career_sites", "companies", "jobs")
    run = tap.succeed(max_credits=1_015, batch_size=20, jobs_batch_size=5)
    assert complete_by_stream(run) == {"career_sites": 1, "companies": 1, "jobs": 0}


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
    assert run.summaries["career_sites"].startswith("not read ")
    assert "; sync not complete." in run.summaries["career_sites"]
    assert run.summaries["companies"].startswith("not read ")
    run = tap.run(catalog=catalog, state={"bookmarks": {"career_sites": {"position": 5}}})
    assert error_code(run) == "invalid-state"
    assert run.summaries == {}


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
    run = tap.run(catalog=catalog, state=state, **{"country_codes": ["DE"], **settings})
    assert error_code(run) == code
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
    run = tap.run(batch_size=5)
    assert error_code(run) == "access-denied"
    assert complete_by_stream(run) == dict.fromkeys(run.summaries, 0)
    incomplete = {name for name, text in run.summaries.items() if "sync not complete" in text}
    assert run.summaries.keys() - incomplete == {"jobs"}
    assert incomplete == {"billed_pages", "career_sites", "companies"}
    assert run.summaries["billed_pages"].startswith("0 rows,")
    again = tap.run(batch_size=5)  # which fails at once
    assert again.summaries["billed_pages"].startswith("1 row,")


def test_a_stream_whose_archive_is_damaged_has_a_summary(tap: Tap, tmp_path: Path) -> None:
    tap.succeed()
    damage(pages(tmp_path / "archive")[-1])
    run = tap.run(catalog=selecting(discover(), expired_jobs=True))
    assert error_code(run) == "archive-damaged"
    assert complete_by_stream(run) == {"career_sites": 0, "expired_jobs": 1}


def test_billed_pages_are_summarized_once_all_feeds_are_read(tap: Tap) -> None:
    run = tap.succeed(catalog=selecting(discover(), billed_pages=True))
    assert [*run.summaries] == ["career_sites", "billed_pages"]
    assert run.summaries["billed_pages"] == "3 rows, 0 credits ($0.00); sync complete."
    assert complete_by_stream(run) == {"career_sites": 1, "billed_pages": 1}
    counts = {
        each["tags"]["stream"]: each["value"]
        for each in run.points
        if each["metric"] == "record_count"
    }
    assert counts == {"career_sites": 120, "billed_pages": 3}


def test_rows_that_no_stream_map_has_passed_are_not_counted(tap: Tap) -> None:
    run = tap.run(stream_maps={"career_sites": {"shout": "upper(nam)"}})
    assert error_code(run) == "map-failed"
    assert run.summaries["career_sites"].startswith("0 rows in 1 page, 2,500 credits ($2.50);")
    run = tap.run(stream_maps={"career_sites": {"shout": "upper(nam)"}})  # loads the page
    assert run.summaries["career_sites"].startswith("0 rows in 1 page ")
    assert "from the archive, 0 credits" in run.summaries["career_sites"]


def test_rows_of_a_page_whose_profiles_fail_are_counted(tap: Tap, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(status=403, times=None), endpoint="profile")
    run = tap.run(catalog=selecting(discover(), companies=True))
    assert run.returncode == 1
    # The rows of the page were written, although its state was not: the page comes again.
    assert run.metrics["record_count"] == len(ids_of(run, "career_sites")) == 50
    assert "2,500 credits" in run.stderr
