"""Draws charts of the documentation from the marts that the dbt package builds, for answers.py."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.charts import CHARTS, NARROW, drawing, text
from tap_jobo.streams.career_sites import CAREER_SITES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.warehouses import Warehouse

COMPANIES = 300
INDUSTRIES = 6
LABELS, ROW = 118, 28
LONGEST = 17
"""Letters that fit a column of the table."""
PRICE = CAREER_SITES.list_price / 1_000

Row = dict[str, Any]


def charts(warehouse: Warehouse) -> dict[Path, str]:
    """Draw each chart from the marts; returned by the file's path."""
    marts = warehouse.tables(["jobo__ats_share", "jobo__directory"])
    return {
        CHARTS / "ats_share_by_industry.svg": _share_by_industry(marts["jobo__ats_share"]),
        CHARTS / "warehouse.svg": _warehouse(marts["jobo__directory"]),
    }


def _share_by_industry(rows: list[Row]) -> str:
    """Draw a table of the largest industries, a cell the stronger the larger the share."""
    rows = [row for row in rows if row["industry"] != "(all)"]
    sizes = {row["industry"]: row["of_sites"] for row in rows}
    industries = sorted(sizes, key=lambda industry: (-sizes[industry], industry))[:INDUSTRIES]
    shares: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row["industry"] in industries:
            shares[row["ats"]][row["industry"]] = row["percent"]
    order = sorted(shares, key=lambda ats: (-sum(shares[ats].values()), ats))
    best = max((share, ats, name) for ats in order for name, share in shares[ats].items())
    meaning = f"{best[0]:.0f} percent of {best[2]} sites run on {best[1]}"

    def marks() -> Iterator[str]:
        width = (NARROW - LABELS - 14) / INDUSTRIES
        left = [LABELS + column * width for column in range(INDUSTRIES)]
        yield text(14, 24, meaning, "head")
        yield text(14, 44, f"Percent, in the {INDUSTRIES} largest industries (made up)", "quiet")
        for x, industry in zip(left, industries, strict=True):
            place = f'transform="translate({x + width / 2 + 4:.1f} 132) rotate(45)"'
            yield f'<text {place} class="quiet end">{industry}</text>'
        for line, ats in enumerate(order):
            y = 138 + line * ROW
            yield text(LABELS - 10, y + 19, ats, "end")
            for x, industry in zip(left, industries, strict=True):
                share = shares[ats].get(industry, 0)
                size = f'x="{x + 1:.1f}" y="{y + 1}" width="{width - 2:.1f}" height="{ROW - 2}"'
                strength = 0.6 * share / best[0]
                yield f'<rect class="mark" {size} rx="3" fill-opacity="{strength:.2f}"/>'
                if (share, ats, industry) == best:
                    yield f'<rect class="best" {size} rx="3"/>'
                yield text(x + width / 2, y + 19, f"{share:.0f}", "middle")

    return drawing(NARROW, 146 + len(order) * ROW, meaning, marks())


def _warehouse(rows: list[Row]) -> str:
    """Draw the first rows of the table that the first sync loads, beside the pipeline."""
    columns = {"name": 14, "ats": 142, "industries": 240}
    shown = sorted(rows, key=lambda row: row["name"])[:6]
    cost = len(rows) * PRICE

    def marks() -> Iterator[str]:
        yield text(14, 24, "public.career_sites", "head")
        for name, x in columns.items():
            yield text(x, 54, name, "quiet")
        for line, row in enumerate(shown):
            y = 64 + line * ROW
            yield f'<path class="rule" d="M2 {y}H362"/>'
            for name, x in columns.items():
                yield text(x, y + 19, _cut(str(row[name])), "cell")
        yield f'<path class="rule" d="M2 {64 + len(shown) * ROW}H362"/>'
        yield text(14, 258, f"... {len(rows)} rows, which cost ${cost:,.2f} at Jobo", "quiet")
        yield text(14, 278, "Changed rows are upserted by id.", "quiet")

    return drawing(NARROW, 292, f"The first {len(shown)} rows of public.career_sites", marks())


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST else f"{value[: LONGEST - 3].rstrip(' ,')}..."
