"""An archive that is damaged or cannot be used: what stops a run, and what does not matter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from jobo_sandbox import Fault, Sandbox
from tap_jobo.archive import layout
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.archive.entries import DamagedEntryError, decode_entry, encode_entry
from tap_jobo.archive.files import DamagedFileError, add_checksum
from tap_jobo.archive.folder import Folder
from tap_jobo.archive.key import archive_key
from tap_jobo.archive.pending import read_pending
from tap_jobo.model import Entry, new_id
from tap_jobo.streams.career_sites import CAREER_SITES
from tests.archive.helpers import (
    Warehouse,
    archive_command,
    change,
    header,
    kill,
    loaded,
    pages,
    refused,
    run_unprivileged,
    succeeded,
)
from tests.support import Run, Tap, commands_in, complaint, error_code, execute
from tests.support.archives import Files
from tests.support.companies import records_of
from tests.support.crash import rows_billed_twice, run_meanwhile
from tests.support.jobs import tap_of

pytestmark = pytest.mark.slow


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap without a lookback: no change is billed twice."""
    return Tap(sandbox, tmp_path, {"lookback_minutes": 0})


@pytest.fixture
def warehouse(tap: Tap, files: Files) -> Warehouse:
    """A warehouse after its first sync of twelve pages."""
    warehouse = Warehouse(tap)
    warehouse.run(batch_size=10)
    assert files.page_numbers == [*range(1, 13)]
    return warehouse


# A damaged page matters to those that need it


def damage_body(files: Files, page: str) -> None:
    files.damage(page)


def damage_header(files: Files, page: str) -> None:
    files.damage(page, 30)


def cut_short(files: Files, page: str) -> None:
    files.store.replace(page, files.store.read(page)[:-1])


def empty(files: Files, page: str) -> None:
    files.store.replace(page, b"")


def remove(files: Files, page: str) -> None:
    files.remove(page)


def replace_by_another(files: Files, page: str) -> None:
    """As a page of a copy of the archive, which another pipeline went on with."""
    files.rewrite(page, id=new_id())


def break_chain(files: Files, page: str) -> None:
    previous = files.header(page).previous
    assert previous
    files.rewrite(page, previous=replace(previous, id=new_id()))


def write_by_a_later_version(files: Files, page: str) -> None:
    """Whose headers have one more member."""
    line, _, body = files.store.read(page).partition(b"\n")
    members = json.loads(line.rpartition(b" ")[0]) | {"later": 1}
    files.store.replace(page, add_checksum(json.dumps(members).encode()) + body)


Spoil = Callable[[Files, str], None]
UNREADABLE: list[Spoil] = [damage_body, damage_header, cut_short, empty, write_by_a_later_version]
SPOILED: list[Spoil] = [*UNREADABLE, remove, replace_by_another, break_chain]


@pytest.mark.parametrize("spoil", UNREADABLE)
def test_every_run_stops_at_a_damaged_head(
    warehouse: Warehouse, files: Files, spoil: Spoil
) -> None:
    """Its body says whether it ends its sync. What comes before it is loaded."""
    tap, state = warehouse.tap, warehouse.state
    off = tap.succeed(state=state, archive=False).state
    billed = tap.sandbox.rows_billed
    good = files.store.read(files.pages[-1])
    spoil(files, files.pages[-1])
    for each, rows in ((None, 110), (state, 0), (off, 0)):
        run = tap.run(state=each)
        assert (error_code(run), len(run.ids)) == ("archive-damaged", rows)
    line = complaint(tap.run())
    assert "Page 12 of career_sites" in line
    assert files.pages[-1] in line
    assert commands_in(line) == [["drop", "career_sites", "12"]]
    assert tap.sandbox.rows_billed == billed
    files.store.replace(files.pages[-1], good)
    assert (warehouse.run().ids, warehouse.is_current) == ([], True)


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_run_that_loads_a_damaged_page_stops_and_bills_nothing(
    warehouse: Warehouse, files: Files, spoil: Spoil
) -> None:
    tap, page = warehouse.tap, files.pages[3]
    good = files.store.read(page)
    spoil(files, page)
    tap.sandbox.world.touch(next(iter(warehouse.target.rows)))
    for _ in range(2):
        run = tap.run()
        assert error_code(run) == "archive-damaged"
        assert {*run.ids} < warehouse.target.rows.keys()
    at = 5 if spoil == replace_by_another else 4  # page 5 names another one than this page 4
    assert run.bookmark["offset"] == len(run.ids) / 10 == at - 1
    line = complaint(run)
    assert f"/{at:09}.page" in line
    drop, *restart = commands_in(line)
    assert drop == ["drop", "career_sites", f"{at}"]
    is_readable = spoil not in (damage_header, empty, remove, write_by_a_later_version)
    assert restart == [["restart", "career_sites"]] * is_readable
    assert tap.sandbox.rows_billed == 120
    files.store.replace(page, good)
    assert loaded(tap.run()) == 120


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_damaged_page_is_dropped_as_the_message_says(
    warehouse: Warehouse, files: Files, spoil: Spoil
) -> None:
    tap = warehouse.tap
    spoil(files, files.pages[3])
    drop, *_ = commands_in(complaint(tap.run()))
    (restart,) = commands_in(succeeded(archive_command(tap, *drop, "--yes")).stdout)
    run = tap.run()
    assert (loaded(run), run.codes("WARNING")) == (110, ["gap"])
    assert tap.sandbox.rows_billed == 120
    succeeded(archive_command(tap, *restart, "--yes"))
    assert warehouse.rows_billed() == 120


