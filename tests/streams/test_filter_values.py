"""Filter values are compared with those that Jobo lists, before anything is billed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.support import Run, Tap, discover

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=20, jobs=60) as sandbox:
        yield sandbox


@pytest.fixture
def catalog(tmp_path: Path) -> dict[str, Any]:
    """All feeds that are not free, selected."""
    catalog = discover(tmp_path)
    for entry in catalog["streams"]:
        (root,) = (item for item in entry["metadata"] if item["breadcrumb"] == [])
        root["metadata"]["selected"] = entry["tap_stream_id"] in (
            "career_sites",
            "jobs",
            "managed_jobs",
        )
    return catalog


def unknown_values(run: Run) -> list[str]:
    assert run.returncode == 0, run.stderr
    return [line for line in run.lines("WARNING") if "Jobo does not list" in line]


def test_unknown_values_are_a_warning_before_anything_is_billed(
    tap: Tap, sandbox: Sandbox, catalog: dict[str, Any]
) -> None:
    known = next(job["source"] for job in sandbox.world.jobs().values())
    run = tap.run(
        catalog=catalog,
        jobs_sources=["lever", known],
        industries=["fintehc", "Real Estate"],
        jobs_locations=[{"country": "Germny"}],
    )
    lines = unknown_values(run)  # each once, though two feeds have a filter of sources
    assert [line.split(" ", 2)[1] for line in lines] == ["'jobs_locations':", "'jobs_sources':"]
    assert "Jobo does not list 'lever', so it matches no rows. Did you mean 'lever_co'?" in lines[1]
    assert "'Real Estate' is not in lower case" in run.stderr
    first = [entry.endpoint for entry in sandbox.ledger[:3]]
    assert sorted(first) == ["clock", "filters", "locations"]

    run = tap.run(catalog=catalog, industries=["fintehc"])
    (line,) = unknown_values(run)
    assert "Jobo does not list 'fintehc', so it matches no rows. Did you mean 'fintech'?" in line
    assert run.stderr.index("fintehc") < run.stderr.index("Summary")


def test_known_values_are_no_warning(tap: Tap, catalog: dict[str, Any]) -> None:
    run = tap.run(catalog=catalog, jobs_work_models=["remote"], jobs_experience_levels=["mid"])
    assert unknown_values(run) == []


def test_without_such_a_filter_the_list_is_not_requested(
    tap: Tap, sandbox: Sandbox, catalog: dict[str, Any]
) -> None:
    run = tap.run(catalog=catalog, jobs_posted_after="2020-01-01", country_codes=["XX"])
    assert run.returncode == 0, run.stderr
    assert not sandbox.requests_to("filters") + sandbox.requests_to("locations")


@pytest.mark.parametrize("fault", [Fault(status=404), Fault(status=503), Fault(garbage="<html>")])
def test_list_that_cannot_be_had_stops_nothing(
    tap: Tap, sandbox: Sandbox, catalog: dict[str, Any], fault: Fault
) -> None:
    sandbox.faults.add(fault, endpoint="filters")
    run = tap.run(catalog=catalog, jobs_sources=["lever"])
    assert unknown_values(run) == []
    assert len(sandbox.requests_to("filters")) == 1
