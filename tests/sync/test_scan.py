"""A sync, the state that it lives in between two runs, and its cursors."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from jobo_sandbox import Fault
from tap_jobo.api.responses import ApiResponse, require_success
from tap_jobo.errors import RejectedError
from tap_jobo.sync.state import STATE_KEYS
from tests.archive.helpers import archive_command, pass_time, succeeded
from tests.support import Run, Tap, commands_in, complaint, error_code, state_until
from tests.support.crash import cut_in_request

pytestmark = pytest.mark.slow

RESTART = ("restart", "career_sites", "--yes")
LEAVES = {
    *("id", "reads", "filters", "since", "started", "kept", "order", "replaces", "restarts"),
    "batch_size",
}


def reject(tap: Tap, *on: int) -> None:
    """Reject the cursors of some requests."""
    for number in on:
        tap.sandbox.faults.add(Fault(reject_cursor="400"), on=number)


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


@pytest.mark.parametrize("start", [{}, {"start_date": "2026-01-01"}])
def test_a_sync_in_progress_keeps_its_window_and_its_page_size(
    tap: Tap, start: dict[str, Any]
) -> None:
    tap.settings |= {"batch_size": 40, "archive": False}
    old = state_until(tap, "2020-01-01T00:00:00.000000Z")
    cut = cut_in_request(tap, 2, billed=False, state=old)
    tap.sandbox.world.touch(cut.ids[0], name="Changed in between")
    resumed = tap.run(state=cut.state, batch_size=10, lookback_minutes=5, **start)
    assert resumed.codes("WARNING") == (["sync-starts-earlier"] if start else [])
    going = [entry.body for entry in tap.sandbox.feed_requests if entry.body["batch_size"] == 40]
    assert len(going) == 4  # the one that was cut off was sent again
    assert len({json.dumps({**body, "cursor": None}, sort_keys=True) for body in going}) == 1
    following = tap.run(state=resumed.state)
    changed = [row["name"] for row in (*resumed.records[80:], *following.records)]
    assert "Changed in between" in changed


def test_a_sync_that_ends_far_below_its_estimate_is_a_warning(tap: Tap) -> None:
    """The rows and another page are less than 80% of it, as an earlier run's first page has it."""
    tap.settings["batch_size"] = 40
    estimated = Fault(replace=lambda body: {**body, "estimated_total": 201})
    tap.sandbox.faults.add(estimated, on=1)
    part = tap.succeed(max_credits=2_000)
    (line,) = tap.succeed(state=part.state).messages_of("WARNING", "missing-rows")
    assert re.search(r"\b120\b.*\b201\b", line)


# A rejected cursor


def test_a_rejected_cursor_restarts_once_and_states_the_cost(tap: Tap) -> None:
    tap.sandbox.price = 80
    reject(tap, 3)
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


ECHOES: dict[str, Any] = {
    "the request": {"detail": "Bad filter", "request": {"cursor": "abc", "batch_size": 10}},
    "a trace": {"title": "Not found", "trace": {"cursor": "abc"}},
    "the errors of members": {"title": "Invalid", "errors": {"industries": ["not with a cursor"]}},
    "an object": {"error": {"cursor": "abc"}},
    "HTML": "<html><title>Bad request: cursor</title></html>",
}


@pytest.mark.parametrize(
    ("status", "body", "names_cursor"),
    [
        (400, {"detail": "The cursor has expired."}, True),
        (404, {"status": 404, "error": "cursor_not_found"}, True),
        (409, {"code": "FeedCursorExpired", "title": "Conflict"}, True),
        (410, "Cursor expired", True),
        (422, {"title": "Invalid.", "errors": {"cursor": ["Not valid."]}}, True),
        (422, '"Unknown cursor"', True),
        (400, {"title": "Cursor expired", "detail": "Start again"}, True),
        *((status, body, False) for status in (400, 404, 422) for body in ECHOES.values()),
    ],
)
def test_an_error_names_the_cursor_or_echoes_it(
    status: int, body: Any, *, names_cursor: bool
) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(RejectedError) as rejection:
        require_success(ApiResponse(content.encode(), status, {}))
    assert rejection.value.names_cursor == names_cursor


def test_an_error_that_is_not_about_the_cursor_does_not_start_a_sync_over(tap: Tap) -> None:
    tap.sandbox.faults.add(Fault(status=400, body=ECHOES["the request"]), on=2)
    cut = tap.run()
    complaint(cut)
    tap.sandbox.faults.add(Fault(status=403, body={"detail": "Your plan has no cursor."}), on=3)
    complaint(tap.run(state=cut.state))
    assert len(tap.succeed(state=cut.state).ids) == 70
    assert tap.sandbox.rows_billed == 120


def test_a_rejected_page_without_a_cursor_is_an_error(tap: Tap) -> None:
    tap.sandbox.faults.add(Fault(status=400, body={"detail": "Invalid cursor"}, times=None))
    assert "Invalid cursor" in complaint(tap.run())
    assert len(tap.sandbox.feed_requests) == 1


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
    # It is counted in the archive, also if the target stored nothing.
    assert later(None if archive else second.state).codes("CRITICAL") == ["cursor-rejected"]
    assert tap.sandbox.credits_billed == billed
    pass_time(tap, timedelta(minutes=1))
    if archive:
        succeeded(archive_command(tap, *RESTART))
        again = tap.succeed(state=second.state)
    else:
        again = tap.succeed(archive=False)
    assert {*again.ids} == tap.sandbox.world.rows().keys()
    assert tap.sandbox.credits_billed == billed + 120 * 50


def test_changes_that_two_rejections_have_ended_are_bought_since_their_start(tap: Tap) -> None:
    """Without `--sync`, `restart` would buy everything."""
    state = tap.succeed().state
    for key in [*tap.sandbox.world.rows()][:80]:
        tap.sandbox.world.touch(key)
    reject(tap, 5, 7)
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
    reject(tap, 2, 4)
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
