"""Filter values are compared with those that Jobo lists, before anything is billed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.support.jobs import tap_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support import Run
    from tests.support.companies import CompaniesTap, Json


@pytest.fixture
def tap(hiring: Sandbox, tmp_path: Path, discovered: Json) -> CompaniesTap:
    """The tap with all feeds that are not free."""
    return tap_of(hiring, tmp_path, discovered, "career_sites", "jobs", "managed_jobs")


def unknown_values(run: Run) -> list[str]:
    assert run.returncode == 0, run.stderr
    return [line for line in run.lines("WARNING") if "Jobo does not list" in line]


def test_unknown_values_are_a_warning_before_anything_is_billed(
    tap: CompaniesTap, hiring: Sandbox
) -> None:
    known = next(job["source"] for job in hiring.world.jobs().values())
    run = tap.run(
        jobs_sources=["lever", known],
        industries=["fintehc", "Real Estate"],
        jobs_locations=[{"country": "Germny"}],
    )
    lines = unknown_values(run)  # each once, though two feeds have a filter of sources
    assert [line.split(" ", 2)[1] for line in lines] == ["'jobs_locations':", "'jobs_sources':"]
    assert "Jobo does not list 'lever', so it matches no rows. Did you mean 'lever_co'?" in lines[1]
    assert "'Real Estate' is not in lower case" in run.stderr
    first = [entry.endpoint for entry in hiring.ledger[:3]]
    assert sorted(first) == ["clock", "filters", "locations"]

    run = tap.run(industries=["fintehc"])
    (line,) = unknown_values(run)
    assert "Jobo does not list 'fintehc', so it matches no rows. Did you mean 'fintech'?" in line
    assert run.stderr.index("fintehc") < run.stderr.index("Summary")


def test_without_such_a_filter_the_list_is_not_requested(
    tap: CompaniesTap, hiring: Sandbox
) -> None:
    run = tap.run(jobs_posted_after="2020-01-01", country_codes=["XX"])
    assert run.returncode == 0, run.stderr
    assert not hiring.requests_to("filters") + hiring.requests_to("locations")


@pytest.mark.parametrize("fault", [Fault(status=404), Fault(status=503), Fault(garbage="<html>")])
def test_list_that_cannot_be_had_stops_nothing(
    tap: CompaniesTap, hiring: Sandbox, fault: Fault
) -> None:
    hiring.faults.add(fault, endpoint="filters")
    run = tap.run(jobs_sources=["lever"])
    assert unknown_values(run) == []
    assert len(hiring.requests_to("filters")) == 1
