"""Pages that cannot be parsed: billed once, replayed free with the same error, then dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault
from tests.journal.helpers import journal_command, names
from tests.support import Tap, complaint


def changed(**changes: Any) -> Fault:
    return Fault(replace=lambda body: {**body, **changes})


def without(name: str) -> Fault:
    return Fault(replace=lambda body: {key: body[key] for key in body if key != name})


BROKEN = {
    "numeric next_cursor": changed(next_cursor=12),
    "no has_more": without("has_more"),
    "no rows": without("career_sites"),
    "rows in an object": changed(career_sites={}),
    "has_more without a cursor": changed(next_cursor=None),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_page_is_billed_once(tap: Tap, folder: Path, broken: str) -> None:
    tap.sandbox.faults.add(BROKEN[broken])
    first = tap.run()
    line = complaint(first)
    assert first.records == []
    assert not any(state["bookmarks"]["career_sites"] for state in first.states)
    for _ in range(2):
        assert complaint(tap.run()) == line
    assert tap.sandbox.rows_billed == 50
    (name,) = names(folder)
    assert f"The page stays in the journal as {name}" in line
    assert "newer tap-jobo" in line
    assert f"`tap-jobo-journal drop {name}`" in line
    assert "fetching it again costs $2.50" in line


@pytest.mark.parametrize("broken", ["numeric next_cursor", "no has_more"])
def test_a_dropped_page_is_requested_again(tap: Tap, folder: Path, broken: str) -> None:
    tap.sandbox.faults.add(BROKEN[broken], on=2)
    first = tap.run()
    assert first.returncode == 1
    name = names(folder)[-1]
    assert journal_command(tap, "drop", name).returncode == 0
    again = tap.run(state=first.state)
    assert again.returncode == 0, again.stderr
    assert set(first.ids + again.ids) == tap.sandbox.world.rows().keys()
    assert len(again.ids) == 70
    assert tap.sandbox.rows_billed == 170


def test_a_page_that_leads_back_is_billed_once(tap: Tap) -> None:
    cursors: list[str] = []

    def lead_back(body: dict[str, Any]) -> dict[str, Any]:
        cursors.append(body["next_cursor"])
        return {**body, "next_cursor": cursors[0], "has_more": True}

    tap.sandbox.faults.add(Fault(replace=lead_back, times=None))
    first = tap.run()
    line = complaint(first)
    billed = tap.sandbox.rows_billed
    assert complaint(tap.run(state=first.state)) == line
    assert tap.sandbox.rows_billed == billed == 100
