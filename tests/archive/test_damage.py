"""An archive that is damaged or cannot be used: what stops a run, and what does not matter."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jobo_sandbox import Fault, Sandbox
from tap_jobo.archive.files import add_checksum
from tap_jobo.model import new_id
from tests.archive.helpers import (
    Warehouse,
    archive_command,
    change,
    succeeded,
)
from tests.support import Tap, commands_in, tap_of
from tests.support.archives import Files
from tests.support.crash import finish, rows_billed_twice

pytestmark = pytest.mark.slow


@pytest.fixture
def warehouse(tap: Tap, files: Files) -> Warehouse:
    """A warehouse after its first sync of twelve pages."""
    warehouse = Warehouse(tap)
    warehouse.run(batch_size=10)
    assert files.page_numbers == [*range(1, 13)]
    return warehouse


# A damaged page matters to those that need it


def break_chain(files: Files, page: str) -> None:
    previous = files.header(page).previous
    assert previous
    files.rewrite(page, previous=replace(previous, id=new_id()))


def add_a_member(files: Files, page: str) -> None:
    line, _, body = files.store.read(page).partition(b"\n")
    members = json.loads(line.rpartition(b" ")[0]) | {"later": 1}
    files.store.replace(page, add_checksum(json.dumps(members).encode()) + body)


NO_HEADER: dict[str, Callable[[Files, str], None]] = {
    "header": lambda files, page: files.damage(page, 30),
    "missing": lambda files, page: files.remove(page),
    "later version": add_a_member,
}
SPOIL = NO_HEADER | {
    "body": lambda files, page: files.damage(page),
    # As a page of a copy of the archive, which another pipeline went on with.
    "another page": lambda files, page: files.rewrite(page, id=new_id()),
    "chain": break_chain,
}


@pytest.mark.parametrize("spoiled", ["body", "later version"])
def test_every_run_stops_at_a_damaged_head_until_it_is_dropped_and_bought_again(
    warehouse: Warehouse, files: Files, spoiled: str
) -> None:
    """Its body says whether it ends its sync. What comes before it is loaded.

    If not even the id of the page is known, it may be another one for a warehouse that has it.
    """
    tap, state = warehouse.tap, warehouse.state
    off = tap.succeed(state=state, archive=False).state
    billed = tap.sandbox.rows_billed
    SPOIL[spoiled](files, files.pages[-1])
    for each, rows in ((state, 0), (off, 0), (None, 110)):
        run = tap.run(state=each)
        assert (run.error_code, len(run.ids)) == ("archive-damaged", rows)
    line = run.complaint
    assert files.pages[-1] in line
    (command,) = commands_in(line)
    assert command == ["drop", "career_sites", "12"]
    succeeded(archive_command(tap, *command))
    assert warehouse.run().codes("WARNING") == ["archive-behind"] * (spoiled in NO_HEADER)
    assert tap.sandbox.rows_billed == billed
    assert Warehouse(tap).rows_billed(batch_size=10) == 10
    assert warehouse.rows_billed() == 0


@pytest.mark.parametrize("spoiled", SPOIL)
def test_a_damaged_page_stops_those_who_load_it_until_it_is_dropped(
    warehouse: Warehouse, files: Files, spoiled: str
) -> None:
    tap = warehouse.tap
    SPOIL[spoiled](files, files.pages[3])
    change(tap, next(iter(warehouse.target.rows)))
    run = warehouse.run()  # which does not load it
    assert (len(run.ids), run.lines("WARNING"), warehouse.is_current) == (1, [], True)
    for _ in range(2):
        run = tap.fail(code="archive-damaged")
        assert {*run.ids} < warehouse.target.rows.keys()
    at = 5 if spoiled == "another page" else 4  # page 5 names another one than this page 4
    assert run.bookmark["offset"] == at - 1
    line = run.complaint
    assert f"/{at:09}.page" in line
    command, *others = commands_in(line)
    assert command == ["drop", "career_sites", f"{at}"]
    assert others == [["restart", "career_sites"]] * (spoiled not in NO_HEADER)
    (order,) = commands_in(succeeded(archive_command(tap, *command, "--yes")).stdout)
    run = tap.succeed()
    assert (run.loaded, run.codes("WARNING")) == (110, ["gap"])
    assert tap.sandbox.rows_billed == 121
    succeeded(archive_command(tap, *order, "--yes"))
    assert warehouse.rows_billed() == 120


# Pages that are dropped, of which `tests.sync.test_traps` has more


def test_a_page_is_dropped_after_the_one_that_has_its_place(tap: Tap, files: Files) -> None:
    tap.succeed()
    for page in files.pages[1:]:
        files.damage(page, 5)
    refused = archive_command(tap, "drop", "career_sites", "3")
    assert refused.stderr.startswith("Error: Page 2 of career_sites ")


def test_a_first_page_that_names_another_one_is_refused(tap: Tap, files: Files) -> None:
    tap.succeed()
    intact, (first, second, third) = files.copy(), files.pages
    files.store.replace(first, intact[second])
    files.remove(second, third)
    tap.fail(code="archive-damaged", max_credits=0)


# A format that this version does not expect: billed once, kept, and not emitted before one does


Body = dict[str, Any]


FORMATS: list[Callable[[Body], Body]] = [
    lambda body: {"rows": body["career_sites"], "more": True},
    lambda body: {**body, "career_sites": [{"id": row["id"]} for row in body["career_sites"]]},
]


@pytest.mark.parametrize("spoil", FORMATS)
def test_a_page_of_another_format_is_billed_once_and_stays_until_a_version_knows_it(
    tap: Tap, files: Files, spoil: Callable[[Body], Body]
) -> None:
    known: list[Body] = []

    def replace(body: Body) -> Body:
        known.append(deepcopy(body))
        return spoil(body)

    tap.sandbox.faults.add(Fault(replace=replace), on=2)
    first = tap.run()
    line = first.complaint
    assert len(first.ids) == first.progress["rows"] == 50
    assert first.bookmark["replication_key_value"] is None
    assert first.lines("ERROR") == []
    assert first.error_code == "format-changed"
    assert commands_in(line) == [["drop", "career_sites", "2"]]
    assert line.count("$2.50") == 2  # what it cost, and what it costs again
    for state in (first.state, None):
        again = tap.fail(code="format-changed", state=state)
        assert again.complaint == line
        assert {*again.ids} <= {*first.ids}
    assert tap.sandbox.rows_billed == 100
    files.rewrite(files.pages[1], body=json.dumps(known[0]).encode())  # as a later version reads
    last = tap.succeed(state=first.state)
    assert len(last.ids) == 70
    assert {*first.ids, *last.ids} == tap.sandbox.world.rows().keys()
    assert tap.sandbox.rows_billed == 120


def test_a_skipped_row_is_shown_by_its_number_and_erased(tap: Tap) -> None:
    def spoil(body: Body) -> Body:
        body["career_sites"][7]["id"] = 7
        body["career_sites"][9] = {"id": "nine"}
        return body

    tap.sandbox.faults.add(Fault(replace=spoil), on=2)
    lines = tap.succeed().messages_of("ERROR", "rows-skipped")
    run = tap.succeed()
    assert run.loaded == 118
    assert run.messages_of("ERROR", "rows-skipped") == lines
    assert ["row 8 of page 2" in lines[0], "row 10 of page 2" in lines[1]] == [True, True]
    assert all("$0.05" in line for line in lines)
    (shown,) = commands_in(lines[0])
    exported = [*map(json.loads, succeeded(archive_command(tap, *shown)).stdout.splitlines())]
    assert {each["page"] for each in exported} == {2}
    rows = {each["row_number"]: each["row"] for each in exported}
    assert (len(rows), rows[8]["id"], rows[10]["id"]) == (50, 7, "nine")
    for id_ in ("7", "nine"):  # the second one keeps its number
        assert "returns" in succeeded(archive_command(tap, "erase", id_)).stdout
    exported = [*map(json.loads, succeeded(archive_command(tap, *shown)).stdout.splitlines())]
    assert [each["row_number"] for each in exported] == [*range(1, 8), 9, *range(11, 51)]
    again = tap.succeed()
    assert again.loaded == 118
    assert again.messages_of("ERROR", "rows-skipped") == []
    assert tap.sandbox.rows_billed == 120


# A page that cannot be written is not delivered: it is billed again, but only once

TRIES = 2


def test_a_full_disk_costs_nothing_however_often_it_is_tried(
    sandbox: Sandbox, tmp_path: Path, folder: Path
) -> None:
    """The run proves that it could write a page before it buys one. No other stream goes on."""
    tap = tap_of(sandbox, tmp_path, "career_sites", "jobs")
    room = {"TEST_ROOM": "3_000_000"}
    for _ in range(TRIES):
        run = finish(dataclasses.replace(tap, oddities=room).start())
        assert run.error_code == "archive-unusable"
        assert str(folder) in run.complaint
        assert (run.records, sandbox.rows_billed) == ([], 0)
    assert len(tap.succeed().ids) == sandbox.rows_billed == 160
    assert not [*folder.rglob("*probe*")]


def test_a_small_page_that_was_not_billed_and_cannot_be_read_is_kept(tap: Tap) -> None:
    state = tap.succeed().state
    odd = Fault(replace=lambda body: {**body, "career_sites": 5})
    tap.sandbox.faults.add(odd, endpoint="career_sites")
    for _ in range(2):
        tap.fail(code="format-changed", state=state)
    assert len(tap.sandbox.feed_requests) == 4


def test_pages_whose_folder_is_on_a_disk_that_is_gone_are_not_bought(
    tap: Tap, folder: Path
) -> None:
    state = tap.run(max_credits=2_500).state
    (pages,) = folder.glob("v4/*/career_sites/000000")
    pages.rename(folder / "away")
    pages.symlink_to(folder / "gone")
    for _ in range(TRIES):
        tap.fail(code="archive-unusable", state=state)
    assert tap.sandbox.rows_billed == 50
    pages.unlink()
    (folder / "away").rename(pages)
    assert len(tap.succeed(state=state).ids) == 70


def test_a_backup_that_replaces_the_folder_during_a_run_is_not_written(
    tap: Tap, folder: Path, files: Files
) -> None:
    state = tap.succeed(max_credits=2_500).state
    backup = Path(shutil.copytree(folder, folder.with_name("backup")))

    def replace_folder(body: Body) -> Body:
        folder.rename(folder.with_name("away"))
        backup.rename(folder)
        return body

    tap.sandbox.faults.add(Fault(replace=replace_folder), on=2)
    tap.fail(code="archive-unusable", state=state)
    assert files.page_numbers == [1]


@pytest.mark.parametrize("deducted", [2_500, 1_000_000])
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
    run = tap.fail(code="archive-unusable", max_credits_per_month=10**9)
    assert f"${deducted / 1_000:,.2f}" in run.complaint
    assert run.codes("WARNING") == (["unexpected-bill"] if deducted > 2_500 else [])
    assert len(run.ids) == 50
    for _ in range(TRIES):
        again = tap.run(state=run.state)
        assert (again.error_code, again.records) == ("archive-unusable", [])
    assert tap.sandbox.rows_billed == 100
    folder.unlink()
    away.rename(folder)
    last = tap.succeed(state=run.state)
    assert {*run.ids, *last.ids} == tap.sandbox.world.rows().keys()
    assert rows_billed_twice(tap.sandbox) == 50
