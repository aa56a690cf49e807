"""The catalog of `--discover`, a file a stream: a change of schema is a visible diff."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support import discover
from tests.support.repository import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

SNAPSHOTS = REPOSITORY / "tests/snapshots"


def test_catalog_is_as_its_snapshots(tmp_path: Path) -> None:
    entries = {entry["tap_stream_id"]: entry for entry in discover(tmp_path)["streams"]}
    snapshots = {path.stem: path.read_text("utf-8") for path in SNAPSHOTS.iterdir()}
    assert entries.keys() == snapshots.keys()
    for name, entry in entries.items():
        lines = json.dumps(entry, indent=2).splitlines()
        assert lines == snapshots[name].splitlines(), "run: uv run tools/generate.py"
