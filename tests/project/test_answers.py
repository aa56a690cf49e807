"""The answers and charts of the documentation, from the marts over the sandbox's data."""

import json
import os
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from benchmarks.charts import measured
from tests.support.pipeline import tool_of
from tests.support.process import succeed
from tests.support.repository import REPOSITORY
from tests.support.warehouses import Local, Postgres

pytestmark = pytest.mark.exhaustive

TRANSLATE = """
import duckdb, json, sqlglot, sys
path, dialect, statement, *queries = sys.argv[1:]
database = duckdb.connect(path, read_only=True)
database.execute(f"SET threads = 1; {statement}")
def rows(query):
    (translated,) = sqlglot.transpile(query, read=dialect, write="duckdb", error_level="raise")
    return database.execute(translated).fetchall()
texts = lambda value: str(value).removesuffix(" 00:00:00")  # of days
print(json.dumps([rows(query) for query in queries], default=texts))
"""
SORTED_BY = {
    "jobo__ats_moves": ("name",),
    "jobo__funding_rounds": ("name",),
    "jobo__job_locations": ("country",),
    "jobo__job_openings": ("company_name", "normalized_title"),
    "jobo__open_jobs": ("company_name", "country", "title"),
}
"""The columns of marts that are sorted by and can be null."""
TOOL: dict[str, Any] = runpy.run_path(str(REPOSITORY / "tools/answers.py"))


def test_answers_and_charts_are_those_of_the_sandbox(postgres: Postgres, tmp_path: Path) -> None:
    files = TOOL["written"](tmp_path, postgres)
    charts = set((REPOSITORY / "docs/charts").glob("*.svg")) - measured().keys()
    others = (REPOSITORY / "dbt/answers").glob("*.sql")
    assert files.keys() == {TOOL["PAGE"], TOOL["README"], *others, *charts}
    for path, content in files.items():
        assert path.read_text("utf-8") == content, "run: uv run tools/answers.py"
    page = files[TOOL["PAGE"]]
    assert page.count("```sql") == page.count("```text") == 16


def test_the_queries_for_each_warehouse_have_the_same_answers(tmp_path: Path) -> None:
    """Each is parsed in the dialect of its warehouse, and translated to DuckDB's.

    They run over copies of marts in which a name is as often null as `~`, so that both tie: nulls
    are sorted alike.
    """
    warehouse = Local.of("duckdb", tmp_path)
    TOOL["fill"](tmp_path, warehouse)
    copies = ""
    for mart, columns in SORTED_BY.items():
        copies += f"CREATE TEMP TABLE {mart} AS SELECT * FROM analytics.{mart};"
        for column in columns:
            for value in ("NULL", "'~'"):
                rows = f"SELECT * REPLACE ({value} AS {column}) FROM analytics.{mart}"
                copies += f"INSERT INTO {mart} {rows};"
    program = tool_of({"pip_url": "sqlglot==30.22.0 duckdb==2.0.1"})
    found = []
    for dialect in TOOL["DIALECTS"]:
        path = warehouse.destination["filepath"]
        queries = [_of_all_copies(query) for query in TOOL["questions"](dialect).values()]
        arguments = ("python", "-c", TRANSLATE, path, dialect, copies)
        run = succeed([*program, *arguments, *queries], os.environ)
        found.append(json.loads(run.stdout, parse_float=lambda text: round(float(text), 6)))
    for question, first, *others in zip(TOOL["questions"]("postgres"), *found, strict=True):
        assert first, question
        assert [first, first] == others, question


def _of_all_copies(query: str) -> str:
    names = "|".join(SORTED_BY)
    return re.sub(rf"analytics\.({names})\b", r"\1", query).partition("\nLIMIT")[0]
