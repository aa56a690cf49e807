"""The journal: paid pages on disk, until a later run's state shows that they arrived.

A target forgets rows that it has not stored yet when it is killed, and its state is then older
than what was paid for. The pages in between are read from here instead of being bought again.

The file outlives the process, not a power cut (SQLite's WAL with `synchronous=NORMAL`). Its owner
alone can read it. It holds bodies of answers, in which the key does not occur, and a hash that
tells scans of different keys apart.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sqlite3
import zlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from tap_jobo.api.page import read_page
from tap_jobo.clock import format_timestamp
from tap_jobo.errors import ApiError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection
    from pathlib import Path

    from tap_jobo.api.page import Page
    from tap_jobo.scan import Filters, Scan

_FILE: Final = "journal.sqlite3"
_KEPT_FOR: Final = timedelta(days=30)
_LOCK_WAIT: Final = 5.0
"""Seconds to wait for another tap that writes to the same file."""
_SCHEMA: Final = """
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
_OF_SCAN: Final = "owner = ? AND updated_after = ? AND started_at = ?"


P = ParamSpec("P")
T = TypeVar("T")


def _never_fatal(
    method: Callable[Concatenate[Journal, P], T],
) -> Callable[Concatenate[Journal, P], T | None]:
    """Let a method of a journal that is off, or whose file fails it, do nothing."""

    @functools.wraps(method)
    def guarded(journal: Journal, /, *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return method(journal, *args, **kwargs) if journal.is_on else None
        except (sqlite3.Error, zlib.error, OSError, ValueError, ApiError) as error:
            journal.disable(error)
            return None

    return guarded


class Journal:
    """The paid pages of one key, URL and set of filters.

    Whatever happens to the file (corrupt, locked, read-only, the disk full) costs one warning and
    what the journal could have saved, never the run: it is off from then on.

    Args:
        folder: Where the file is, made if need be; None for a journal that is off.
        api_key: Only its hash is kept, together with `api_url` and `filters`.
        api_url: The API's address.
        filters: The filters of the scans.
        logger: Where the warning goes.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        api_key: str,
        api_url: str,
        filters: Filters,
        logger: logging.Logger,
    ) -> None:
        self._folder = folder
        self._logger = logger
        self._db: sqlite3.Connection | None = None
        identity = json.dumps([api_key, api_url, filters], sort_keys=True)
        self._owner = hashlib.sha256(identity.encode()).hexdigest()
        self._drop_old()

    @property
    def is_on(self) -> bool:
        """Whether pages are kept."""
        return self._folder is not None

    def disable(self, error: Exception) -> None:
        """Go on without a journal, with one warning."""
        self._logger.warning(
            "The journal in %s cannot be used (%s: %s); the run goes on without it, and a crash "
            "may buy pages again. Make room or set journal_dir to a folder that can be written; "
            "a damaged journal.sqlite3 may be deleted.",
            self._folder,
            type(error).__name__,
            error,
        )
        self._folder = None
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            db, self._db = self._db, None
            with suppress(sqlite3.Error):
                db.close()

    @_never_fatal
    def resume(self, scan: Scan, passed_over: Collection[str]) -> None:
        """Let a new scan go on as the newest journaled one of its window, if there is one.

        Args:
            scan: A scan without a start; it gets the start and the page size of the journaled one.
            passed_over: Starts of scans that this run is through with.
        """
        found = self._execute(
            "SELECT started_at, batch_size FROM pages WHERE owner = ? AND updated_after = ? "
            "AND cursor = '' ORDER BY number DESC",
            (self._owner, scan.updated_after or ""),
        )
        for started_at, batch_size in found:
            if started_at not in passed_over:
                scan.started_at, scan.batch_size = started_at, batch_size
                return

    @_never_fatal
    def tell_of_replay(self, scan: Scan) -> None:
        """Say in the log what of the scan will be read from here, if anything."""
        pages, rows, bought_at = self._execute(
            f"SELECT COUNT(*), SUM(row_count), MIN(bought_at) FROM pages WHERE {_OF_SCAN} "  # noqa: S608
            f"AND number >= (SELECT number FROM pages WHERE {_OF_SCAN} AND cursor = ?)",
            (*self._key(scan), *self._key(scan), scan.cursor or ""),
        )[0]
        if pages:
            self._logger.info(
                "Replaying %s rows in %s pages from the journal, at no cost: they were paid for "
                "since %s, and the state does not show that they arrived. To buy them afresh "
                "instead, delete %s or set journal to false.",
                f"{rows:,}",
                f"{pages:,}",
                bought_at,
                self._folder and self._folder / _FILE,
            )

    @_never_fatal
    def read(self, scan: Scan) -> Page | None:
        """Return the scan's next page if it was paid for already."""
        found = self._execute(
            f"SELECT body FROM pages WHERE {_OF_SCAN} AND cursor = ?",  # noqa: S608
            (*self._key(scan), scan.cursor or ""),
        )
        return read_page(zlib.decompress(found[0][0]), scan.cursor) if found else None

    @_never_fatal
    def write(self, scan: Scan, page: Page) -> None:
        """Keep a page that was just paid for, under the cursor that it was asked for with."""
        self._execute(
            "INSERT OR REPLACE INTO pages (owner, updated_after, started_at, cursor, next_cursor, "
            "row_count, batch_size, bought_at, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *self._key(scan),
                scan.cursor or "",
                page.next_cursor,
                len(page.rows),
                scan.batch_size,
                format_timestamp(datetime.now(UTC)),
                zlib.compress(page.body, 1),
            ),
        )

    @_never_fatal
    def acknowledge(self, *, bookmark: datetime | None, pending: Scan | None) -> None:
        """Drop what the state of a later run shows to have arrived.

        Args:
            bookmark: Whole scans that started at or before it have arrived.
            pending: The scan under way: its pages before its cursor have arrived.
        """
        if bookmark:
            self._execute(
                "DELETE FROM pages WHERE owner = ? AND started_at <= ? AND started_at <> ?",
                (self._owner, format_timestamp(bookmark), (pending and pending.started_at) or ""),
            )
        if pending:
            self._execute(
                f"DELETE FROM pages WHERE {_OF_SCAN} AND number <= "  # noqa: S608
                f"(SELECT number FROM pages WHERE {_OF_SCAN} AND next_cursor = ?)",
                (*self._key(pending), *self._key(pending), pending.cursor),
            )

    @_never_fatal
    def discard(self, scan: Scan) -> None:
        """Drop a scan's pages: the API cannot continue it, so nothing leads on from them."""
        self._execute(f"DELETE FROM pages WHERE {_OF_SCAN}", self._key(scan))  # noqa: S608

    @_never_fatal
    def _drop_old(self) -> None:
        oldest = format_timestamp(datetime.now(UTC) - _KEPT_FOR)
        self._execute("DELETE FROM pages WHERE bought_at < ?", (oldest,))

    def _key(self, scan: Scan) -> tuple[str, str, str]:
        return self._owner, scan.updated_after or "", scan.started_at or ""

    def _execute(self, sql: str, values: tuple[object, ...]) -> list[Any]:
        if self._db is None and self._folder:
            self._db = _open(self._folder)
        assert self._db  # noqa: S101 - a journal that is off executes nothing
        return self._db.execute(sql, values).fetchall()


def default_folder() -> Path:
    """Return the user's state folder for this tap, as the platform has it."""
    from platformdirs import user_state_path  # noqa: PLC0415 - only where journal_dir is not set

    return user_state_path("tap-jobo", appauthor=False)


def _open(folder: Path) -> sqlite3.Connection:
    path = folder / _FILE
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its side files the mode of the main one, so this decides for all.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    path.chmod(0o600)
    db = sqlite3.connect(path, timeout=_LOCK_WAIT, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute(_SCHEMA)
    return db
