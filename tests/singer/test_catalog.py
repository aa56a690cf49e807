"""The catalog of `--discover`: what the tables in `docs/reference/columns.md` do not show."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.support import STREAMS, discover

REPLICATION_KEYS = {
    "career_sites": "updated_at",
    "jobs": "updated_at",
    "managed_jobs": "updated_at",
    "expired_jobs": "reported_at",
    "companies": None,
    "billed_pages": None,
}
KEYWORDS = {"type", "format", "description", "properties", "items", "additionalProperties"}


def _entries() -> dict[str, dict[str, Any]]:
    return {entry["tap_stream_id"]: entry for entry in discover()["streams"]}


def _fields(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, definition in schema.get("properties", {}).items():
        yield path + name, definition
        yield from _fields(definition, f"{path}{name}.")
        if "items" in definition:
            yield f"{path}{name}[]", definition["items"]
            yield from _fields(definition["items"], f"{path}{name}[].")


def test_keys_and_what_is_selected() -> None:
    entries = _entries()
    assert [*entries] == [*STREAMS]
    assert {*REPLICATION_KEYS} <= {*STREAMS}  # those of Jobo's documentation
    for name, entry in entries.items():
        key = REPLICATION_KEYS.get(name, "updated_at")
        assert entry.get("replication_key") == key
        assert entry["replication_method"] == ("INCREMENTAL" if key else "FULL_TABLE")
        metadata = {".".join(each["breadcrumb"]): each["metadata"] for each in entry["metadata"]}
        stream = metadata.pop("")
        assert stream["selected"] is stream["selected-by-default"] is (name == "career_sites")
        assert stream["table-key-properties"] == entry["key_properties"] == ["id"]
        assert stream.get("valid-replication-keys") == ([key] if key else None)
        assert [*metadata] == [
            "properties." + field.replace(".", ".properties.")
            for field, _ in _fields(entry["schema"])
            if "[]" not in field
        ]
        automatic = {"properties.id", f"properties.{key}"}
        for field, each in metadata.items():
            assert each == {"inclusion": "automatic" if field in automatic else "available"}


def test_every_field_is_described_and_nullable_but_id() -> None:
    for entry in _entries().values():
        fields = dict(_fields(entry["schema"]))
        named = {name: each for name, each in fields.items() if not name.endswith("[]")}
        assert [name for name, each in named.items() if len(each.get("description", "")) < 5] == []
        assert [name for name, each in fields.items() if "null" not in each["type"]] == ["id"]
        assert [name for name, each in fields.items() if len({*each["type"]} - {"null"}) != 1] == []
        assert [name for name, each in fields.items() if not each.keys() <= KEYWORDS] == ["id"]
        objects = [each for each in fields.values() if "object" in each["type"]]
        assert [each for each in objects if each["additionalProperties"] is not False] == []
        assert entry["schema"]["required"] == ["id"]
        assert fields["id"]["format"] == "uuid"
