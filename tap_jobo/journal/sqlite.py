"""The page store on the local disk: one SQLite file that survives a power failure.

Each page is synced to disk before `save` returns (`synchronous=FULL`; `fullfsync` if the platform
has it). Only the owner of the file can read it.

Read and write failures are handled separately. A file that cannot be written is still read, from a
copy if necessary, and writing is retried with each page. A file that exists but cannot be read at
all is an error: its pages would be billed again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tap_jobo.errors import JournalError
from tap_jobo.journal.compression import DAMAGED, compress, decompress
from tap_jobo.journal.page_store import Entry, StoreError
from tap_jobo.journal.schema import prepare, require_current, transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FILE: Final = "journal.sqlite3"
_LOCK_WAIT: Final = 5.0
"""Seconds to wait for another tap that is writing to the same file."""
_OPEN_WAIT: Final = 15.0
"""Seconds to wait for a file that is locked when it is opened."""
_REOPEN_WAIT: Final = 1.0
"""Seconds to wait for it when it is reopened, which is tried with each page."""
_RETRY_EVERY: Final = 0.1
_WRITABLE: Final = "rwc"
"""SQLite's mode for a connection that may also create the file."""
_WAL: Final = "-wal"
"""What SQLite appends to the file's name for its write-ahead log."""
_COLUMNS: Final = ", ".join(field.name for field in fields(Entry))
_values: Final = attrgetter(*(field.name for field in fields(Entry)))
_NOTED: Final = ("following", "rows", "tally")
_READ: Final = ", ".join(
    f"COALESCE(notes.{field.name}, pages.{field.name})" if field.name in _NOTED else field.name
    for field in fields(Entry)
)
_ENTRIES: Final = f"SELECT {_READ} FROM pages LEFT JOIN notes USING (owner, scan, cursor, number)"  # noqa: S608
"""Pages with their notes; those of a page that was saved again do not count."""
_PAGE: Final = "owner = ? AND scan = ? AND cursor = ?"


