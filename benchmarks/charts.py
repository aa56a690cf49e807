"""Charts of the measured tables in the documentation, and what all of its charts are drawn with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from benchmarks.feed import REPOSITORY
from benchmarks.report import RESULTS, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

CHARTS: Final = REPOSITORY / "docs/charts"
NARROW: Final = 364
"""A width that a phone shows, and of which a page shows two beside each other."""
_OURS: Final = ("tap-jobo", r"tap \|", "`meltano run`")
_EDGE: Final = 14
_BAR: Final = 18
_ROW: Final = 46
_HEAD: Final = 74
"""Height of what stands above the bars."""
_LETTER: Final = 7.2
"""At most the width of a letter or digit."""
# On the site, a chart has the colors of the page's theme. Elsewhere, its own: light and dark.
_STYLE: Final = """
.chart {
--ink: var(--color-foreground-primary, #1f2328);
--quiet: var(--color-foreground-secondary, #59636e);
--mark: var(--color-brand-primary, #0969da); --page: var(--color-background-primary, #ffffff)
}
.chart text { fill: var(--ink); font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif }
.chart .page { fill: var(--page) }
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
        detail: Under which condition, or in which unit.
        bars: The figure of each program, and the text behind its bar.
        line: The figure that no program can undercut.
        meaning: What that figure is.
    """

    heading: str
    detail: str
    bars: Mapping[str, tuple[float, str]]
    line: float
    meaning: str


def draw() -> None:
    """Draw the measured tables, and write the charts."""
    for path, content in measured().items():
        path.write_text(content, "utf-8")


def measured() -> dict[Path, str]:
    """Draw the measured tables; returned by the file's path."""
    return {
        CHARTS / f"{name}.svg": drawn
        for panels in (_crash_cost(), _pace())
        for name, drawn in zip(panels, _bars([*panels.values()]), strict=True)
    }


def _crash_cost() -> dict[str, _Panel]:
    rows = [*table(RESULTS, "crash-cost")]
    return {
        name: _Panel(
            rows[0][column].capitalize(),
            "Billed; the target stores nothing of a killed run",
            {row[0].strip("*"): _dollars(row[column]) for row in rows[1:]},
            500,
            "$500 without a crash",
        )
        for name, column in (("crash_once", 1), ("crash_often", 3))
    }


def _dollars(cell: str) -> tuple[float, str]:
    return float(re.sub(r"[$,]", "", cell.split(maxsplit=1)[0].rstrip(","))), cell


def _pace() -> dict[str, _Panel]:
    return {
        name.replace(" ", "_"): _Panel(
            title,
            "In 100 pages; seconds until all rows are in Postgres",
            {row[0]: (float(row[1]), f"{row[1]} s") for row in [*table(RESULTS, name)][1:]},
            50,
            "50 s: the API's own pace",
        )
        for title, name in (
            ("5,000 career sites", "pace career_sites"),
            ("100,000 jobs of 4 kB", "pace jobs_4kb"),
        )
    }


def _bars(panels: Sequence[_Panel]) -> Iterator[str]:
    """Draw each panel, all with one scale."""
    bars = [bar for panel in panels for bar in panel.bars.values()]
    room = NARROW - 2 * _EDGE - max(len(label) for _, label in bars) * _LETTER - 8
    scale = room / max(figure for figure, _ in bars)
    for panel in panels:
        height = _HEAD + len(panel.bars) * _ROW + 4
        meaning = f"{panel.heading}. {panel.detail}"
        yield drawing(NARROW, height, meaning, _marks(panel, scale))


def _marks(panel: _Panel, scale: float) -> Iterator[str]:
    line = _EDGE + panel.line * scale
    yield text(_EDGE, 24, panel.heading, "head")
    yield text(_EDGE, 44, panel.detail, "quiet")
    yield f'<path class="limit" d="M{line:.1f} 54V70"/>'
    yield text(line + 8, 66, panel.meaning, "quiet")
    for number, (name, (figure, label)) in enumerate(panel.bars.items()):
        top = _HEAD + number * _ROW
        yield text(_EDGE, top + 14, re.sub(r"[`\\]", "", name), "")
        style = "mark" if name.startswith(_OURS) else "other"
        size = f'width="{figure * scale:.1f}" height="{_BAR}"'
        yield f'<rect class="{style}" x="{_EDGE}" y="{top + 20}" {size} rx="3"/>'
        yield text(_EDGE + figure * scale + 8, top + 34, label, "")
        yield f'<path class="limit" d="M{line:.1f} {top + 18}v{_BAR + 4}"/>'


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