@pytest.mark.parametrize("spoil", [damage_body, damage_header])
def test_a_damaged_head_that_is_dropped_is_bought_again_as_the_message_says(
    warehouse: Warehouse, files: Files, spoil: Spoil
) -> None:
    tap = warehouse.tap
    spoil(files, files.pages[-1])
    (drop,) = commands_in(complaint(tap.run()))
    succeeded(archive_command(tap, *drop, "--yes"))
    run = tap.run(batch_size=10)
    assert (loaded(run), run.codes("WARNING")) == (110, [])
    assert {*run.ids} == tap.sandbox.world.rows().keys()
    assert tap.sandbox.rows_billed == 130


@pytest.mark.parametrize(
    ("spoil", "codes"), [(damage_body, []), (damage_header, ["archive-behind"])]
)
def test_a_warehouse_that_has_a_head_that_was_dropped_goes_on(
    warehouse: Warehouse, files: Files, spoil: Spoil, codes: list[str]
) -> None:
    """If not even the id of the page is known, it may be another one."""
    spoil(files, files.pages[-1])
    succeeded(archive_command(warehouse.tap, "drop", "career_sites", "12"))
    assert warehouse.run().codes("WARNING") == codes
    assert warehouse.tap.sandbox.rows_billed == 120
    assert Warehouse(warehouse.tap).rows_billed(batch_size=10) == 10
    assert warehouse.rows_billed() == 0


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_damaged_page_that_no_run_loads_does_not_matter(
    warehouse: Warehouse, files: Files, spoil: Spoil
) -> None:
    tap = warehouse.tap
    spoil(files, files.pages[3])
    for number in range(2):
        change(tap, next(iter(warehouse.target.rows)), name=f"Change {number}")
        run = warehouse.run()
        assert (len(run.ids), run.lines("WARNING")) == (1, [])
        assert warehouse.is_current
    assert tap.sandbox.rows_billed == 122


def test_a_damaged_page_stops_its_stream_alone(hiring: Sandbox, tmp_path: Path) -> None:
    tap = tap_of(hiring, tmp_path, "career_sites", "jobs")
    tap.settings |= {"lookback_minutes": 0, "jobs_batch_size": 20}
    tap.succeed()
    (page,) = (tmp_path / "archive").glob("v4/*/career_sites/000000/000000001.page")
    page.write_bytes(b"")
    run = tap.run()
    assert error_code(run) == "archive-damaged"
    assert records_of(run.messages, "career_sites") == []
    assert len(records_of(run.messages, "jobs")) == 90


# The small files


@pytest.mark.parametrize("content", [b"", b"{}\n"], ids=["empty", "edited"])
def test_a_damaged_archive_file_stops_every_run(
    warehouse: Warehouse, files: Files, content: bytes
) -> None:
    """It may say that a page was dropped, or what was ordered."""
    tap = warehouse.tap
    succeeded(archive_command(tap, "restart", "career_sites", "--yes"))
    good = files.store.read(files.file)
    files.store.replace(files.file, content)
    for state in (None, warehouse.state):
        assert refused(tap, state) == "archive-damaged"
    assert files.file in complaint(tap.run())
    files.store.replace(files.file, good)
    assert warehouse.rows_billed() == 120


def flips(content: bytes) -> dict[str, bytes]:
    """The content with each of its bits flipped."""
    return {
        f"bit {bit} of byte {at}": content[:at]
        + bytes([content[at] ^ 1 << bit])
        + content[at + 1 :]
        for at in range(len(content))
        for bit in range(8)
    }