class SqliteStore:
    """Pages in `journal.sqlite3` of a folder.

    Args:
        folder: Where the file is; created if missing.

    Raises:
        JournalError: The file exists but cannot be read, or is from a newer version.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._file: tuple[int, int] | None = None
        self._db: sqlite3.Connection | None = None
        try:
            self._open(_OPEN_WAIT)
        except (sqlite3.Error, OSError) as error:
            if _holds_something(self._path):
                self._open_to_read(error)

    @property
    def place(self) -> str:
        """The path of the file."""
        return str(self._path)

    def entries(self) -> list[Entry]:
        """Return all pages of all owners, in the order of their numbers."""
        if self._db is None:
            return []
        with _store_errors():
            found = self._db.execute(f"{_ENTRIES} ORDER BY number")
            return [Entry(*row) for row in found]

    def load(self, entry: Entry) -> bytes:
        """Return a page's raw body."""
        if self._db is None:
            raise StoreError(f"{entry.name} is missing")
        with _store_errors():
            found = self._db.execute(
                f"SELECT body FROM pages WHERE {_PAGE}",  # noqa: S608
                _page(entry),
            ).fetchone()
            if found is None:
                raise StoreError(f"{entry.name} is missing")
            return decompress(found[0])

    def save(self, entry: Entry, body: bytes) -> None:
        """Keep a page, synced to the disk."""
        marks = ", ".join("?" * (len(fields(Entry)) + 1))
        self._write(
            f"INSERT OR REPLACE INTO pages ({_COLUMNS}, body) VALUES ({marks})",  # noqa: S608
            (*_values(entry), compress(body)),
        )

    def annotate(self, entry: Entry) -> None:
        """Record what parsing a page has shown, unsynced: it can be parsed again."""
        with self._unsynced() as db:
            db.execute(
                "INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*_page(entry), entry.number, entry.following, entry.rows, entry.tally),
            )

    def remove(self, entries: Sequence[Entry]) -> None:
        """Remove all of these pages or, if that fails, none; free their disk space if possible."""
        if not entries:
            return
        with _store_errors():
            db = self._writable()
            with transaction(db):
                for table in ("pages", "notes"):
                    db.executemany(
                        f"DELETE FROM {table} WHERE {_PAGE}",  # noqa: S608
                        map(_page, entries),
                    )
            # If another tap holds the lock by now, the space stays reserved for later pages.
            with suppress(sqlite3.Error):
                # It returns no rows, so `execute` would stop after freeing the first page.
                db.executescript("PRAGMA incremental_vacuum")

    def rename_owner(self, old: str, new: str) -> None:
        """Move the pages of one owner to another."""
        with _store_errors():
            db = self._writable()
            with transaction(db):
                for table in ("pages", "notes"):
                    db.execute(
                        f"UPDATE OR IGNORE {table} SET owner = ? WHERE owner = ?",  # noqa: S608
                        (new, old),
                    )

    def quarantine(self, owner: str, rows: Iterable[bytes]) -> int:
        """Keep rows that could not be delivered, without duplicates; return how many are new."""
        sql = "INSERT OR IGNORE INTO quarantine VALUES (?, ?, ?)"
        return sum(self._write(sql, (owner, hashlib.sha256(row).hexdigest(), row)) for row in rows)

    def quarantined(self, owner: str | None = None) -> list[bytes]:
        """Return the quarantined rows, of one owner or of all."""
        if self._db is None:
            return []
        with _store_errors():
            found = self._db.execute(
                "SELECT row FROM quarantine WHERE ? IN (owner, '') ORDER BY rowid", (owner or "",)
            )
            return [bytes(row) for (row,) in found]

    def drop_quarantined(self) -> int:
        """Remove all quarantined rows, and return how many there were."""
        return self._write("DELETE FROM quarantine", ())

    def tally(self, owner: str) -> str:
        """Return the gate's count, empty if there is none."""
        if self._db is None:
            return ""
        with _store_errors():
            found = self._db.execute("SELECT tally FROM tallies WHERE owner = ?", (owner,))
            row = found.fetchone()
            return str(row[0]) if row else ""

    def set_tally(self, owner: str, tally: str) -> None:
        """Keep the gate's count."""
        with self._unsynced() as db:
            db.execute("INSERT OR REPLACE INTO tallies VALUES (?, ?)", (owner, tally))

    def close(self) -> None:
        """Close the file."""
        self._file = None
        if self._db is not None:
            db, self._db = self._db, None
            with suppress(sqlite3.Error):
                db.close()
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None

    def _write(self, sql: str, values: tuple[object, ...]) -> int:
        with _store_errors():
            return self._writable().execute(sql, values).rowcount

    def _writable(self) -> sqlite3.Connection:
        """Return the connection, reopened if the file was deleted, replaced, or not writable."""
        if self._file and _identity(self._path) != self._file:
            self.close()
        if self._file is None:
            self._open(_REOPEN_WAIT)
        assert self._db is not None  # noqa: S101 - _open sets it or raises
        return self._db

    @contextmanager
    def _unsynced(self) -> Iterator[sqlite3.Connection]:
        """Make writes survive only a process crash: for data that can be recomputed."""
        with _store_errors():
            db = self._writable()
            db.execute("PRAGMA synchronous = NORMAL")
            try:
                yield db
            finally:
                db.execute("PRAGMA synchronous = FULL")

    def _open(self, wait: float) -> None:
        """Open the file for reading and writing. If that fails, what is open stays open."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(self._path)
        if not os.access(self._path, os.W_OK):  # SQLite would still open it, read-only
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self._path))
        db = _connect(self._path, wait=wait)
        self.close()
        self._db, self._file = db, _identity(self._path)

    def _open_to_read(self, cause: Exception) -> None:
        """Open a file that cannot be written: directly or, if that fails, as a copy.

        Raises:
            JournalError: It cannot be read at all.
        """
        for connect in (self._connect_read_only, self._connect_to_copy, self._connect_immutable):
            try:
                self._db = connect()
            except (sqlite3.Error, OSError):
                self.close()
            else:
                return
        raise JournalError(
            f"The journal {self._path} cannot be read ({type(cause).__name__}: {cause}). The run "
            "stops before anything is billed, since its pages would be billed again. Repair it, "
            "move it away (its pages are then billed again), or set journal to false."
        ) from cause

    def _connect_read_only(self) -> sqlite3.Connection:
        return _connect(self._path, wait=0, mode="ro")

    def _connect_to_copy(self) -> sqlite3.Connection:
        """Connect to a copy, if SQLite needs side files that it cannot create or open."""
        self._copy = tempfile.TemporaryDirectory(prefix="tap-jobo-journal-")
        copy = Path(self._copy.name) / FILE
        for suffix in ("", _WAL):
            if Path(f"{self._path}{suffix}").exists():
                shutil.copyfile(f"{self._path}{suffix}", f"{copy}{suffix}")
        return _connect(copy, wait=0)

    def _connect_immutable(self) -> sqlite3.Connection:
        """Connect without side files, if there is no space for a copy either."""
        if _holds_something(Path(f"{self._path}{_WAL}")):  # which would be ignored
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        return _connect(self._path, wait=0, mode="ro&immutable=1")


def _page(entry: Entry) -> tuple[str, str, str]:
    return entry.owner, entry.scan, entry.cursor


def _make_private(path: Path) -> None:
    """Create the file if it is missing, and make it readable only by its owner.

    SQLite gives its side files the mode of the main one, so this covers them all. A symbolic link
    is not followed: the mode of another file is not ours to change. An existing file is not
    opened: closing it would release the locks that SQLite holds on it.
    """
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    elif not path.is_symlink() and path.is_file() and (mode := path.stat().st_mode) & 0o077:
        path.chmod(mode & 0o600)


def _connect(path: Path, *, wait: float, mode: str = _WRITABLE) -> sqlite3.Connection:
    """Open a file with the current schema, waiting while another tap has it locked."""
    deadline = time.monotonic() + wait
    while True:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=min(wait, _LOCK_WAIT),
            isolation_level=None,
        )
        try:
            if mode == _WRITABLE:
                prepare(db)
            else:
                require_current(db)
        except sqlite3.OperationalError as error:
            db.close()
            # Not every SQLite statement waits for a lock.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_EVERY)
        except BaseException:
            db.close()
            raise
        else:
            db.execute(f"PRAGMA busy_timeout = {_LOCK_WAIT * 1000:.0f}")
            return db


def _holds_something(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, *DAMAGED, OSError, JournalError) as error:
        raise StoreError(f"{type(error).__name__}: {error}") from error
