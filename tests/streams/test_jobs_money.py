"""What jobs cost: prices, one budget over all streams, estimates, and crashes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.support import Tap
from tests.support.crash import cut_in_request
from tests.support.jobs import metrics_of, rows_of, tap_of

pytestmark = pytest.mark.slow

PRICE = 3


@pytest.mark.parametrize(
    ("plan", "billed"),
    [("pay_as_you_go", 270), ("included", 150), ("unlimited", 0), ("no_headers", 270)],
)
def test_cost_is_what_the_plan_bills(
    jobs_tap: Tap, hiring: Sandbox, plan: Any, billed: int
) -> None:
    hiring.jobs_plan, hiring.jobs_quota = plan, 40
    run = jobs_tap.succeed()
    assert hiring.credits_billed == billed
    assert metrics_of(run, "jobs")["jobo_credits"] == billed
    assert f"{billed:,} credits (${billed / 1000:.2f})" in run.summaries["jobs"]
    assumed = run.messages_of("WARNING", "no-price")
    assert len(assumed) == (plan == "no_headers")
    for part in ("jobs", "3 credits per row", "remove max_credits"):
        assert all(part in line for line in assumed)
    assert "unexpected-bill" not in run.codes("WARNING")


def test_a_lost_page_after_a_free_one_counts(jobs_tap: Tap, hiring: Sandbox) -> None:
    """The quota ends with the page before it."""
    hiring.jobs_plan, hiring.jobs_quota = "included", 40
    hiring.faults.add(Fault(drop=True, billed=True), endpoint="jobs", when=lambda e: bool(e.cursor))
    metrics = metrics_of(jobs_tap.succeed(), "jobs")
    assert metrics["jobo_credits"] == hiring.credits_billed == 2 * 40 * PRICE + 10 * PRICE
    assert metrics["jobo_credits_unconfirmed"] == 40 * PRICE


@pytest.fixture
def everything(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with all streams of jobs and of companies, in pages of 30 jobs."""
    companies, jobs = ("career_sites", "companies"), ("expired_jobs", "jobs", "managed_jobs")
    tap = tap_of(hiring, tmp_path, "billed_pages", *companies, *jobs)
    tap.settings |= {"jobs_batch_size": 30, "batch_size": 20}
    return tap


def test_one_budget_covers_all_streams(everything: Tap, hiring: Sandbox) -> None:
    # 20 career sites are 1,000 credits, a page of jobs is 90: the third does not fit.
    first = everything.succeed(max_credits=1_250)
    assert hiring.credits_billed == 1_180
    reached = first.messages_of("WARNING", "limit-reached")
    assert len(reached) == 2
    for line, stream in zip(reached, ("jobs", "managed_jobs"), strict=True):
        assert "1,180 of 1,250" in line
        assert f" {stream} may cost 90." in line
    assert len(rows_of(first, "jobs")) == 60
    assert rows_of(first, "expired_jobs")

    second = everything.succeed(state=first.state, max_credits=2_500)
    assert rows_of(first, "jobs").keys() | rows_of(second, "jobs").keys() == (
        hiring.world.jobs().keys()
    )
    assert rows_of(second, "managed_jobs").keys() == hiring.world.managed_jobs().keys()
    billed = hiring.billed_ids()
    assert all(billed[key] <= 2 for key in hiring.world.managed_jobs())
    assert all(billed[key] == 1 for key in hiring.world.jobs().keys() - hiring.world.managed_jobs())


def test_estimate_is_told_once_before_the_second_request(jobs_tap: Tap, hiring: Sandbox) -> None:
    hiring.jobs_price = 5
    hiring.faults.add(
        Fault(replace=lambda body: {**body, "estimated_total": 480_000}), endpoint="jobs"
    )
    run = cut_in_request(jobs_tap, 2)
    (line,) = (line for line in run.lines("INFO") if "This sync has" in line)
    for part in ("480,000 rows", "$2,400.00", "5 credits per row"):
        assert part in line
    assert re.search(r"\b1\.7 h\b.*\b120 pages\b", line)  # pages of 40
    assert len(hiring.requests_to("jobs")) == 2


@pytest.mark.parametrize("filters", [{}, {"country_codes": ["DE"]}])
def test_the_first_sync_of_all_jobs_is_announced(
    hiring: Sandbox, tmp_path: Path, filters: Any
) -> None:
    tap = tap_of(hiring, tmp_path, "career_sites", "jobs")
    tap.settings |= {"jobs_batch_size": 10, "max_credits": 10_000, **filters}
    run = tap.succeed()
    (warning,) = run.messages_of("WARNING", "no-jobs-filter")
    assert "$3.00 per 1,000 rows" in warning
    assert "jobs_locations" in warning
    assert run.stderr.index("[no-jobs-filter]") < run.stderr.index("; at most 10,000 credits")
    assert tap.succeed(state=run.state).codes("WARNING") == []


@pytest.mark.parametrize(
    ("streams", "filters"),
    [
        (("jobs",), {"jobs_work_models": ["remote"], "country_codes": ["DE"]}),
        (("managed_jobs",), {"country_codes": ["DE"]}),
    ],
)
def test_jobs_that_were_meant_are_not_announced(
    hiring: Sandbox, tmp_path: Path, streams: tuple[str, ...], filters: Any
) -> None:
    run = tap_of(hiring, tmp_path, *streams).succeed(**filters)
    assert run.messages_of("WARNING", "no-jobs-filter") == []
