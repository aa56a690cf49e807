"""DuckDB as BigQuery, for what a test runs after it in the environment of dbt-bigquery.

Every statement of dbt is parsed as BigQuery's SQL by sqlglot, translated, and run in a file of
the current folder. What sqlglot does not translate, and what dbt asks BigQuery's API for, is
patched here.
"""

import contextlib
import os
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import sqlglot
from dbt.adapters.bigquery import BigQueryAdapter, BigQueryColumn, BigQueryConnectionManager
from dbt.adapters.bigquery.connections import BigQueryAdapterResponse
from dbt.adapters.contracts.connection import ConnectionState
from dbt_common.clients.agate_helper import table_from_data_flat
from sqlglot import exp

RESERVED = set(
    tomllib.loads(Path(os.environ["RESERVED_WORDS"]).read_text("utf-8"))["bigquery"].split()
)
LOCK = threading.RLock()  # one statement at a time, as if each were a transaction
DATABASE = duckdb.connect("jobo.db")
DATABASE.execute(
    """
    SET TimeZone = 'UTC';
    CREATE SCHEMA IF NOT EXISTS public;
    CREATE SCHEMA IF NOT EXISTS analytics;
    CREATE OR REPLACE TEMP MACRO bq_type(value) AS
        CASE json_type(value) WHEN 'VARCHAR' THEN 'string' ELSE lower(json_type(value)) END;
    CREATE OR REPLACE TEMP MACRO bq_text(value) AS
        CASE WHEN json_type(value) NOT IN ('ARRAY', 'OBJECT', 'NULL') THEN value ->> '$' END;
    CREATE OR REPLACE TEMP MACRO bq_items(value) AS
        CASE WHEN json_type(value) = 'ARRAY' THEN CAST(CAST(value AS JSON) AS JSON[]) END;
    CREATE OR REPLACE TEMP MACRO bq_texts(value) AS
        CASE WHEN json_type(value) = 'ARRAY' THEN CAST(CAST(value AS JSON) AS VARCHAR[]) END;
    """
)
TYPES = {
    "VARCHAR": "STRING",
    "BIGINT": "INT64",
    "INTEGER": "INT64",
    "HUGEINT": "INT64",
    "DOUBLE": "FLOAT64",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMP",
    "BOOLEAN": "BOOL",
    "DATE": "DATE",
    "JSON": "JSON",
}


def call(name: str, *arguments: exp.Expression) -> exp.Expression:
    """Return a call of a function of DuckDB."""
    return exp.Anonymous(this=name, expressions=[each.copy() for each in arguments])


def _member(node: exp.Expression) -> exp.Expression:
    path = node.expression.sql("bigquery").strip("'")
    return node.this if path == "$" else call("json_extract", node.this, exp.Literal.string(path))


def _quantile(node: exp.Bracket) -> exp.Expression:
    (position,) = node.expressions
    part = exp.Literal.number(int(position.name) / 100)
    return call("quantile_cont", node.this.this, part)


def _matched(node: exp.RegexpExtract) -> exp.Expression:
    """Null where nothing matches: DuckDB returns an empty text."""
    found = call("regexp_extract", node.this, node.expression, exp.Literal.number(1))
    return call("nullif", found, exp.Literal.string(""))


REPLACED: dict[type[exp.Expression], Callable[[Any], exp.Expression]] = {
    exp.JSONExtractScalar: lambda node: call("bq_text", _member(node)),
    exp.JSONExtract: _member,
    exp.JSONExtractArray: lambda node: call("bq_items", node.this),
    exp.JSONValueArray: lambda node: call("bq_texts", node.this),
    exp.RegexpExtract: _matched,
    exp.JSONType: lambda node: call("bq_type", node.this),
    exp.JSONFormat: lambda node: call("to_json", node.this),
    exp.ParseJSON: lambda node: exp.cast(node.this, "json"),
}
"""What sqlglot translates to something that differs from BigQuery where a value is odd."""


