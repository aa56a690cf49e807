"""What jobs cost: prices, one budget over all streams, estimates, and crashes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.support import Tap
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
    assert run.codes("WARNING").count("no-price") == (plan == "no_headers")
    assert "unexpected-bill" not in run.codes("WARNING")


def test_a_lost_page_after_a_free_one_counts(jobs_tap: Tap, hiring: Sandbox) -> None:
    """The quota ends with the page before it."""
    hiring.jobs_plan, hiring.jobs_quota = "included", 40
    hiring.faults.add(Fault(drop=True, billed=True), endpoint="jobs", when=lambda e: bool(e.cursor))
    metrics = metrics_of(jobs_tap.run_quickly(), "jobs")
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
    assert first.codes("WARNING").count("limit-reached") == 2
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


@pytest.mark.parametrize(
    ("stream", "filters"), [("jobs", {"jobs_work_models": ["remote"]}), ("managed_jobs", {})]
)
def test_jobs_that_were_meant_are_not_announced(
    hiring: Sandbox, tmp_path: Path, stream: str, filters: Any
) -> None:
    run = tap_of(hiring, tmp_path, stream).succeed(**filters)
    assert run.messages_of("WARNING", "no-jobs-filter") == []
