"""Feeds that never end: the run does, and once they are mended, the next run goes on."""

from random import Random
from typing import Any

import pytest

from jobo_sandbox import Fault
from tap_jobo.sync.watch import MAX_EMPTY, MAX_REPEATED, MORE, SyncWatch
from tests.support import Tap
from tests.support.archives import files_of

PAGES = 1 + MAX_REPEATED
"""Those that a run buys of a feed that repeats its first page."""


@pytest.mark.parametrize("has_state", [True, False])
def test_the_same_rows_for_ever_end_after_ten_repeated_pages_and_later_after_two(
    tap: Tap, *, has_state: bool
) -> None:
    """The archive shows those of earlier runs, also if one of its pages is damaged."""
    tap.sandbox.wraps_after = 1
    run = tap.fail(code="endless-feed")
    assert len(tap.sandbox.feed_requests) == PAGES
    assert len(run.ids) == run.progress["rows"] == PAGES * 50
    assert run.messages[-1]["type"] == "STATE"
    assert run.bookmark["replication_key_value"] is None
    for before in (PAGES, PAGES + MORE):
        run = tap.fail(code="endless-feed", state=run.state if has_state else None)
        assert run.loaded == (0 if has_state else before * 50)
        assert len(tap.sandbox.feed_requests) == before + MORE
        assert run.progress["rows"] == (before + MORE) * 50
    files = files_of(tap)
    files.damage(files.pages[3])
    code = "endless-feed" if has_state else "archive-damaged"
    tap.fail(code=code, state=run.state if has_state else None)


@pytest.mark.parametrize("archive", [True, False])
def test_once_it_is_mended_the_next_run_goes_on(tap: Tap, *, archive: bool) -> None:
    """Without an archive, an earlier run does not count."""
    tap.settings["archive"] = archive
    tap.sandbox.wraps_after = 1
    first = tap.run()
    second = tap.fail(code="endless-feed", state=first.state)
    assert len(tap.sandbox.feed_requests) == PAGES + (MORE if archive else PAGES)
    tap.sandbox.wraps_after = 0
    third = tap.succeed(state=None if archive else second.state)
    assert {*first.ids, *third.ids} == tap.sandbox.world.rows().keys()
    assert third.bookmark["replication_key_value"]


def test_empty_pages_for_ever_end_after_some(tap: Tap) -> None:
    tap.constants["sync.watch.MAX_EMPTY"] = most = 20
    tap.sandbox.empty_every = 1
    run = tap.fail(code="endless-feed")
    assert f"{most} pages" in run.complaint
    assert len(tap.sandbox.feed_requests) == most
    assert run.ids == []
    assert run.progress["cursor"] not in {None, tap.sandbox.feed_requests[-1].cursor}
    assert tap.sandbox.credits_billed == 0
    tap.fail(code="endless-feed")
    assert len(tap.sandbox.feed_requests) == most + MORE


def test_pages_that_were_loaded_never_stop_the_run_after_them(tap: Tap) -> None:
    """An earlier version may have delivered what this one refuses."""

    def damage(body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "career_sites": [5, *body["career_sites"][1:]]}

    tap.sandbox.faults.add(Fault(replace=damage), on=1)
    first = tap.succeed(max_credits=2_500, batch_size=25)
    files = files_of(tap)
    files.rewrite(files.pages[0], body=b"[]")
    second = tap.succeed(state=first.state)
    assert len({*first.ids, *second.ids}) == 119
    assert tap.sandbox.rows_billed == 120


def circle(tap: Tap, after: int) -> None:
    """Let the cursors of pages lead back to the first of them, after so many."""
    cursors: list[str] = []

    def change(body: dict[str, Any]) -> dict[str, Any]:
        cursors.append(body["next_cursor"])
        return {**body, "next_cursor": cursors[(len(cursors) - 1) % after], "has_more": True}

    tap.sandbox.faults.add(Fault(replace=change, times=None))


@pytest.mark.parametrize("archive", [True, False])
def test_cursors_in_circles_end_the_run_and_are_not_billed_again(
    tap: Tap, *, archive: bool
) -> None:
    circle(tap, 2)
    run = tap.fail(code="format-changed", batch_size=10, archive=archive)
    assert "was used before" in run.complaint
    assert len(run.ids) == 20
    assert run.bookmark["replication_key_value"] is None
    if archive:
        for state in (run.state, None):
            tap.fail(code="format-changed", state=state, batch_size=10)
    assert tap.sandbox.rows_billed == 30


def test_a_small_budget_does_not_hide_cursors_in_circles(tap: Tap) -> None:
    """The headers of a sync show the cursors of earlier runs."""
    circle(tap, 5)
    small: Any = {"batch_size": 2, "max_credits": 200}
    run = tap.run(**small)
    while run.returncode == 0:
        assert len(tap.sandbox.feed_requests) < 6
        run = tap.run(state=run.state, **small)
    assert "was used before" in run.complaint
    assert len(tap.sandbox.feed_requests) == 6


@pytest.mark.parametrize(("page", "most"), [(["a"], MAX_REPEATED), ([], MAX_EMPTY)])
def test_a_page_with_a_new_row_starts_the_count_anew(page: list[str], most: int) -> None:
    guard = SyncWatch()
    for new in ("a", "b", "c"):
        guard.note_ids([new])
        for _ in range(most - 1):
            guard.note_ids(page)
            assert not guard.stall
    guard.note_ids(page)
    assert guard.stall


def test_single_new_ids_are_not_all_taken_for_repeated_ones() -> None:
    guard, rng = SyncWatch(), Random(1)

    def new_id() -> str:
        return rng.randbytes(16).hex()

    guard.note_ids([new_id() for _ in range(1_000_000)])
    for _ in range(10_000):  # each is taken for a repeated one once in 70 times
        guard.note_ids([new_id()])
        assert not guard.stall
