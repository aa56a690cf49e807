"""What the schemas of all streams have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support import discover, entry_of
from tests.support.jobs import STREAMS


def _fields(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, definition in schema.get("properties", {}).items():
        yield path + name, definition
        yield from _fields(definition, f"{path}{name}.")
        yield from _fields(definition.get("items", {}), f"{path}{name}[].")


@pytest.mark.parametrize("stream", STREAMS)
def test_every_field_is_described_and_nullable_but_id(tmp_path: Path, stream: str) -> None:
    entry = entry_of(discover(tmp_path), stream)
    fields = dict(_fields(entry["schema"]))
    assert [name for name, each in fields.items() if len(each.get("description", "")) < 5] == []
    assert [name for name, each in fields.items() if "enum" in each] == []
    assert [name for name, each in fields.items() if "null" not in each["type"]] == ["id"]
    assert entry["schema"]["required"] == entry["key_properties"] == ["id"]
    assert fields["id"]["format"] == "uuid"
