"""The feed of jobs: what the tap requests, what it makes of the response, and what it costs."""

from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from jobo_sandbox.feeds import FEEDS
from tests.support import STREAMS, Json, Tap, tap_of

pytestmark = pytest.mark.slow

FILTERS: Json = {
    "jobs_locations": [{"city": "London", "country": "United Kingdom"}, {"country": "Germany"}],
    "jobs_sources": ["ashby", "greenhouse", "lever_co", "personio", "recruitee", "workday"],
    "jobs_work_models": ["onsite", "remote"],
    "jobs_employment_types": ["contract", "full-time"],
    "jobs_experience_levels": ["lead", "mid", "senior"],
    "jobs_posted_after": "2020-01-31",
}
"""A value of each filter of the jobs, as the state keeps it but for the date."""
POSTED_AFTER = "2020-01-31T00:00:00.000000Z"


@pytest.fixture
def both(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with jobs and managed jobs, which are those of some companies."""
    return tap_of(hiring, tmp_path, "jobs", "managed_jobs")


def test_each_request_has_size_filters_and_window(both: Tap, hiring: Sandbox) -> None:
    """Whatever a cursor carries. Filters are in order, also in the state, by their settings."""
    turned: Json = {
        name: value[::-1] if isinstance(value, list) else value for name, value in FILTERS.items()
    }
    start = {"updated_after": "2020-01-01T00:00:00.000000Z", "batch_size": 1}
    run = both.succeed(**turned, start_date="2020-01-01", jobs_batch_size=1)
    kept = {**FILTERS, "jobs_posted_after": POSTED_AFTER}
    of_managed = ("jobs_sources", "jobs_work_models", "jobs_posted_after")
    for stream, names in (("jobs", [*kept]), ("managed_jobs", [*of_managed])):
        first, *others = (request.body for request in hiring.requests_to(stream))
        assert first == {name.removeprefix("jobs_"): kept[name] for name in names} | start
        assert len(others) >= 2, "FILTERS match too few jobs"
        assert all(body == first | {"cursor": body["cursor"]} for body in others)
        assert len({body["cursor"] for body in others}) == len(others)
        position = run.of(stream).bookmark["position"]
        assert position["filter_sets"] == [{name: kept[name] for name in names}]
    assert all(request.headers["x-api-key"] == hiring.api_key for request in hiring.ledger)


def test_streams_are_read_in_their_order(hiring: Sandbox, tmp_path: Path) -> None:
    run = tap_of(hiring, tmp_path, *STREAMS).succeed()
    seen = [each["stream"] for each in run.messages if each["type"] == "SCHEMA"]
    assert list(dict.fromkeys(seen)) == [*STREAMS]
    clock, *others = (each for each in hiring.ledger if each.endpoint != "profile")
    assert (clock.endpoint, clock.headers["cache-control"]) == ("clock", "no-cache")
    asked = dict.fromkeys(each.endpoint for each in others)
    assert list(asked) == [name for name in STREAMS if name in FEEDS]
    for stream in STREAMS:
        assert run.of(stream).rows, stream


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
