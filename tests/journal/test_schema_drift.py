"""Pages of another format: billed once, replayed free with the same error, and not emitted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault
from tests.journal.helpers import journal_command, names, quarantined, replayed
from tests.support import Tap, complaint

Row = dict[str, Any]
Body = dict[str, Any]


def each_row(**changes: Any) -> Callable[[Body], Body]:
    """A change in all rows of a page; a function is called with the old value."""

    def replace(body: Body) -> Body:
        for row in body["career_sites"]:
            for name, value in changes.items():
                row[name] = value(row[name]) if callable(value) else value
        return body

    return replace


def pages_of(*pages: list[Row]) -> Fault:
    """A feed of these pages, one per scan; after them, empty ones."""
    left = list(pages)

    def replace(_: Body) -> Body:
        rows = left.pop(0) if left else []
        return {"career_sites": rows, "next_cursor": None, "has_more": False}

    return Fault(replace=replace, times=None)


def rows_without_id(*numbers: int) -> list[Row]:
    return [{"id": number, "name": "N", "ats": "a", "listing_url": "l"} for number in numbers]


ENVELOPES: dict[str, Callable[[Body], Body]] = {
    "no has_more": lambda body: {key: body[key] for key in body if key != "has_more"},
    "another envelope": lambda body: {"rows": body["career_sites"], "more": True},
}
ROWS: dict[str, tuple[str, Callable[[Body], Body]]] = {
    "id is an integer": ("id", each_row(id=lambda id_: int(id_[:8], 16))),
    "name is an object": ("name", each_row(name=lambda name: {"en": name})),
    "ats is null": ("ats", each_row(ats=None)),
}


@pytest.mark.parametrize("change", [*ENVELOPES, *ROWS])
def test_a_page_of_another_format_is_billed_once_until_it_is_dropped(
    tap: Tap, folder: Path, change: str
) -> None:
    field, replace = ROWS[change] if change in ROWS else ("", ENVELOPES[change])
    tap.sandbox.faults.add(Fault(replace=replace), on=2)
    first = tap.run()
    line = complaint(first)
    assert len(first.ids) == first.bookmark["scan"]["rows"] == 50
    assert "replication_key_value" not in first.bookmark
    if field:
        assert f"None of the last 50 rows of career_sites has a usable '{field}'" in line
    name = names(folder)[-1]
    for part in ("Upgrade tap-jobo", f"`tap-jobo-journal drop {name}`", "costs $2.50"):
        assert part in line
    again = tap.run(state=first.state)
    assert complaint(again) == line
    assert again.records == []
    assert tap.sandbox.rows_billed == 100
    assert journal_command(tap, "drop", name).returncode == 0
    last = tap.run(state=first.state)
    assert last.returncode == 0, last.stderr
    assert len(last.ids) == 70
    assert set(first.ids + last.ids) == tap.sandbox.world.rows().keys()
    assert tap.sandbox.rows_billed == 170


# Small pages add up


def test_small_pages_of_several_runs_add_up_in_quarantine(tap: Tap, folder: Path) -> None:
    rows, empty = rows_without_id(1, 2, 3, 4, 5), rows_without_id()
    tap.sandbox.faults.add(pages_of(rows[:2], empty, rows[2:4], rows[4:]))
    assert tap.run().returncode == 0
    second = tap.run()  # replays the page, whose rows do not count twice, and catches up
    assert replayed(second) == 2
    third = tap.run(state=second.state)
    assert third.returncode == 0, third.stderr
    assert third.metrics["jobo_rows_skipped"] == 2
    assert sorted(row["id"] for row in quarantined(folder)) == [1, 2, 3, 4]
    last = tap.run(state=third.state)
    line = complaint(last)
    assert "None of the last 5 rows of career_sites has a usable 'id'" in line
    assert "`tap-jobo-journal drop --quarantined`" in line
    assert complaint(tap.run(state=third.state)) == line
    assert last.records == third.records == second.records == []


def test_a_small_page_of_damaged_rows_goes_to_quarantine_whole(tap: Tap, folder: Path) -> None:
    """To emit them would overwrite good names with null; without a journal, they are emitted."""
    rows = [
        {**row, "id": key, "name": None}
        for row, key in zip(rows_without_id(1, 2), tap.sandbox.world.rows(), strict=False)
    ]
    tap.sandbox.faults.add(pages_of(rows, rows))
    run = tap.run()
    assert run.returncode == 0, run.stderr
    assert run.records == []
    assert sorted(quarantined(folder), key=str) == sorted(rows, key=str)
    assert len(tap.run(journal=False).ids) == 2


def test_a_row_is_quarantined_once_and_survives_acknowledgement(tap: Tap, folder: Path) -> None:
    def spoil(body: Body) -> Body:
        body["career_sites"][7]["id"] = 7
        return body

    tap.sandbox.faults.add(Fault(replace=spoil))
    tap.run()
    (row,) = quarantined(folder)
    again = tap.run()
    assert replayed(again) == 120
    assert "1 skipped" in again.summaries["career_sites"]
    assert "quarantined" not in again.summaries["career_sites"]
    assert tap.run(state=again.state).returncode == 0
    assert len(names(folder)) == 1
    assert quarantined(folder) == [row]
