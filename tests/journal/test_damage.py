"""A journal that is damaged or cannot be used: what ends a run, and what it costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
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
from tests.support.crash import cut_in_request, rows_billed_twice, run_meanwhile
from tests.support.jobs import tap_of

# A damaged page ends its stream before anything of it is billed


def damage_header(page: Path) -> None:
    damage(page, 30)


def cut_short(page: Path) -> None:
    page.write_bytes(page.read_bytes()[:-1])


def replace_by_another(page: Path) -> None:
    rewrite(page, cursor="another")


SPOILED = [damage, damage_header, cut_short, replace_by_another, Path.unlink]


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_damaged_page_ends_the_run_and_states_the_price(
    tap: Tap, folder: Path, spoil: Callable[[Path], None]
) -> None:
    tap.run(batch_size=10)
    fourth = pages(folder)[3]
    name, number = name_of(fourth), 8 if spoil == Path.unlink else 9
    spoil(fourth)
    line = complaint(tap.run(batch_size=10))
    assert f"The page {name} in the journal" in line
    assert f"`tap-jobo-journal drop {name}`: {number} pages would be billed again, about $4" in line
    assert "before anything of this stream is billed" in line
    assert tap.sandbox.rows_billed == 120
    assert journal_command(tap, "drop", name).returncode == 0
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
    line = complaint(tap.run())
    assert f"The page {name_of(pages(folder)[-1])} in the journal" in line
    assert "1 page would be billed again" in line
    assert tap.sandbox.rows_billed == billed


def test_a_last_page_that_a_kill_cut_short_is_fetched_again(tap: Tap, folder: Path) -> None:
    tap.run()
    cut_short(pages(folder)[-1])
    again = tap.run()
    assert replayed(again) == 100
    assert set(again.ids) == tap.sandbox.world.rows().keys()
    assert rows_billed_twice(tap.sandbox) == 20


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


def closed_folder(folder: Path) -> None:
    folder.mkdir(mode=0o500)


def unreadable_folder(folder: Path) -> None:
    folder.mkdir()
    (folder / "v1").mkdir(mode=0o000)


@pytest.mark.parametrize("spoil", [Path.touch, closed_folder, unreadable_folder])
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


# A page that cannot be written is delivered, and ends the run


def run_on_full_disk(tap: Tap, **given: Any) -> Run:
    """Run where no file may have more than two blocks: none can hold a page."""
    limited = ["sh", "-c", 'ulimit -f 2; exec "$@"', "sh", *tap.command(**given)]
    return execute(limited, tap.environment())


def test_a_page_that_cannot_be_written_is_delivered_and_ends_the_run(
    tap: Tap, folder: Path
) -> None:
    run = run_on_full_disk(tap)
    line = complaint(run)
    assert re.search(r"The page \w+\.1, worth \$2\.50, could not be written to the journal", line)
    assert str(folder) in line
    assert "If the target has not stored them, they are billed again. Make room" in line
    assert run.lines("WARNING") == []
    assert len(run.ids) == run.bookmark["scan"]["rows"] == tap.sandbox.rows_billed == 50
    assert pages(folder) == []
    again = tap.run(state=run.state)
    assert again.returncode == 0, again.stderr
    assert len({*run.ids, *again.ids}) == tap.sandbox.rows_billed == 120
    assert tap.run(state=again.state).lines("WARNING") == []


def test_a_page_that_cannot_be_written_ends_the_run_of_other_streams_too(tmp_path: Path) -> None:
    with Sandbox(size=20, jobs=30, seed=2) as sandbox:
        run = run_on_full_disk(tap_of(sandbox, tmp_path, "jobs", "career_sites"))
        assert "could not be written" in complaint(run)
        assert len(run.ids) == 20
        assert len(sandbox.feed_requests) == 1
        assert run.bookmark["completed_scan"]  # it was the last page of its sync


def test_a_page_that_is_neither_understood_nor_written_is_reported_as_both(tap: Tap) -> None:
    tap.sandbox.faults.add(Fault(replace=lambda body: {**body, "has_more": "maybe"}))
    line = complaint(run_on_full_disk(tap))
    assert "has_more" in line
    assert "could not be written to the journal" in line
    assert "the next run fetches and pays for the page again" in line


def test_a_folder_that_vanishes_ends_the_run_before_its_next_request(
    tap: Tap, folder: Path
) -> None:
    """It was removed, or unmounted: another run may go on with it."""

    run = run_meanwhile(tap, lambda _: folder.rename(folder.with_name("away")))
    assert "writes at the same time" in complaint(run)
    assert tap.sandbox.rows_billed == 100
    assert len(run.ids) == 50
    assert pages(folder) == []
    again = tap.run(state=run.state, journal_dir=str(folder.with_name("away")))
    assert set(run.ids + again.ids) == tap.sandbox.world.rows().keys()
    assert rows_billed_twice(tap.sandbox) == 50


def test_a_page_that_another_run_has_written_ends_this_one(tap: Tap, folder: Path) -> None:
    def write(_: object) -> None:
        (first,) = pages(folder)
        first.with_name("000002.page").write_bytes(b"another run's")

    run = run_meanwhile(tap, write)
    line = complaint(run)
    assert "writes at the same time" in line
    assert re.search(r"it has written v1/career_sites-\w+/000001/000002\.page", line)
    assert len(tap.sandbox.feed_requests) == 2
    assert pages(folder)[1].read_bytes() == b"another run's"


def test_the_totals_of_a_sync_go_on_in_a_later_run(tap: Tap, folder: Path) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    tap.run(state=cut.state)
    assert [header(page).total_credits for page in pages(folder)] == [2_500, 5_000, 6_000]
