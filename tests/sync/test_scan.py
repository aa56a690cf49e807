"""A sync, the state that it lives in between two runs, and its cursors."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from jobo_sandbox import Fault
from tap_jobo.sync.state import STATE_KEYS
from tests.archive.helpers import archive_command, change, pass_time, succeeded
from tests.support import Run, Tap, commands_in, complaint, error_code, state_until
from tests.support.crash import cut_in_request
from tests.support.target import merge

pytestmark = pytest.mark.slow

RESTART = ("restart", "career_sites", "--yes")
LEAVES = {
    *("id", "reads", "filters", "since", "started", "kept", "order", "replaces", "restarts"),
    "batch_size",
}


def reject(tap: Tap, form: Any = "400", *, on: int | None = None, times: int = 1) -> None:
    tap.sandbox.faults.add(Fault(reject_cursor=form, times=times), on=on)


def test_each_state_follows_its_page_and_says_how_far_the_sync_got(tap: Tap) -> None:
    run = tap.run(country_codes=["US", "DE", "US"], is_agency=False, batch_size=10)
    rows, counts = 0, []
    for message in run.messages:
        rows += message["type"] == "RECORD"
        if message["type"] == "STATE" and rows not in counts:
            counts.append(rows)
    assert counts == [10, 20, *counts[2:-1], len(run.ids)]
    *parts, last = [state["bookmarks"]["career_sites"] for state in run.states]
    each = [part["position"]["progress"][0] for part in parts]
    assert [(going["pages"], going["rows"]) for going in each] == [
        (number, 10 * number) for number in range(1, len(each) + 1)
    ]
    cursors = [entry.cursor for entry in tap.sandbox.feed_requests]
    assert [None, *(going["cursor"] for going in each)] == cursors
    (sync,) = {json.dumps(going["sync"], sort_keys=True): going["sync"] for going in each}.values()
    assert sync.keys() == LEAVES
    assert (sync["started"], sync["since"]) == (last["replication_key_value"], "")
    assert (sync["batch_size"], sync["restarts"]) == (10, 0)
    assert {part["replication_key_value"] for part in parts} == {None}
    # All keys are always there, so that Meltano can merge the states.
    filters = {"country_codes": ["DE", "US"], "is_agency": False}
    for number, part in enumerate((*parts, last), 1):
        assert part.keys() == {*STATE_KEYS} - {"sync"}
        assert (part["replication_key"], part["offset"]) == ("updated_at", number)
        assert part["position"]["filter_sets"] == [filters]
        assert (part["position"]["reads"] == []) == (part is not last)
    assert last["position"]["progress"] == []


@pytest.mark.parametrize("archive", [True, False])
def test_a_resumed_sync_keeps_its_start_so_that_the_next_run_finds_changes(
    tap: Tap, *, archive: bool
) -> None:
    tap.settings["archive"] = archive
    cut = cut_in_request(tap, 2, billed=False)
    tap.sandbox.world.touch(cut.ids[0], name="Changed in between")
    resumed = tap.run(state=cut.state)
    assert resumed.bookmark["replication_key_value"] == cut.progress["sync"]["started"]
    assert cut.ids[0] not in resumed.ids
    following = tap.run(state=resumed.state)
    assert [row["name"] for row in following.records] == ["Changed in between"]


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 10},
        {"lookback_minutes": 5},
        {"batch_size": 10, "start_date": "2026-01-01", "lookback_minutes": 5},
    ],
)
def test_a_sync_in_progress_keeps_window_and_page_size(tap: Tap, change: dict[str, Any]) -> None:
    tap.settings["batch_size"] = 40
    old = state_until(tap, "2020-01-01T00:00:00.000000Z")
    cut = cut_in_request(tap, 2, billed=False, archive=False, state=old)
    resumed = tap.run(state=cut.state, archive=False, **change)
    warned = ["sync-starts-earlier"] if "start_date" in change else []
    assert resumed.codes("WARNING") == warned
    assert len(resumed.ids) == 80
    first, *others = (entry.body for entry in tap.sandbox.feed_requests)
    assert all({**body, "cursor": None} == {**first, "cursor": None} for body in others)


def test_unchanged_settings_log_no_warning(tap: Tap) -> None:
    settings: dict[str, Any] = {"batch_size": 40, "start_date": "2020-01-01", "lookback_minutes": 5}
    cut = cut_in_request(tap, 2, billed=False, **settings)
    assert tap.run(state=cut.state, **settings).lines("WARNING") == []


def test_a_full_refresh_in_progress_over_a_bookmark_logs_no_warning(tap: Tap) -> None:
    complete = tap.run()
    cut = cut_in_request(tap, 2, billed=False, archive=False)
    merged = merge(complete.state, cut.state)
    assert tap.run(state=merged, archive=False).lines("WARNING") == []


@pytest.mark.parametrize(("estimate", "is_low"), [(200, False), (201, True)])
def test_a_sync_that_ends_far_below_its_estimate_is_a_warning(
    tap: Tap, estimate: int, *, is_low: bool
) -> None:
    """The rows and another page are less than 80% of it, as an earlier run's first page has it."""
    tap.settings["batch_size"] = 40
    estimated = Fault(replace=lambda body: {**body, "estimated_total": estimate})
    tap.sandbox.faults.add(estimated, on=1)
    part = tap.succeed(max_credits=2_000)
    lines = tap.succeed(state=part.state).messages_of("WARNING", "missing-rows")
    assert len(lines) == is_low
    assert all(re.search(r"\b120\b.*\b201\b", line) for line in lines)


