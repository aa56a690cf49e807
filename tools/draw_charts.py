"""Draws the chart in docs/charts from the sandbox's data: `uv run tools/draw_charts.py`.

The figures are those of the marts that the dbt package builds. The same data give the same bytes:
a test draws them again and fails when the files are not what this writes.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobo_sandbox import Sandbox
from jobo_sandbox.postgres import running_postgres
from tests.support.pipeline import Pipeline
from tests.support.warehouses import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHARTS = Path(__file__).parents[1] / "docs/charts"
COMPANIES = 300
INDUSTRIES = 6
WIDTH, MARGIN, LABELS, TOP, ROW = 860, 28, 136, 88, 28
# On the site, a chart has the colors of the page's theme. Elsewhere, its own: light and dark.
STYLE = """
.chart {
--ink: var(--color-foreground-primary, #1f2328);
--quiet: var(--color-foreground-secondary, #59636e);
--mark: var(--color-brand-primary, #0969da); --page: var(--color-background-primary, #ffffff)
}
.chart text { fill: var(--ink); font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif }
.chart .page { fill: var(--page) }
.chart .title { font-size: 18px; font-weight: 600 }
.chart .quiet { fill: var(--quiet); font-size: 12px }
.chart .mark { fill: var(--mark) }
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

Row = dict[str, Any]


def charts(marts: Mapping[str, list[Row]]) -> dict[Path, str]:
    """Draw each chart from the rows of the marts; returned by the file's path."""
    return {
        CHARTS / "ats_share_by_industry.svg": _share_by_industry(marts["jobo__ats_share"]),
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
    title = f"In {best[2]}, {best[0]:.0f} percent of career sites run on {best[1]}"
    subtitle = (
        f"Share of each ATS in the {INDUSTRIES} largest industries, in percent (synthetic data)"
    )

    def marks() -> Iterator[str]:
        width = (WIDTH - 2 * MARGIN - LABELS) / INDUSTRIES
        left = [MARGIN + LABELS + column * width for column in range(INDUSTRIES)]
        for x, industry in zip(left, industries, strict=True):
            yield _text(x + width / 2, TOP + 18, industry, "quiet middle")
        for line, ats in enumerate(order, 1):
            y = TOP + line * ROW
            yield _text(MARGIN + LABELS - 12, y + 19, ats, "end")
            for x, industry in zip(left, industries, strict=True):
                share = shares[ats].get(industry, 0)
                size = f'x="{x + 1:.1f}" y="{y + 1}" width="{width - 2:.1f}" height="{ROW - 2}"'
                strength = 0.6 * share / best[0]
                yield f'<rect class="mark" {size} rx="3" fill-opacity="{strength:.2f}"/>'
                if (share, ats, industry) == best:
                    yield f'<rect class="best" {size} rx="3"/>'
                yield _text(x + width / 2, y + 19, f"{share:.0f}", "middle")

    return _page("jobo__ats_share", title, subtitle, len(order) + 1, marks())


def _page(mart: str, title: str, subtitle: str, lines: int, marks: Iterator[str]) -> str:
    """Put a title over the marks, and below them where the figures come from."""
    height = TOP + lines * ROW + 52
    source = f"From the mart {mart}, over the {COMPANIES} made-up companies of the sandbox"
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" {size} role="img">',
        f"<title>{escape(title)}. {escape(subtitle)}. {escape(source)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}"/>',
        _text(MARGIN, 40, title, "title"),
        _text(MARGIN, 63, subtitle, "quiet"),
        *marks,
        _text(MARGIN, height - 20, source, "quiet"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(text)}</text>'


def main() -> None:
    """Fill a Postgres from a sandbox, build the marts, and draw from them."""
    with (
        tempfile.TemporaryDirectory(prefix="tap-jobo-") as name,
        Sandbox(size=COMPANIES, seed=1) as sandbox,
        running_postgres(Path(name, "data")) as port,
    ):
        folder = Path(name)
        streams = ("career_sites", "companies")
        others = ("jobs", "managed_jobs", "expired_jobs")
        variables = {f"jobo__using_{stream}": False for stream in others}
        warehouse = Postgres.on(port, folder, variables)
        Pipeline(sandbox, warehouse.loader, warehouse.destination, folder, streams).run()
        warehouse.dbt("build")
        marts = warehouse.tables(("jobo__ats_share",))
        for path, content in charts(marts).items():
            path.write_bytes(content.encode())


if __name__ == "__main__":
    main()