def test_each_flipped_bit_of_a_small_file_is_refused(tap: Tap, folder: Path) -> None:
    tap.succeed(max_credits_per_month=10**6)
    succeeded(archive_command(tap, "restart", "career_sites", "--yes"))
    store = Folder(folder)
    key = archive_key(CAREER_SITES, api_key=tap.sandbox.api_key, api_url=tap.sandbox.url)
    opens: dict[str, Callable[[], object]] = {
        layout.FILE.format(key.name): lambda: StreamArchive(store, key).file,
        layout.PENDING.format(key.name): lambda: read_pending(store, key.name),
    }
    for name, open_one in opens.items():
        open_one()
        good = store.read(name)
        for what, content in flips(good).items():
            (folder / name).write_bytes(content)
            with pytest.raises(DamagedFileError) as error:
                open_one()
            assert error.value.name == name, what
        (folder / name).write_bytes(good)
    tap.succeed(max_credits_per_month=10**6)


def test_each_flipped_bit_of_a_page_is_refused_or_changes_nothing(tap: Tap, folder: Path) -> None:
    tap.succeed()
    header_, body = header(pages(folder)[0]), b'{"career_sites": [], "has_more": false}'
    good = Entry(1, header_, body)
    harmless = []
    for what, content in flips(encode_entry(good)).items():
        try:
            entry = decode_entry(1, lambda content=content: content)
        except DamagedEntryError:
            continue
        assert entry == good, what
        harmless.append(what)
    assert len(harmless) < 10


# A format that this version does not expect


def without_ats(page: bytes) -> bytes:
    """The body of a page whose rows lack a column."""
    content = json.loads(page)
    for row in content["career_sites"]:
        del row["ats"]
    return json.dumps(content).encode()


def test_a_page_of_another_format_behind_the_head_is_delivered_with_a_warning(
    warehouse: Warehouse, files: Files
) -> None:
    """Each was checked when it was bought: a new warehouse would stop at a page of years ago."""
    page = files.pages[3]
    files.rewrite(page, body=without_ats(files.entry(page).body))
    run = warehouse.tap.succeed()
    (warning,) = run.messages_of("WARNING", "new-fields")
    assert run.lines("WARNING") == [warning]
    assert "Page 4 of career_sites" in warning
    assert len({*run.ids}) == 120
    assert sum(row["ats"] is None for row in run.records) == 10
    assert warehouse.tap.sandbox.rows_billed == 120


def test_a_page_of_another_format_at_the_head_stops_the_run_and_stays(
    tap: Tap, files: Files
) -> None:
    cut = kill(tap, files, 3, batch_size=10)
    page = files.pages[-1]
    good = files.entry(page).body
    files.rewrite(page, body=without_ats(good))
    for state in (cut.states[0], None):
        run = tap.run(state=state, batch_size=10)
        assert error_code(run) == "format-changed"
        assert {*run.ids} <= {*cut.ids[:10]}
    assert commands_in(complaint(run)) == [["drop", "career_sites", "2"]]
    assert tap.sandbox.rows_billed == 20
    files.rewrite(page, body=good)  # as a version that knows the format
    last = tap.succeed(state=cut.states[0], batch_size=10)
    assert len({*cut.ids, *last.ids}) == 120
    assert tap.sandbox.rows_billed == 120


# An archive that cannot be used at all ends the run before its first request


def closed_folder(folder: Path) -> None:
    folder.mkdir(mode=0o500)


def unreadable_folder(folder: Path) -> None:
    folder.mkdir()
    (folder / "v4").mkdir(mode=0o000)


