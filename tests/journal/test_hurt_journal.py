"""A journal that is hurt: read as far as it can be, written again as soon as it can be."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

import pytest

from tests.journal.helpers import (
    opened,
    warned_once_of_lock_and_journal,
    warned_once_of_the_journal,
)
from tests.support import complaint, execute
from tests.support.crash import cut_in_request

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support import Tap


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


@pytest.mark.parametrize("body", [b"", b"not compressed"])
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
        db.execute("UPDATE pages SET body = ?", (zlib.compress(b"{"),))
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
