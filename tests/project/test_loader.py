"""How meltano.yml sets target-postgres: faster than its defaults, with the same tables."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import sql

from tests.support import Run
from tests.support.jobs import STREAMS, rows_of
from tests.support.meltano import environment
from tests.support.odd_rows import odd_runs
from tests.support.plugins import plugin_of, tool_of
from tests.support.repository import REPOSITORY

_FASTER = {"validate_records": False, "use_copy": True, "batch_size_rows": 2_000}


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """A first sync and a second one, with odd values."""
    return odd_runs(tmp_path)


def _load(runs: list[Run], folder: Path, settings: dict[str, Any]) -> None:
    plugin = plugin_of("loaders", "target-postgres")
    config = folder / "loader.json"
    config.write_text(json.dumps(plugin["config"] | settings))
    for run in runs:
        done = subprocess.run(
            [*tool_of(plugin), plugin["executable"], "--config", str(config)],
            input=run.stdout,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == run.state


def _tables(url: str, schema: str) -> dict[str, tuple[dict[str, str], list[tuple[str, ...]]]]:
    """The types and the rows of each table as Postgres prints them, without the loader's times."""
    columns = """SELECT table_name, column_name, udt_name FROM information_schema.columns
        WHERE table_schema = %s AND column_name NOT LIKE '\\_sdc%%' ORDER BY column_name"""
    types: dict[str, dict[str, str]] = {}
    tables = {}
    with psycopg.connect(url) as database:
        for table, column, kind in database.execute(columns, [schema]).fetchall():
            types.setdefault(table, {})[column] = kind
        for table, kinds in types.items():
            texts = [sql.SQL("{}::text").format(sql.Identifier(column)) for column in kinds]
            select = sql.SQL("SELECT {} FROM {} ORDER BY id").format(
                sql.SQL(", ").join(texts), sql.Identifier(schema, table)
            )
            tables[table] = (kinds, database.execute(select).fetchall())
    return tables


def test_tables_are_those_of_the_defaults(
    runs: list[Run], postgres_port: int, tmp_path: Path
) -> None:
    url = f"postgresql://postgres@127.0.0.1:{postgres_port}/postgres"
    database = {"sqlalchemy_url": url.replace("postgresql", "postgresql+psycopg")}
    defaults = {"validate_records": True, "use_copy": False, "batch_size_rows": 10_000}
    _load(runs, tmp_path, database | {"default_target_schema": "ours"})
    _load(runs, tmp_path, database | {"default_target_schema": "defaults"} | defaults)
    ours = _tables(url, "ours")
    assert ours.keys() == set(STREAMS)
    assert ours == _tables(url, "defaults")
    for stream, (_, rows) in ours.items():
        assert len(rows) == len(set().union(*(rows_of(run, stream) for run in runs))) > 0


@pytest.mark.parametrize("file", ["meltano.yml", "examples/kubernetes/meltano.yml"])
def test_definitions_set_what_was_measured(file: str) -> None:
    project = yaml.safe_load((REPOSITORY / file).read_text("utf-8"))
    loader = project["plugins"]["loaders"][0]
    assert loader["name"] == "target-postgres"
    assert _FASTER.items() <= loader["config"].items()
    assert _FASTER.keys() <= {setting["name"] for setting in loader["settings"]}
