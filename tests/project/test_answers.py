"""The answers and charts of the documentation, from the marts over the sandbox's data."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from benchmarks.charts import measured
from tests.support.meltano import environment
from tests.support.pipeline import tool_of
from tests.support.process import execute
from tests.support.repository import REPOSITORY
from tests.support.warehouses import Duckdb, Postgres

pytestmark = pytest.mark.exhaustive

TRANSLATE = """
import duckdb, json, sqlglot, sys
path, dialect, *queries = sys.argv[1:]
database = duckdb.connect(path, read_only=True)
def rows(query):
    (translated,) = sqlglot.transpile(query, read=dialect, write="duckdb", error_level="raise")
    return database.execute(translated).fetchall()
texts = lambda value: str(value).removesuffix(" 00:00:00")  # of days
print(json.dumps([rows(query) for query in queries], default=texts))
"""


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(REPOSITORY / "tools/answers.py"))


def test_answers_and_charts_are_those_of_the_sandbox(
    tool: dict[str, Any], postgres: Postgres, tmp_path: Path
) -> None:
    files = tool["written"](tmp_path, postgres)
    charts = set((REPOSITORY / "docs/charts").glob("*.svg")) - measured().keys()
    others = (REPOSITORY / "docs/query").glob("answers-*.sql")
    assert files.keys() == {tool["PAGE"], *others, *charts}
    for path, content in files.items():
        assert path.read_text("utf-8") == content, "run: uv run tools/answers.py"
    page = files[tool["PAGE"]]
    assert page.count("```sql") == page.count("```text") == 17


def test_the_queries_for_each_warehouse_have_the_same_answers(
    tool: dict[str, Any], tmp_path: Path
) -> None:
    """Parsed in the dialect of the warehouse, and translated to DuckDB's."""
    warehouse = Duckdb.at(tmp_path / "jobo.duckdb", {})
    tool["fill"](tmp_path, warehouse)
    program = tool_of({"pip_url": "sqlglot==30.22.0 duckdb==2.0.1"})
    answers = {}
    for dialect in tool["DIALECTS"]:
        queries = tool["questions"](dialect).values()
        arguments = ("python", "-c", TRANSLATE, warehouse.destination["filepath"], dialect)
        run = execute([*program, *arguments, *queries], environment())
        assert run.returncode == 0, run.stderr
        answers[dialect] = json.loads(run.stdout, parse_float=lambda text: round(float(text), 6))
    assert answers["bigquery"] == answers["snowflake"] == answers["postgres"]
    assert all(answers["postgres"])
