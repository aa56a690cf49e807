"""Feeds that never end: the run does, with an error, and the next one resumes from its cursor."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from jobo_sandbox import Fault
from tap_jobo.sync.loop_guard import MAX_REPEATED, LoopGuard
from tap_jobo.sync.seen_ids import SeenIds
from tests.support import complaint
from tests.support.crash import rows_billed_twice

if TYPE_CHECKING:
    from jobo_sandbox import Sandbox
    from tests.support import Run, Tap


def last_cursor(sandbox: Sandbox) -> str | None:
    return sandbox.feed_requests[-1].cursor


def assert_resumes(tap: Tap, ended: Run) -> None:
    """See that the next run asks for what follows the last page of the one that ended."""
    number = len(tap.sandbox.feed_requests)
    used = {entry.cursor for entry in tap.sandbox.feed_requests}
    tap.run(state=ended.state)
    cursor = tap.sandbox.feed_requests[number].cursor
    assert cursor == ended.bookmark["scan"]["cursor"]
    assert cursor not in used


def test_the_same_rows_for_ever_end_after_ten_repeated_pages(tap: Tap) -> None:
    tap.sandbox.wraps_after = 1
    run = tap.run()
    line = complaint(run)
    assert "10 pages in a row" in line
    assert "next run resumes from its cursor" in line
    assert len(tap.sandbox.feed_requests) == 1 + 10
    assert len(run.ids) == run.bookmark["scan"]["rows"] == 11 * 50
    assert run.messages[-1]["type"] == "STATE"
    assert "replication_key_value" not in run.bookmark
    assert_resumes(tap, run)


def test_the_run_after_repeated_pages_is_under_the_same_rule(tap: Tap) -> None:
    tap.sandbox.wraps_after = 1
    first = tap.run()
    second = tap.run(state=first.state)
    assert "10 pages in a row" in complaint(second)
    assert second.bookmark["scan"]["rows"] == 2 * 11 * 50
    assert len(tap.sandbox.feed_requests) == 2 * 11


def test_the_run_after_repeated_pages_completes_once_they_end(tap: Tap) -> None:
    tap.sandbox.wraps_after = 1
    first = tap.run()
    tap.sandbox.wraps_after = 0
    second = tap.run(state=first.state)
    assert second.returncode == 0
    assert set(second.ids) == tap.sandbox.world.rows().keys()
    assert second.bookmark["replication_key_value"] == first.bookmark["scan"]["started_at"]


def test_repeated_pages_are_not_billed_again_without_a_state(tap: Tap) -> None:
    tap.sandbox.wraps_after = 1
    tap.run()
    billed = tap.sandbox.credits_billed
    again = tap.run()
    assert "10 pages in a row" in complaint(again)
    assert again.metrics["jobo_rows_replayed"] == 11 * 50
    assert tap.sandbox.credits_billed == billed


def test_empty_pages_for_ever_end_after_a_hundred(tap: Tap) -> None:
    tap.sandbox.empty_forever = True
    run = tap.run()
    line = complaint(run)
    assert "100 pages in a row are empty" in line
    assert "next run resumes from its cursor" in line
    assert len(tap.sandbox.feed_requests) == 100
    assert run.ids == []
    assert run.bookmark["scan"]["cursor"] not in {None, last_cursor(tap.sandbox)}
    assert tap.sandbox.credits_billed == 0
    assert_resumes(tap, run)


def test_the_run_after_empty_pages_completes_once_they_end(tap: Tap) -> None:
    tap.sandbox.empty_forever = True
    first = tap.run()
    tap.sandbox.empty_forever = False
    second = tap.run(state=first.state)
    assert second.returncode == 0
    assert set(second.ids) == tap.sandbox.world.rows().keys()
    assert rows_billed_twice(tap.sandbox) == 0


def test_empty_pages_between_rows_never_add_up(tap: Tap) -> None:
    tap.sandbox.empty_every = 2
    run = tap.run(batch_size=1)
    assert run.returncode == 0
    assert set(run.ids) == tap.sandbox.world.rows().keys()
    empty = [entry for entry in tap.sandbox.feed_requests if not entry.credits]
    assert len(empty) > 100


def test_repeated_pages_are_counted_anew_after_a_restart(tap: Tap) -> None:
    tap.sandbox.wraps_after = 1
    tap.sandbox.faults.add(Fault(reject_cursor="400"), on=10)
    run = tap.run()
    assert "10 pages in a row" in complaint(run)
    assert len(tap.sandbox.feed_requests) == 10 + 11
    assert run.bookmark["scan"]["restarts"] == 1


@pytest.mark.parametrize("pages", [2, 21, 60])
def test_a_feed_that_wraps_around_ends_within_ten_pages(tap: Tap, pages: int) -> None:
    tap.sandbox.wraps_after = pages
    run = tap.run(batch_size=2)
    line = complaint(run)
    assert "10 pages in a row" in line
    assert len(tap.sandbox.feed_requests) == pages + 10
    assert "replication_key_value" not in run.bookmark


def test_rows_that_come_again_are_no_loop_while_others_are_new() -> None:
    guard = LoopGuard()
    for number in range(5 * MAX_REPEATED):
        guard.detect_stall([str(number), str(number + 1)])


class TestSeenIds:
    def test_added_ids_are_seen(self) -> None:
        seen = SeenIds()
        assert not seen.add(["a", "b"])
        assert seen.add(["b", "a"])
        assert not seen.add(["a", "c"])

    def test_ten_single_new_ids_in_a_row_are_not_all_taken_for_seen(self) -> None:
        seen = SeenIds()
        rng = Random(1)
        seen.add(str(UUID(int=rng.getrandbits(128))) for _ in range(1_000_000))
        new = (str(UUID(int=rng.getrandbits(128))) for _ in range(10_000))
        taken_for_seen = sum(seen.add([each]) for each in new)
        assert taken_for_seen < 10_000 / 20  # so ten in a row: once in 10**13 times
