"""The same loop into Postgres: COPY into a temporary table, then one upsert. It keeps nothing."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import psycopg
import requests
from psycopg import sql

url, path, rows, size, schema, database = sys.argv[1:7]
properties = json.loads(schema)["properties"]


def type_of(definition: dict[str, Any]) -> str:
    """Return the type of a field's column."""
    if "array" in definition["type"] and "string" in definition["items"]["type"]:
        return "text[]"
    if "boolean" in definition["type"]:
        return "boolean"
    if definition.get("format") == "date-time":
        return "timestamptz"
    return "text" if "string" in definition["type"] else "jsonb"


types = {name: type_of(definition) for name, definition in properties.items()}
nested = {name for name, kind in types.items() if kind == "jsonb"}
key, *others = map(sql.Identifier, types)
table, columns = sql.Identifier(rows), sql.SQL(", ").join([key, *others])
lines = [sql.SQL(f"{{}} {kind}").format(sql.Identifier(name)) for name, kind in types.items()]
create = sql.SQL("CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY (id))")
stage = sql.SQL("CREATE TEMPORARY TABLE staged (LIKE {})").format(table)
copy = sql.SQL("COPY staged ({}) FROM STDIN").format(columns)
upsert = sql.SQL("INSERT INTO {} SELECT * FROM staged ON CONFLICT (id) DO UPDATE SET {}").format(
    table, sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(name) for name in others)
)
session = requests.Session()
session.headers["X-Api-Key"] = os.environ["JOBO_API_KEY"]
body: dict[str, object] = {"batch_size": int(size)}
with psycopg.connect(database) as connection, connection.cursor() as cursor:
    cursor.execute(create.format(table, sql.SQL(", ").join(lines)))
    cursor.execute(stage)
    with cursor.copy(copy) as copying:
        while True:
            response = session.post(f"{url}{path}", json=body, timeout=120)
            response.raise_for_status()
            page = response.json()
            for row in page[rows]:
                copying.write_row(
                    [json.dumps(row.get(n)) if n in nested else row.get(n) for n in types]
                )
            if not page["has_more"]:
                break
            body["cursor"] = page["next_cursor"]
    cursor.execute(upsert)
