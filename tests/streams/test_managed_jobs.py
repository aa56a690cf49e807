"""The managed feed: the jobs of the companies that the account has under Managed Job Scraping."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import complaint
from tests.support.companies import selecting
from tests.support.jobs import FILTERS, POSTED_AFTER, bookmark_of, rows_of, tap_of

if TYPE_CHECKING:
    from pathlib import Path

    from jobo_sandbox import Sandbox
    from tests.support.companies import CompaniesTap, Json

ITS_FILTERS = ("jobs_sources", "jobs_work_models", "jobs_posted_after")


@pytest.fixture
def managed_tap(hiring: Sandbox, tmp_path: Path, discovered: Json) -> CompaniesTap:
    """The tap with managed jobs alone, in pages of 10."""
    tap = tap_of(hiring, tmp_path, discovered, "managed_jobs")
    tap.settings["jobs_batch_size"] = 10
    return tap


def test_managed_rows_arrive_as_the_api_sends_them(
    managed_tap: CompaniesTap, hiring: Sandbox
) -> None:
    run = managed_tap.run()
    assert run.returncode == 0, run.stderr
    expected = hiring.world.managed_jobs()
    assert 10 < len(expected) < 90
    assert rows_of(run, "managed_jobs") == {
        key: {**row, "_rescued_data": None} for key, row in expected.items()
    }


def test_managed_request_has_the_fewer_filters(managed_tap: CompaniesTap, hiring: Sandbox) -> None:
    run = managed_tap.run(**FILTERS, jobs_batch_size=1)
    assert run.returncode == 0, run.stderr
    first, *others = (request.body for request in hiring.requests_to("managed_jobs"))
    assert first == {
        "sources": FILTERS["jobs_sources"],
        "work_models": FILTERS["jobs_work_models"],
        "posted_after": POSTED_AFTER,
        "batch_size": 1,
    }
    assert len(others) >= 2
    assert all(body.keys() == {"cursor"} for body in others)


def test_managed_state_keeps_its_own_filters(managed_tap: CompaniesTap, hiring: Sandbox) -> None:
    filters = bookmark_of(managed_tap.run(**FILTERS), "managed_jobs")["filters"]
    assert filters == {
        **{name: FILTERS[name] for name in ITS_FILTERS},
        "jobs_posted_after": POSTED_AFTER,
    }
    assert hiring.requests_to("jobs") == []


def test_filter_of_jobs_alone_is_no_change_here(managed_tap: CompaniesTap) -> None:
    remote: Json = {"jobs_work_models": ["remote"]}
    state = managed_tap.run(**remote).state
    lead = managed_tap.run(state=state, **remote, jobs_experience_levels=["lead"])
    assert lead.returncode == 0, lead.stderr
    line = complaint(managed_tap.run(state=state, jobs_work_models=["hybrid"]))
    assert "The filters of managed_jobs have changed" in line


def test_403_says_that_the_key_has_no_managed_sources(
    managed_tap: CompaniesTap, hiring: Sandbox
) -> None:
    hiring.managed_sources = False
    line = complaint(managed_tap.run())
    assert "The key has no managed sources" in line
    assert "deselect managed_jobs" in line
    assert len(hiring.requests_to("managed_jobs")) == 1


def test_403_keeps_what_came_before(hiring: Sandbox, tmp_path: Path, discovered: Json) -> None:
    hiring.managed_sources = False
    tap = tap_of(hiring, tmp_path, discovered, "jobs", "managed_jobs", "expired_jobs")
    run = tap.run()
    assert "The key has no managed sources" in complaint(run)
    assert rows_of(run, "jobs").keys() == hiring.world.jobs().keys()
    tap.catalog = selecting(tap.catalog, managed_jobs=False)
    again = tap.run(state=run.state)
    assert again.returncode == 0, again.stderr
    assert hiring.rows_billed == 90
