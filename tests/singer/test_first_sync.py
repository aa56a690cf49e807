"""The WARNING before a first sync without limits, which reads and bills every row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support import discover, entry_of

if TYPE_CHECKING:
    from jobo_sandbox import Sandbox
    from tests.support import Run, Tap


def _warnings(run: Run) -> list[str]:
    assert run.returncode == 0, run.stderr
    return [line for line in run.lines("WARNING") if line.startswith("First sync")]


def test_first_sync_without_limits_is_one_warning(tap: Tap) -> None:
    run = tap.run(max_credits=None)
    (line,) = run.lines("WARNING")
    assert line == (
        "First sync of career_sites without a filter or max_credits: every row is read and billed, "
        "$50.00 per 1,000 rows at list price. Set max_credits to limit what a run spends."
    )
    assert run.stderr.index("First sync") < run.stderr.index("Summary")
    assert _warnings(tap.run(max_credits=None, state=run.state)) == []


@pytest.mark.parametrize(
    "limit",
    [
        {"max_credits": 2_500},
        {"max_credits": None, "start_date": "2020-01-01"},
        {"max_credits": None, "country_codes": ["DE"]},
        {"max_credits": None, "is_agency": False},
        {"max_credits": None, "stream_maps": {"career_sites": None}},
    ],
)
def test_first_sync_with_a_limit_is_no_warning(tap: Tap, limit: dict[str, Any]) -> None:
    assert _warnings(tap.run(**limit)) == []


def test_interrupted_first_sync_has_a_state(tap: Tap) -> None:
    cut = tap.run(max_credits=2_500)
    assert _warnings(tap.run(max_credits=None, state=cut.state)) == []


def test_other_streams_by_their_price(tap: Tap, sandbox: Sandbox) -> None:
    catalog = discover(tap.folder)
    for name in ("jobs", "expired_jobs"):
        entry_of(catalog, name)["metadata"][-1]["metadata"]["selected"] = True
    run = tap.run(catalog=catalog, max_credits=None, country_codes=["DE"])
    (line,) = _warnings(run)  # expired jobs are free, and career sites are filtered
    assert "of jobs" in line
    assert "$3.00 per 1,000" in line
    assert sandbox.requests_to("expired_jobs")
