"""Wrong clocks, and settings that change after a crash: nothing is lost or billed twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from jobo_sandbox import Sandbox
from tests.support import Tap, complaint, state_at
from tests.support.clock import NOON, with_clock
from tests.support.crash import cut_in_request

if TYPE_CHECKING:
    from pathlib import Path

HOUR = timedelta(hours=1)
MONTH = timedelta(days=31)
OLD = "2020-01-01T00:00:00.000000Z"


def change(sandbox: Sandbox, rows: int) -> list[str]:
    """Let so many rows change, and return their ids."""
    keys = sorted(sandbox.world.rows())[:rows]
    for key in keys:
        sandbox.world.touch(key, name="changed")
    return keys


def pending(**scan: Any) -> dict[str, Any]:
    """A state with a scan under way."""
    usual = {"id": "1", "updated_after": None, "batch_size": 50, "rows": 50, "pages": 1}
    return state_at(OLD, scan={**usual, "restarts": 0, "cursor": "opaque", **scan})


class TestCrash:
    """The pages of a run that a crash took are replayed, whatever the clocks say."""

    @pytest.mark.parametrize("after", [-HOUR, timedelta(0)], ids=["still_behind", "set_right"])
    def test_a_local_clock_behind_the_bookmark_bills_nothing_twice(
        self, tap: Tap, after: timedelta
    ) -> None:
        tap.settings["lookback_minutes"] = 10
        first = tap.run()
        changed = change(tap.sandbox, 60)
        # Its first request asks for the API's time, free of charge.
        cut = cut_in_request(with_clock(tap, -HOUR), 3, state=first.state, billed=False)
        started_at = cut.bookmark["scan"]["started_at"]
        assert started_at < first.bookmark["replication_key_value"]
        again = with_clock(tap, after).run(state=first.state)
        assert again.returncode == 0
        assert set(again.ids) == set(changed)
        assert again.metrics["jobo_rows_replayed"] == 50
        # By the right clock the sync is an hour old, and what changed since is read again: the next
        # run would, too.
        assert tap.sandbox.rows_billed == 120 + 60 + (60 if after == timedelta(0) else 0)
        assert again.bookmark["replication_key_value"] >= first.bookmark["replication_key_value"]

    def test_two_syncs_within_a_second_bill_nothing_twice(self, tmp_path: Path) -> None:
        with Sandbox(size=120, seed=1, clock=NOON.timestamp) as sandbox:
            tap = with_clock(Tap(sandbox, tmp_path, {"lookback_minutes": 1}), NOON - 5 * HOUR)
            first = tap.run()
            changed = change(sandbox, 60)
            cut = cut_in_request(tap, 2, state=first.state, billed=False)
            assert cut.bookmark["scan"]["started_at"] == first.bookmark["replication_key_value"]
            again = tap.run(state=first.state)
            assert set(again.ids) == set(changed)
            assert again.metrics["jobo_rows_replayed"] == 50
            assert sandbox.rows_billed == 120 + 60

    @pytest.mark.parametrize("ahead", [MONTH, -MONTH], ids=["ahead", "behind"])
    def test_a_local_clock_31_days_off_at_restart_keeps_the_journal(
        self, tap: Tap, ahead: timedelta
    ) -> None:
        cut_in_request(tap, 2, billed=False)
        tap.settings["country_codes"] = ["US"]  # so that the pages of the crash lie unused
        assert "trust_local_clock" in complaint(with_clock(tap, ahead).run())
        del tap.settings["country_codes"]
        billed = tap.sandbox.rows_billed
        again = tap.run()
        assert again.metrics["jobo_rows_replayed"] == 50
        assert tap.sandbox.rows_billed == billed + 70

    def test_a_local_clock_31_days_ahead_replays_at_once(self, tap: Tap) -> None:
        cut_in_request(tap, 3, billed=False)
        again = with_clock(tap, MONTH).run()
        assert "says" in complaint(again)
        assert again.metrics["jobo_rows_replayed"] == 100
        assert not any("Dropping" in line for line in again.lines("WARNING"))
        last = tap.run(state=again.state)
        assert set(again.ids + last.ids) == tap.sandbox.world.rows().keys()
        assert tap.sandbox.rows_billed == 120


class TestLookback:
    """`lookback_minutes` is set otherwise after a crash."""

    @pytest.fixture
    def state(self, tap: Tap) -> Any:
        """The state that a killed run of 60 changed rows was given; 50 of them are on disk."""
        state = tap.run().state
        change(tap.sandbox, 60)
        cut_in_request(tap, 2, state=state, billed=False)
        return state

    @pytest.mark.parametrize("minutes", [15, 5])
    def test_the_same_or_a_lower_one_replays(self, tap: Tap, state: Any, minutes: int) -> None:
        again = tap.run(state=state, lookback_minutes=minutes)
        assert again.metrics["jobo_rows_replayed"] == 50
        assert again.lines("WARNING") == []
        assert len(again.ids) == 60
        assert tap.sandbox.rows_billed == 120 + 60

    def test_a_higher_one_says_what_it_does_not_use(self, tap: Tap, state: Any) -> None:
        again = tap.run(state=state, lookback_minutes=60)
        (warning,) = again.lines("WARNING")
        assert "1 page, worth $2.50," in warning
        assert "$2.50" in warning
        assert "lookback_minutes" in warning
        assert again.metrics["jobo_rows_replayed"] == 0
        assert len(again.ids) == 60


class TestNoDate:
    def test_no_date_header_and_a_fast_local_clock_lose_no_row(self, tap: Tap) -> None:
        tap.settings["lookback_minutes"] = 0
        tap.sandbox.omit_date_header = True
        fast = with_clock(tap, 3 * HOUR)
        first = fast.run()
        assert "The API's clock is not known" in complaint(first)
        assert "The API's clock is not known" in complaint(fast.run())
        tap.sandbox.omit_date_header = False
        second = fast.run()
        assert {*second.ids} == tap.sandbox.world.rows().keys()
        changed = change(tap.sandbox, 1)
        assert changed[0] in fast.run(state=second.state).ids

    def test_clocks_more_than_a_day_apart_end_the_run(self, tap: Tap) -> None:
        line = complaint(with_clock(tap, 25 * HOUR).run())
        assert line.count(" says 20") == 2  # what each clock says
        assert "trust_local_clock" in line
        assert tap.sandbox.rows_billed == 50

    def test_a_trusted_local_clock_counts(self, tap: Tap) -> None:
        tap.sandbox.clock_offset = -3 * 24 * 3600
        run = tap.run(trust_local_clock=True)
        assert run.returncode == 0
        bookmark = datetime.fromisoformat(run.bookmark["replication_key_value"])
        assert abs(bookmark - datetime.now(UTC)) < HOUR


class TestFuture:
    """A pending `started_at` in the future, which would become the bookmark."""

    @pytest.mark.parametrize("ahead", [timedelta(0), 5 * HOUR], ids=["right", "fast"])
    def test_a_pending_start_in_the_future_is_one_clear_line(
        self, tap: Tap, ahead: timedelta
    ) -> None:
        cut = cut_in_request(tap, 2, billed=False, journal=False)
        start = (tap.sandbox.now() + HOUR).isoformat(timespec="microseconds")
        state = cut.state
        state["bookmarks"]["career_sites"]["scan"]["started_at"] = start
        run = with_clock(tap, ahead).run(state=state, journal=False)
        line = complaint(run)
        assert "lies in the future" in line
        assert "started_at" in line
        assert start[:19] in line
        assert run.records == []

    def test_a_pending_start_in_the_future_bills_nothing(self, tap: Tap) -> None:
        run = tap.run(state=pending(started_at="2999-01-01T00:00:00Z"))
        assert "2999-01-01" in complaint(run)
        assert tap.sandbox.feed_requests == []
        assert run.states == [] or run.bookmark["scan"]["started_at"].startswith("2999")
