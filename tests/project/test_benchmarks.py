"""The benchmarks: a crash costs what the sandbox bills, and the tap is measured with all rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.crash_cost import AGAIN, NAME, in_this_environment, measured, measured_again
from benchmarks.feed import KEY, REPOSITORY, Feed
from benchmarks.report import RESULTS, table
from jobo_sandbox import Sandbox

pytestmark = pytest.mark.exhaustive


def test_the_tables_of_crashes_are_what_the_sandbox_bills(tmp_path: Path) -> None:
    with Sandbox(size=200, api_key=KEY, rows_with_updated_at=True) as sandbox:
        feed = Feed(tmp_path, sandbox.url, 0)
        programs = [*in_this_environment(feed)]
        crashes = [*measured(feed, sandbox, programs, interval=3, tries=3)]
        again = [*measured_again(feed, sandbox, programs[:2])]
    assert "tap-jobo" in crashes[2]
    done, not_done = "$12.50, done in 2 runs", "$22.50, not done after 3"
    assert [line.split(" | ", 1)[1] for line in crashes[2:]] == [
        f"$12.50 | $12.50 | {done} | {done} |",
        f"$15.00 | $15.00 | {not_done} | {not_done} |",
        f"$15.00 | $12.50 | {not_done} | {done} |",
    ]
    assert [line.split(" | ", 1)[1] for line in again[2:]] == [
        "$0.00 | $0.00 | $0.00 |",
        "$10.00 | $10.00 | $10.00 |",
    ]


def test_the_comparison_has_figures_of_the_results() -> None:
    """Its columns are the programs, and its rows what happens to them."""
    crashes = {row[0].strip("*"): row[1] for row in table(RESULTS, NAME)}
    again = {row[0].strip("*"): row[1:] for row in table(RESULTS, AGAIN)}
    page = (REPOSITORY / "docs/start/compare.md").read_text("utf-8")
    names = ["plain tap", "dlt", "tap-jobo"]
    programs = [next(name for name in again if name.startswith(each)) for each in names]
    for row, costs in (
        ("the run is killed halfway", [dollars(crashes[name]) - 500 for name in programs]),
        ("you add a warehouse, or reload a table", [dollars(again[name][1]) for name in programs]),
        (
            "a new version adds a column, and you want it in old rows",
            [dollars(again[name][2]) for name in programs],
        ),
    ):
        (line,) = re.findall(rf"(?m)^\| {row} \| (.*) \|$", page)
        cells = [re.split(r",| \(", cell)[0] for cell in line.split(" | ")]
        assert cells == [f"+ ${cost:,.2f}" if cost else "free" for cost in costs]
    (at_the_end,) = (name for name in crashes if re.fullmatch(r"dlt [\d.]+", name))
    assert f"(by default, + ${dollars(crashes[at_the_end]) - 500:,.2f})" in page


def dollars(cell: str) -> float:
    """The dollars at the start of a cell."""
    return float(cell.partition(",")[0].strip("$ "))
