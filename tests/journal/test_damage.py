"""A journal that is damaged or cannot be used: what ends a run, what waits, and what each costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Hold, Sandbox
from tests.journal.helpers import (
    damage,
    header,
    journal_command,
    name_of,
    pages,
    replayed,
    rewrite,
    run_unprivileged,
)
from tests.support import Run, Tap, complaint, execute
from tests.support.crash import cut_in_request, finish, rows_billed_twice, widen_pipe

# A damaged page ends its stream before anything of it is billed


def assert_names_ways_out(line: str, page: Path, price: str) -> None:
    assert f"The page {name_of(page)} in the journal" in line
    assert f"`tap-jobo-journal drop {name_of(page)}`" in line
    assert price in line
    assert "before anything of this stream is billed" in line


@pytest.mark.parametrize("position", [-3, 30], ids=["body", "header"])
def test_a_damaged_page_ends_the_run_and_states_the_price(
    tap: Tap, folder: Path, position: int
) -> None:
    tap.run(batch_size=10)
    fourth = pages(folder)[3]
    damage(fourth, position)
    line = complaint(tap.run(batch_size=10))
    assert_names_ways_out(line, fourth, "9 pages would be billed again, about $4.50")
    assert tap.sandbox.rows_billed == 120
    assert journal_command(tap, "drop", name_of(fourth)).returncode == 0
    again = tap.run(batch_size=10)
    assert replayed(again) == 30
    assert set(again.ids) == tap.sandbox.world.rows().keys()
    assert tap.sandbox.rows_billed == 210


def test_a_damaged_catch_up_costs_nothing_before_it_is_found(tap: Tap, folder: Path) -> None:
    first = tap.run()
    tap.sandbox.world.touch(first.ids[0])
    tap.run()
    damage(pages(folder)[-1])
    billed = tap.sandbox.rows_billed
    assert_names_ways_out(complaint(tap.run()), pages(folder)[-1], "1 page would be billed again")
    assert tap.sandbox.rows_billed == billed


def test_a_page_that_a_kill_cut_short_is_fetched_again(tap: Tap, folder: Path) -> None:
    tap.run()
    last = pages(folder)[-1]
    last.write_bytes(last.read_bytes()[:-1])
    again = tap.run()
    assert replayed(again) == 100
    assert set(again.ids) == tap.sandbox.world.rows().keys()
    assert rows_billed_twice(tap.sandbox) == 20


def test_a_page_cut_short_with_pages_behind_it_is_damaged(tap: Tap, folder: Path) -> None:
    tap.run()
    second = pages(folder)[1]
    second.write_bytes(second.read_bytes()[:-1])
    assert_names_ways_out(complaint(tap.run()), second, "2 pages would be billed again")


def test_a_hole_ends_the_run_before_anything_is_billed(tap: Tap, folder: Path) -> None:
    tap.run()
    second = pages(folder)[1]
    name = name_of(second)
    second.unlink()
    line = complaint(tap.run())
    assert f"The page {name}" in line
    assert "is missing" in line
    assert tap.sandbox.rows_billed == 120


def test_a_page_that_does_not_follow_ends_the_run(tap: Tap, folder: Path) -> None:
    tap.run()
    second = pages(folder)[1]
    rewrite(second, cursor="another")
    assert "does not follow the page before it" in complaint(tap.run())
    assert tap.sandbox.rows_billed == 120


@pytest.mark.parametrize("file", ["sync.json", "completed.json"])
def test_a_damaged_small_file_ends_the_run(tap: Tap, folder: Path, file: str) -> None:
    state = tap.run(state=tap.run().state).state
    (found, *_) = folder.glob(f"v1/**/{file}")
    found.write_text("{")
    line = complaint(tap.run(state=state))
    assert f"{file} is damaged" in line
    assert "journal to false" in line
    assert tap.sandbox.rows_billed == 120


def test_a_sync_that_a_kill_cut_short_is_ignored(tap: Tap, folder: Path) -> None:
    first = tap.run()
    (key,) = folder.glob("v1/*")
    (key / "000002").mkdir()
    (key / "000002" / "sync.json").write_text('{"id": ')
    run = tap.run(state=first.state)
    assert run.returncode == 0, run.stderr
    assert (key / "000003" / "sync.json").exists()


# A journal that cannot be used at all ends the run before its first request


def file_in_place_of_the_folder(folder: Path) -> None:
    folder.touch()


def file_in_the_way(folder: Path) -> None:
    folder.mkdir()
    (folder / "v1").touch()


def closed_folder(folder: Path) -> None:
    folder.mkdir(mode=0o500)


def unreadable_folder(folder: Path) -> None:
    folder.mkdir()
    (folder / "v1").mkdir(mode=0o000)


UNUSABLE = [file_in_place_of_the_folder, file_in_the_way, closed_folder, unreadable_folder]


@pytest.mark.parametrize("spoil", UNUSABLE)
def test_an_unusable_journal_ends_the_run(
    tap: Tap, folder: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(folder)
    run = run_unprivileged(tap)
    line = complaint(run)
    assert str(folder) in line
    assert "journal to false" in line
    assert run.lines("WARNING") == []
    assert not tap.sandbox.ledger
    assert len(tap.run(journal=False).ids) == 120


@pytest.mark.parametrize("mode", [0o500, 0o000], ids=["read only", "closed"])
def test_a_journal_of_another_user_ends_the_run(tap: Tap, folder: Path, mode: int) -> None:
    first = tap.run()
    (key,) = folder.glob("v1/*")
    key.chmod(mode)
    run = run_unprivileged(tap, state=first.states[0])
    key.chmod(0o700)
    assert "PermissionError" in complaint(run)
    assert tap.sandbox.rows_billed == 120


# What cannot be written waits


def run_with_room_for(tap: Tap, blocks: int, **given: Any) -> Run:
    """Run the tap where no file can grow beyond some blocks of 512 bytes, as on a full disk."""
    limited = ["sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh", *tap.command(**given)]
    return execute(limited, tap.environment())


def test_a_disk_that_stays_full_costs_a_warning_and_names_the_risk(tap: Tap, folder: Path) -> None:
    run = run_with_room_for(tap, 2)
    assert run.returncode == 0, run.stderr
    assert len(run.ids) == 120
    first, last = run.lines("WARNING")
    assert "cannot be written" in first
    assert "The run continues" in first
    assert "3 pages, worth $6.00, may be billed again" in last
    assert pages(folder) == []


def run_with_changes(tap: Tap, changes: dict[int, Callable[[], object]], **settings: Any) -> Run:
    """Run the tap, and make each change while its request of that number is in progress."""
    holds = {number: Hold() for number in changes}
    for number, hold in holds.items():
        tap.sandbox.faults.add(Fault(hold=hold), on=number)
    process = tap.start(**settings)
    widen_pipe(process)
    for number, change in changes.items():
        holds[number].wait(30)
        change()
        holds[number].release()
    run, _ = finish(process, [])
    return run


def test_a_disk_that_is_full_for_a_moment_leaves_no_hole(tmp_path: Path) -> None:
    """A later crash then costs nothing, not all the pages behind the hole."""
    with Sandbox(size=300, seed=1) as sandbox:
        tap = Tap(sandbox, tmp_path)
        folder = tmp_path / "journal"

        def fill() -> None:  # a folder in place of each of the next pages
            (sync,) = folder.glob("v1/*/000001")
            for number in range(10, 15):
                (sync / f"{number:06}.page").mkdir()

        def make_room() -> None:
            for blocked in folder.glob("v1/*/000001/*.page"):
                if blocked.is_dir():
                    blocked.rmdir()

        run = run_with_changes(tap, {10: fill, 15: make_room}, batch_size=10)
        assert run.returncode == 0, run.stderr
        assert len(run.ids) == 300
        (warning,) = run.lines("WARNING")
        assert "cannot be written" in warning
        assert len([line for line in run.lines("INFO") if "can be written again" in line]) == 1
        assert len(pages(folder)) == 30
        assert replayed(tap.run(batch_size=10)) == 300
        assert rows_billed_twice(sandbox) == 0


def test_a_folder_that_vanishes_ends_the_run_before_its_next_request(
    tap: Tap, folder: Path
) -> None:
    """It was removed, or unmounted: another run may go on with it."""

    def move_away() -> None:
        folder.rename(folder.with_name("away"))

    run = run_with_changes(tap, {2: move_away})
    assert "goes on at the same time" in complaint(run)
    assert tap.sandbox.rows_billed == 100
    assert len(run.ids) == 50
    assert pages(folder) == []
    (folder.with_name("away")).rename(folder.with_name("back"))
    again = tap.run(state=run.state, journal_dir=str(folder.with_name("back")))
    assert set(run.ids + again.ids) == tap.sandbox.world.rows().keys()
    assert rows_billed_twice(tap.sandbox) == 50


def test_a_page_that_another_run_has_written_ends_this_one(tap: Tap, folder: Path) -> None:
    def write() -> None:
        (first,) = pages(folder)
        first.with_name("000002.page").write_bytes(b"another run's")

    run = run_with_changes(tap, {2: write})
    line = complaint(run)
    assert "goes on at the same time" in line
    assert re.search(r"it has written v1/career_sites-\w+/000001/000002\.page", line)
    assert len(tap.sandbox.feed_requests) == 2
    assert pages(folder)[1].read_bytes() == b"another run's"


def test_the_totals_of_a_sync_go_on_in_a_later_run(tap: Tap, folder: Path) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    tap.run(state=cut.state)
    assert [header(page).total_credits for page in pages(folder)] == [2_500, 5_000, 6_000]