def test_an_order_since_a_time_follows_a_sync_in_progress_in_the_same_run(tap: Tap) -> None:
    first = tap.succeed()
    change(tap, *first.ids[:60])
    cut = cut_in_request(tap, 2, state=first.state, billed=False)
    succeeded(archive_command(tap, *RESTART, "--since", "2020-01-01"))
    billed = tap.sandbox.rows_billed
    run = tap.succeed(state=cut.state)
    assert tap.sandbox.rows_billed == billed + 10 + 120
    assert tap.succeed(state=run.state).codes("WARNING") == []


# A rejected cursor


@pytest.mark.parametrize("form", ["400", "400-message", "409"])
def test_rejected_cursor_restarts_once_and_states_the_cost(tap: Tap, form: str) -> None:
    tap.sandbox.price = 80
    reject(tap, form, on=3)
    run = tap.succeed(start_date="2020-01-01")
    assert run.ids[:100] + run.ids[100:] == [*run.ids[100:200], *run.ids[100:]]
    assert len(run.ids) == 220
    (warning,) = run.messages_of("WARNING", "sync-restarted")
    assert "career_sites" in warning
    assert "$8.00" in warning  # at the latest price
    first, second = (entry.body for entry in tap.sandbox.feed_requests if entry.cursor is None)
    assert first == second  # the window stays
    each = [state["bookmarks"]["career_sites"]["position"]["progress"] for state in run.states]
    parts = [going for (going,) in each[:4]]
    assert [part["sync"]["restarts"] for part in parts] == [0, 0, 1, 1]
    assert [part["rows"] for part in parts] == [50, 100, 50, 100]
    _, first, second, _ = (part["sync"]["started"] for part in parts)
    assert first < second == run.bookmark["replication_key_value"]


def test_a_restart_that_dies_before_its_first_page_bills_nothing_again(tap: Tap) -> None:
    """The next run tries the cursor once more, and the API accepts it."""
    reject(tap, on=2)
    cut = cut_in_request(tap, 3, billed=False)
    assert cut.codes("WARNING") == ["sync-restarted"]
    rest = tap.succeed(state=cut.state)
    assert {*cut.ids, *rest.ids} == tap.sandbox.world.rows().keys()
    assert tap.sandbox.rows_billed == 120


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"detail": "The cursor has expired."}),
        (404, {"status": 404, "error": "cursor_not_found"}),
        (409, {"code": "FeedCursorExpired", "title": "Conflict"}),
        (410, "Cursor expired"),
        (422, {"title": "Invalid.", "errors": {"cursor": ["Not valid."]}}),
        (422, '"Unknown cursor"'),
        (400, {"title": "Cursor expired", "detail": "Start again"}),
    ],
)
def test_a_cursor_rejected_in_other_words_restarts(tap: Tap, status: int, body: Any) -> None:
    tap.sandbox.faults.add(Fault(status=status, body=body), on=3)
    run = tap.succeed()
    assert set(run.ids) == tap.sandbox.world.rows().keys()
    assert run.codes("WARNING") == ["sync-restarted"]
    (warning,) = run.lines("WARNING")
    for part in (f" {status} (", "career_sites", "$5.00"):
        assert part in warning


@pytest.mark.parametrize("archive", [True, False])
def test_a_cursor_that_expires_between_runs_states_the_cost_and_the_way_out(
    tap: Tap, *, archive: bool
) -> None:
    def later(state: Any) -> Run:
        tap.sandbox.expire_cursors()
        return tap.run(state=state, max_credits=5_000, archive=archive)

    second = later(later(None).state)
    assert second.returncode == 0, second.stderr
    (warning,) = second.messages_of("WARNING", "sync-restarted")
    assert "$5.00" in warning
    billed = tap.sandbox.credits_billed
    third = later(second.state)
    line = complaint(third)
    assert third.codes("CRITICAL") == ["cursor-rejected"]
    stuck = third.progress["sync"]["id"] if archive else ""
    assert commands_in(line) == ([[*RESTART[:2], "--sync", stuck]] if archive else [])
    for part in ("100 rows", "$5.00") if archive else ("without a state", "$50.00 per 1,000 rows"):
        assert part in line
    assert later(second.state).codes("CRITICAL") == ["cursor-rejected"]
    assert tap.sandbox.credits_billed == billed
    pass_time(tap, timedelta(minutes=1))
    if archive:
        succeeded(archive_command(tap, *RESTART))
        again = tap.succeed(state=second.state)
    else:
        again = tap.succeed(archive=False)
    assert {*again.ids} == tap.sandbox.world.rows().keys()
    assert tap.sandbox.credits_billed == billed + 120 * 50


