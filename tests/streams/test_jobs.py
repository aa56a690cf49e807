"""The feed of jobs: what the tap asks for, what it makes of it, and where its bookmark stands."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from jobo_sandbox import Sandbox
from jobo_sandbox.feeds import FEEDS
from jobo_sandbox.quirks import CursorCarries
from tests.support import Tap, complaint, error_code, schema_message, state_until
from tests.support.companies import Json, selecting
from tests.support.jobs import (
    FILTERS,
    POSTED_AFTER,
    STREAMS,
    bookmark_of,
    rows_of,
    tap_of,
)

pytestmark = pytest.mark.slow

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


def test_rows_arrive_as_the_api_sends_them(both: Tap, hiring: Sandbox) -> None:
    run = both.succeed(jobs_batch_size=10)
    jobs, managed = hiring.world.jobs(), hiring.world.managed_jobs()
    assert 10 < len(managed) < len(jobs)
    for stream, expected in {"jobs": jobs, "managed_jobs": managed}.items():
        assert rows_of(run, stream) == {
            key: {**row, "_rescued_data": None} for key, row in expected.items()
        }
        validator = DEFAULT_JSONSCHEMA_VALIDATOR(schema_message(run, stream)["schema"])
        for record in rows_of(run, stream).values():
            validator.validate(record)
        assert schema_message(run, stream)["key_properties"] == ["id"]
    assert any(row["qualifications"]["must_have"]["skills"] for row in jobs.values())
    assert any(row["company"]["categories"] for row in jobs.values())


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
    assert rows_of(first, "jobs").keys() | rows_of(second, "jobs").keys() == wanted


@pytest.mark.parametrize("way", ["start_date", "bookmark"])
def test_row_updated_exactly_at_the_start_arrives(jobs_tap: Tap, hiring: Sandbox, way: str) -> None:
    at = datetime.now(UTC).replace(microsecond=123_456) - timedelta(hours=2)
    key, other = list(hiring.world.jobs())[:2]
    hiring.world.touch_job(key, at=at)
    hiring.world.touch_job(other, at=at - timedelta(microseconds=1))
    text = at.isoformat().replace("+00:00", "Z")
    if way == "start_date":
        run = jobs_tap.run(start_date=text)
    else:
        run = jobs_tap.run(state=state_until(jobs_tap, text, "jobs"), lookback_minutes=0)
    assert hiring.requests_to("jobs")[0].body["updated_after"] == text
    assert rows_of(run, "jobs").keys() == {key}


def test_state_keeps_a_feeds_filters_in_order_by_settings_names(both: Tap) -> None:
    turned: Json = {
        name: value[::-1] if isinstance(value, list) else value for name, value in FILTERS.items()
    }
    run = both.run(**turned)
    kept = {**FILTERS, "jobs_posted_after": POSTED_AFTER}
    of_managed = ("jobs_sources", "jobs_work_models", "jobs_posted_after")
    for stream, names in (("jobs", kept), ("managed_jobs", of_managed)):
        position = bookmark_of(run, stream)["position"]
        assert position["filter_sets"] == [{name: kept[name] for name in names}]


def test_streams_are_read_in_their_order(hiring: Sandbox, tmp_path: Path) -> None:
    run = tap_of(hiring, tmp_path, *STREAMS).succeed()
    seen = [each["stream"] for each in run.messages if each["type"] == "SCHEMA"]
    assert list(dict.fromkeys(seen)) == list(STREAMS)
    asked = dict.fromkeys(each.endpoint for each in hiring.ledger if each.endpoint != "profile")
    assert list(asked) == ["clock", *(name for name in STREAMS if name in FEEDS)]
    for stream in STREAMS:
        assert rows_of(run, stream), stream


def test_first_sync_without_a_row_names_the_filters(jobs_tap: Tap, hiring: Sandbox) -> None:
    filters: Json = {"jobs_locations": [{"city": "Atlantis"}], "jobs_work_models": ["remote"]}
    run = jobs_tap.succeed(**filters)
    (warning,) = run.messages_of("WARNING", "no-match")
    assert 'jobs_locations={"city": "Atlantis"} and jobs_work_models=remote' in warning
    assert "jobs_sources" not in warning
    assert run.states == []
    assert hiring.credits_billed == 0


def test_filter_of_jobs_alone_is_no_change_here(hiring: Sandbox, tmp_path: Path) -> None:
    tap = tap_of(hiring, tmp_path, "managed_jobs")
    remote: Json = {"jobs_work_models": ["remote"]}
    state = tap.run(**remote).state
    tap.succeed(state=state, **remote, jobs_experience_levels=["lead"])
    line = complaint(tap.run(state=state, jobs_work_models=["hybrid"]))
    assert line.startswith("managed_jobs ")
    assert re.search(r"\bjobs_work_models\b.*\bremote\b.*\bhybrid\b", line)
    assert hiring.requests_to("jobs") == []


def test_403_keeps_what_came_before(hiring: Sandbox, tmp_path: Path) -> None:
    hiring.managed_sources = False
    tap = tap_of(hiring, tmp_path, "jobs", "managed_jobs", "expired_jobs")
    run = tap.run()
    line = complaint(run)
    assert "no managed job sources" in line
    assert "managed_jobs" in line
    assert error_code(run) == "access-denied"
    assert len(hiring.requests_to("managed_jobs")) == 1
    assert rows_of(run, "jobs").keys() == hiring.world.jobs().keys()
    tap.catalog = selecting(tap.catalog, managed_jobs=False)
    tap.succeed(state=run.state)
    assert hiring.rows_billed == 90
