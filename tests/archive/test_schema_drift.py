"""Pages of another format: billed once, kept, and not emitted before a version knows them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault
from tap_jobo.errors import FormatError
from tap_jobo.records.converter import Conversion
from tap_jobo.sync.guards import check_for_schema_drift
from tests.archive.helpers import (
    archive_command,
    loaded,
    pages,
    quarantined,
    rewrite,
    succeeded,
)
from tests.support import Tap, commands_in, complaint, error_code

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


ENVELOPES: dict[str, Callable[[Body], Body]] = {
    "no has_more": lambda body: {key: body[key] for key in body if key != "has_more"},
    "another envelope": lambda body: {"rows": body["career_sites"], "more": True},
}
ROWS: dict[str, tuple[str, Callable[[Body], Body]]] = {
    "id is an integer": ("id", each_row(id=lambda id_: int(id_[:8], 16))),
    "name is an object": ("name", each_row(name=lambda name: {"en": name})),
    "ats is missing": ("ats", lambda body: {**body, "career_sites": without_ats(body)}),
}


@pytest.mark.parametrize("change", [*ENVELOPES, *ROWS])
def test_a_page_of_another_format_is_billed_once_and_stays_until_a_version_knows_it(
    tap: Tap, folder: Path, change: str
) -> None:
    field, spoil = ROWS[change] if change in ROWS else ("", ENVELOPES[change])
    known: list[Body] = []

    def replace(body: Body) -> Body:
        known.append(deepcopy(body))
        return spoil(body)

    tap.sandbox.faults.add(Fault(replace=replace), on=2)
    first = tap.run()
    line = complaint(first)
    assert len(first.ids) == first.bookmark["sync"]["rows"] == 50
    assert first.bookmark["replication_key_value"] is None
    if field:
        assert f"None of the 50 rows of this page of career_sites has a usable '{field}'" in line
        assert "in quarantine" not in first.stderr  # the rows are kept with their page
    assert error_code(first) == "format-changed"
    assert commands_in(line) == [["drop", "career_sites", "2"]]
    assert line.count("$2.50") == 2  # what it cost, and what it costs again
    for state in (first.state, None):
        again = tap.run(state=state)
        assert error_code(again) == "format-changed"
        assert commands_in(complaint(again)) == commands_in(line)
        assert "An earlier run was billed" in complaint(again)
        assert {*again.ids} <= {*first.ids}
    assert tap.sandbox.rows_billed == 100
    rewrite(pages(folder)[1], body=json.dumps(known[0]).encode())  # what a later version reads
    last = succeeded(tap.run(state=first.state))
    assert len(last.ids) == 70
    assert {*first.ids, *last.ids} == tap.sandbox.world.rows().keys()
    assert tap.sandbox.rows_billed == 120


@pytest.mark.parametrize(
    ("rows", "skipped", "renamed", "compared"),
    [
        (1, 0, 1, None),
        (1, 0, 2, 1),
        (4, 0, 1, None),
        (5, 0, 1, 5),
        (4, 1, 1, 4),
        (0, 5, 1, 5),
        (50, 0, 0, None),
    ],
)
def test_another_name_shows_a_changed_format_with_a_second_one_or_in_five_rows(
    rows: int, skipped: int, renamed: int, compared: int | None
) -> None:
    page = Conversion(
        records=[{}] * rows,
        skipped=[{}] * skipped,
        damaged={},
        left_out=[],
        renamed=["apply_url", "listing_url"][:renamed],
        missing=[],
    )
    error = pytest.raises(FormatError, match=f"Each of the {compared} rows")
    with error if compared else nullcontext():
        check_for_schema_drift(page, 50, "jobs")


def test_rows_without_a_usable_id_never_add_up(tap: Tap, folder: Path) -> None:
    rows = rows_without_id(1, 2, 3, 4, 5, 6)
    empty: list[Row] = []
    tap.sandbox.faults.add(pages_of(rows[:2], empty, rows[2:4], [*rows[4:], rows[5]]))
    state = tap.run().state
    for _ in range(3):
        run = succeeded(tap.run(state=state))
        state = run.state
    assert sorted(row["id"] for row in quarantined(folder)) == [1, 2, 3, 4, 5, 6]
    assert "3 skipped, 2 quarantined, " in run.summaries["career_sites"]  # one came twice
    assert run.metrics["jobo_rows_skipped"] == 3
    (first, _, _) = run.messages_of("ERROR", "rows-skipped")
    (shown,) = commands_in(first)
    exported = succeeded(archive_command(tap, *shown)).stdout.splitlines()
    assert sorted(json.loads(line)["id"] for line in exported) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("count", [4, 50])
def test_rows_with_a_usable_id_are_delivered_whatever_else_is_null(
    tap: Tap, folder: Path, count: int
) -> None:
    changed = [*tap.sandbox.world.rows().values()][:count]
    rows = [{**row, "name": None, "ats": None} for row in changed]
    tap.sandbox.faults.add(pages_of(rows, rows))
    run = succeeded(tap.run())
    assert len(run.ids) == count
    assert {row["ats"] for row in run.records} == {None}
    assert quarantined(folder) == []
    succeeded(tap.run(state=run.state))


def test_a_row_is_quarantined_once_however_often_it_is_loaded(tap: Tap, folder: Path) -> None:
    def spoil(body: Body) -> Body:
        body["career_sites"][7]["id"] = 7
        return body

    tap.sandbox.faults.add(Fault(replace=spoil))
    tap.run()
    (row,) = quarantined(folder)
    for _ in range(2):
        again = tap.run()
        assert loaded(again) == 119
        assert "1 skipped" in again.summaries["career_sites"]
        assert "quarantined" not in again.summaries["career_sites"]
    assert tap.run(state=again.state).returncode == 0
    assert quarantined(folder) == [row]


def test_a_row_that_quarantine_refuses_is_not_passed_by_the_state(tap: Tap, folder: Path) -> None:
    def spoil(body: Body) -> Body:
        body["career_sites"][7]["id"] = 7
        return body

    first = tap.succeed(max_credits=2_500)
    (folder / "v3" / "quarantine").touch()  # in place of the folder
    tap.sandbox.faults.add(Fault(replace=spoil), on=2)
    run = tap.run(state=first.state)
    assert error_code(run) == "archive-unusable"
    assert run.ids == []
    assert all(state == first.state for state in run.states)
    (folder / "v3" / "quarantine").unlink()
    last = tap.succeed(state=first.state)
    assert len({*first.ids, *last.ids}) == 119
    assert len(quarantined(folder)) == 1
    assert tap.sandbox.rows_billed == 120
