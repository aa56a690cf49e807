"""The feed of jobs: what the tap requests, what it makes of the response, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from jobo_sandbox import Fault, Sandbox
from jobo_sandbox.feeds import FEEDS
from jobo_sandbox.quirks import CursorCarries
from tests.support import Tap
from tests.support.companies import Json
from tests.support.jobs import (
    FILTERS,
    POSTED_AFTER,
    STREAMS,
    tap_of,
)

pytestmark = pytest.mark.slow

PRICE = 3

PARAMETERS = {
    "locations": FILTERS["jobs_locations"],
    "sources": FILTERS["jobs_sources"],
    "work_models": FILTERS["jobs_work_models"],
    "employment_types": FILTERS["jobs_employment_types"],
    "experience_levels": FILTERS["jobs_experience_levels"],
    "posted_after": POSTED_AFTER,
}


@pytest.fixture
def both(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with jobs and managed jobs, which are those of some companies."""
    return tap_of(hiring, tmp_path, "jobs", "managed_jobs")


def test_each_request_has_size_filters_and_window(both: Tap, hiring: Sandbox) -> None:
    start = {"updated_after": "2020-01-01T00:00:00.000000Z", "batch_size": 1}
    both.succeed(**FILTERS, start_date="2020-01-01", jobs_batch_size=1)
    for requests, names in (
        (hiring.requests_to("jobs"), [*PARAMETERS]),
        (hiring.requests_to("managed_jobs"), ["sources", "work_models", "posted_after"]),
    ):
        first, *others = (request.body for request in requests)
        assert first == {name: PARAMETERS[name] for name in names} | start
        assert len(others) >= 2, "FILTERS match too few jobs"
        assert all(body == first | {"cursor": body["cursor"]} for body in others)
        assert len({body["cursor"] for body in others}) == len(others)
    assert all(request.headers["x-api-key"] == hiring.api_key for request in hiring.ledger)


@pytest.mark.parametrize("carries", get_args(CursorCarries))
def test_whatever_a_cursor_carries_no_page_costs_more_and_no_row_is_unmatched(
    jobs_tap: Tap, hiring: Sandbox, carries: CursorCarries
) -> None:
    hiring.cursor_carries = carries
    settings: Json = {"jobs_sources": FILTERS["jobs_sources"], "jobs_batch_size": 5}
    wanted = {
        key for key, row in hiring.world.jobs().items() if row["source"] in settings["jobs_sources"]
    }
    first = jobs_tap.run(max_credits=30, **settings)
    assert hiring.credits_billed == 30
    second = jobs_tap.succeed(state=first.state, **settings)
    assert hiring.billed_ids() == dict.fromkeys(wanted, 1)
    assert first.of("jobs").rows.keys() | second.of("jobs").rows.keys() == wanted


def test_state_keeps_a_feeds_filters_in_order_by_settings_names(both: Tap) -> None:
    turned: Json = {
        name: value[::-1] if isinstance(value, list) else value for name, value in FILTERS.items()
    }
    run = both.run(**turned)
    kept = {**FILTERS, "jobs_posted_after": POSTED_AFTER}
    of_managed = ("jobs_sources", "jobs_work_models", "jobs_posted_after")
    for stream, names in (("jobs", kept), ("managed_jobs", of_managed)):
        position = run.of(stream).bookmark["position"]
        assert position["filter_sets"] == [{name: kept[name] for name in names}]


def test_streams_are_read_in_their_order(hiring: Sandbox, tmp_path: Path) -> None:
    run = tap_of(hiring, tmp_path, *STREAMS).succeed()
    seen = [each["stream"] for each in run.messages if each["type"] == "SCHEMA"]
    assert list(dict.fromkeys(seen)) == [*STREAMS]
    asked = dict.fromkeys(each.endpoint for each in hiring.ledger if each.endpoint != "profile")
    assert list(asked) == ["clock", *(name for name in STREAMS if name in FEEDS)]
    for stream in STREAMS:
        assert run.of(stream).rows, stream


def test_first_sync_without_a_row_names_the_filters(jobs_tap: Tap, hiring: Sandbox) -> None:
    filters: Json = {"jobs_locations": [{"city": "Atlantis"}], "jobs_work_models": ["remote"]}
    run = jobs_tap.succeed(**filters)
    (warning,) = run.messages_of("WARNING", "no-match")
    assert 'jobs_locations={"city": "Atlantis"} and jobs_work_models=remote' in warning
    assert run.states == []
    assert hiring.credits_billed == 0


# What they cost


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
    assert run.of("jobs").metrics["jobo_credits"] == billed
    assert f"{billed:,} credits (${billed / 1000:.2f})" in run.summaries["jobs"]
    assert run.codes("WARNING").count("no-price") == (plan == "no_headers")
    assert "unexpected-bill" not in run.codes("WARNING")


def test_a_lost_page_after_a_free_one_counts(jobs_tap: Tap, hiring: Sandbox) -> None:
    """The quota ends with the page before it."""
    hiring.jobs_plan, hiring.jobs_quota = "included", 40
    hiring.faults.add(Fault(drop=True, billed=True), endpoint="jobs", when=lambda e: bool(e.cursor))
    metrics = jobs_tap.quick.run().of("jobs").metrics
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
    assert len(first.of("jobs").rows) == 60
    assert first.of("expired_jobs").rows

    second = everything.succeed(state=first.state, max_credits=2_500)
    assert first.of("jobs").rows.keys() | second.of("jobs").rows.keys() == (
        hiring.world.jobs().keys()
    )
    assert second.of("managed_jobs").rows.keys() == hiring.world.managed_jobs().keys()
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
