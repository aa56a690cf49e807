"""An archive that is damaged or cannot be used: what ends a run, and what it costs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.archive.contents import Contents
from tap_jobo.archive.folder import Folder
from tests.archive.helpers import (
    archive_command,
    damage,
    header,
    name_of,
    pages,
    refused,
    replayed,
    rewrite,
    run_unprivileged,
    succeeded,
)
from tests.support import Run, Tap, complaint, execute
from tests.support.crash import cut_in_request, rows_billed_twice, run_meanwhile
from tests.support.jobs import tap_of

pytestmark = pytest.mark.slow

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
    assert f"The page {name} in the archive" in line
    assert f"`tap-jobo-archive drop {name}`: {number} pages would be billed again, about $4" in line
    assert "before anything of this stream is billed" in line
    assert tap.sandbox.rows_billed == 120
    assert archive_command(tap, "drop", name).returncode == 0
    again = tap.run(batch_size=10)
    assert replayed(again) == 30
    assert set(again.ids) == tap.sandbox.world.rows().keys()
    assert tap.sandbox.rows_billed == 210


@pytest.mark.parametrize("spoil", [damage, cut_short])
def test_a_damaged_catch_up_costs_nothing_before_it_is_found(
    tap: Tap, folder: Path, spoil: Callable[[Path], None]
) -> None:
    first = tap.run()
    tap.sandbox.world.touch(first.ids[0])
    tap.run()
    spoil(pages(folder)[-1])
    billed = tap.sandbox.rows_billed
    line = complaint(tap.run())
    assert f"The page {name_of(pages(folder)[-1])} in the archive" in line
    assert "1 page would be billed again" in line
    assert tap.sandbox.rows_billed == billed


# A small file that is damaged, or that a person has edited wrongly, is named


@pytest.mark.parametrize("file", ["sync.json", "completed.json", "overwritten.json"])
@pytest.mark.parametrize("way", ["damaged", "not UTF-8", "mistyped", "mistimed"])
def test_a_damaged_small_file_ends_the_run_until_it_is_dropped(
    tap: Tap, folder: Path, file: str, way: str
) -> None:
    state = tap.run(state=tap.run().state).state
    (completed,) = folder.glob("v2/*/completed.json")
    overwritten = {"id": "2026-01-01T00:00:00Z"}
    completed.with_name("overwritten.json").write_text(json.dumps(overwritten))
    (found,) = folder.glob(f"v2/**/{file}")
    wrong = {"bookmark": "x", "since": "x"} if way == "mistimed" else {"id": None}
    content = json.dumps(json.loads(found.read_text()) | wrong)
    if way == "not UTF-8":
        found.write_bytes(content.encode().replace(b'"id"', b'"i\xff"'))
    else:
        found.write_text("{" if way == "damaged" else content)
    name = found.relative_to(folder / "v2")
    line = refused(tap, state=state)
    assert f"The file v2/{name} in the archive {folder} is damaged or missing" in line
    command = re.findall(r"`tap-jobo-archive drop (\S+)`", line)[0]
    assert command == str(name.parent if file == "sync.json" else name)
    listed = archive_command(tap, "list").stdout
    assert f"{command}  1 page, worth $0.00, " in listed or f"{name} is damaged" in listed
    assert archive_command(tap, "drop", command).returncode == 0
    assert not found.exists()
    succeeded(tap.run(state=state))
    assert tap.sandbox.rows_billed == 120


@pytest.mark.parametrize("name", ["selected", "added"])
def test_a_sync_in_progress_reads_what_the_state_and_the_settings_say(
    tap: Tap, folder: Path, name: str
) -> None:
    """Whatever filter a person has written into its file."""
    cut = cut_in_request(tap, 3, billed=False)
    (sync,) = folder.glob("v2/*/*/sync.json")
    sync.write_text(json.dumps(json.loads(sync.read_text()) | {name: {"country_codez": ["DE"]}}))
    run = succeeded(tap.run(state=cut.state))
    assert len({*cut.ids, *run.ids}) == tap.sandbox.rows_billed == 120


def test_a_missing_sync_is_damage_beside_its_first_page_only(tap: Tap, folder: Path) -> None:
    tap.run()
    first, *_, last = pages(folder)
    sync = first.with_name("sync.json")
    sync.unlink()
    line = complaint(tap.run())
    assert f"{sync.relative_to(folder)} in the archive {folder} is damaged or missing" in line
    assert tap.sandbox.rows_billed == 120
    first.unlink()
    succeeded(tap.run())
    assert tap.sandbox.rows_billed == 240
    assert last.exists()  # what is left of a sync is no reason to stop


def test_what_is_left_of_a_removed_sync_is_no_damage_unless_its_file_is(
    tap: Tap, folder: Path
) -> None:
    """A power failure may bring back a page that was removed."""
    state = tap.run().state
    page = pages(folder)[0]
    content = page.read_bytes()
    state = tap.run(state=state).state
    page.parent.mkdir()
    page.write_bytes(content)
    state = succeeded(tap.run(state=state)).state
    page.with_name("sync.json").write_text("{")
    assert "000001/sync.json in the archive" in refused(tap, state=state)


@pytest.mark.parametrize("value", [None, "x", -1, 10**30, 1.5, [], {}, True, ""])
def test_no_edited_field_ends_in_a_traceback(tap: Tap, folder: Path, value: Any) -> None:
    """What the types allow is as the user wants it."""
    tap.run(state=tap.run().state)
    store = Folder(folder)
    for file in folder.glob("v2/*/**/*.json"):
        before = file.read_text()
        for field in json.loads(before):
            file.write_text(json.dumps(json.loads(before) | {field: value}))
            contents = Contents(store)
            for key in contents.keys:
                contents.damaged_files(key)
                for kept in contents.syncs(key).values():
                    assert isinstance(kept.sync.number, int)
                    assert isinstance(kept.sync.id, str)
                    assert kept.status in {"", "ended", "dropped", "damaged"}
        file.write_text(before)


def test_a_damaged_key_file_is_written_again(tap: Tap, folder: Path) -> None:
    tap.run()
    (file,) = folder.glob("v2/*/key.json")
    before = file.read_text()
    file.write_text('{"stream": 5}')
    assert f"  v2/{file.parent.name}/key.json is damaged or missing" in (
        archive_command(tap, "list").stdout.splitlines()
    )
    assert replayed(tap.run()) == 120
    assert file.read_text() == before


def test_drop_takes_a_folder_or_all_unread(tap: Tap, folder: Path) -> None:
    state = tap.run(state=tap.run().state).state
    (completed,) = folder.glob("v2/*/completed.json")
    (sync,) = folder.glob("v2/*/*/sync.json")
    for name in (completed.parent.name, "--all"):
        sync.write_text("{")
        completed.write_text("{")
        run = archive_command(tap, "drop", name)
        files = "2 other files" if name != "--all" else "1 other file"
        assert run.stdout == f"Dropped 1 page, worth $0.00, and 0 quarantined rows, and {files}.\n"
        assert not completed.exists()
        assert pages(folder) == []
        state = tap.run(state=tap.run(state=state).state).state
        (sync,) = folder.glob("v2/*/*/sync.json")


def test_a_sync_that_a_kill_cut_short_is_ignored(tap: Tap, folder: Path) -> None:
    first = tap.run()
    (key,) = folder.glob("v2/career_sites-*")
    (key / "000002").mkdir()
    (key / "000002" / "sync.json").write_text('{"id": ')
    succeeded(tap.run(state=first.state))
    assert (key / "000003" / "sync.json").exists()


# An archive that cannot be used at all ends the run before its first request


def closed_folder(folder: Path) -> None:
    folder.mkdir(mode=0o500)


def unreadable_folder(folder: Path) -> None:
    folder.mkdir()
    (folder / "v2").mkdir(mode=0o000)


@pytest.mark.parametrize("spoil", [Path.touch, closed_folder, unreadable_folder])
def test_an_unusable_archive_ends_the_run(
    tap: Tap, folder: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(folder)
    run = run_unprivileged(tap)
    line = complaint(run)
    assert str(folder) in line
    assert "archive to false" in line
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
    assert re.search(r"The page \w+\.1, worth \$2\.50, could not be written to the archive", line)
    assert str(folder) in line
    assert "If the target has not stored them, they are billed again. Make room" in line
    assert run.lines("WARNING") == []
    assert len(run.ids) == run.bookmark["sync"]["rows"] == tap.sandbox.rows_billed == 50
    assert pages(folder) == []
    again = succeeded(tap.run(state=run.state))
    assert len({*run.ids, *again.ids}) == tap.sandbox.rows_billed == 120
    assert tap.run(state=again.state).lines("WARNING") == []


@pytest.mark.parametrize(
    ("change", "headers"),
    [
        ({"id": "none"}, {}),  # a row to quarantine
        ({}, {"X-Credits-Deducted": "5000"}),  # a price to remember
        ({}, {"X-Credits-Deducted": "1000000"}),  # a page to dispute
    ],
)
def test_a_page_that_cannot_be_written_is_delivered_whatever_else_cannot(
    tap: Tap, folder: Path, change: dict[str, str], headers: dict[str, str]
) -> None:
    def close(body: dict[str, Any]) -> dict[str, Any]:
        close_archive(folder)
        first, *others = body["career_sites"]
        return body | {"career_sites": [first | change, *others]}

    tap.sandbox.faults.add(Fault(replace=close, headers=headers), on=2)
    run = tap.run(max_credits_per_month=10**9)
    assert "could not be written" in complaint(run)
    assert len(run.ids) == 100 - len(change)
    assert run.bookmark["sync"]["rows"] == tap.sandbox.rows_billed == 100
    lost = "It was billed, and the archive could not keep it."
    assert [line.endswith(lost) for line in run.lines("ERROR") if "Skipped" in line] == [
        True for _ in change
    ]


def test_an_estimate_that_cannot_be_made_keeps_no_page_from_the_target(tmp_path: Path) -> None:
    def close(body: dict[str, Any]) -> dict[str, Any]:
        close_archive(tmp_path / "archive")
        return body

    with Sandbox(size=1, jobs=30, seed=2) as sandbox:
        sandbox.faults.add(Fault(replace=close), endpoint="jobs")
        tap = tap_of(sandbox, tmp_path, "jobs")
        run = tap.run(max_credits_per_month=10**9, jobs_batch_size=10)
        assert "could not be written" in complaint(run)
        assert len(run.ids) == 10


def close_archive(folder: Path) -> None:
    """Put a file in place of each folder that a run writes to."""
    for path in (folder / "v2" / "spent", *folder.glob("v2/*/000001")):
        path.rename(folder / path.name)
        path.touch()
    for key in folder.glob("v2/career_sites-*"):
        (key / "quarantine").touch()


def test_a_page_that_cannot_be_written_ends_the_run_of_other_streams_too(tmp_path: Path) -> None:
    with Sandbox(size=20, jobs=30, seed=2) as sandbox:
        run = run_on_full_disk(tap_of(sandbox, tmp_path, "jobs", "career_sites"))
        assert "could not be written" in complaint(run)
        assert len(run.ids) == 20
        assert len(sandbox.feed_requests) == 1
        assert run.bookmark["completed_sync"]  # it was the last page of its sync


def test_a_page_that_is_neither_understood_nor_written_is_reported_as_both(tap: Tap) -> None:
    tap.sandbox.faults.add(Fault(replace=lambda body: {**body, "has_more": "maybe"}))
    line = complaint(run_on_full_disk(tap))
    assert "has_more" in line
    assert "could not be written to the archive" in line
    assert "the next run fetches the page again, and pays for it again" in line


def test_a_folder_that_vanishes_ends_the_run_before_its_next_request(
    tap: Tap, folder: Path
) -> None:
    """It was removed, or unmounted: another run may go on with it."""

    run = run_meanwhile(tap, lambda _: folder.rename(folder.with_name("away")))
    assert "writes at the same time" in complaint(run)
    assert tap.sandbox.rows_billed == 100
    assert len(run.ids) == 50
    assert pages(folder) == []
    again = tap.run(state=run.state, archive_dir=str(folder.with_name("away")))
    assert set(run.ids + again.ids) == tap.sandbox.world.rows().keys()
    assert rows_billed_twice(tap.sandbox) == 50


def test_a_folder_that_another_run_has_begun_anew_stays_as_it_is(tap: Tap, folder: Path) -> None:
    others: list[Run] = []

    def begin_anew(_: object) -> None:
        folder.rename(folder.with_name("away"))
        others.append(succeeded(tap.run(max_credits=2_500)))

    run = run_meanwhile(tap, begin_anew, on=1)
    assert "writes at the same time" in complaint(run)
    assert run.ids == []
    (other,) = others
    again = succeeded(tap.run(state=other.state))
    assert {*other.ids, *again.ids} == tap.sandbox.world.rows().keys()
    assert rows_billed_twice(tap.sandbox) == 50


def test_a_page_that_another_run_has_written_ends_this_one(tap: Tap, folder: Path) -> None:
    def write(_: object) -> None:
        (first,) = pages(folder)
        first.with_name("000002.page").write_bytes(b"another run's")

    run = run_meanwhile(tap, write)
    line = complaint(run)
    assert "writes at the same time" in line
    assert re.search(r"it has written v2/career_sites-\w+/000001/000002\.page", line)
    assert len(tap.sandbox.feed_requests) == 2
    assert pages(folder)[1].read_bytes() == b"another run's"


def test_the_totals_of_a_sync_go_on_in_a_later_run(tap: Tap, folder: Path) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    tap.run(state=cut.state)
    assert [header(page).total_credits for page in pages(folder)] == [2_500, 5_000, 6_000]
    contents = Contents(Folder(folder))
    (archived,) = contents.all_syncs
    removed = [name.rpartition("/")[2] for name in archived.names]
    assert removed == ["000003.page", "000002.page", "000001.page", "sync.json"]  # from the end
    assert [contents.credits(archived, page) for page in (1, 2, 3)] == [6_000, 3_500, 1_000]
    for page in pages(folder):
        damage_header(page)
    assert contents.credits(archived) == 0
