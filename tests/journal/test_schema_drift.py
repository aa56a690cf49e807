"""Schema drift: a page whose format has changed stays in the journal, and none of it goes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault
from tests.journal.helpers import journal_command, names, quarantined, replayed
from tests.support import Run, Tap, complaint

Row = dict[str, Any]
Body = dict[str, Any]


def each_row(change: Callable[[Row], object]) -> Fault:
    """Every page from now on, with a change in all of its rows."""

    def replace(body: Body) -> Body:
        for row in body["career_sites"]:
            change(row)
        return body

    return Fault(replace=replace, times=None)


def rename(row: Row, old: str, new: str) -> None:
    row[new] = row.pop(old)


def pages_of(*pages: list[Row]) -> Fault:
    """A feed of these pages, one per scan; after them, empty ones."""
    left = list(pages)

    def replace(_: Body) -> Body:
        rows = left.pop(0) if left else []
        return {"career_sites": rows, "next_cursor": None, "has_more": False}

    return Fault(replace=replace, times=None)


def rows_without_id(*numbers: int) -> list[Row]:
    return [{"id": number, "name": "N", "ats": "a", "listing_url": "l"} for number in numbers]


CHANGES: dict[str, tuple[str, Callable[[Row], object]]] = {
    "id is an integer": ("id", lambda row: row.update(id=int(row["id"][:8], 16))),
    "id is renamed": ("id", lambda row: rename(row, "id", "company_id")),
    "id is null": ("id", lambda row: row.update(id=None)),
    "id is another text": ("id", lambda row: row.update(id=f"cs_{row['id'][:8]}")),
    "name is an object": ("name", lambda row: row.update(name={"en": row["name"]})),
    "name is renamed": ("name", lambda row: rename(row, "name", "title")),
    "ats is null": ("ats", lambda row: row.update(ats=None)),
    "listing_url is missing": ("listing_url", lambda row: row.pop("listing_url")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_all_rows_ends_the_run_and_is_kept(tap: Tap, folder: Path, change: str) -> None:
    field, spoil = CHANGES[change]
    tap.sandbox.faults.add(each_row(spoil))
    first = tap.run()
    line = complaint(first)
    assert f"a usable '{field}'" in line
    assert "None of the last 50 rows of career_sites" in line
    assert first.records == []
    assert all(state == {"bookmarks": {"career_sites": {}}} for state in first.states)
    (name,) = names(folder)
    assert f"drop {name}`" in line
    assert "$2.50" in line
    assert complaint(tap.run()) == line
    assert tap.sandbox.rows_billed == 50


def test_a_change_in_the_middle_keeps_what_was_delivered(tap: Tap, folder: Path) -> None:
    _, spoil = CHANGES["name is an object"]
    fault = each_row(spoil)
    tap.sandbox.faults.add(fault, on=2)
    first = tap.run()
    line = complaint(first)
    assert len(first.ids) == 50
    again = tap.run(state=first.state)
    assert complaint(again) == line
    assert again.records == []
    assert tap.sandbox.rows_billed == 100
    name = names(folder)[-1]
    assert name in line
    tap.sandbox.faults.clear()
    assert journal_command(tap, "drop", name).returncode == 0
    last = tap.run(state=first.state)
    assert len(last.ids) == 70
    assert tap.sandbox.rows_billed == 170


def test_a_page_of_another_format_is_replayed_by_a_newer_tap(tap: Tap) -> None:
    """The page itself is as it came: a tap that knows the format needs no other request."""
    bodies: list[Body] = []

    def replace(body: Body) -> Body:
        for row in body["career_sites"]:
            rename(row, "id", "company_id")
        bodies.append(body)
        return body

    tap.sandbox.faults.add(Fault(replace=replace))
    assert tap.run().returncode == 1
    (line,) = journal_command(tap, "export").stdout.splitlines()
    assert [json.loads(line)] == bodies


# Small pages add up


def run_each_page(tap: Tap, count: int) -> list[Run]:
    """Run the tap once for each page of the feed, each from the state before."""
    runs: list[Run] = []
    for _ in range(count):
        runs.append(tap.run(state=runs[-1].state if runs else None))
        assert runs[-1].records == []
    return runs


def test_small_pages_of_several_runs_add_up_in_quarantine(tap: Tap, folder: Path) -> None:
    rows = rows_without_id(1, 2, 3, 4, 5)
    tap.sandbox.faults.add(pages_of(rows[:2], rows[2:4], rows[4:]))
    first, second, third = run_each_page(tap, 3)
    assert (first.returncode, second.returncode) == (0, 0)
    assert sorted(row["id"] for row in quarantined(folder)) == [1, 2, 3, 4]
    assert second.metrics["jobo_rows_skipped"] == 2
    line = complaint(third)
    assert "None of the last 5 rows of career_sites has a usable 'id'" in line
    assert "`tap-jobo-journal drop --quarantined`" in line
    assert complaint(tap.run(state=second.state)) == line


def test_a_small_page_of_damaged_rows_goes_to_quarantine_whole(tap: Tap, folder: Path) -> None:
    """To emit them would overwrite good names with null."""
    rows = [
        {**row, "id": key, "name": None}
        for row, key in zip(rows_without_id(1, 2), tap.sandbox.world.rows(), strict=False)
    ]
    tap.sandbox.faults.add(pages_of(rows))
    run = tap.run()
    assert run.returncode == 0, run.stderr
    assert run.records == []
    assert sorted(quarantined(folder), key=str) == sorted(rows, key=str)


def test_without_a_journal_damaged_rows_are_emitted(tap: Tap) -> None:
    rows = [{**rows_without_id(1)[0], "id": next(iter(tap.sandbox.world.rows())), "name": None}]
    tap.sandbox.faults.add(pages_of(rows), endpoint="feed")
    assert len(tap.run(journal=False).ids) == 1


def test_a_replayed_page_does_not_count_twice(tap: Tap) -> None:
    empty: list[Row] = []
    tap.sandbox.faults.add(
        pages_of(rows_without_id(1, 2, 3), empty, empty, rows_without_id(4), rows_without_id(5))
    )
    for _ in range(3):  # the first fetches the page, the others replay it, and catch up
        run = tap.run()
        assert run.returncode == 0, run.stderr
    assert run.metrics["jobo_rows_replayed"] == 3
    run = tap.run(state=run.state)
    assert run.returncode == 0, run.stderr
    assert "None of the last 5 rows" in complaint(tap.run(state=run.state))


# Single rows


def run_with_a_bad_row(tap: Tap) -> tuple[Run, Row]:
    """Run the tap over pages of which one has a row without a usable id."""

    def replace(body: Body) -> Body:
        body["career_sites"][7]["id"] = 7
        spoiled.update(body["career_sites"][7])
        return body

    spoiled: Row = {}
    tap.sandbox.faults.add(Fault(replace=replace))
    run = tap.run()
    assert run.returncode == 0, run.stderr
    return run, spoiled


def test_a_row_is_quarantined_once(tap: Tap, folder: Path) -> None:
    run_with_a_bad_row(tap)
    again = tap.run()
    assert replayed(again) == 120
    (summary,) = [line for line in again.lines("INFO") if line.startswith("Summary: career_sites")]
    assert "1 skipped" in summary
    assert "quarantined" not in summary
    assert len(quarantined(folder)) == 1


def test_a_quarantined_row_survives_acknowledgement(tap: Tap, folder: Path) -> None:
    run, row = run_with_a_bad_row(tap)
    assert tap.run(state=run.state).returncode == 0
    assert len(names(folder)) == 1
    (line,) = journal_command(tap, "export", "--quarantined").stdout.splitlines()
    assert json.loads(line) == row
