"""How meltano.yml sets target-postgres: faster than its defaults, with the same tables."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.support.jobs import STREAMS, rows_of
from tests.support.pipeline import load, odd_runs
from tests.support.repository import REPOSITORY

pytestmark = pytest.mark.exhaustive


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


def test_tables_are_those_of_the_defaults(postgres_port: int, tmp_path: Path) -> None:
    url = f"postgresql://postgres@127.0.0.1:{postgres_port}/postgres"
    database = {"sqlalchemy_url": url.replace("postgresql", "postgresql+psycopg")}
    defaults = {"validate_records": True, "use_copy": False, "batch_size_rows": 10_000}
    runs = odd_runs(tmp_path)
    for schema, settings in {"ours": {}, "defaults": defaults}.items():
        for run in runs:
            destination = database | {"default_target_schema": schema} | settings
            load(run, "target-postgres", destination, tmp_path)
    ours = _tables(url, "ours")
    assert ours.keys() == set(STREAMS)
    assert ours == _tables(url, "defaults")
    for stream, (kinds, _) in ours.items():
        assert kinds == _documented(stream)
    for stream, (_, rows) in ours.items():
        assert len(rows) == len(set().union(*(rows_of(run, stream) for run in runs))) > 0


def _documented(stream: str) -> dict[str, str]:
    """Return the columns that are documented for a stream, with their types in Postgres."""
    page = (REPOSITORY / "docs/reference/columns.md").read_text("utf-8")
    section = page.partition(f"\n## {stream.removeprefix('managed_')}\n")[2].partition("\n## ")[0]
    columns = re.findall(r"(?m)^- `(\w+)`(?: `(\S+)`)?: ", section)
    return {
        name: f"_{NAMES.get(kind[:-2], kind[:-2])}"
        if kind.endswith("[]")
        else NAMES.get(kind, kind or "text")
        for name, kind in columns
    }


NAMES = {"boolean": "bool", "bigint": "int8"}


def test_only_copy_stores_utc_whatever_the_time_zone(postgres_port: int, tmp_path: Path) -> None:
    url = f"postgresql://postgres@127.0.0.1:{postgres_port}/"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("CREATE DATABASE berlin")
        server.execute("ALTER DATABASE berlin SET timezone TO 'Europe/Berlin'")
    run = odd_runs(tmp_path)[0]
    sent = [row["created_at"] for row in rows_of(run, "jobs").values()]
    database = {"sqlalchemy_url": url.replace("postgresql", "postgresql+psycopg") + "berlin"}
    for schema, use_copy in {"copied": True, "inserted": False}.items():
        destination = database | {"default_target_schema": schema, "use_copy": use_copy}
        load(run, "target-postgres", destination, tmp_path)
        select = sql.SQL("SELECT created_at FROM {} ORDER BY 1")
        with psycopg.connect(url + "berlin") as session:
            rows = session.execute(select.format(sql.Identifier(schema, "jobs"))).fetchall()
        stored = [stored.replace(tzinfo=UTC) for (stored,) in rows]
        assert (stored == sorted(map(datetime.fromisoformat, sent))) is use_copy
