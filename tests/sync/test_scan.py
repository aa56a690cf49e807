"""The scan, and the state that it lives in between two runs."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.api.api_clock import ApiClock
from tap_jobo.clock import format_timestamp
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.sync.start import SyncStart
from tap_jobo.sync.state import read_state
from tests.journal.helpers import journal_command
from tests.support import complaint, discover, entry_of, state_at
from tests.support.clock import NOON, FakeClock, with_clock
from tests.support.crash import cut_in_request
from tests.support.target import merge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support import Run, Tap

FILTERS = (
    "industries",
    "company_sizes",
    "country_codes",
    "funding_stages",
    "company_types",
    "founded_after",
    "is_agency",
)
LEAVES = {"id", "started_at", "updated_after", "batch_size", "cursor", "rows", "pages", "restarts"}


def full_table(tap: Tap) -> dict[str, Any]:
    """The catalog that says FULL_TABLE."""
    catalog = discover(tap.folder)
    entry = entry_of(catalog)
    entry["replication_method"] = "FULL_TABLE"
    for part in entry["metadata"]:
        if not part["breadcrumb"]:
            part["metadata"]["forced-replication-method"] = "FULL_TABLE"
            part["metadata"]["replication-method"] = "FULL_TABLE"
    return catalog


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def reject(tap: Tap, form: Any = "400", *, on: int | None = None, times: int = 1) -> None:
    tap.sandbox.faults.add(Fault(reject_cursor=form, times=times), on=on)


def scans(tap: Tap) -> Iterator[Any]:
    """The requests that began a scan."""
    return (entry.body for entry in tap.sandbox.feed_requests if entry.cursor is None)


# The state


def test_after_each_page_the_state_says_how_far_the_scan_got(tap: Tap) -> None:
    run = tap.run()
    parts = [state["bookmarks"]["career_sites"] for state in run.states]
    assert [part["scan"]["rows"] for part in parts[:2]] == [50, 100]
    cursors = [entry.cursor for entry in tap.sandbox.feed_requests]
    assert [None, *(part["scan"]["cursor"] for part in parts[:2])] == cursors
    assert [part["scan"]["restarts"] for part in parts[:2]] == [0, 0]
    assert [part["scan"]["batch_size"] for part in parts[:2]] == [50, 50]
    assert [part["scan"]["updated_after"] for part in parts[:2]] == [None, None]
    assert parts[0]["scan"]["started_at"] == parts[1]["scan"]["started_at"]


def test_every_state_has_all_keys_so_that_meltano_can_merge_it(tap: Tap) -> None:
    run = tap.run(country_codes=["US", "DE", "US"], is_agency=False, batch_size=10)
    assert len(run.states) > 2
    for state in run.states:
        part = state["bookmarks"]["career_sites"]
        assert part["replication_key"] == "updated_at"
        assert part["filters"] == {
            **dict.fromkeys(FILTERS),
            "country_codes": ["DE", "US"],
            "is_agency": False,
        }
        assert part["scan"].keys() == LEAVES
    assert set(run.bookmark["scan"].values()) == {None}
    assert run.bookmark.keys() == {
        "replication_key",
        "replication_key_value",
        "completed_scan",
        "filters",
        "scan",
    }


def test_state_follows_the_last_row_of_its_page(tap: Tap) -> None:
    rows, counts = 0, []
    for message in tap.run().messages:
        rows += message["type"] == "RECORD"
        if message["type"] == "STATE" and rows not in counts:
            counts.append(rows)
    assert counts == [50, 100, 120]


def test_no_state_before_the_first_page(tap: Tap) -> None:
    tap.sandbox.faults.add(Fault(status=401))
    assert tap.run().states == []


# The bookmark


def test_the_start_of_the_scan_becomes_the_bookmark(tap: Tap) -> None:
    before = datetime.now(UTC)
    run = tap.run()
    bookmark = instant(run.bookmark["replication_key_value"])
    assert bookmark <= tap.sandbox.feed_requests[0].time
    assert bookmark >= before - timedelta(seconds=2)
    started_at = run.states[0]["bookmarks"]["career_sites"]["scan"]["started_at"]
    assert instant(started_at) == bookmark


def test_resumed_scan_keeps_its_start_as_the_next_bookmark(tap: Tap) -> None:
    cut = cut_in_request(tap, 2, billed=False)
    resumed = tap.run(state=cut.state)
    assert resumed.bookmark["replication_key_value"] == cut.bookmark["scan"]["started_at"]


@pytest.mark.parametrize("journal", [True, False])
def test_change_before_resumption_is_found_by_the_next_run(tap: Tap, *, journal: bool) -> None:
    tap.settings |= {"journal": journal, "lookback_minutes": 0}
    cut = cut_in_request(tap, 2, billed=False)
    tap.sandbox.world.touch(cut.ids[0], name="Changed in between")
    resumed = tap.run(state=cut.state)
    assert cut.ids[0] not in resumed.ids
    following = tap.run(state=resumed.state)
    assert [row["name"] for row in following.records] == ["Changed in between"]


@pytest.mark.parametrize("journal", [True, False])
def test_run_that_ends_early_never_moves_the_bookmark(tap: Tap, *, journal: bool) -> None:
    state = state_at("2025-01-01T00:00:00Z")
    for fault in Fault(status=401), Fault(garbage="{}"), Fault(status=400):
        following = len(tap.sandbox.feed_requests) + 2
        tap.sandbox.faults.add(fault, on=following, endpoint="feed")
        run = tap.run(state=state, batch_size=5, journal=journal)
        assert run.returncode == 1
        assert instant(run.bookmark["replication_key_value"]) == datetime(2025, 1, 1, tzinfo=UTC)
        assert run.bookmark["scan"]["cursor"]


def test_test_mode_never_completes_a_scan(tap: Tap) -> None:
    run = tap.run("--test", state=state_at("2025-01-01T00:00:00Z"))
    assert run.returncode == 0
    for state in run.states:
        assert state.keys() == {"bookmarks"}
        assert "career_sites" in state["bookmarks"]
        assert all(part == {} for part in state["bookmarks"].values())


def test_the_bookmark_never_moves_back(tap: Tap) -> None:
    now = datetime.now(UTC).isoformat()
    run = with_clock(tap, timedelta(hours=-1)).run(state=state_at(now))
    assert run.returncode == 0
    assert instant(run.bookmark["replication_key_value"]) == instant(now)


# Going on


def test_pending_scan_keeps_window_and_page_size_with_a_warning(tap: Tap) -> None:
    cut = cut_in_request(tap, 2, billed=False, batch_size=40)
    resumed = tap.run(
        state=cut.state, batch_size=10, start_date="2026-01-01", lookback_minutes=5, journal=False
    )
    assert len(resumed.ids) == 80
    for entry in tap.sandbox.feed_requests[-2:]:
        assert entry.body["batch_size"] == 40
        assert "updated_after" not in entry.body
    (warning,) = resumed.lines("WARNING")
    assert "keeps its page size (40) and window" in warning


@pytest.mark.parametrize(
    "change", [{"batch_size": 10}, {"start_date": "2026-01-01"}], ids=["batch_size", "start_date"]
)
def test_each_ignored_setting_logs_a_warning(tap: Tap, change: dict[str, Any]) -> None:
    cut = cut_in_request(tap, 2, billed=False)
    assert len(tap.run(state=cut.state, **change).lines("WARNING")) == 1


def test_ignored_lookback_logs_a_warning(tap: Tap) -> None:
    cut = cut_in_request(tap, 2, billed=False, state=state_at("2020-01-01T00:00:00Z"))
    assert "lookback" in "".join(tap.run(state=cut.state, lookback_minutes=5).lines("WARNING"))


def test_unchanged_settings_log_no_warning(tap: Tap) -> None:
    settings: dict[str, Any] = {"batch_size": 40, "start_date": "2020-01-01", "lookback_minutes": 5}
    cut = cut_in_request(tap, 2, billed=False, **settings)
    assert tap.run(state=cut.state, **settings).lines("WARNING") == []


def test_pending_full_refresh_over_a_bookmark_logs_no_warning(tap: Tap) -> None:
    complete = tap.run()
    cut = cut_in_request(tap, 2, billed=False, journal=False)
    merged = merge(complete.state, cut.state)
    assert tap.run(state=merged, journal=False).lines("WARNING") == []


SECOND = timedelta(seconds=1)


def told(caplog: pytest.LogCaptureFixture, state: Any, **settings: Any) -> list[str]:
    """What is logged when a run begins with this part of the state, at noon."""
    usual: dict[str, Any] = {
        "spec": CAREER_SITES,
        "filters": dict.fromkeys(FILTERS),
        "on_filter_change": "error",
        "start_date": None,
        "lookback_minutes": 15,
        "batch_size": 50,
        "is_full_table": False,
        "clock": lambda: ApiClock(NOON, FakeClock()),
        "logger": logging.getLogger("tests.scan"),
    }
    caplog.set_level(logging.INFO)
    SyncStart(**{**usual, **settings}).first_sync(read_state(state, CAREER_SITES))
    return caplog.messages


@pytest.mark.parametrize(("batch_size", "lines"), [(39, 2), (40, 1), (41, 2)])
def test_page_size_other_than_the_pending_scans_is_logged(
    caplog: pytest.LogCaptureFixture, batch_size: int, lines: int
) -> None:
    scan = {"started_at": "2026-01-01T08:00:00Z", "cursor": "c", "batch_size": 40, "rows": 80}
    more = {"id": "1", "pages": 2, "restarts": 0}
    state = {"filters": dict.fromkeys(FILTERS), "scan": {**scan, **more}}
    assert len(told(caplog, state, batch_size=batch_size)) == lines


@pytest.mark.parametrize(("seconds", "lines"), [(0, 0), (1, 1)])
def test_start_date_right_after_the_bookmark_is_later(
    caplog: pytest.LogCaptureFixture, seconds: int, lines: int
) -> None:
    bookmark = NOON - 60 * SECOND
    state = {
        "replication_key_value": format_timestamp(bookmark),
        "filters": dict.fromkeys(FILTERS),
    }
    assert len(told(caplog, state, start_date=bookmark + seconds * SECOND)) == lines


# A rejected cursor


@pytest.mark.parametrize("form", ["400", "400-message", "409"])
def test_rejected_cursor_restarts_once_and_states_the_cost(tap: Tap, form: str) -> None:
    reject(tap, form, on=3)
    run = tap.run()
    assert run.returncode == 0
    assert run.ids[:100] + run.ids[100:] == [*run.ids[100:200], *run.ids[100:]]
    assert len(run.ids) == 220
    (warning,) = run.lines("WARNING")
    assert "100 rows" in warning
    assert "$5.00" in warning
    parts = [state["bookmarks"]["career_sites"]["scan"] for state in run.states]
    assert [part["restarts"] for part in parts[:4]] == [0, 0, 1, 1]
    assert [part["rows"] for part in parts[:4]] == [50, 100, 50, 100]
    assert parts[2]["started_at"] != parts[1]["started_at"]
    assert run.bookmark["replication_key_value"] == parts[2]["started_at"]


def test_restart_cost_uses_the_latest_price(tap: Tap) -> None:
    tap.sandbox.price = 80
    reject(tap, on=2)
    assert "$4.00" in tap.run().lines("WARNING")[0]


def test_resumed_scan_with_an_expired_cursor_restarts(tap: Tap) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    tap.sandbox.expire_cursors()
    resumed = tap.run(state=cut.state)
    assert resumed.returncode == 0
    assert len(resumed.ids) == 120
    assert resumed.bookmark["replication_key_value"] != cut.bookmark["scan"]["started_at"]
    assert "$5.00" in resumed.lines("WARNING")[0]


def test_restarted_scan_keeps_its_window(tap: Tap) -> None:
    reject(tap, on=2)
    run = tap.run(start_date="2020-01-01", batch_size=10)
    assert run.returncode == 0
    first, second = scans(tap)
    assert first == second


def test_second_rejection_states_the_cost_of_a_full_refresh(tap: Tap) -> None:
    reject(tap, on=2, times=1)
    reject(tap, on=5, times=1)
    run = tap.run()
    line = complaint(run)
    assert "$5.00" in line
    assert "100 rows" in line
    assert "full refresh" in line
    assert len(tap.sandbox.feed_requests) == 5
    assert run.bookmark["scan"]["restarts"] == 1


def test_a_second_rejection_in_a_later_run_is_an_error_too(tap: Tap) -> None:
    reject(tap, on=2)
    tap.sandbox.faults.add(Fault(status=401), on=4)
    cut = tap.run()
    assert cut.bookmark["scan"]["restarts"] == 1
    tap.sandbox.expire_cursors()
    billed = tap.sandbox.credits_billed
    for _ in range(2):
        assert "full refresh" in complaint(tap.run(state=cut.state))
    assert tap.sandbox.credits_billed == billed


def test_full_refresh_recovers_from_a_cursor_rejected_twice(tap: Tap) -> None:
    reject(tap, on=2)
    reject(tap, on=4)
    line = complaint(tap.run(journal=False))
    assert "full refresh" in line
    assert "drop" not in line
    tap.sandbox.expire_cursors()
    again = tap.run(journal=False)
    assert again.returncode == 0
    assert set(again.ids) == tap.sandbox.world.rows().keys()


def test_restarts_are_counted_in_the_journal_without_a_state(tap: Tap) -> None:
    reject(tap, on=2)
    reject(tap, on=4)
    assert tap.run().returncode == 1
    billed = tap.sandbox.credits_billed
    tap.sandbox.expire_cursors()
    for _ in range(2):
        run = tap.run()
        # A full refresh looks the same as a lost state: only the user can tell them apart.
        scan = run.bookmark["scan"]["id"]
        assert f"`tap-jobo-journal drop {scan}`, then a full refresh" in complaint(run)
        assert run.bookmark["scan"]["restarts"] == 1
        assert run.metrics["jobo_rows_replayed"] == len(run.ids) == 50
    assert tap.sandbox.credits_billed == billed


def test_full_refresh_after_the_pages_are_dropped_recovers(tap: Tap) -> None:
    reject(tap, on=2)
    reject(tap, on=4)
    cut = tap.run()
    tap.sandbox.expire_cursors()
    assert journal_command(tap, "drop", cut.bookmark["scan"]["id"]).returncode == 0
    again = tap.run()
    assert again.returncode == 0
    assert set(again.ids) == tap.sandbox.world.rows().keys()
    assert again.metrics["jobo_rows_replayed"] == 50  # the pages of the scan before are kept
    assert again.metrics["jobo_credits"] == 120 * 50


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


@pytest.mark.parametrize("status", [400, 409])
def test_other_errors_of_a_page_are_final(tap: Tap, status: int) -> None:
    tap.sandbox.faults.add(Fault(status=status, body={"detail": "Something else"}), on=2)
    assert "Something else" in complaint(tap.run())
    assert len(tap.sandbox.feed_requests) == 2


# FULL_TABLE


def test_a_full_table_ignores_the_bookmark_and_moves_it(tap: Tap) -> None:
    catalog, first = full_table(tap), tap.run()
    second = tap.run(state=first.state, catalog=catalog)
    assert len(second.ids) == 120
    assert second.bookmark["replication_key_value"] >= first.bookmark["replication_key_value"]
    third = tap.run(state=second.state, catalog=catalog)
    assert len(third.ids) == 120
    assert tap.sandbox.rows_billed == 360  # each run confirmed what was before it


def test_a_full_table_resumes(tap: Tap) -> None:
    catalog = full_table(tap)
    tap.sandbox.faults.add(Fault(status=401), on=3)
    cut = tap.run(state=state_at("2026-01-01T00:00:00Z"), catalog=catalog)
    assert cut.bookmark["scan"]["rows"] == 100
    resumed = tap.run(state=cut.state, catalog=catalog)
    assert len(resumed.ids) == 20
    assert resumed.lines("WARNING") == []
    assert resumed.bookmark["replication_key_value"] == cut.bookmark["scan"]["started_at"]
    assert tap.sandbox.rows_billed == 120


def test_lost_full_table_is_replayed(tap: Tap) -> None:
    catalog, state = full_table(tap), state_at("2026-01-01T00:00:00Z")
    tap.run(state=state, catalog=catalog)
    again = tap.run(state=state, catalog=catalog)
    assert len(again.ids) == 120
    assert tap.sandbox.rows_billed == 120


# Filters that change


@pytest.fixture
def german(tap: Tap) -> Run:
    """A complete run for two countries."""
    return tap.run(country_codes=["DE", "US"])


def test_other_filters_are_an_error_that_shows_the_difference(tap: Tap, german: Run) -> None:
    asked = len(tap.sandbox.feed_requests)
    run = tap.run(state=german.state, country_codes=["US", "FR"], is_agency=True)
    line = complaint(run)
    assert "country_codes was DE, US and is FR, US" in line
    assert "is_agency was not set and is true" in line
    assert "resync" in line
    assert "keep" in line
    assert "industries" not in line
    assert len(tap.sandbox.feed_requests) == asked
    assert all(state == german.state for state in run.states)


def test_removed_filter_is_an_error(tap: Tap, german: Run) -> None:
    assert "country_codes was DE, US and is not set" in complaint(tap.run(state=german.state))


def test_order_of_values_is_no_filter_change(tap: Tap, german: Run) -> None:
    again = tap.run(state=german.state, country_codes=["US", "DE", "US"])
    assert again.returncode == 0
    assert again.ids == []


def test_resync_reads_every_match_once(tap: Tap, german: Run) -> None:
    first = tap.run(state=german.state, on_filter_change="resync")
    assert set(first.ids) == tap.sandbox.world.rows().keys()
    assert first.bookmark["filters"] == dict.fromkeys(FILTERS)
    assert first.bookmark["replication_key_value"] >= german.bookmark["replication_key_value"]
    assert tap.run(state=first.state, on_filter_change="resync").ids == []


def test_interrupted_resync_resumes(tap: Tap, german: Run) -> None:
    number = len(tap.sandbox.feed_requests) + 2
    tap.sandbox.faults.add(Fault(status=401), on=number)
    cut = tap.run(state=german.state, on_filter_change="resync")
    assert cut.bookmark["filters"] == dict.fromkeys(FILTERS)
    assert cut.bookmark["replication_key_value"] == german.bookmark["replication_key_value"]
    resumed = tap.run(state=cut.state, on_filter_change="resync")
    assert len(resumed.ids) == 70
    assert resumed.lines("WARNING") == []


def test_keep_resumes_from_the_bookmark(tap: Tap, german: Run) -> None:
    key = tap.sandbox.world.add(country_code="FR")
    run = tap.run(state=german.state, on_filter_change="keep", country_codes=["FR"])
    assert run.ids == [key]
    assert run.bookmark["filters"]["country_codes"] == ["FR"]
    assert tap.run(state=run.state, country_codes=["FR"]).returncode == 0


@pytest.mark.parametrize("way", ["resync", "keep"])
def test_pending_scan_of_other_filters_is_discarded(tap: Tap, way: str) -> None:
    tap.sandbox.faults.add(Fault(status=401), on=2)
    cut = tap.run(country_codes=["DE", "US"], batch_size=5)
    assert cut.bookmark["scan"]["cursor"]
    assert "country_codes" in complaint(tap.run(state=cut.state))
    run = tap.run(state=cut.state, on_filter_change=way)
    assert set(run.ids) == tap.sandbox.world.rows().keys()
    assert set(run.bookmark["scan"].values()) == {None}


def test_without_a_state_any_filters_are_accepted(tap: Tap) -> None:
    run = tap.run(country_codes=["DE"])
    assert run.returncode == 0
    assert not any("filters" in line for line in run.lines("INFO"))


# Meltano's merge


@pytest.mark.parametrize("journal", [True, False])
def test_killed_full_refresh_over_a_complete_state_resumes(tap: Tap, *, journal: bool) -> None:
    tap.settings |= {"journal": journal, "lookback_minutes": 0}
    complete = tap.run()
    tap.run(state=complete.state)  # confirms
    cut = cut_in_request(tap, 3, billed=False, on_missing_state="resync")
    assert len(cut.ids) == 100
    merged = merge(complete.state, cut.state)
    assert merged["bookmarks"]["career_sites"]["replication_key_value"]
    tap.sandbox.world.touch(cut.ids[0], name="Changed in between")
    resumed = tap.run(state=merged)
    assert len(resumed.ids) == 20
    assert tap.sandbox.rows_billed == 240
    merged = merge(merged, resumed.state)
    assert merged == resumed.state
    # Two scans of one second may start in either order, by the API's clock and its whole seconds.
    starts = complete.bookmark["replication_key_value"], cut.bookmark["scan"]["started_at"]
    assert resumed.bookmark["replication_key_value"] == max(starts)
    assert tap.run(state=merged).ids == [cut.ids[0]]


def test_state_merged_with_a_later_complete_one_equals_it(tap: Tap) -> None:
    cut = cut_in_request(tap, 2, billed=False)
    complete = tap.run(state=cut.state)
    assert merge(cut.state, complete.state) == complete.state


def test_a_larger_world_resumes_page_by_page(tap: Tap) -> None:
    with Sandbox(size=33, seed=6) as sandbox:
        tap.sandbox = sandbox
        state: Any = None
        ids: list[str] = []
        while True:
            # Each run gets one page on, and is then refused the next.
            following = len(sandbox.feed_requests) + 2
            sandbox.faults.add(Fault(status=401), on=following, endpoint="feed")
            run = tap.run(state=state, batch_size=10, journal=False)
            sandbox.faults.clear()
            ids, state = ids + run.ids, run.state
            if run.returncode == 0:
                break
        assert sorted(ids) == sorted(sandbox.world.rows())


def test_new_filters_of_a_full_table_need_no_decision(tap: Tap) -> None:
    catalog = full_table(tap)
    first = tap.run(catalog=catalog, country_codes=["DE"])
    more: dict[str, Any] = {"country_codes": ["DE", "US"], "batch_size": 5}
    tap.sandbox.faults.add(Fault(status=401), on=len(tap.sandbox.feed_requests) + 2)
    cut = tap.run(state=first.state, catalog=catalog, **more)
    assert len(cut.ids) == 5
    (line,) = (line for line in cut.lines("INFO") if line.startswith("The filters"))
    assert "each sync reads everything that matches, so no row is missing" in line
    refusal = complaint(tap.run(state=cut.state, catalog=catalog))
    assert "the run reads everything that matches from the start" in refusal
    assert "from the bookmark" not in refusal
    done = tap.run(state=cut.state, catalog=catalog, **more)
    assert done.returncode == 0, done.stderr
    assert {*cut.ids, *done.ids} > {*first.ids}
    assert tap.sandbox.rows_billed == len(first.ids) + len(cut.ids) + len(done.ids)
