"""Values of the jobs filters are compared with those that Jobo has, before anything is billed."""

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
    return [line for line in run.lines("WARNING") if "is not one of Jobo's" in line]


def test_unknown_source_is_a_warning_before_anything_is_billed(
    tap: Tap, sandbox: Sandbox, catalog: dict[str, Any]
) -> None:
    known = next(job["source"] for job in sandbox.world.jobs().values())
    run = tap.run(catalog=catalog, jobs_sources=["lever", known])
    (line,) = unknown_values(run)  # once, though two feeds have the filter
    assert "'jobs_sources': 'lever' is not one of Jobo's sources; did you mean 'lever_co'?" in line
    assert [entry.endpoint for entry in sandbox.ledger[:2]] == ["clock", "filters"]
    assert len(sandbox.requests_to("filters")) == 1


def test_known_values_are_no_warning(tap: Tap, catalog: dict[str, Any]) -> None:
    run = tap.run(catalog=catalog, jobs_work_models=["remote"], jobs_experience_levels=["mid"])
    assert unknown_values(run) == []


def test_without_such_a_filter_the_list_is_not_requested(
    tap: Tap, sandbox: Sandbox, catalog: dict[str, Any]
) -> None:
    run = tap.run(catalog=catalog, jobs_posted_after="2020-01-01", country_codes=["XX"])
    assert run.returncode == 0, run.stderr
    assert sandbox.requests_to("filters") == []


@pytest.mark.parametrize("fault", [Fault(status=404), Fault(status=503), Fault(garbage="<html>")])
def test_list_that_cannot_be_had_stops_nothing(
    tap: Tap, sandbox: Sandbox, catalog: dict[str, Any], fault: Fault
) -> None:
    sandbox.faults.add(fault, endpoint="filters")
    run = tap.run(catalog=catalog, jobs_sources=["lever"])
    assert unknown_values(run) == []
    assert len(sandbox.requests_to("filters")) == 1
