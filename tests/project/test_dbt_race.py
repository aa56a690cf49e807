"""A loader that writes between any two statements of dbt, and readers who look meanwhile."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.project.test_dbt_tables import JOB, KINDS, at, only, warehouse_of
from tests.support.dbt import PACKAGE
from tests.support.tables import STREAMS, create, upsert
from tests.support.warehouses import Postgres, Warehouse

pytestmark = pytest.mark.exhaustive

MODELS = ("stg_jobo__jobs", "int_jobo__job_skills")
RACE = """
import json, sys
from dbt.cli.main import dbtRunner
kind, writes, command = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
if kind == "bigquery":
    manager_type, method = BigQueryConnectionManager, "execute"
else:
    from dbt.adapters.sql import SQLConnectionManager as manager_type
    method = "add_query"
run_query, readings = getattr(manager_type, method), []
def other_connection(dbt):
    if kind == "postgres":
        import psycopg2
        own = dbt.credentials
        place = {"host": own.host, "port": own.port, "dbname": own.database}
        connection = psycopg2.connect(user=own.user, **place)
        connection.autocommit = True
    elif kind == "duckdb":
        connection = dbt.handle._env.conn.cursor()
    elif kind == "bigquery":
        connection = DATABASE
    else:
        import snowflake.connector
        connection = snowflake.connector.connect(database="jobo", schema="public")
    return connection
def query(connection, statement):
    cursor = connection.cursor()
    cursor.execute(statement)
    return cursor
def race(manager, sql, *arguments, **options):
    found = run_query(manager, sql, *arguments, **options)
    dbt = manager.get_thread_connection()
    model = str(dbt.name).rpartition(".")[2]
    if model in writes and sql.strip()[-1:]:
        other = other_connection(dbt)
        rows = query(other, f"SELECT job_id FROM analytics.{model}").fetchall()
        readings.append((model, sorted(row[0] for row in rows)))
        for statement in writes[model][:1]:
            for part in statement.split(";"):
                query(other, part)
        del writes[model][:1]
    return found
setattr(manager_type, method, race)
assert dbtRunner().invoke(command).success
print(json.dumps([readings, writes]))
"""


@pytest.mark.parametrize(
    ("kind", "strategy"),  # merge, not with the DuckDB of the loader, which has none
    [*((kind, "") for kind in KINDS), ("postgres", "merge"), ("snowflake", "merge")],
)
def test_rows_are_neither_doubled_nor_missing(
    postgres: Postgres, tmp_path: Path, kind: str, strategy: str
) -> None:
    """Nor do those stay that have left the loader's table, whatever the strategy."""
    warehouse, schema = warehouse_of(kind, postgres, tmp_path)
    if strategy:
        project = _with_strategy(strategy, tmp_path)
        warehouse = replace(warehouse, dbt=replace(warehouse.dbt, project=project))
    create(warehouse, STREAMS, schema)
    stays, goes = [f"job {number}" for number in range(21)], "gone"
    warehouse.execute(upsert(schema, "jobs", [at(2, id=key, **JOB) for key in (*stays, goes)]))
    warehouse.dbt(only(*MODELS))
    warehouse.execute(f"DELETE FROM {schema}.jobs WHERE id = '{goes}'")
    warehouse.execute(upsert(schema, "jobs", [at(3, id=key, **JOB) for key in stays[:5]]))
    # Changes of the same and of other jobs, and a new one, after each statement.
    steps = [
        upsert(schema, "jobs", [at(4 + number, id=key, **JOB) for key in (*stays[2:9], "new")])
        for number in range(8)
    ]
    readings = _race(warehouse, kind, {"stg_jobo__jobs": steps, "int_jobo__job_skills": []})
    assert len(readings) > 3
    for seen in readings:
        assert sorted({*seen} - {goes, "new"}) == sorted(stays)
        assert len(seen) == len({*seen})
    for _ in range(2):
        rows = warehouse.tables(MODELS)["stg_jobo__jobs"]
        assert {row["job_id"] for row in rows} - {"new"} == {*stays}
        assert len({row["job_id"] for row in rows}) == len(rows)
        warehouse.dbt(only(*MODELS))
    tables = warehouse.tables(MODELS)
    assert len(tables["stg_jobo__jobs"]) == len(tables["int_jobo__job_skills"]) == 22


def _with_strategy(strategy: str, folder: Path) -> Path:
    """Return a copy of the package whose staging models have another strategy."""
    project = folder / "project"
    shutil.copytree(PACKAGE, project, ignore=shutil.ignore_patterns("target", "dbt_packages"))
    for path in (project / "models/staging").glob("stg_jobo__*.sql"):
        text = path.read_text("utf-8").replace("=jobo.by_key()", f'="{strategy}"')
        path.write_text(text, "utf-8")
    return project


def _race(warehouse: Warehouse, kind: str, writes: dict[str, list[str]]) -> list[list[str]]:
    """Build while a loader writes, and return what others could read after each statement."""
    command = [*only(*MODELS).split(), *warehouse.dbt.options]
    run = warehouse.dbt.execute(RACE, kind, json.dumps(writes), *command)
    assert run.returncode == 0, run.stdout + run.stderr
    readings, left = json.loads(run.stdout.splitlines()[-1])
    assert len(left["stg_jobo__jobs"]) < len(writes["stg_jobo__jobs"])
    return [seen for _, seen in readings]