def statements(sql: str) -> list[str]:
    """Parse BigQuery's SQL, in which no name is a reserved word, and return DuckDB's.

    APPROX_QUANTILES becomes the exact percentile, as the other warehouses have it.
    """
    translated = []
    for tree in sqlglot.parse(sql, read="bigquery", error_level=sqlglot.ErrorLevel.RAISE):
        for node in reversed(list(tree.walk() if tree else [])):
            if (
                isinstance(node, exp.Identifier)
                and not node.quoted
                and node.name.lower() in RESERVED
            ):
                raise ValueError(f"{node.name} is a reserved word of BigQuery: {sql}")
            if isinstance(node, exp.Bracket) and isinstance(node.this, exp.ApproxQuantiles):
                node.replace(_quantile(node))
            elif type(node) in REPLACED:
                node.replace(REPLACED[type(node)](node))
        # A contract's columns: DuckDB takes the types of the rows.
        if isinstance(tree, exp.Create) and tree.expression and isinstance(tree.this, exp.Schema):
            tree.set("this", tree.this.this)
        if tree:
            translated.append(tree.sql("duckdb"))
    return translated


def execute(
    _: object, sql: str, auto_begin: object = None, fetch: object = None, limit: object = None
) -> tuple[BigQueryAdapterResponse, Any]:
    """Run what dbt would send."""
    del auto_begin, limit  # as in BigQuery, and of no use here
    with LOCK:
        for statement in statements(sql):
            cursor = DATABASE.execute(statement)
        names = [column[0] for column in cursor.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()] if fetch else []
    return BigQueryAdapterResponse(_message="OK"), table_from_data_flat(rows, names)


def _rows(sql: str) -> list[Any]:
    with LOCK:
        return list(DATABASE.execute(sql).fetchall())


def _columns(described: list[Any]) -> list[BigQueryColumn]:
    return [BigQueryColumn(name, TYPES.get(kind, kind)) for name, kind, *_ in described]


def _relations(adapter: BigQueryAdapter, schema: Any) -> list[Any]:
    found = _rows(
        "SELECT table_name, table_type FROM information_schema.tables"
        f" WHERE table_schema = '{schema.schema}'"
    )
    return [
        adapter.Relation.create(
            database=schema.database,
            schema=schema.schema,
            identifier=name,
            quote_policy={"schema": True, "identifier": True},
            type="view" if kind == "VIEW" else "table",
        )
        for name, kind in found
    ]


def _get_relation(adapter: BigQueryAdapter, database: str, schema: str, identifier: str) -> Any:
    place = SimpleNamespace(database=database, schema=schema)
    found = [each for each in _relations(adapter, place) if each.identifier == identifier]
    return found[0] if found else None


def _describe(_: object, relation: Any) -> list[BigQueryColumn]:
    return _columns(_rows(f'DESCRIBE {relation.schema}."{relation.identifier}"'))


def _drop(_: object, relation: Any) -> None:
    place = f'{relation.schema}."{relation.identifier}"'
    for kind in ("TABLE", "VIEW"):
        with contextlib.suppress(duckdb.CatalogException):
            _rows(f"DROP {kind} IF EXISTS {place}")


def _add_columns(_: object, relation: Any, columns: list[Any]) -> None:
    if columns:
        raise NotImplementedError(f"{relation} would get columns")


def _open(_: type, connection: Any) -> Any:
    connection.state = ConnectionState.OPEN
    connection.handle = SimpleNamespace(close=lambda: None)
    return connection


BigQueryConnectionManager.open = classmethod(_open)
BigQueryConnectionManager.execute = execute
BigQueryAdapter.list_schemas = lambda *_: ["public", "analytics"]
BigQueryAdapter.check_schema_exists = lambda *_: True
BigQueryAdapter.list_relations_without_caching = _relations
BigQueryAdapter.get_relation = _get_relation
BigQueryAdapter.get_columns_in_relation = _describe
BigQueryAdapter.get_column_schema_from_query = lambda _, sql, *__: _columns(
    _rows(f"DESCRIBE {statements(sql)[-1]}")
)
BigQueryAdapter.alter_table_add_columns = _add_columns
BigQueryAdapter.is_replaceable = lambda *_: True
BigQueryAdapter.drop_relation = _drop
