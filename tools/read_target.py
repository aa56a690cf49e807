"""Prints the tables that a target wrote, as JSON: `read_target.py KIND LOCATION`.

`try_targets.py` runs it where the library of the kind is installed. Each line is a table: its name,
the types of its columns where the kind has them, and its rows.
"""

from __future__ import annotations

import gzip
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Row = dict[str, Any]
Types = dict[str, str]


def _schema(cursor: Any, schema: str) -> Iterator[tuple[str, Types, list[Row]]]:
    columns = "SELECT table_name, column_name, data_type FROM information_schema.columns"
    cursor.execute(f"{columns} WHERE table_schema = '{schema}'")  # not from outside
    tables: dict[str, Types] = {}
    for table, column, data_type in cursor.fetchall():
        tables.setdefault(table, {})[column] = data_type
    for table, types in tables.items():
        yield table, types, _rows(cursor, f'"{table}"')


def _rows(cursor: Any, table: str) -> list[Row]:
    cursor.execute(f"SELECT * FROM {table}")  # noqa: S608 - not from outside
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _postgres(url: str) -> Iterator[tuple[str, Types, list[Row]]]:
    return _schema(import_module("psycopg").connect(url).cursor(), "public")


def _duckdb(path: str) -> Iterator[tuple[str, Types, list[Row]]]:
    return _schema(import_module("duckdb").connect(path), "main")


def _jsonl(path: Path) -> tuple[Types, list[Row]]:
    return {}, [json.loads(line) for line in _content(path).split(b"\n") if line]


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def _parquet(path: Path) -> tuple[Types, list[Row]]:
    table = import_module("pyarrow.parquet").ParquetFile(path).read()
    return {column.name: str(column.type) for column in table.schema}, table.to_pylist()


DATABASES: dict[str, Callable[[str], Iterator[tuple[str, Types, list[Row]]]]] = {
    "postgres": _postgres,
    "duckdb": _duckdb,
}
FILES: dict[str, Callable[[Path], tuple[Types, list[Row]]]] = {
    "jsonl": _jsonl,
    "parquet": _parquet,
}


def _tables(kind: str, location: str) -> Iterator[tuple[str, Types, list[Row]]]:
    if kind in DATABASES:
        yield from DATABASES[kind](location)
        return
    files = Path(location).rglob(f"*.{kind}*")
    for path in sorted(files, key=lambda path: path.stat().st_mtime_ns):  # the newest rows last
        yield (path.name, *FILES[kind](path))


if __name__ == "__main__":
    for name, types, rows in _tables(*sys.argv[1:]):
        line = json.dumps({"name": name, "types": types, "rows": rows}, default=str)
        sys.stdout.write(f"{line}\n")
