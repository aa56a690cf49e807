"""Charts of the measured tables in the documentation, and what all of its charts are drawn with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from benchmarks.feed import REPOSITORY
from benchmarks.report import CRASH_COST, PERFORMANCE, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

CHARTS: Final = REPOSITORY / "docs/charts"
WIDTH: Final = 860
MARGIN: Final = 28
TOP: Final = 88
_OURS: Final = ("tap-jobo", r"tap \|", "`meltano run`")
_LABELS: Final = 300
_BAR: Final = 22
_ROW: Final = 32
_GAP: Final = 52
"""Height of the heading above a panel of bars."""
# On the site, a chart has the colors of the page's theme. Elsewhere, its own: light and dark.
_STYLE: Final = """
.chart {
--ink: var(--color-foreground-primary, #1f2328);
--quiet: var(--color-foreground-secondary, #59636e);
--mark: var(--color-brand-primary, #0969da); --page: var(--color-background-primary, #ffffff)
}
.chart text { fill: var(--ink); font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif }
.chart .page { fill: var(--page) }
.chart .title { font-size: 18px; font-weight: 600 }
.chart .head { font-weight: 600 }
.chart .quiet { fill: var(--quiet); font-size: 12px }
.chart .cell { font-size: 12px }
.chart .mark { fill: var(--mark) }
.chart .other { fill: var(--quiet); fill-opacity: 0.45 }
.chart .limit { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 4 3 }
.chart .rule { stroke: var(--quiet); stroke-opacity: 0.4 }
.chart .best { fill: none; stroke: var(--ink); stroke-width: 2 }
.chart .end { text-anchor: end }
.chart .middle { text-anchor: middle }
@media (prefers-color-scheme: dark) {
.chart {
--ink: var(--color-foreground-primary, #f0f6fc);
--quiet: var(--color-foreground-secondary, #9198a1);
--mark: var(--color-brand-primary, #4493f8); --page: var(--color-background-primary, #0d1117)
}
}
"""


@dataclass(frozen=True)
class _Panel:
    """A heading, and a bar for each program.

    Attributes:
        heading: What the bars show.
        bars: The figure of each program, and the text behind its bar.
        line: The figure that no program can undercut.
        meaning: What that figure is.
    """

    heading: str
    bars: Mapping[str, tuple[float, str]]
    line: float
    meaning: str


def draw() -> None:
    """Draw the measured tables, and write the charts."""
    for path, content in measured().items():
        path.write_text(content, "utf-8")


def measured() -> dict[Path, str]:
    """Draw the measured tables; returned by the file's path."""
    return {CHARTS / "crash_cost.svg": _crash_cost(), CHARTS / "pace.svg": _pace()}


def _crash_cost() -> str:
    rows = [*table(CRASH_COST, "crash-cost")]
    heads = rows[0][1:]
    panels = [
        _Panel(
            f"{heads[column]}; the target stores nothing of a killed run",
            {row[0].strip("*"): _dollars(row[column + 1]) for row in rows[1:]},
            500,
            "$500 without a crash",
        )
        for column in (0, 2)
    ]
    return _bars(
        "After a crash, tap-jobo pays again for one page",
        "Billed for 10,000 career sites until they are all read, in dollars",
        panels,
        "Measured with the ledger of the mock API: uv run just crash-cost",
    )


def _dollars(cell: str) -> tuple[float, str]:
    return float(re.sub(r"[$,]", "", cell.split(maxsplit=1)[0].rstrip(","))), cell


def _pace() -> str:
    panels = [
        _Panel(
            f"{title} in 100 pages",
            {row[0]: (float(row[1]), f"{row[1]} s") for row in [*table(PERFORMANCE, name)][1:]},
            50,
            "50 s: the API's own pace",
        )
        for title, name in (
            ("5,000 career sites", "pace career_sites"),
            ("100,000 jobs of 4 kB", "pace jobs_4kb"),
        )
    ]
    return _bars(
        "tap-jobo loads as fast as Jobo's API allows",
        "Seconds from the start of the command until all rows are in Postgres",
        panels,
        "Measured against a mock API at Jobo's pace: uv run just bench --only pace",
    )


def _bars(title: str, subtitle: str, panels: Sequence[_Panel], source: str) -> str:
    """Draw panels below each other, with one scale."""
    largest = max(figure for panel in panels for figure, _ in panel.bars.values())
    scale = (WIDTH - 2 * MARGIN - _LABELS - 190) / largest
    left = MARGIN + _LABELS

    def marks() -> Iterator[str]:
        y = float(TOP)
        for panel in panels:
            x = left + panel.line * scale
            yield text(MARGIN, y + 20, panel.heading, "head")
            yield text(x, y + _GAP - 10, panel.meaning, "quiet middle")
            bottom = y + _GAP + len(panel.bars) * _ROW
            for number, (name, (figure, label)) in enumerate(panel.bars.items()):
                top = y + _GAP + number * _ROW
                yield text(left - 12, top + 16, re.sub(r"[`\\]", "", name), "end")
                style = "mark" if name.startswith(_OURS) else "other"
                size = f'width="{figure * scale:.1f}" height="{_BAR}"'
                yield f'<rect class="{style}" x="{left}" y="{top:.0f}" {size} rx="3"/>'
                yield text(left + figure * scale + 8, top + 16, label, "")
            yield f'<path class="limit" d="M{x:.1f} {y + _GAP - 4:.0f}V{bottom:.0f}"/>'
            y = bottom + 8

    height = sum(_GAP + len(panel.bars) * _ROW + 8 for panel in panels)
    return page(title, subtitle, source, height, marks())


def page(title: str, subtitle: str, source: str, height: int, marks: Iterator[str]) -> str:
    """Put a title over the marks, and below them where the figures come from."""
    whole = TOP + height + 44

    def titled() -> Iterator[str]:
        yield text(MARGIN, 40, title, "title")
        yield text(MARGIN, 63, subtitle, "quiet")
        yield from marks
        yield text(MARGIN, whole - 16, source, "quiet")

    return drawing(WIDTH, whole, f"{title}. {subtitle}. {source}", titled())


def drawing(width: int, height: int, meaning: str, marks: Iterator[str]) -> str:
    """Return marks as a picture, with what they mean for those who do not see them."""
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" {size} role="img">',
        f"<title>{escape(meaning)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
        *marks,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def text(x: float, y: float, content: str, style: str) -> str:
    """Return a text of a chart."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(content)}</text>'
