"""Feeds that never end: the run does, and later ones end before they are billed."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from jobo_sandbox import Fault
from tap_jobo.errors import EndlessFeedError
from tap_jobo.sync.guards import MAX_EMPTY, MAX_REPEATED, LoopGuard
from tests.archive.helpers import archive_command, pages, rewrite
from tests.support import Run, Tap, complaint


def assert_is_not_resumed(tap: Tap, ended: Run) -> None:
    """Check that later runs end before they are billed, until the sync is dropped."""
    requests, billed = len(tap.sandbox.feed_requests), tap.sandbox.rows_billed
    sync = ended.bookmark["sync"]["id"]
    for state in (ended.state, None):  # with a state, and as if it was lost
        line = complaint(tap.run(state=state))
        assert f"An earlier run ended the sync {sync} of career_sites" in line
        assert f"`tap-jobo-archive drop {sync}`" in line
        assert "on_missing_state" in line
    assert len(tap.sandbox.feed_requests) == requests
    assert tap.sandbox.rows_billed == billed


def test_the_same_rows_for_ever_end_after_ten_repeated_pages(tap: Tap) -> None:
    tap.sandbox.wraps_after = 1
    run = tap.run()
    line = complaint(run)
    assert "10 pages in a row" in line
    assert f"`tap-jobo-archive drop {run.bookmark['sync']['id']}`" in line
    assert len(tap.sandbox.feed_requests) == 1 + 10
    assert len(run.ids) == run.bookmark["sync"]["rows"] == 11 * 50
    assert run.messages[-1]["type"] == "STATE"
    assert "replication_key_value" not in run.bookmark
    assert_is_not_resumed(tap, run)


@pytest.mark.parametrize("way", ["drop", "refresh"])
def test_an_ended_sync_gives_way_to_a_new_one(tap: Tap, way: str) -> None:
    tap.sandbox.wraps_after = 1
    first = tap.run()
    tap.sandbox.wraps_after = 0
    if way == "drop":
        sync = first.bookmark["sync"]["id"]
        assert archive_command(tap, "drop", sync).returncode == 0
        second = tap.succeed(state=first.state)
    else:
        second = tap.succeed(on_missing_state="resync")
    assert set(second.ids) == tap.sandbox.world.rows().keys()
    assert len(second.ids) == 120
    assert second.bookmark["completed_sync"] != first.bookmark["sync"]["id"]
    assert tap.run(state=second.state).returncode == 0


def test_an_ended_sync_of_wider_filters_gives_way_to_one_that_reads_everything(tap: Tap) -> None:
    """The bookmark is of the old filters."""
    before = tap.succeed(country_codes=["DE"])
    tap.sandbox.wraps_after = 1
    ended = tap.run(state=before.state, on_filter_change="resync")
    tap.sandbox.wraps_after = 0
    assert archive_command(tap, "drop", ended.bookmark["sync"]["id"]).returncode == 0
    assert set(tap.succeed(state=ended.state).ids) == tap.sandbox.world.rows().keys()


@pytest.mark.parametrize("decision", ["error", "keep"])
def test_an_ended_sync_of_added_values_gives_way_to_one_that_reads_these(
    tap: Tap, decision: str
) -> None:
    """Since that sync is in progress, `on_filter_change` is not asked for any more."""
    before = tap.succeed(country_codes=["DE"])
    wider: Any = {"country_codes": ["DE", "FR"], "batch_size": 2}
    tap.sandbox.wraps_after = 1
    ended = tap.run(state=before.state, on_filter_change="resync", **wider)
    tap.sandbox.wraps_after = 0
    assert archive_command(tap, "drop", ended.bookmark["sync"]["id"]).returncode == 0
    after = tap.succeed(state=ended.state, on_filter_change=decision, **wider)
    assert {*before.ids, *after.ids} == {*tap.succeed(archive=False, **wider).ids}


def test_without_a_archive_the_run_after_repeated_pages_is_under_the_same_rule(tap: Tap) -> None:
    tap.sandbox.wraps_after = 1
    first = tap.run(archive=False)
    assert "The next run resumes from here" in complaint(first)
    second = tap.run(state=first.state, archive=False)
    assert "10 pages in a row" in complaint(second)
    assert second.bookmark["sync"]["rows"] == 2 * 11 * 50


def test_empty_pages_for_ever_end_after_a_hundred(tap: Tap) -> None:
    tap.sandbox.empty_forever = True
    run = tap.run()
    assert "100 pages in a row are empty" in complaint(run)
    assert len(tap.sandbox.feed_requests) == 100
    assert run.ids == []
    assert run.bookmark["sync"]["cursor"] not in {None, tap.sandbox.feed_requests[-1].cursor}
    assert tap.sandbox.credits_billed == 0
    assert_is_not_resumed(tap, run)


def test_repeated_pages_are_counted_anew_after_a_restart(tap: Tap) -> None:
    tap.sandbox.wraps_after = 1
    tap.sandbox.faults.add(Fault(reject_cursor="400"), on=10)
    run = tap.run()
    assert "10 pages in a row" in complaint(run)
    assert len(tap.sandbox.feed_requests) == 10 + 11
    assert run.bookmark["sync"]["restarts"] == 1


@pytest.mark.parametrize("pages", [1, 5])
def test_a_small_budget_does_not_hide_a_feed_that_wraps_around(tap: Tap, pages: int) -> None:
    tap.sandbox.wraps_after = pages
    run = tap.run(batch_size=2, max_credits=400)
    while run.returncode == 0:
        assert len(tap.sandbox.feed_requests) < pages + 10
        run = tap.run(state=run.state, batch_size=2, max_credits=400)
    assert "10 pages in a row" in complaint(run)
    assert len(tap.sandbox.feed_requests) == pages + 10


@pytest.mark.parametrize("number", [0, 1])
def test_delivered_pages_never_stop_the_run_after_them(tap: Tap, number: int) -> None:
    """An earlier version may have delivered what this one refuses."""

    def damage(body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "career_sites": [5, *body["career_sites"][1:]]}

    tap.sandbox.faults.add(Fault(replace=damage), on=1)
    first = tap.succeed(max_credits=2_500, batch_size=25)
    rewrite(pages(tap.folder / "archive")[number], body=b"[]")
    second = tap.succeed(state=first.state)
    assert len({*first.ids, *second.ids}) == 119
    assert tap.sandbox.rows_billed == 120


@pytest.mark.parametrize("archive", [True, False])
def test_cursors_in_circles_end_the_run_and_are_not_billed_again(
    tap: Tap, *, archive: bool
) -> None:
    cursors: list[str] = []

    def circle(body: dict[str, Any]) -> dict[str, Any]:
        cursors.append(body["next_cursor"])
        return {**body, "next_cursor": cursors[(len(cursors) - 1) % 2], "has_more": True}

    tap.sandbox.faults.add(Fault(replace=circle, times=None))
    run = tap.run(batch_size=10, archive=archive)
    line = complaint(run)
    assert "was used before" in line
    assert len(run.ids) == 20
    assert "replication_key_value" not in run.bookmark
    if archive:
        assert complaint(tap.run(state=run.state, batch_size=10)) == line
    assert tap.sandbox.rows_billed == 30


def test_rows_that_come_again_are_no_loop_while_others_are_new() -> None:
    guard = LoopGuard()
    for number in range(5 * MAX_REPEATED):
        guard.detect_stall([str(number), str(number + 1)])


@pytest.mark.parametrize(("page", "most"), [(["a"], MAX_REPEATED), ([], MAX_EMPTY)])
def test_a_page_with_a_new_row_starts_the_count_anew(page: list[str], most: int) -> None:
    guard = LoopGuard()
    for new in ("a", "b", "c"):
        guard.detect_stall([new])
        for _ in range(most - 1):
            guard.detect_stall(page)
    with pytest.raises(EndlessFeedError):
        guard.detect_stall(page)


def test_single_new_ids_are_not_all_taken_for_repeated_ones() -> None:
    guard, rng = LoopGuard(), Random(1)

    def new_id() -> str:
        return rng.randbytes(16).hex()

    guard.detect_stall([new_id() for _ in range(1_000_000)])
    for _ in range(10_000):  # each is taken for a repeated one once in 70 times
        guard.detect_stall([new_id()])
