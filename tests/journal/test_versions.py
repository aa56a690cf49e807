"""Journals of other versions: an earlier one is migrated, others end the run with what to do."""

from __future__ import annotations

import hashlib
import json
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tap_jobo.journal.compression import decompress
from tests.journal.helpers import (
    opened,
    replayed,
    run_unprivileged,
    select,
    warned_once_of_lock_and_journal,
)
from tests.support import complaint, state_at
from tests.support.crash import rows_billed_twice

if TYPE_CHECKING:
    from pathlib import Path

    from jobo_sandbox import Sandbox
    from tests.support import Run, Tap

VERSION_1 = """
CREATE TABLE IF NOT EXISTS pages (
    owner TEXT NOT NULL,          -- hash of key, URL and filters
    updated_after TEXT NOT NULL,  -- of the scan, '' for everything
    started_at TEXT NOT NULL,     -- of the scan
    batch_size INTEGER NOT NULL,  -- of the scan
    cursor TEXT NOT NULL,         -- that the page was asked for with, '' for the first page
    next_cursor TEXT,             -- that the answer gave
    row_count INTEGER NOT NULL,
    bought_at TEXT NOT NULL,
    body BLOB NOT NULL,           -- the answer, compressed
    number INTEGER PRIMARY KEY,   -- in the order in which pages were bought
    UNIQUE (owner, updated_after, started_at, cursor)
)
"""
"""The schema of the first version, as it was."""
FILTERS = dict.fromkeys(
    (
        "industries",
        "company_sizes",
        "country_codes",
        "funding_stages",
        "company_types",
        "founded_after",
        "is_agency",
    )
)
"""What the first version hashed for a run without filters."""


