"""The answers and charts of the documentation, from the marts over the sandbox's data."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from benchmarks.charts import measured
from tests.support.repository import REPOSITORY
from tests.support.warehouses import Postgres

pytestmark = pytest.mark.exhaustive


def test_answers_and_charts_are_those_of_the_sandbox(postgres: Postgres, tmp_path: Path) -> None:
    tool = runpy.run_path(str(REPOSITORY / "tools/answers.py"))
    files = tool["written"](tmp_path, postgres)
    charts = set((REPOSITORY / "docs/charts").glob("*.svg")) - measured().keys()
    others = (REPOSITORY / "docs/query").glob("answers-*.sql")
    assert files.keys() == {tool["PAGE"], *others, *charts}
    for path, content in files.items():
        assert path.read_text("utf-8") == content, "run: uv run tools/answers.py"
    page = files[tool["PAGE"]]
    assert page.count("```sql") == page.count("```text") == 17
