"""A Postgres and a DuckDB that a loader of meltano.yml fills, and dbt over them."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.support.dbt import Dbt

Row = dict[str, Any]
SCHEMA = "analytics"
_CONNECT = {
    "target-duckdb": """
import duckdb, os
connection = duckdb.connect(os.environ["DBT_DUCKDB_PATH"])
execute = connection.execute
""",
    "target-snowflake": """
import snowflake.connector
connection = snowflake.connector.connect(database="jobo", schema="public")
execute = lambda statement: connection.execute_string(statement.replace("\\\\", "\\\\\\\\"))
""",
    "target-bigquery": """
connection = DATABASE
execute = connection.execute
""",
}
"""How a script in dbt's own environment, which has the client, reaches what a loader fills."""
_QUERY = f"""
import json, sys
statement, *tables = sys.argv[1:]
if statement:
    execute(statement)
def rows(table):
    cursor = connection.cursor().execute(f"SELECT * FROM {SCHEMA}.{{table}}")
    names = [column[0].lower() for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor.fetchall()]
text = lambda value: str(value).removesuffix("+00:00")
print(json.dumps({{table: rows(table) for table in tables}}, default=text))
"""


@dataclass(frozen=True)
class Warehouse:
    """A database that a loader fills and dbt reads."""

    loader: str  #: name of the loader in meltano.yml
    destination: Row  #: its settings that say where the database is
    dbt: Dbt  #: dbt over the same database

    def execute(self, statement: str) -> None:
        raise NotImplementedError

    def tables(self, names: Collection[str]) -> dict[str, list[Row]]:
        """Return the rows of tables of dbt; instants as text, numbers as int or float."""
        raise NotImplementedError


class Postgres(Warehouse):
    """The Postgres on a port, with the package as a project of its own."""

    @classmethod
    def on(cls, port: int, folder: Path, database: str = "postgres") -> Postgres:
        url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/{database}"
        settings = {"DBT_POSTGRES_HOST": "127.0.0.1", "DBT_POSTGRES_PORT": str(port)}
        settings["DBT_POSTGRES_DBNAME"] = database
        dbt = Dbt("dbt-postgres", folder, settings)
        return cls("target-postgres", {"sqlalchemy_url": url}, dbt)

    @property
    def url(self) -> str:
        """The libpq URL."""
        url: str = self.destination["sqlalchemy_url"]
        return url.replace("+psycopg", "")

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as database:
            for statement in statements:
                database.execute(statement.encode())

    def tables(self, names: Collection[str]) -> dict[str, list[Row]]:
        return {name: self.rows(f"SELECT * FROM {SCHEMA}.{name}") for name in names}

    def rows(self, query: str) -> list[Row]:
        """Return the rows of a query, with plain values."""
        with psycopg.connect(self.url, row_factory=dict_row) as database:
            found: list[Row] = database.execute(query.encode()).fetchall()
        return [{key: _plain(value) for key, value in row.items()} for row in found]


class Local(Warehouse):
    """Files in a folder: a DuckDB, or what stands in for Snowflake and BigQuery."""

    @classmethod
    def of(cls, kind: str, folder: Path) -> Local:
        """Return a warehouse of this kind, with the package as a project of its own."""
        settings = {
            "duckdb": {"DBT_DUCKDB_PATH": "jobo.duckdb"},
            "snowflake": {"DBT_SNOWFLAKE_ACCOUNT": "fake", "DBT_SNOWFLAKE_USER": "dbt"},
            "bigquery": {},
        }[kind]
        dbt = Dbt(f"dbt-{kind}", folder, settings)
        return cls(f"target-{kind}", {"filepath": str(folder / "jobo.duckdb")}, dbt)

    def execute(self, statement: str) -> None:
        self._execute(statement)

    def tables(self, names: Collection[str]) -> dict[str, list[Row]]:
        rows: dict[str, list[Row]] = json.loads(self._execute("", *names))
        return rows

    def _execute(self, *arguments: str) -> str:
        return self.dbt.execute(_CONNECT[self.loader] + _QUERY, *arguments).stdout


def _plain(value: Any) -> Any:
    if isinstance(value, date):  # or datetime
        return str(value)
    if isinstance(value, Decimal):
        return float(value)
    return value
