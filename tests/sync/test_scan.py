"""The scan, and the state that it lives in between two runs."""

from __future__ import annotations

from typing import Any

import pytest

from jobo_sandbox import Fault
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.sync.state import STATE_KEYS
from tests.archive.helpers import archive_command
from tests.support import Run, Tap, complaint, discover, entry_of, state_at
from tests.support.crash import cut_in_request
from tests.support.target import merge

pytestmark = pytest.mark.slow

LEAVES = {
    *("id", "filters", "updated_after", "batch_size"),
    *("started_at", "cursor", "rows", "pages", "restarts"),
}


def full_table() -> dict[str, Any]:
    """The catalog that says FULL_TABLE."""
    catalog = discover()
    entry = entry_of(catalog)
    entry["replication_method"] = "FULL_TABLE"
    for part in entry["metadata"]:
        if not part["breadcrumb"]:
            part["metadata"]["forced-replication-method"] = "FULL_TABLE"
            part["metadata"]["replication-method"] = "FULL_TABLE"
    return catalog


def reject(tap: Tap, form: Any = "400", *, on: int | None = None, times: int = 1) -> None:
    tap.sandbox.faults.add(Fault(reject_cursor=form, times=times), on=on)


def test_each_state_follows_its_page_and_says_how_far_the_scan_got(tap: Tap) -> None:
    run = tap.run(country_codes=["US", "DE", "US"], is_agency=False, batch_size=10)
    rows, counts = 0, []
    for message in run.messages:
        rows += message["type"] == "RECORD"
        if message["type"] == "STATE" and rows not in counts:
            counts.append(rows)
    assert counts == [10, 20, *counts[2:-1], len(run.ids)]
    *parts, last = [state["bookmarks"]["career_sites"] for state in run.states]
    scans = [part["sync"] for part in parts]
    assert [scan["rows"] for scan in scans] == [10 * (number + 1) for number in range(len(scans))]
    cursors = [entry.cursor for entry in tap.sandbox.feed_requests]
    assert [None, *(scan["cursor"] for scan in scans)] == cursors
    assert {scan["started_at"] for scan in scans} == {last["replication_key_value"]}
    for scan in scans:
        assert (scan["restarts"], scan["batch_size"], scan["updated_after"]) == (0, 10, None)
    assert not any("replication_key_value" in part for part in parts)
    # All keys are always there, so that Meltano can merge the states.
    assert last.keys() == {*STATE_KEYS}
    assert last["sync"]["started_at"] is None
    for part in (*parts, last):
        assert part["replication_key"] == "updated_at"
        assert part["filters"] == CAREER_SITES.filters_of(
            {"country_codes": ["DE", "US"], "is_agency": False}
        )
        assert part["sync"].keys() == LEAVES
        assert part["sync"]["filters"] == dict.fromkeys(part["filters"])


@pytest.mark.parametrize("archive", [True, False])
def test_resumed_scan_keeps_its_start_so_that_the_next_run_finds_changes(
    tap: Tap, *, archive: bool
) -> None:
    tap.settings |= {"archive": archive, "lookback_minutes": 0}
    cut = cut_in_request(tap, 2, billed=False)
    tap.sandbox.world.touch(cut.ids[0], name="Changed in between")
    resumed = tap.run(state=cut.state)
    assert resumed.bookmark["replication_key_value"] == cut.bookmark["sync"]["started_at"]
    assert cut.ids[0] not in resumed.ids
    following = tap.run(state=resumed.state)
    assert [row["name"] for row in following.records] == ["Changed in between"]


@pytest.mark.parametrize(
    "change",
    [{"batch_size": 10}, {"start_date": "2026-01-01"}, {"lookback_minutes": 5}],
    ids=lambda change: next(iter(change)),
)
def test_pending_scan_keeps_window_and_page_size_with_a_warning(
    tap: Tap, change: dict[str, Any]
) -> None:
    tap.settings["batch_size"] = 40
    cut = cut_in_request(tap, 2, billed=False, state=state_at("2020-01-01T00:00:00Z"))
    resumed = tap.run(state=cut.state, archive=False, **change)
    (warning,) = resumed.lines("WARNING")
    assert "keeps its page size (40) and window" in warning
    assert len(resumed.ids) == 80
    first, *others = (entry.body for entry in tap.sandbox.feed_requests)
    assert all({**body, "cursor": None} == {**first, "cursor": None} for body in others)


def test_unchanged_settings_log_no_warning(tap: Tap) -> None:
    settings: dict[str, Any] = {"batch_size": 40, "start_date": "2020-01-01", "lookback_minutes": 5}
    cut = cut_in_request(tap, 2, billed=False, **settings)
    assert tap.run(state=cut.state, **settings).lines("WARNING") == []


