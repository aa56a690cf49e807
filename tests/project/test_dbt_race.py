"""A loader that writes between any two statements of dbt, and readers who look meanwhile."""

import json
from pathlib import Path

import pytest

from tests.project.test_dbt_tables import JOB, at, only, warehouse_of
from tests.support.tables import STREAMS, TIMES, create, upsert
from tests.support.warehouses import Postgres, Warehouse

pytestmark = pytest.mark.exhaustive

MODELS = ("stg_jobo__jobs", "int_jobo__job_locations")
POSTING = {**JOB, "locations": [{"location": "Rome"}]}
STAYS = [f"job {number}" for number in range(100)]
"""Jobs of which each write changes another one, so that it differs since then."""
TURNS = ("even", "odd")
"""Of writes: in one, a job leaves `jobs`, also for `managed_jobs`, and in the other it is back."""
RACE = """
import json, sqlparse, sys
from dbt.adapters.sql import SQLConnectionManager
from dbt.cli.main import dbtRunner
kind, MODELS, writes = sys.argv[1], sys.argv[2].split(), json.loads(sys.argv[3])
command = sys.argv[4:]
run_query, readings = SQLConnectionManager.add_query, []
def other_connection(dbt):
    if kind == "postgres":
        import psycopg2
        own = dbt.credentials
        place = {"host": own.host, "port": own.port, "dbname": own.database}
        connection = psycopg2.connect(user=own.user, **place)
        connection.autocommit = True
    else:
        connection = dbt.handle._env.conn.cursor()
    return connection
def query(connection, statement):
    cursor = connection.cursor()
    cursor.execute(statement)
    return cursor
def race(manager, sql, *arguments, **options):
    dbt = manager.get_thread_connection()
    model = str(dbt.name).rpartition(".")[2]
    # What dbt sends at once runs one after the other, too.
    for statement in (model in MODELS and sqlparse.split(sql)) or [sql]:
        found = run_query(manager, statement, *arguments, **options)
        if model in MODELS:
            other = other_connection(dbt)
            rows = query(other, f"SELECT job_id FROM analytics.{model}").fetchall()
            readings.append((statement, sorted(row[0] for row in rows)))
            for part in writes.pop(0).split(";"):
                query(other, part)
    return found
SQLConnectionManager.add_query = race
assert dbtRunner().invoke(command).success
print(json.dumps(readings))
"""


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_rows_are_neither_doubled_nor_missing(
    postgres: Postgres, tmp_path: Path, kind: str
) -> None:
    """Nor do those stay that have left the loader's table.

    The stand-ins for BigQuery and Snowflake have no transactions of their own.
    """
    warehouse, schema = warehouse_of(kind, postgres, tmp_path)
    create(warehouse, STREAMS, schema)
    jobs = [*STAYS, *(f"{verb} {turn}" for verb in ("moves", "comes") for turn in TURNS), "gone"]
    warehouse.execute(upsert(schema, "jobs", [at(2, id=key, **POSTING) for key in jobs]))
    warehouse.dbt(only(*MODELS))
    warehouse.execute(f"DELETE FROM {schema}.jobs WHERE id = 'gone'")
    warehouse.execute(upsert(schema, "jobs", [at(3, id=key, **POSTING) for key in STAYS[-5:]]))
    readings = _race(warehouse, kind, [_write(schema, number) for number in range(95)])
    assert len([sql for sql, _ in readings if "stg_jobo__jobs__changes" in sql]) > 2
    for sql, seen in readings:
        assert len(seen) == len({*seen}), sql
        assert {key for key in seen if key.startswith(("job", "moves"))} == {*jobs[:-3]}, sql
    assert "gone" not in readings[-1][1]
    warehouse.dbt(only(*MODELS))
    staging, places = warehouse.tables(MODELS).values()
    last = len(readings) - 1
    expected = {
        **{key: ("jobs", _time(number)) for number, key in enumerate(STAYS[: last + 1])},
        **{key: (stream, _time(last)) for key, stream in _turns(last).items() if stream},
    }
    unchanged = STAYS[last + 1 :]
    found = {row["job_id"]: (row["stream"], str(row["loaded_at"])) for row in staging}
    assert len(staging) == len(places) == len(found)
    assert found.keys() == {*expected, *unchanged}
    assert {key: found[key] for key in expected} == expected


def _turns(number: int) -> dict[str, str]:
    """The streams of the jobs that a write moves, or that it deletes: of those, it is empty."""
    found = {}
    for turn, name in enumerate(TURNS):
        is_back = (number + turn) % 2 == 0
        found[f"moves {name}"] = "jobs" if is_back else "managed_jobs"
        found[f"comes {name}"] = "jobs" if is_back else ""
    return {**found, "new": "jobs"}


def _write(schema: str, number: int) -> str:
    """Change some jobs, also between the streams, as a loader does after a statement of dbt."""
    statements = []
    for key, stream in {STAYS[number]: "jobs", **_turns(number)}.items():
        row = {"id": key, **POSTING, **dict.fromkeys(TIMES, _time(number))}
        for table in ("jobs", "managed_jobs"):
            deletion = f"DELETE FROM {schema}.{table} WHERE id = '{key}'"
            statements.append(upsert(schema, table, [row]) if table == stream else deletion)
    return ";".join(statements)


def _time(number: int) -> str:
    return f"2026-01-04 {number // 60:02}:{number % 60:02}:00"


def _race(warehouse: Warehouse, kind: str, writes: list[str]) -> list[tuple[str, list[str]]]:
    """Build while a loader writes, and return statements with what others could read after each."""
    command = [*only(*MODELS).split(), *warehouse.dbt.options]
    run = warehouse.dbt.execute(RACE, kind, " ".join(MODELS), json.dumps(writes), *command)
    readings: list[tuple[str, list[str]]] = json.loads(run.stdout.splitlines()[-1])
    return readings
