"""Numbers of the documentation that follow from others."""

from __future__ import annotations

import re

import pytest

from benchmarks.report import RESULTS, table
from jobo_sandbox.limits import FEED_LIMITS, PROFILE_LIMITS
from tap_jobo.archive import lease
from tests.support.repository import REPOSITORY

PRICES = (REPOSITORY / "docs/reference/prices-and-limits.md").read_text("utf-8")
TERMS = (REPOSITORY / "docs/start/how-it-works.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("schedule", "minutes"),
    [("once a day", 1440), ("every six hours", 360), ("every hour", 60), ("every 15 minutes", 15)],
)
def test_the_lookback_costs_what_its_table_says(schedule: str, minutes: int) -> None:
    rows = 2_000 * (1 + 15 / minutes)
    share = round(100 * 15 / minutes)
    assert (
        f"| {schedule} | {rows:,.0f} rows | ${2_000 * 0.05 * (1 + 15 / minutes):.2f} | {share}% |"
        in (PRICES)
    )


def test_rate_limits_are_those_of_the_sandbox() -> None:
    for row, limits in (("all streams", FEED_LIMITS), ("general", PROFILE_LIMITS)):
        (cells,) = re.findall(rf"(?m)^\| {row}.*? \| (.*) \|$", PRICES)
        assert [int(cell.replace(",", "")) for cell in cells.split(" | ")] == [
            count for count, _ in limits
        ]


def test_run_times_follow_from_the_rate_limits() -> None:
    rows = re.findall(
        r"(?m)^\| (first sync of|profiles of) \S+ .*? \| ([\d,]+) \| ([^$|]*) \|$", PRICES
    )
    assert len(rows) == 5
    for what, cell, duration in rows:
        per_minute, per_hour = (120, 5_000) if what.startswith("first") else (360, 10_000)
        hours, rest = divmod(int(cell.replace(",", "")) - 1, per_hour)
        expected = 60 * hours + rest / per_minute
        found = re.fullmatch(r"(?:(\d+) hours )?(\d+) minutes", duration)
        assert found
        assert expected == pytest.approx(60 * int(found[1] or 0) + int(found[2]), abs=3.5)


def test_a_lease_is_renewed_and_lost_as_the_page_says() -> None:
    page = (REPOSITORY / "docs/change/archive.md").read_text("utf-8")
    assert f"every {lease._RENEW_EVERY:.0f} seconds" in page
    assert f"for {lease.DURATION:.0f} seconds" in page


def test_memory_is_that_of_the_benchmark() -> None:
    page = (REPOSITORY / "docs/start/compare.md").read_text("utf-8")
    memory = [
        next(row[-1] for row in table(RESULTS, name) if row[0] == "tap-jobo")
        for name in ("read career_sites", "read jobs_4kb")
    ]
    assert "about {} for career sites, and {} for pages of 1,000 jobs".format(*memory) in page


def test_the_terms_are_few_and_each_is_explained_once() -> None:
    terms = re.findall(r"\*\*(.+?)\*\*", TERMS.partition("## Terms")[2])
    assert len(terms) == len(set(terms))
    assert 20 <= len(terms) <= 27
