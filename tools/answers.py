"""Writes the answers of docs/query/answers.md and the charts: `uv run tools/answers.py`.

The questions are those of answers.sql. The same sandbox gives the same answers: a test writes them
again and fails if the files differ.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).parent))

from draw_charts import charts

from benchmarks.report import marks
from jobo_sandbox import Sandbox
from jobo_sandbox.postgres import running_postgres
from tests.support.pipeline import Pipeline
from tests.support.warehouses import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE: Final = Path(__file__).parents[1] / "docs/query/answers.md"
QUESTIONS: Final = Path(__file__).with_name("answers.sql")
STREAMS: Final = ("career_sites", "companies", "jobs", "expired_jobs")
WORLD: Final[Mapping[str, Any]] = {
    "size": 300, "jobs": 600, "seed": 1, "created_at": datetime(2026, 11, 1, tzinfo=UTC),
}  # fmt: skip
"""The options of the sandbox. Its day is fixed, so that the jobs of a month stay the same."""
MARK: Final = "<!-- not run: test_answers runs all of this page -->"


def written(folder: Path, warehouse: Postgres) -> dict[Path, str]:
    """Fill a warehouse from the sandbox, build the marts, and return the files with their texts."""
    with Sandbox(**WORLD) as sandbox:
        Pipeline(sandbox, warehouse.loader, warehouse.destination, folder, STREAMS).run()
    warehouse.dbt("build --exclude-resource-type unit_test")
    before, after = marks("answers")
    text = PAGE.read_text("utf-8")
    old = text.partition(before)[2].partition(after)[0]
    sections = "\n".join(["", *_sections(warehouse)])
    page = text.replace(f"{before}{old}{after}", f"{before}{sections}{after}")
    return {PAGE: page} | charts(warehouse)


def _sections(warehouse: Postgres) -> Iterator[str]:
    for question in QUESTIONS.read_text("utf-8").split("\n\n"):
        title, _, query = question.strip().removeprefix("-- ").partition("\n")
        yield f"## {title}\n\n{MARK}\n```sql\n{query}\n```\n"
        yield f"```text\n{_table(warehouse.rows(query.removesuffix(';')))}\n```\n"


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [[*rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numbers = [isinstance(value, (int, float)) for value in rows[0].values()]

    def line(cells: list[str]) -> str:
        return "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(cells, widths, numbers, strict=True)
        ).rstrip()

    return "\n".join(
        (line(lines[0]), "  ".join("-" * width for width in widths), *map(line, lines[1:]))
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        return f"{value:,.0f}" if value == int(value) else f"{value:,}"
    return str(value)


def main() -> None:
    """Write the page and the charts."""
    with (
        TemporaryDirectory(prefix="tap-jobo-") as name,
        running_postgres(Path(name, "data")) as port,
    ):
        for path, text in written(Path(name), Postgres.on(port, Path(name), {})).items():
            path.write_bytes(text.encode())


if __name__ == "__main__":
    main()