def version_1_owner(sandbox: Sandbox) -> str:
    identity = json.dumps([sandbox.api_key, sandbox.url, FILTERS], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()


def timestamp(instant: datetime) -> str:
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")


def downgrade(path: Path, sandbox: Sandbox, first: Run) -> str:
    """Turn the journal of a first, full run into one of the first version; return its start."""
    cursors = [entry.cursor or "" for entry in sandbox.requests_to("feed")]
    bodies = map(decompress, select(path, "SELECT body FROM pages ORDER BY number"))
    for file in path.parent.iterdir():
        file.unlink()
    started_at: str = first.states[0]["bookmarks"]["career_sites"]["scan"]["started_at"]
    with opened(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(VERSION_1)
        for cursor, following, body in zip(cursors, [*cursors[1:], None], bodies, strict=True):
            rows = len(json.loads(body)["career_sites"])
            page = (version_1_owner(sandbox), "", started_at, 50, cursor, following, rows)
            db.execute(
                "INSERT INTO pages (owner, updated_after, started_at, batch_size, cursor, "
                "next_cursor, row_count, bought_at, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*page, timestamp(datetime.now(UTC)), zlib.compress(body, 1)),
            )
    return started_at


def without_ids(state: dict[str, Any]) -> dict[str, Any]:
    """The state as the first version wrote it."""
    state = json.loads(json.dumps(state))
    part = state["bookmarks"]["career_sites"]
    part.pop("completed_scan", None)
    del part["scan"]["id"]
    return state


def test_pages_of_version_1_are_replayed(tap: Tap, path: Path) -> None:
    first = tap.run()
    started_at = downgrade(path, tap.sandbox, first)
    again = tap.run()
    assert replayed(again) == 120
    assert again.ids == first.ids
    assert again.lines("WARNING") == []
    assert again.bookmark["replication_key_value"] >= started_at
    assert tap.sandbox.rows_billed == 120
    assert select(path, "PRAGMA user_version") == [3]


def test_pages_of_version_1_are_replayed_from_its_state(tap: Tap, path: Path) -> None:
    first = tap.run()
    downgrade(path, tap.sandbox, first)
    again = tap.run(state=without_ids(first.states[0]))
    assert replayed(again) == 70
    assert again.ids == first.ids[50:]
    assert rows_billed_twice(tap.sandbox) == 0


def test_pages_of_version_1_are_acknowledged_by_its_state(tap: Tap, path: Path) -> None:
    first = tap.run()
    downgrade(path, tap.sandbox, first)
    started_at = first.states[0]["bookmarks"]["career_sites"]["scan"]["started_at"]
    run = tap.run(state=state_at(started_at))
    assert replayed(run) == 0
    assert select(path, "SELECT COUNT(*) FROM pages WHERE since = ''") == [0]


def test_a_migrated_page_serves_a_rotated_key(tap: Tap, path: Path) -> None:
    first = tap.run()
    downgrade(path, tap.sandbox, first)
    assert replayed(tap.run()) == 120
    tap.sandbox.api_key = "jbe_test_another"
    assert replayed(tap.run(api_key="jbe_test_another")) == 120


def test_pages_of_version_1_for_another_key_stay(tap: Tap, path: Path) -> None:
    first = tap.run()
    downgrade(path, tap.sandbox, first)
    before = tap.sandbox.api_key
    tap.sandbox.api_key = "jbe_test_another"
    assert replayed(tap.run(api_key="jbe_test_another")) == 0
    tap.sandbox.api_key = before
    with opened(path) as db:
        db.execute("DELETE FROM pages WHERE owner NOT LIKE 'v1:%'")
    assert replayed(tap.run()) == 120


def test_pages_of_version_2_are_read_and_keep_their_notes(tap: Tap, path: Path) -> None:
    first = tap.run()
    with opened(path) as db:
        db.execute(
            "UPDATE pages SET (following, rows, tally) = (SELECT following, rows, tally FROM notes "
            "WHERE notes.number = pages.number)"
        )
        db.execute("DROP TABLE notes")
        db.create_function("older", 1, lambda body: zlib.compress(decompress(body), 1))
        db.execute("UPDATE pages SET body = older(body)")
        db.execute("PRAGMA user_version = 2")
    again = tap.run(state=first.states[0])
    assert "Replaying 70 rows in 2 pages" in again.stderr
    assert replayed(again) == 70
    assert select(path, "SELECT COUNT(*) FROM pages WHERE cursor = ''") == [1]  # of a new scan


@pytest.mark.parametrize("with_state", [False, True])
def test_version_1_that_cannot_be_written_is_replayed(
    tap: Tap, path: Path, *, with_state: bool
) -> None:
    first = tap.run()
    downgrade(path, tap.sandbox, first)
    before = path.read_bytes()
    path.chmod(0o400)
    path.parent.chmod(0o500)
    state = without_ids(first.states[0]) if with_state else None
    again = run_unprivileged(tap, state=state)
    path.parent.chmod(0o700)
    assert replayed(again) == (70 if with_state else 120)
    assert warned_once_of_lock_and_journal(again)
    assert rows_billed_twice(tap.sandbox) == 0
    assert path.read_bytes() == before


@pytest.mark.parametrize("schema", ["CREATE TABLE pages (title TEXT)", "CREATE TABLE notes (a)"])
def test_a_file_of_another_schema_ends_the_run(tap: Tap, path: Path, schema: str) -> None:
    path.parent.mkdir()
    with opened(path) as db:
        db.execute(schema)
    before = path.read_bytes()
    line = complaint(tap.run())
    assert "schema" in line
    assert "Move the file away" in line
    assert "journal to false" in line
    assert not tap.sandbox.ledger
    with opened(path) as db:
        assert db.execute("SELECT sql FROM sqlite_master").fetchall() == [(schema,)]
    assert path.read_bytes() == before


def test_a_journal_of_a_newer_version_ends_the_run(tap: Tap, path: Path) -> None:
    tap.run()
    with opened(path) as db:
        db.execute("PRAGMA user_version = 99")
    line = complaint(tap.run())
    assert "newer version of tap-jobo (schema 99" in line
    assert "Install the newer version, or set journal_dir" in line
    assert tap.sandbox.rows_billed == 120
    assert select(path, "SELECT COUNT(*) FROM pages") == [3]


def test_a_newer_version_that_is_read_only_ends_the_run(tap: Tap, path: Path) -> None:
    tap.run()
    with opened(path) as db:
        db.execute("PRAGMA user_version = 99")
    path.chmod(0o400)
    run = run_unprivileged(tap)
    assert "newer version of tap-jobo (schema 99" in complaint(run)
    assert tap.sandbox.rows_billed == 120
