"""Writes the answers of dbt/ANSWERS.md and the charts: `uv run tools/answers.py`.

The questions are those of answers.sql, in the SQL that Postgres, BigQuery, and Snowflake share, but
for the functions in `DIALECTS`. The same sandbox gives the same answers: a test writes them again,
and fails if the files differ.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).parent))

from draw_charts import charts

from benchmarks.report import marks
from jobo_sandbox import Sandbox
from jobo_sandbox.postgres import running_postgres
from tests.support import tap_of
from tests.support.clock import with_clock
from tests.support.pipeline import load
from tests.support.warehouses import Postgres, Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE: Final = Path(__file__).parents[1] / "dbt/ANSWERS.md"
README: Final = PAGE.with_name("README.md")
EXAMPLES: Final = (
    "Which companies recently switched their applicant tracking system?",
    "Which companies have the most open jobs?",
    "Which jobs are new since October 26?",
    "How long do openings stay open?",
    "Which roles pay the most in the United States?",
)
"""The questions that the package's README shows, without answers."""
QUESTIONS: Final = Path(__file__).with_name("answers.sql")
STREAMS: Final = ("career_sites", "companies", "jobs", "expired_jobs")
WORLD: Final[Mapping[str, Any]] = {
    "size": 300, "jobs": 600, "seed": 1, "created_at": datetime(2026, 11, 1, tzinfo=UTC),
}  # fmt: skip
"""The options of the sandbox. Its day is fixed, so that the jobs of a month stay the same."""
DAYS: Final = (datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 9, tzinfo=UTC))
"""When the tap runs."""
DIALECTS: Final[Mapping[str, Mapping[str, str]]] = {
    "postgres": {
        "week": "CAST(date_trunc('week', {}) AS date)",
        "month": "CAST(date_trunc('month', {}) AS date)",
    },
    "bigquery": {
        "week": "date_trunc(CAST({} AS date), ISOWEEK)",
        "month": "date_trunc(CAST({} AS date), MONTH)",
    },
    "snowflake": {  # whatever WEEK_START of the account is
        "week": "dateadd('day', 1 - dayofweekiso({0}), CAST({0} AS date))",
        "month": "CAST(date_trunc('month', {}) AS date)",
    },
}
"""By warehouse: the Monday of an instant, and the first day of its month."""
MARK: Final = "<!-- not run: test_answers runs all of this page -->"


def fill(folder: Path, warehouse: Warehouse) -> None:
    """Run the tap and dbt twice, over a world in which sites move and jobs close in between."""
    today = DAYS[0]
    with Sandbox(**WORLD, clock=lambda: today.timestamp()) as sandbox:  # noqa: PLW0108 - it changes
        tap, state = tap_of(sandbox, folder, *STREAMS), None
        for today in DAYS:
            run = with_clock(tap, today).succeed(state=state)
            load(run, warehouse.loader, warehouse.destination, folder)
            state = run.state
            warehouse.dbt("build")
            _change(sandbox)


def _change(sandbox: Sandbox) -> None:
    day = DAYS[0]
    for key, ats in zip(
        sorted(sandbox.world.rows()), ("greenhouse", "ashby", "workday"), strict=False
    ):
        sandbox.world.touch(key, ats=ats, listing_url=f"https://jobs.example/{ats}", at=day)
    for number, key in enumerate(sorted(sandbox.world.jobs())[:60]):
        sandbox.world.expire_job(key, at=day + timedelta(hours=7 + 2 * number))  # within 7 days


def questions(dialect: str) -> dict[str, str]:
    """Return the queries by their questions."""
    text = QUESTIONS.read_text("utf-8").strip()
    for name, call in DIALECTS[dialect].items():
        text = re.sub(rf"\b{name}\((\w+)\)", call.replace("{}", r"\1").replace("{0}", r"\1"), text)
    parts = re.split(r"\n\n(?=-- .*\?\n)", text)
    return {title[3:]: query for title, _, query in (part.partition("\n") for part in parts)}


def written(folder: Path, warehouse: Postgres) -> dict[Path, str]:
    """Fill a warehouse from the sandbox, and return the files with their texts."""
    fill(folder, warehouse)
    others = {
        PAGE.with_name("answers") / f"{dialect}.sql": "\n\n".join(
            f"-- {title}\n{query}" for title, query in questions(dialect).items()
        )
        + "\n"
        for dialect in DIALECTS
        if dialect != "postgres"
    }
    queries = questions("postgres")
    examples = "\n".join(f"{title}\n\n{MARK}\n{_block(queries[title])}" for title in EXAMPLES)
    return {
        PAGE: _between(PAGE, "answers", "\n".join(["", *_sections(warehouse)])),
        README: _between(README, "queries", f"\n{examples}\n"),
        **others,
        **charts(warehouse),
    }


def _between(page: Path, name: str, sections: str) -> str:
    """Return the text of a page, with these sections between its marks."""
    before, after = marks(name)
    text = page.read_text("utf-8")
    old = text.partition(before)[2].partition(after)[0]
    return text.replace(f"{before}{old}{after}", f"{before}{sections}{after}")


def _block(query: str) -> str:
    return f"```sql\n{query}\n```\n"


def _sections(warehouse: Postgres) -> Iterator[str]:
    for title, query in questions("postgres").items():
        yield f"## {title}\n\n{MARK}\n{_block(query)}"
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
        for path, text in written(Path(name), Postgres.on(port, Path(name))).items():
            path.write_bytes(text.encode())


if __name__ == "__main__":
    main()
