"""Feeds that never end: the run does, with an error, and the next one resumes from its cursor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jobo_sandbox import Fault
from tap_jobo.errors import ApiError
from tap_jobo.scan import Scan
from tap_jobo.sync.loop_guard import MAX_EMPTY, MAX_REPEATED, LoopGuard
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
    tap.sandbox.repeat_rows_forever = True
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
    tap.sandbox.repeat_rows_forever = True
    first = tap.run()
    second = tap.run(state=first.state)
    assert "10 pages in a row" in complaint(second)
    assert second.bookmark["scan"]["rows"] == 2 * 11 * 50
    assert len(tap.sandbox.feed_requests) == 2 * 11


def test_the_run_after_repeated_pages_completes_once_they_end(tap: Tap) -> None:
    tap.sandbox.repeat_rows_forever = True
    first = tap.run()
    tap.sandbox.repeat_rows_forever = False
    second = tap.run(state=first.state)
    assert second.returncode == 0
    assert set(second.ids) == tap.sandbox.world.rows().keys()
    assert second.bookmark["replication_key_value"] == first.bookmark["scan"]["started_at"]


def test_repeated_pages_are_not_billed_again_without_a_state(tap: Tap) -> None:
    tap.sandbox.repeat_rows_forever = True
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
    tap.sandbox.repeat_rows_forever = True
    tap.sandbox.faults.add(Fault(reject_cursor="400"), on=10)
    run = tap.run()
    assert "10 pages in a row" in complaint(run)
    assert len(tap.sandbox.feed_requests) == 10 + 11
    assert run.bookmark["scan"]["restarts"] == 1


def test_a_budget_of_a_few_pages_per_run_does_not_hide_a_loop(tap: Tap) -> None:
    tap.sandbox.repeat_rows_forever = True
    first = tap.run(max_credits=10_000)
    second = tap.run(max_credits=10_000, state=first.state)
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(tap.sandbox.feed_requests) == 8
    third = tap.run(max_credits=10_000, state=second.state)
    assert "10 pages in a row" in complaint(third)
    assert len(tap.sandbox.feed_requests) == 1 + 10


def test_guard_counts_on_only_from_where_it_was_left() -> None:
    scan = Scan(id="a", since=None, batch_size=2, started_at="2026-01-01T00:00:00Z", cursor="1")

    def stalls(pages: list[list[str]], resumed: Scan) -> bool:
        memory = LoopGuard(scan).memory(scan)
        try:
            for page in pages:
                guard = LoopGuard(resumed, memory)
                guard.detect_stall(page)
                memory = guard.memory(scan)
        except ApiError:
            return True
        return False

    other = [replace(scan, cursor="2"), replace(scan, id="b")]
    loops: list[tuple[list[list[str]], int]] = [
        ([["x", "y"]], MAX_REPEATED + 1),
        ([["x"], ["y"]], MAX_REPEATED + 2),
        ([[]], MAX_EMPTY),
    ]
    for pages, most in loops:
        repeated = (pages * most)[:most]
        assert stalls(repeated, scan)
        assert not stalls(repeated[1:], scan)
        assert not any(stalls(repeated, each) for each in other)
    assert not stalls([[str(number)] for number in range(3 * MAX_REPEATED)], scan)
