"""The line with which each stream says, before it is read, what it reads and may cost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from jobo_sandbox import Sandbox
from tests.archive.helpers import archive_command, pass_time, succeeded
from tests.support import Run, Tap, state_until
from tests.support.crash import cut_in_request
from tests.support.jobs import tap_of

FIRST = ("career_sites", "companies", "expired_jobs", "jobs")


def _announced(run: Run) -> list[str]:
    assert "Beginning sync" not in run.stderr
    lines = [line for line in run.lines("INFO") if line.startswith(FIRST)]
    return [line for line in lines if ": the archive " not in line]  # where that is


def _parts(line: str) -> list[str]:
    """What a line says of its stream, part by part."""
    return line.partition(": ")[2].split("; ")


def test_filters_window_and_limit(tap: Tap) -> None:
    filters: Any = {"country_codes": ["AT", "CH", "DE", "FR", "IT"]}
    state = state_until(tap, "2026-11-26T08:15:00.000000Z", **filters)
    run = tap.run(state=state, country_codes=["DE", "AT", "IT", "FR", "CH"])
    (line,) = _announced(run)
    assert _parts(line) == [
        "filters country_codes=AT, CH, DE, FR, IT",
        "changes since 2026-11-26T08:00Z",
        "at most 1,000,000,000 credits ($1,000,000.00)",
    ]


def test_long_lists_are_cut(tap: Tap) -> None:
    codes = ["DE", "AT", "CH", "FR", "IT", "ES", "PT"]
    run = tap.run(country_codes=codes, is_agency=False, start_date="2020-02-01", max_credits=2_500)
    (line,) = _announced(run)
    assert _parts(line) == [
        "filters country_codes=AT, CH, DE, ES, FR and 2 more and is_agency=false",
        "everything since 2020-02-01T00:00Z",
        "at most 2,500 credits ($2.50)",
    ]


def test_a_later_stream_has_the_rest_of_the_limit_and_a_free_one_none(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    run = tap_of(sandbox, tmp_path, *FIRST).succeed(max_credits=10_000)
    sites, expired, jobs = _announced(run)
    most = "at most 10,000 credits ($10.00)"
    assert _parts(sites) == ["all rows", "with company profiles, free", most]
    assert expired.startswith("expired_jobs: everything since ")
    assert ";" not in expired
    assert _parts(jobs) == ["all rows", "at most 4,000 credits ($4.00)"]
    assert run.stderr.index(sites) < run.stderr.index("Summary: career_sites")


def test_added_values_and_then_changes(tap: Tap) -> None:
    state = tap.succeed(country_codes=["DE"], lookback_minutes=0).state
    pass_time(tap, timedelta(minutes=1))
    run = tap.succeed(
        state=state, country_codes=["DE", "FR"], on_filter_change="resync", max_credits=None
    )
    added, changes = _announced(run)[-2:]
    assert _parts(added)[:2] == ["filters country_codes=FR", "all rows of the added values"]
    assert _parts(changes)[0] == "filters country_codes=DE, FR"
    assert _parts(changes)[1].startswith("changes since ")


def test_that_the_archive_is_off(tap: Tap) -> None:
    (line,) = _announced(tap.run(archive=False, max_credits=2_500))
    assert _parts(line) == ["all rows", "at most 2,500 credits ($2.50)", "the archive is off"]


def test_named_companies(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("\n".join(list(sandbox.world.rows())[:3]))
    run = tap_of(sandbox, tmp_path, "companies").run(company_ids_file=str(path))
    assert _announced(run) == ["companies: 3 company IDs"]


def test_sync_in_progress(tap: Tap) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    run = tap.run(state=cut.state, max_credits=None)
    (line,) = _announced(run)
    assert "after 100 rows" in line
    assert _parts(line)[1:] == ["max_credits is not set"]
    assert run.lines("WARNING") == []


def test_a_restart_follows_pages_of_the_archive(tap: Tap) -> None:
    tap.succeed()
    succeeded(archive_command(tap, "restart", "career_sites", "--yes"))
    loaded, why, bought = _announced(tap.run())
    assert "not billed again" in loaded
    assert "`restart`" in why
    assert _parts(bought)[0] == "all rows"


def test_what_follows_pages_of_the_archive(tap: Tap, sandbox: Sandbox) -> None:
    """Neither are all rows billed nor does a new page size apply."""
    cut = cut_in_request(tap, 3)
    billed = sandbox.rows_billed
    run = tap.run(max_credits=None)  # as after a crash before the first state
    loaded, bought = _announced(run)
    for part in ("no state", "2 pages", "$5.00 not billed again"):
        assert part in loaded
    assert "after 100 rows" in bought
    assert _parts(bought)[1:] == ["max_credits is not set"]
    assert run.lines("WARNING") == []
    run = tap.run(state=cut.states[0], max_credits=None, batch_size=10)
    loaded, bought = _announced(run)
    for part in ("2 pages", "$3.50 not billed again"):
        assert part in loaded
    assert "no state" not in loaded
    assert bought.startswith("career_sites: changes since ")
    assert run.lines("WARNING") == []
    assert sandbox.rows_billed <= billed + 50