def test_pending_full_refresh_over_a_bookmark_logs_no_warning(tap: Tap) -> None:
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
    assert all("ended after 120 rows, but Jobo estimated 201." in line for line in lines)


# A rejected cursor


@pytest.mark.parametrize("form", ["400", "400-message", "409"])
def test_rejected_cursor_restarts_once_and_states_the_cost(tap: Tap, form: str) -> None:
    tap.sandbox.price = 80
    reject(tap, form, on=3)
    run = tap.succeed(start_date="2020-01-01")
    assert run.ids[:100] + run.ids[100:] == [*run.ids[100:200], *run.ids[100:]]
    assert len(run.ids) == 220
    (warning,) = run.lines("WARNING")
    assert "100 rows" in warning
    assert "$8.00" in warning  # at the latest price
    first, second = (entry.body for entry in tap.sandbox.feed_requests if entry.cursor is None)
    assert first == second  # the window stays
    parts = [state["bookmarks"]["career_sites"]["sync"] for state in run.states]
    assert [part["restarts"] for part in parts[:4]] == [0, 0, 1, 1]
    assert [part["rows"] for part in parts[:4]] == [50, 100, 50, 100]
    assert parts[2]["started_at"] != parts[1]["started_at"]
    assert run.bookmark["replication_key_value"] == parts[2]["started_at"]


def test_a_restart_that_dies_before_its_first_page_bills_nothing_again(tap: Tap) -> None:
    """The next run tries the cursor once more, and the API accepts it."""
    reject(tap, on=2)
    cut = cut_in_request(tap, 3, billed=False)
    assert cut.messages_of("WARNING", "cursor-rejected")
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
    (warning,) = run.lines("WARNING")
    assert warning.startswith(f"Jobo responded with {status} (")
    assert "The sync starts over, and its 100 rows so far are billed again ($5.00)." in warning


@pytest.mark.parametrize("archive", [True, False])
def test_a_cursor_that_expires_between_runs_states_the_cost_and_the_way_out(
    tap: Tap, *, archive: bool
) -> None:
    def later(state: Any) -> Run:
        tap.sandbox.expire_cursors()
        return tap.run(state=state, max_credits=5_000, archive=archive)

    second = later(later(None).state)
    assert second.returncode == 0, second.stderr
    (warning,) = second.messages_of("WARNING", "cursor-rejected")
    assert "The sync starts over, and its 100 rows so far are billed again ($5.00)." in warning
    assert "let one run finish the sync: raise max_credits" in warning
    billed = tap.sandbox.credits_billed
    for _ in range(2):
        line = complaint(later(second.state))
        assert "has started over once, so it ends. To start over again, run " in line
        assert "a full refresh of all streams (without state): its 100 rows so far " in line
        assert "are billed again ($5" in line
        assert ("drop" in line) == archive
    assert tap.sandbox.credits_billed == billed


def test_restarts_are_counted_in_the_archive_until_it_is_dropped(tap: Tap) -> None:
    reject(tap, on=2)
    reject(tap, on=4)
    assert tap.run().returncode == 1
    billed = tap.sandbox.credits_billed
    tap.sandbox.expire_cursors()
    for _ in range(2):
        run = tap.run()
        # A full refresh looks the same as a lost state: only the user can tell them apart.
        scan = run.bookmark["sync"]["id"]
        assert f"run `tap-jobo-archive drop {scan}`, then a full refresh" in complaint(run)
        assert run.bookmark["sync"]["restarts"] == 1
        assert run.metrics["jobo_rows_replayed"] == len(run.ids) == 50
    assert tap.sandbox.credits_billed == billed
    assert archive_command(tap, "drop", scan).returncode == 0
    again = tap.succeed()
    assert set(again.ids) == tap.sandbox.world.rows().keys()
    assert again.metrics["jobo_rows_replayed"] == 50  # the pages of the scan before are kept
    assert again.metrics["jobo_credits"] == 120 * 50


def test_what_the_archive_lacks_need_not_be_dropped(tap: Tap) -> None:
    reject(tap, on=2)
    reject(tap, on=4)
    ended = tap.run()
    tap.sandbox.expire_cursors()
    line = complaint(tap.run(state=ended.state, archive_dir=str(tap.folder / "another")))
    assert "To start over again, run a full refresh of all streams (without state): its" in line


def test_next_scan_may_restart_again(tap: Tap) -> None:
    reject(tap, on=2)
    first = tap.run()
    for key in first.ids[:60]:
        tap.sandbox.world.touch(key)
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
