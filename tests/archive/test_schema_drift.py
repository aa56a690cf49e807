"""Pages of another format: billed once, kept, and not emitted before a version knows them."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from jobo_sandbox import Fault
from tests.archive.helpers import archive_command, loaded, rows_of, succeeded
from tests.support import Tap, commands_in, complaint, error_code
from tests.support.archives import Files

pytestmark = pytest.mark.slow

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


def without_ats(body: Body) -> list[Row]:
    return [{name: row[name] for name in row if name != "ats"} for row in body["career_sites"]]


def pages_of(*pages: list[Row]) -> Fault:
    """A feed of these pages, one per scan; after them, empty ones."""
    left = list(pages)

    def replace(_: Body) -> Body:
        rows = left.pop(0) if left else []
        return {"career_sites": rows, "next_cursor": None, "has_more": False}

    return Fault(replace=replace, times=None)


def rows_without_id(*numbers: int) -> list[Row]:
    return [{"id": number, "name": "N", "ats": "a", "listing_url": "l"} for number in numbers]


OTHER_FORMATS: dict[str, tuple[str, Callable[[Body], Body]]] = {
    "another envelope": ("", lambda body: {"rows": body["career_sites"], "more": True}),
    "id is an integer": ("id", each_row(id=lambda id_: int(id_[:8], 16))),
    "ats is missing": ("ats", lambda body: {**body, "career_sites": without_ats(body)}),
}


@pytest.mark.parametrize("change", OTHER_FORMATS)
def test_a_page_of_another_format_is_billed_once_and_stays_until_a_version_knows_it(
    tap: Tap, files: Files, change: str
) -> None:
    field, spoil = OTHER_FORMATS[change]
    known: list[Body] = []

    def replace(body: Body) -> Body:
        known.append(deepcopy(body))
        return spoil(body)

    tap.sandbox.faults.add(Fault(replace=replace), on=2)
    first = tap.run()
    line = complaint(first)
    assert len(first.ids) == rows_of(first) == 50
    assert first.bookmark["replication_key_value"] is None
    if field:
        assert " 50 rows " in line
        assert f"'{field}'" in line
        assert first.messages_of("ERROR", "rows-skipped") == []
    assert error_code(first) == "format-changed"
    assert commands_in(line) == [["drop", "career_sites", "2"]]
    assert line.count("$2.50") == 2  # what it cost, and what it costs again
    for state in (first.state, None):
        again = tap.run(state=state)
        assert error_code(again) == "format-changed"
        assert commands_in(complaint(again)) == commands_in(line)
        assert complaint(again) == line
        assert {*again.ids} <= {*first.ids}
    assert tap.sandbox.rows_billed == 100
    files.rewrite(files.pages[1], body=json.dumps(known[0]).encode())  # as a later version reads
    last = succeeded(tap.run(state=first.state))
    assert len(last.ids) == 70
    assert {*first.ids, *last.ids} == tap.sandbox.world.rows().keys()
    assert tap.sandbox.rows_billed == 120


def test_rows_without_a_usable_id_never_add_up(tap: Tap) -> None:
    rows = rows_without_id(1, 2, 3, 4, 5, 6)
    empty: list[Row] = []
    tap.sandbox.faults.add(pages_of(rows[:2], empty, rows[2:4], [*rows[4:], rows[5]]))
    state = tap.run().state
    for _ in range(3):
        run = succeeded(tap.run(state=state))
        state = run.state
    assert "3 skipped, " in run.summaries["career_sites"]
    assert run.metrics["jobo_rows_skipped"] == 3


def test_a_skipped_row_is_shown_and_erased_by_its_number(tap: Tap) -> None:
    def spoil(body: Body) -> Body:
        body["career_sites"][7]["id"] = 7
        body["career_sites"][9] = None
        return body

    tap.sandbox.faults.add(Fault(replace=spoil), on=2)
    lines = tap.succeed().messages_of("ERROR", "rows-skipped")
    run = tap.succeed()
    assert loaded(run) == 118
    assert run.messages_of("ERROR", "rows-skipped") == lines
    assert ["row 8 of page 2" in lines[0], "row 10 of page 2" in lines[1]] == [True, True]
    assert all("$0.05" in line for line in lines)
    (shown,) = commands_in(lines[0])
    exported = [*map(json.loads, succeeded(archive_command(tap, *shown)).stdout.splitlines())]
    assert {each["page"] for each in exported} == {2}
    rows = {each["row_number"]: each["row"] for each in exported}
    assert (len(rows), rows[8]["id"], rows[10]) == (50, 7, None)
    for number in ("8", "10"):  # the second one keeps its number
        erased = archive_command(tap, "erase", "career_sites", "--page", "2", "--row", number)
        assert "returns" in succeeded(erased).stdout
    exported = [*map(json.loads, succeeded(archive_command(tap, *shown)).stdout.splitlines())]
    assert [each["row_number"] for each in exported] == [*range(1, 8), 9, *range(11, 51)]
    again = tap.run()
    assert loaded(again) == 118
    assert again.messages_of("ERROR", "rows-skipped") == []
    assert tap.sandbox.rows_billed == 120


def test_erased_rows_change_neither_the_position_nor_the_bill(tap: Tap, files: Files) -> None:
    first = tap.succeed(max_credits=2_500)
    before = files.header(files.pages[0])
    succeeded(archive_command(tap, "erase", *first.ids))
    assert files.header(files.pages[0]) == before
    new = tap.succeed(max_credits=2_500)  # the page is the head
    assert rows_of(new) == 100
    assert {*new.ids}.isdisjoint(first.ids)
    last = tap.succeed(state=new.state)
    assert {*first.ids, *new.ids, *last.ids} == tap.sandbox.world.rows().keys()
    assert tap.sandbox.rows_billed == 120


def test_rows_with_a_usable_id_are_delivered_whatever_else_is_null(tap: Tap) -> None:
    changed = [*tap.sandbox.world.rows().values()][:50]
    rows = [{**row, "name": None, "ats": None} for row in changed]
    tap.sandbox.faults.add(pages_of(rows, rows))
    run = succeeded(tap.run())
    assert len(run.ids) == 50
    assert {row["ats"] for row in run.records} == {None}
    assert "skipped" not in run.summaries["career_sites"]
    succeeded(tap.run(state=run.state))
