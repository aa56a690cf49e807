"""The journal's file, seen from outside, and what runs say of it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from tap_jobo.journal.page_store import Entry
from tests.support import execute

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support import Run, Tap

PAGE = Entry(
    owner="owner",
    scan="scan",
    base=None,
    replaces="",
    restarts=0,
    since="",
    started_at="2026-01-01T12:00:00.000000Z",
    batch_size=50,
    number=1,
    cursor="",
    following=None,
    rows=None,
    credits=2_500,
    received_at="2026-01-01T12:00:01.000000Z",
)
"""The first page of a full sync, unread."""
UNREAD = """
SELECT scan || '.' || number FROM pages LEFT JOIN notes USING (owner, scan, cursor, number)
WHERE notes.rows IS NULL
"""
"""The names of pages that no run could read."""


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db


def select(path: Path, sql: str) -> list[Any]:
    """The rows of a query, without a tuple around the only value of each."""
    with opened(path) as db:
        return [row[0] if len(row) == 1 else row for row in db.execute(sql).fetchall()]


def replayed(run: Run) -> float:
    """The rows that a run which ended well read from the journal."""
    assert run.returncode == 0, run.stderr
    return run.metrics["jobo_rows_replayed"]


def is_warning_of_the_journal(line: str) -> bool:
    return "journal" in line and "cannot be written" in line and "continues" in line


def is_warning_of_the_lock(line: str) -> bool:
    return line.startswith("No lock can be taken") and "second run" in line


def warned_once_of_the_journal(run: Run) -> bool:
    warnings = run.lines("WARNING")
    return len(warnings) == 1 and is_warning_of_the_journal(warnings[0])


def warned_once_of_lock_and_journal(run: Run) -> bool:
    """Whether it said once each that no lock can be taken and that no page can be kept."""
    lock, journal = run.lines("WARNING")
    return is_warning_of_the_lock(lock) and is_warning_of_the_journal(journal)


def unprivileged(command: list[str]) -> list[str]:
    """The command as a user to whom the modes of files apply, also where the tests run as root."""
    if os.geteuid():
        return command
    setpriv = shutil.which("setpriv")
    assert setpriv, "as root, the tests need setpriv of util-linux"
    without = "-dac_override,-dac_read_search"
    return [setpriv, "--bounding-set", without, "--inh-caps", without, *command]


def run_unprivileged(tap: Tap, *, state: object = None, **settings: Any) -> Run:
    command = tap.command(state=state, settings=settings)
    return execute(unprivileged(command), tap.environment())


def journal_command(tap: Tap, *args: str) -> Run:
    """Run `python -m tap_jobo.journal` on the tap's journal."""
    folder = {"TAP_JOBO_JOURNAL_DIR": str(tap.folder / "journal")}
    return execute([sys.executable, "-m", "tap_jobo.journal", *args], tap.environment(folder))


def run_with_file_limit(tap: Tap, kilobytes: int, *, state: object = None) -> Run:
    """Run the tap where no file can grow beyond a size, as on a disk that is full."""
    limited = f'ulimit -f {kilobytes * 2}; exec "$@"'  # in blocks of 512 bytes
    return execute(["sh", "-c", limited, "sh", *tap.command(state=state)], tap.environment())
