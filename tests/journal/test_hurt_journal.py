"""A journal that is hurt: read as far as it can be, written again as soon as it can be."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from jobo_sandbox import Fault, Hold
from tap_jobo.journal.compression import compress
from tap_jobo.journal.sqlite import SqliteStore
from tests.journal.helpers import (
    PAGE,
    is_warning_of_the_journal,
    opened,
    replayed,
    run_unprivileged,
    run_with_file_limit,
    select,
    warned_once_of_lock_and_journal,
    warned_once_of_the_journal,
)
from tests.support import complaint, execute
from tests.support.crash import cut_in_request, finish, rows_billed_twice, widen_pipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support import Run, Tap

_OPENS_A_NEW_ONE = """
import sys
from pathlib import Path
from tap_jobo.journal.sqlite import SqliteStore
for line in sys.stdin:
    store = SqliteStore(Path(line.strip()))
    store.set_tally(sys.argv[1], "kept")
    print(store.tally(sys.argv[1]), flush=True)
    store.close()
"""


# What cannot be read ends the run before anything is billed


def test_a_corrupt_file_ends_the_run(tap: Tap, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 100)
    line = complaint(tap.run())
    assert str(path) in line
    assert all(way in line for way in ("Repair it", "move it away", "journal to false"))
    assert not tap.sandbox.ledger
    assert path.read_bytes() == b"not a database" * 100
    assert len(tap.run(journal=False).ids) == 120


def test_file_damaged_in_the_middle_ends_the_run(tap: Tap, path: Path) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    with opened(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    line = complaint(tap.run(state=cut.states[0]))
    assert str(path) in line
    assert "journal to false" in line
    assert tap.sandbox.rows_billed == 100


@pytest.mark.parametrize("body", [b"", b"not compressed", compress(b"{}")[:-1] + b"?"])
def test_damaged_page_ends_the_run(tap: Tap, path: Path, body: bytes) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    with opened(path) as db:
        db.execute("UPDATE pages SET body = ?", (body,))
    line = complaint(tap.run(state=cut.states[0]))
    assert str(path) in line
    assert "tap_jobo.journal drop" in line
    assert "journal to false" in line
    assert tap.sandbox.rows_billed == 100


def test_page_damaged_in_its_text_ends_the_run(tap: Tap, path: Path) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    with opened(path) as db:
        db.execute("UPDATE pages SET body = ?", (compress(b"{"),))
        ((name,),) = db.execute("SELECT scan || '.' || number FROM pages WHERE number = 2")
    line = complaint(tap.run(state=cut.states[0]))
    assert f"drop {name}" in line
    assert tap.sandbox.rows_billed == 100


# What cannot be written is tried again with each page


def test_a_file_in_place_of_the_folder_costs_warnings(tap: Tap, path: Path) -> None:
    path.parent.touch()
    run = tap.run()
    assert run.returncode == 0
    assert warned_once_of_lock_and_journal(run)
    assert len(run.ids) == 120


def test_a_folder_in_place_of_the_file_costs_a_warning(tap: Tap, path: Path) -> None:
    path.mkdir(parents=True)
    run = tap.run()
    assert run.returncode == 0
    assert warned_once_of_the_journal(run)
    assert len(run.ids) == 120


def test_a_pipe_in_place_of_the_file_costs_a_warning(tap: Tap, path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    run = tap.run()
    assert run.returncode == 0
    assert warned_once_of_the_journal(run)
    assert len(run.ids) == 120


def test_folder_that_cannot_be_created_costs_warnings(tap: Tap) -> None:
    run = tap.run(journal_dir="/proc/tap-jobo")
    assert run.returncode == 0
    assert warned_once_of_lock_and_journal(run)
    assert len(run.ids) == 120


def test_a_locked_file_costs_a_warning(tap: Tap, path: Path) -> None:
    path.parent.mkdir()
    with opened(path) as db:
        db.execute("BEGIN EXCLUSIVE")
        run = tap.run()
    assert run.returncode == 0
    assert warned_once_of_the_journal(run)
    assert len(run.ids) == 120


@pytest.mark.parametrize("blocks", [1, 100])
def test_a_full_disk_costs_a_warning(tap: Tap, blocks: int) -> None:
    limited = ["sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh", *tap.command()]
    run = execute(limited, tap.environment())
    assert run.returncode == 0, run.stderr
    assert warned_once_of_the_journal(run)
    assert len(run.ids) == 120


# What cannot be written is read


@pytest.mark.parametrize("is_killed", [True, False], ids=["with a WAL", "without"])
@pytest.mark.parametrize("place", ["file", "folder"])
def test_a_read_only_journal_is_replayed(
    tap: Tap, path: Path, place: str, *, is_killed: bool
) -> None:
    first = cut_in_request(tap, 3, billed=False) if is_killed else tap.run()
    closed = path if place == "file" else path.parent
    closed.chmod(0o400 if place == "file" else 0o500)
    run = run_unprivileged(tap, state=first.states[0])
    closed.chmod(0o700)
    assert replayed(run) == (50 if is_killed else 70)
    assert len(run.ids) == 70
    assert rows_billed_twice(tap.sandbox) == 0
    # Where the files of the log are there, SQLite needs to create none in the folder.
    is_unwritable = place == "file" or not is_killed
    assert sum(map(is_warning_of_the_journal, run.lines("WARNING"))) == is_unwritable


def test_a_side_file_in_the_way_does_not_stop_a_replay(tap: Tap, path: Path) -> None:
    first = tap.run()
    path.with_name(f"{path.name}-shm").mkdir()
    run = tap.run(state=first.states[0])
    assert replayed(run) == 70
    assert warned_once_of_the_journal(run)
    assert rows_billed_twice(tap.sandbox) == 0


@pytest.mark.parametrize("is_killed", [True, False], ids=["with a WAL", "without"])
def test_a_full_journal_is_replayed(tap: Tap, *, is_killed: bool) -> None:
    first = cut_in_request(tap, 3, billed=False) if is_killed else tap.run()
    # A limit, unlike a full disk, hits the index of a WAL (32 kB) too, which SQLite makes anew.
    run = run_with_file_limit(tap, 33 if is_killed else 4, state=first.states[0])
    assert replayed(run) == (50 if is_killed else 70)
    assert len(run.ids) == 70
    assert rows_billed_twice(tap.sandbox) == 0
    assert warned_once_of_the_journal(run)


def test_a_journal_that_is_locked_for_a_while_is_waited_for(tap: Tap, path: Path) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    with opened(path) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        db.execute("UPDATE pages SET rows = rows")
        process = tap.start(state=cut.states[0])
        time.sleep(7)  # longer than SQLite waits by itself
        assert process.poll() is None
    run, _ = finish(process, [])
    assert replayed(run) == 50
    assert run.lines("WARNING") == []
    assert rows_billed_twice(tap.sandbox) == 0


# What happens to the file under a running tap


def run_with_changes(tap: Tap, changes: dict[int, Callable[[], object]]) -> Run:
    """Run the tap, and make each change while its request of that number is under way."""
    holds = {number: Hold() for number in changes}
    for number, hold in holds.items():
        tap.sandbox.faults.add(Fault(hold=hold), on=number)
    process = tap.start()
    widen_pipe(process)
    for number, change in changes.items():
        holds[number].wait(30)
        change()
        holds[number].release()
    run, _ = finish(process, [])
    assert run.returncode == 0, run.stderr
    assert len(run.ids) == 120
    return run


def test_pages_are_kept_again_once_the_journal_can_be_written(tap: Tap, path: Path) -> None:
    away = path.with_suffix(".away")

    def take_away() -> None:
        path.rename(away)
        path.mkdir()

    def bring_back() -> None:
        path.rmdir()
        away.rename(path)

    run = run_with_changes(tap, {2: take_away, 3: bring_back})
    assert warned_once_of_the_journal(run)
    (line,) = [line for line in run.lines("INFO") if "can be written again" in line]
    assert str(path) in line
    kept = select(path, "SELECT cursor = '' FROM pages ORDER BY number")
    assert kept == [1, 0]  # the first page and the third


def test_pages_are_kept_again_once_there_is_room(tap: Tap, path: Path) -> None:
    blocker: list[sqlite3.Connection] = []

    def block() -> None:
        blocker.append(sqlite3.connect(path, isolation_level=None))
        blocker[0].execute("BEGIN IMMEDIATE")

    def unblock() -> None:
        blocker[0].close()

    run = run_with_changes(tap, {2: block, 3: unblock})
    assert warned_once_of_the_journal(run)
    assert len([line for line in run.lines("INFO") if "can be written again" in line]) == 1
    assert select(path, "SELECT COUNT(*) FROM pages") == [2]


def test_pages_that_arrived_leave_together_or_not_at_all(tap: Tap, path: Path) -> None:
    first = tap.run()
    with opened(path) as db:
        db.execute(
            "CREATE TRIGGER cut BEFORE DELETE ON pages WHEN old.number = 2 "
            "BEGIN SELECT RAISE(ABORT, 'cut'); END"
        )
    run = tap.run(state=first.state)
    assert warned_once_of_the_journal(run)  # and not of pages that would be of use
    assert select(path, "SELECT number FROM pages ORDER BY number") == [1, 2, 3, 4]


def test_pages_are_removed_though_their_space_cannot_be_freed(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path)) as store:
        store.save(PAGE, b"{}")
        assert store._db
        asked: list[str] = []

        def deny_vacuum(_action: int, name: str | None, *_: object) -> int:
            asked.extend([name] if name == "incremental_vacuum" else [])
            return sqlite3.SQLITE_DENY if name == "incremental_vacuum" else sqlite3.SQLITE_OK

        store._db.set_authorizer(deny_vacuum)
        store.remove([PAGE])
        assert asked
        assert store.entries() == []


@pytest.mark.parametrize("side_files_too", [True, False])
def test_a_deleted_file_is_noticed_at_the_next_page(
    tap: Tap, path: Path, *, side_files_too: bool
) -> None:
    def delete() -> None:
        for file in path.parent.glob(f"{path.name}*"):
            if side_files_too or file == path:
                file.unlink()

    run = run_with_changes(tap, {3: delete})
    assert run.lines("WARNING") == []
    assert select(path, "SELECT COUNT(*) FROM pages WHERE cursor <> ''") == [1]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_replaced_file_is_noticed_at_the_next_page(tap: Tap, path: Path) -> None:
    tap.run(founded_after=1980)
    other = path.parent.with_name("other")
    path.parent.rename(other)
    (before,) = select(other / path.name, "SELECT COUNT(*) FROM pages")

    def replace() -> None:
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        (other / path.name).rename(path)

    number = len(tap.sandbox.requests_to("feed"))
    run = run_with_changes(tap, {number + 3: replace})
    assert run.lines("WARNING") == []
    assert select(path, "SELECT COUNT(*) FROM pages") == [before + 1]


def test_all_who_open_a_new_journal_at_once_get_it(tmp_path: Path) -> None:
    taps = [
        subprocess.Popen(
            [sys.executable, "-c", _OPENS_A_NEW_ONE, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("first", "second", "third")
    ]
    for number in range(10):
        for tap in taps:
            assert tap.stdin
            tap.stdin.write(f"{tmp_path / str(number)}\n")
            tap.stdin.flush()
        assert [tap.stdout.readline() for tap in taps if tap.stdout] == ["kept\n"] * 3
    for tap in taps:
        tap.communicate()
        assert tap.returncode == 0


# A link in place of the file


def test_the_target_of_a_link_keeps_its_mode(tap: Tap, path: Path) -> None:
    target = tap.folder / "target.sqlite3"
    target.touch()
    target.chmod(0o640)
    path.parent.mkdir()
    path.symlink_to(target)
    cut_in_request(tap, 3, billed=False)
    assert target.stat().st_mode & 0o777 == 0o640
    assert replayed(tap.run()) == 100
    assert path.is_symlink()


def test_a_link_to_nothing_makes_a_private_file(tap: Tap, path: Path) -> None:
    target = tap.folder / "target.sqlite3"
    path.parent.mkdir()
    path.symlink_to(target)
    tap.run()
    assert target.stat().st_mode & 0o777 == 0o600
    assert replayed(tap.run()) == 120


def test_an_open_mode_of_the_file_is_closed(tap: Tap, path: Path) -> None:
    tap.run()
    path.chmod(0o644)
    assert replayed(tap.run()) == 120
    assert path.stat().st_mode & 0o777 == 0o600
