"""States of earlier versions, without the ids of scans: they keep working."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tap_jobo.journal.sqlite import SqliteStore
from tap_jobo.scan import id_by_start
from tests.support.crash import cut_in_request, rows_billed_twice

if TYPE_CHECKING:
    from tests.support import Tap


def without_ids(state: dict[str, Any]) -> dict[str, Any]:
    """The state as earlier versions wrote it."""
    part = state["bookmarks"]["career_sites"]
    part.pop("completed_scan", None)
    del part["scan"]["id"]
    return state


def age_journal(tap: Tap) -> None:
    """Let the pages be those of the first version: known by the start of their scan alone."""
    store = SqliteStore(tap.folder / "journal")
    for entry in store.entries():
        body = store.load(entry)
        store.remove([entry])
        store.save(replace(entry, scan=id_by_start(entry.started_at), base=None, credits=0), body)
    store.close()


def pages_left(tap: Tap) -> list[int]:
    """The numbers of the pages in the journal."""
    store = SqliteStore(tap.folder / "journal")
    numbers = [entry.number for entry in store.entries()]
    store.close()
    return numbers


@pytest.mark.parametrize("journal", [True, False])
def test_an_old_pending_state_resumes_from_its_cursor(tap: Tap, *, journal: bool) -> None:
    cut = cut_in_request(tap, 2, billed=False, journal=False)
    resumed = tap.run(state=without_ids(cut.state), journal=journal)
    assert resumed.returncode == 0
    assert resumed.lines("WARNING") == []
    assert len(resumed.ids) == 70
    assert tap.sandbox.rows_billed == 120
    assert resumed.bookmark["replication_key_value"] == cut.bookmark["scan"]["started_at"]
    assert resumed.bookmark["completed_scan"]


def test_an_old_complete_state_goes_on_from_its_bookmark(tap: Tap) -> None:
    first = tap.run(journal=False)
    following = tap.run(state=without_ids(first.state))
    assert following.returncode == 0
    assert following.ids == []
    assert following.lines("WARNING") == []
    assert tap.sandbox.rows_billed == 120
    assert following.bookmark["completed_scan"] != first.bookmark["completed_scan"]


def test_pages_of_an_old_pending_state_are_acknowledged(tap: Tap) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    age_journal(tap)
    assert pages_left(tap) == [1, 2]
    state = without_ids(cut.states[0])  # as if that of the second page was lost
    again = tap.run(state=state)
    assert again.metrics["jobo_rows_replayed"] == 50
    assert len(again.ids) == 70
    assert rows_billed_twice(tap.sandbox) == 0
    assert pages_left(tap) == [2, 3]  # a later run's state will show that these arrived
    assert tap.run(state=again.state).ids == []
    assert 2 not in pages_left(tap)
    assert 3 not in pages_left(tap)


def test_pages_of_an_old_complete_state_are_acknowledged(tap: Tap) -> None:
    first = tap.run()
    age_journal(tap)
    assert pages_left(tap) == [1, 2, 3]
    following = tap.run(state=without_ids(first.state))
    assert following.ids == []
    assert following.metrics["jobo_rows_replayed"] == 0
    assert len(pages_left(tap)) == 1  # the page of the run that followed
    assert tap.sandbox.rows_billed == 120


def test_old_pages_are_replayed_when_an_old_state_is_lost(tap: Tap) -> None:
    first = tap.run()
    age_journal(tap)
    again = tap.run()
    assert again.ids == first.ids
    assert again.metrics["jobo_rows_replayed"] == 120
    assert tap.sandbox.rows_billed == 120


def test_a_sync_after_an_old_state_survives_a_crash(tap: Tap) -> None:
    """The bookmark stands for the completed sync in both runs, so that the second resumes."""
    tap.settings["lookback_minutes"] = 0
    old = without_ids(tap.run().state)
    changed = sorted(tap.sandbox.world.rows())[:60]
    for key in changed:
        tap.sandbox.world.touch(key)
    cut_in_request(tap, 2, state=old, billed=False)
    again = tap.run(state=old)
    assert sorted(again.ids) == changed
    assert again.metrics["jobo_rows_replayed"] == 50
    assert tap.sandbox.rows_billed == 120 + 60
