"""The catalog of `--discover`, a file a stream: a change of schema is a visible diff.

The streams of jobs share one, because they differ in their name alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator  # type: ignore[import-untyped]
from singer_sdk.sql.connector import JSONSchemaToSQL
from sqlalchemy import Column, MetaData, Table
from sqlalchemy.dialects import mssql, mysql
from sqlalchemy.schema import CreateTable

from tests.support import discover
from tests.support.repository import REPOSITORY

SNAPSHOTS = REPOSITORY / "tests/snapshots"


def test_catalog_is_as_its_snapshots() -> None:
    entries = {entry["tap_stream_id"]: entry for entry in discover()["streams"]}
    snapshots = {path.stem: path.read_text("utf-8") for path in SNAPSHOTS.iterdir()}
    managed = entries.pop("managed_jobs")
    assert json.dumps(managed).replace("managed_jobs", "jobs") == json.dumps(entries["jobs"])
    assert entries.keys() == snapshots.keys()
    for name, entry in entries.items():
        assert _lines(entry) == _lines(json.loads(snapshots[name])), "run: uv run tools/generate.py"


def _lines(entry: Mapping[str, Any]) -> list[str]:
    """Return an entry with its fields in their order; that of the entry's keys is the SDK's."""
    return json.dumps(dict(sorted(entry.items())), indent=2).splitlines()


def _fields(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, definition in schema.get("properties", {}).items():
        yield path + name, definition
        yield from _fields(definition, f"{path}{name}.")
        yield from _fields(definition.get("items", {}), f"{path}{name}[].")


def test_every_field_is_described_and_nullable_but_id() -> None:
    for entry in discover()["streams"]:
        fields = dict(_fields(entry["schema"]))
        assert [name for name, each in fields.items() if len(each.get("description", "")) < 5] == []
        assert [name for name, each in fields.items() if "enum" in each] == []
        assert [name for name, each in fields.items() if "null" not in each["type"]] == ["id"]
        assert entry["schema"]["required"] == entry["key_properties"] == ["id"]
        assert fields["id"]["format"] == "uuid"


@pytest.mark.parametrize("path", sorted(SNAPSHOTS.iterdir()), ids=lambda path: path.stem)
def test_older_targets_can_make_the_table(path: Path) -> None:
    schema = json.loads(path.read_text("utf-8"))["schema"]
    Draft4Validator.check_schema(schema)
    assert "$schema" not in schema  # singer-target-postgres refuses any but that of draft 4

    id_of_sdk_before_uuid = {**schema["properties"]["id"], "format": None}
    key = JSONSchemaToSQL().to_sql_type(id_of_sdk_before_uuid)
    table = Table(path.stem, MetaData(), Column("id", key, primary_key=True))
    for dialect in (mysql.dialect, mssql.dialect):
        sql = str(CreateTable(table).compile(dialect=dialect()))
        assert "id VARCHAR(36) NOT NULL" in sql