@pytest.mark.parametrize("spoil", [Path.touch, closed_folder, unreadable_folder])
def test_an_unusable_archive_ends_the_run(
    tap: Tap, folder: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(folder)
    run = run_unprivileged(tap)
    assert error_code(run) == "archive-unusable"
    assert str(folder) in complaint(run)
    assert run.lines("WARNING") == []
    assert not tap.sandbox.feed_requests


def test_a_user_who_can_only_read_loads_and_then_fails(tap: Tap, folder: Path) -> None:
    """Such as a colleague. Nothing is billed."""
    tap.succeed()
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    run = run_unprivileged(tap)
    assert error_code(run) == "archive-unusable"
    assert len(run.ids) == 120
    assert run.state["bookmarks"]["career_sites"]["offset"] == 3
    assert tap.sandbox.rows_billed == 120


# A page that cannot be written is not delivered: it is billed again, but only once

TRIES = 3


def run_with_room(tap: Tap, blocks: int = 2, **given: Any) -> Run:
    """Run where no file may have more blocks of 512 bytes; of two, none can hold a page."""
    limited = ["sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh", *tap.command(**given)]
    return execute(limited, tap.environment({"PYTHONDONTWRITEBYTECODE": "1"}))  # which is cut off


def test_a_full_disk_costs_nothing_however_often_it_is_tried(tap: Tap, folder: Path) -> None:
    """The run proves that it could write a page before it buys one."""
    for _ in range(TRIES):
        run = run_with_room(tap)
        assert error_code(run) == "archive-unusable"
        assert str(folder) in complaint(run)
        assert (run.records, tap.sandbox.feed_requests) == ([], [])
    assert len(tap.succeed().ids) == tap.sandbox.rows_billed == 120
    assert not [*folder.rglob("*probe*")]


def test_a_full_disk_ends_the_run_of_other_streams_too(tmp_path: Path) -> None:
    with Sandbox(size=20, jobs=30, seed=2) as sandbox:
        run = run_with_room(tap_of(sandbox, tmp_path, "jobs", "career_sites"))
        assert error_code(run) == "archive-unusable"
        assert (run.records, sandbox.rows_billed) == ([], 0)


def test_a_page_too_large_for_the_disk_costs_one_page_however_often_it_is_tried(
    tap: Tap, folder: Path
) -> None:
    """The next run proves that a file of its size could be written."""
    rng = Random(1)

    def grow(body: dict[str, Any]) -> dict[str, Any]:
        for row in body["career_sites"]:
            row["summary"] = rng.randbytes(30_000).hex()
        return body

    tap.sandbox.faults.add(Fault(replace=grow, times=None), endpoint="career_sites")
    for _ in range(TRIES):
        run = run_with_room(tap, 2_500)
        assert error_code(run) == "archive-unusable"
        assert (run.records, tap.sandbox.rows_billed) == ([], 50)
    assert len(tap.succeed().ids) == 120
    assert rows_billed_twice(tap.sandbox) == 50
    assert not [*folder.rglob("unwritten.json")]


@pytest.mark.parametrize("deducted", [2_500, 5_000, 1_000_000])
def test_a_disk_that_fills_up_costs_one_page_however_often_it_is_tried(
    tap: Tap, folder: Path, deducted: int
) -> None:
    """A bill that has to be disputed is reported, although nothing else can be written, either."""
    away = folder.with_name("away")

    def close(body: dict[str, Any]) -> dict[str, Any]:
        folder.rename(away)
        folder.touch()
        return body

    tap.sandbox.faults.add(
        Fault(replace=close, headers={"X-Credits-Deducted": f"{deducted}"}), on=2
    )
    run = tap.run(max_credits_per_month=10**9)
    assert error_code(run) == "archive-unusable"
    assert f"${deducted / 1_000:,.2f}" in complaint(run)
    assert run.codes("ERROR") == (["unexpected-bill"] if deducted > 10_000 else [])
    assert len(run.ids) == 50
    for _ in range(TRIES):
        again = tap.run(state=run.state)
        assert (error_code(again), again.records) == ("archive-unusable", [])
    assert tap.sandbox.rows_billed == 100
    folder.unlink()
    away.rename(folder)
    last = tap.succeed(state=run.state)
    assert {*run.ids, *last.ids} == tap.sandbox.world.rows().keys()
    assert rows_billed_twice(tap.sandbox) == 50


def test_a_folder_that_vanishes_ends_the_run_with_the_page_in_flight(
    tap: Tap, folder: Path
) -> None:
    """It was removed, or unmounted: another run may go on with it."""
    away = folder.with_name("away")
    run = run_meanwhile(tap, lambda _: folder.rename(away))
    assert error_code(run) == "archive-unusable"
    assert (tap.sandbox.rows_billed, len(run.ids), pages(folder)) == (100, 50, [])
    again = succeeded(tap.run(state=run.state, archive_dir=str(away)))
    assert {*run.ids, *again.ids} == tap.sandbox.world.rows().keys()
    assert rows_billed_twice(tap.sandbox) == 50


def test_a_folder_that_another_run_has_begun_anew_stays_as_it_is(tap: Tap, folder: Path) -> None:
    others: list[Run] = []

    def begin_anew(_: object) -> None:
        folder.rename(folder.with_name("away"))
        others.append(succeeded(tap.run(max_credits=2_500)))

    run = run_meanwhile(tap, begin_anew, on=1)
    assert (error_code(run), run.records) == ("archive-unusable", [])
    (other,) = others
    assert header(pages(folder)[0]).id == other.bookmark["entry"]
    again = succeeded(tap.run(state=other.state))
    assert {*other.ids, *again.ids} == tap.sandbox.world.rows().keys()


def test_a_page_that_another_run_has_written_ends_this_one(tap: Tap, folder: Path) -> None:
    """As on a file system without locks."""

    def write(_: object) -> None:
        (first,) = pages(folder)
        first.with_name("000000002.page").write_bytes(b"another run's")

    run = run_meanwhile(tap, write)
    assert error_code(run) == "run-in-progress"
    assert len(run.ids) == 50
    assert len(tap.sandbox.feed_requests) == 2
    assert pages(folder)[1].read_bytes() == b"another run's"