def test_restarts_are_counted_in_the_archive(tap: Tap) -> None:
    """Also if the target stored nothing."""
    reject(tap, on=2)
    reject(tap, on=4)
    first = tap.run()
    billed = tap.sandbox.credits_billed
    tap.sandbox.expire_cursors()
    for _ in range(2):
        run = tap.run()
        assert error_code(run) == "cursor-rejected"
        assert run.progress["sync"]["restarts"] == 1
        assert run.loaded == 100  # of both syncs, though they are the same rows
    assert tap.sandbox.credits_billed == billed
    assert run.state == first.state


def test_a_restart_buys_what_two_rejections_have_ended(tap: Tap) -> None:
    reject(tap, on=2)
    reject(tap, on=4)
    assert error_code(tap.run()) == "cursor-rejected"
    tap.sandbox.expire_cursors()
    pass_time(tap, timedelta(minutes=1))
    succeeded(archive_command(tap, *RESTART))
    run = tap.succeed()
    assert {*run.ids} == tap.sandbox.world.rows().keys()
    assert run.loaded == 100
    assert run.metrics["jobo_credits"] == 120 * 50
    new = tap.succeed()
    assert new.loaded == 220
    assert {*new.ids} == tap.sandbox.world.rows().keys()


def test_changes_that_two_rejections_have_ended_are_bought_since_their_start(tap: Tap) -> None:
    """Without `--sync`, `restart` would buy everything."""
    state = tap.succeed().state
    for key in [*tap.sandbox.world.rows()][:80]:
        tap.sandbox.world.touch(key)
    reject(tap, on=5)
    reject(tap, on=7)
    run = tap.run(state=state)
    line = complaint(run)
    (restart,) = commands_in(line)
    assert restart == ["restart", "career_sites", "--sync", run.progress["sync"]["id"]]
    assert "50 rows" in line
    succeeded(archive_command(tap, *restart, "--yes"))
    billed = tap.sandbox.rows_billed
    again = tap.succeed(state=run.state)
    assert len(again.ids) == tap.sandbox.rows_billed - billed == 80
    assert again.bookmark["position"]["progress"] == []
    over = tap.sandbox.feed_requests[-2].body
    assert over == tap.sandbox.feed_requests[3].body
    assert over["updated_after"]


def test_a_sync_that_its_archive_lacks_is_named_by_the_state(tap: Tap) -> None:
    """The archive was lost, so only the message knows which sync it is."""
    reject(tap, on=2)
    reject(tap, on=4)
    ended = tap.run()
    tap.sandbox.expire_cursors()
    tap.settings["archive_dir"] = str(tap.folder / "another")
    run = tap.run(state=ended.state)
    assert error_code(run) == "cursor-rejected"
    (restart,) = commands_in(complaint(run))
    assert archive_command(tap, *RESTART).returncode == 1
    succeeded(archive_command(tap, *restart, "--yes"))
    again = tap.succeed(state=ended.state)
    assert {*again.ids} == tap.sandbox.world.rows().keys()


def test_the_next_sync_may_restart_again(tap: Tap) -> None:
    reject(tap, on=2)
    first = tap.run()
    change(tap, *first.ids[:60])
    reject(tap, on=len(tap.sandbox.feed_requests) + 2)
    assert tap.run(state=first.state).returncode == 0


def test_rejected_page_without_a_cursor_is_an_error(tap: Tap) -> None:
    tap.sandbox.faults.add(Fault(status=400, body={"detail": "Invalid cursor"}, times=None))
    assert "Invalid cursor" in complaint(tap.run())
    assert len(tap.sandbox.feed_requests) == 1


ECHOES: dict[str, Any] = {
    "the request": {"detail": "Bad filter", "request": {"cursor": "abc", "batch_size": 10}},
    "a trace": {"title": "Not found", "trace": {"cursor": "abc"}},
    "the errors of members": {"title": "Invalid", "errors": {"industries": ["not with a cursor"]}},
    "an object": {"error": {"cursor": "abc"}},
    "HTML": "<html><title>Bad request: cursor</title></html>",
}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, {"detail": "Your plan has no cursor."}),
        *((status, body) for status in (400, 404, 422) for body in ECHOES.values()),
    ],
)
def test_an_error_that_echoes_a_cursor_does_not_start_a_sync_over(
    tap: Tap, body: Any, status: int
) -> None:
    tap.sandbox.faults.add(Fault(status=status, body=body), on=2)
    cut = tap.run()
    complaint(cut)
    resumed = tap.succeed(state=cut.state)
    assert len(resumed.ids) == 70
    assert tap.sandbox.rows_billed == 120
