"""The schema of the journal's SQLite file: creation, checks, and migration."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from tap_jobo.errors import JournalError
from tap_jobo.scan import id_by_start

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION: Final = 3
"""`PRAGMA user_version`; files of the first version say 0."""
_WITHOUT_NOTES: Final = 2
"""The version whose pages held everything that is noted of them."""
UNVERSIONED: Final = "v1:"
"""Prefix of the owner of pages from the first version, which hashed other values (see below)."""
_TABLES: Final = """
CREATE TABLE pages (
    owner TEXT NOT NULL,
    scan TEXT NOT NULL,
    base TEXT,
    replaces TEXT NOT NULL,
    restarts INTEGER NOT NULL,
    since TEXT NOT NULL,
    started_at TEXT NOT NULL,
    batch_size INTEGER NOT NULL,
    number INTEGER NOT NULL,
    cursor TEXT NOT NULL,
    following TEXT,
    rows INTEGER,
    credits INTEGER NOT NULL,
    received_at TEXT NOT NULL,
    tally TEXT NOT NULL,
    body BLOB NOT NULL,  -- last, so that listing the others does not read it
    UNIQUE (owner, scan, cursor)
);
CREATE TABLE quarantine (
    owner TEXT NOT NULL,
    digest TEXT NOT NULL,
    row BLOB NOT NULL,
    UNIQUE (owner, digest)
);
CREATE TABLE tallies (owner TEXT PRIMARY KEY, tally TEXT NOT NULL);
"""
_NOTES: Final = """
CREATE TABLE notes (  -- apart from pages: to change a page would write its body once more
    owner TEXT NOT NULL,
    scan TEXT NOT NULL,
    cursor TEXT NOT NULL,
    number INTEGER NOT NULL,
    following TEXT,
    rows INTEGER,
    tally TEXT NOT NULL,
    PRIMARY KEY (owner, scan, cursor)
) WITHOUT ROWID;
"""
_FROM_VERSION_1: Final = """
INSERT INTO pages
SELECT 'v1:' || owner, id_by_start(started_at), NULL, '', 0, updated_after, started_at,
    batch_size, number, hash_cursor(cursor), hash_cursor(COALESCE(next_cursor, '')), row_count, 0,
    bought_at, '', body
FROM old_pages;
"""


def hash_cursor(cursor: str | None) -> str:
    """Return the hash that represents a cursor in the journal, empty for none."""
    return hashlib.sha256(cursor.encode()).hexdigest()[:24] if cursor else ""


def require_current(db: sqlite3.Connection) -> None:
    """Check that a file can be read without a migration.

    Raises:
        sqlite3.Error: It cannot.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        raise sqlite3.DatabaseError(f"schema {version}")


def prepare(db: sqlite3.Connection) -> None:
    """Set up a connection, and create or migrate the tables.

    Raises:
        JournalError: The file is from a newer version, or has an unknown schema.
        sqlite3.Error: It cannot be read, or cannot be written if that is needed.
    """
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA fullfsync = 1")  # macOS: to the disk, not to its cache
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version > VERSION:
        raise JournalError(
            f"The journal is from a newer version of tap-jobo (schema {version}; this one knows "
            f"{VERSION}). Install the newer version, or set journal_dir to another folder (the "
            "pages in the journal are then billed again)."
        )
    if not _has_tables(db):
        # Before the first table, so that the space of removed pages can be freed.
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
    with transaction(db):
        _make_tables(db)


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Make all changes or none, on a connection that otherwise commits each statement."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # an error may have ended the transaction already
            db.execute("ROLLBACK")
        raise


def _make_tables(db: sqlite3.Connection) -> None:
    """Create the tables that are missing in a transaction, and move older pages into them."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == VERSION:  # another tap was faster
        return
    if version != _WITHOUT_NOTES:
        _make_pages(db)
    _execute_each(db, _NOTES)
    db.execute(f"PRAGMA user_version = {VERSION}")


def _make_pages(db: sqlite3.Connection) -> None:
    columns = _columns(db)
    if _has_tables(db) and not {"owner", "updated_after", "bought_at", "next_cursor"} <= columns:
        raise JournalError(
            "The journal has a schema that this version of tap-jobo does not know. Move the file "
            "away (its pages are then billed again), or set journal to false."
        )
    if columns:
        db.execute("ALTER TABLE pages RENAME TO old_pages")
    _execute_each(db, _TABLES)
    if columns:
        db.create_function("hash_cursor", 1, hash_cursor, deterministic=True)
        db.create_function("id_by_start", 1, id_by_start, deterministic=True)
        _execute_each(db, _FROM_VERSION_1)
        db.execute("DROP TABLE old_pages")


def _execute_each(db: sqlite3.Connection, script: str) -> None:
    """Execute statements; `executescript` would end the transaction first."""
    for statement in script.split(";"):
        if statement.strip():
            db.execute(statement)


def _has_tables(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None


def _columns(db: sqlite3.Connection) -> set[str]:
    return {name for _, name, *_ in db.execute("PRAGMA table_info(pages)")}
