"""The benchmarks: what the comparison with other programs shows was measured."""

from __future__ import annotations

import re

from benchmarks.crash_cost import AGAIN, NAME
from benchmarks.report import RESULTS, table
from tests.support.repository import REPOSITORY


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
