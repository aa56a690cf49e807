"""The bookmark: when it moves, the window that it opens, the clocks, and states."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from tap_jobo.clock import format_timestamp
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.sync.state import as_raw, read_state
from tests.support import (
    Tap,
    complaint,
    discover,
    entry_of,
    error_code,
    schema_message,
    state_until,
)

HOUR = 3600
MILLISECOND = timedelta(milliseconds=1)
"""Which `updated_after` is earlier, as it excludes the instant itself."""
OLD = "2020-01-01T00:00:00.000000Z"


SYNC: dict[str, Any] = {
    "id": "5",
    "reads": 1,
    "filters": 1,
    "since": "",
    "started": OLD,
    "kept": None,
    "order": None,
    "replaces": None,
    "restarts": 0,
    "batch_size": 50,
}
WRITTEN: dict[str, Any] = {
    "replication_key": "updated_at",
    "replication_key_value": OLD,
    "owner": "api-live-1a2b3c4d",
    "offset": 2,
    "entry": "0f",
    "time": OLD,
    "gap": None,
    "position": {
        "reads": [{"filters": 0, "start": "", "until": OLD, "gap": None}],
        "progress": [{"sync": SYNC, "pages": 1, "rows": 50, "cursor": "c", "has_gap": False}],
        "is_begun": True,
        "order": "",
        "filter_sets": [{"country_codes": ["DE"]}, {}],
    },
}


@pytest.fixture
def recent(sandbox: Sandbox) -> str:
    """A bookmark of an hour ago, since which nothing was updated."""
    return format_timestamp(sandbox.now() - timedelta(hours=1))


def _instant(bookmark: dict[str, Any]) -> datetime:
    text = bookmark["replication_key_value"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    return datetime.fromisoformat(text)


def _window(sandbox: Sandbox) -> str | None:
    """`updated_after` of the latest request."""
    text: str | None = sandbox.feed_requests[-1].body.get("updated_after")
    return text


class TestMoves:
    def test_it_is_the_instant_before_the_first_request(self, tap: Tap, sandbox: Sandbox) -> None:
        key = next(iter(sandbox.world.rows()))
        sandbox.world.touch(key, updated_at="2999-01-01T00:00:00Z")  # no row moves it
        before = sandbox.now()
        run = tap.run()
        assert "2999-01-01T00:00:00Z" in [record["updated_at"] for record in run.records]
        assert before - timedelta(seconds=10) < _instant(run.bookmark)
        assert _instant(run.bookmark) <= sandbox.feed_requests[0].time
        (progress,) = run.states[0]["bookmarks"]["career_sites"]["position"]["progress"]
        assert progress["sync"]["started"] == run.bookmark["replication_key_value"]

    def test_next_run_bills_nothing_and_a_later_one_what_changed(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        first = tap.run()
        billed = sandbox.rows_billed, len(sandbox.feed_requests)
        second = tap.succeed(state=first.state)
        assert second.records == []
        assert (sandbox.rows_billed, len(sandbox.feed_requests) - 1) == billed
        assert _instant(second.bookmark) >= _instant(first.bookmark)
        changed = list(sandbox.world.rows())[7]
        sandbox.world.touch(changed, name="Changed")
        added = sandbox.world.add()
        third = tap.run(state=second.state)
        assert sorted(third.ids) == sorted([changed, added])
        assert "Changed" in [record["name"] for record in third.records]


class TestRowsBeforeTheWindow:
    @pytest.fixture
    def sandbox(self) -> Iterator[Sandbox]:
        with Sandbox(size=120, rows_with_updated_at=True) as sandbox:
            yield sandbox

    def _read(self, tap: Tap, since: timedelta, **options: Any) -> list[str]:
        """Read rows that changed two hours ago, and return the warnings."""
        now = tap.sandbox.now()
        for key in tap.sandbox.world.rows():
            tap.sandbox.world.touch(key, updated_at=format_timestamp(now - timedelta(hours=2)))
        state = state_until(tap, format_timestamp(now - since))
        run = tap.succeed(state=state, lookback_minutes=0, **options)
        assert len(run.ids) == 120
        return run.messages_of("WARNING", "unexpected-bill")

    @pytest.mark.parametrize("selected", [True, False])
    def test_they_are_one_warning(self, tap: Tap, sandbox: Sandbox, *, selected: bool) -> None:
        catalog = discover()
        for part in entry_of(catalog)["metadata"]:
            if part["breadcrumb"][-1:] == ["updated_at"]:
                part["metadata"]["selected"] = selected
        sandbox.ignored = ["updated_after"]
        (warning,) = self._read(tap, timedelta(minutes=50), catalog=catalog)
        since = sandbox.feed_requests[-1].body["updated_after"]
        for part in ("50 rows", "career_sites", f"updated_after {since[:16]}"):
            assert part in warning

    def test_an_overlap_of_minutes_is_none(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.overlap = 3_000
        assert self._read(tap, timedelta(minutes=80)) == []


class TestWindow:
    @pytest.mark.parametrize(
        ("settings", "minutes"),
        [({}, 15), ({"lookback_minutes": 90, "start_date": "2020-01-01"}, 90)],
    )
    def test_run_starts_at_the_bookmark_minus_lookback(
        self, tap: Tap, sandbox: Sandbox, recent: str, settings: dict[str, Any], minutes: int
    ) -> None:
        tap.succeed(state=state_until(tap, recent), **settings)
        since = datetime.fromisoformat(recent) - timedelta(minutes=minutes)
        assert _window(sandbox) == format_timestamp(since - MILLISECOND)

    @pytest.mark.parametrize(
        ("start_date", "asked"),
        [
            ("2020-02-01T08:30:00+02:00", "2020-02-01T06:29:59.999000Z"),
            ("0001-01-01", None),
        ],
    )
    def test_first_run_starts_at_start_date_without_lookback(
        self, tap: Tap, sandbox: Sandbox, start_date: str, asked: str | None
    ) -> None:
        run = tap.succeed(start_date=start_date)
        assert len(run.ids) == 120
        if asked:
            assert _window(sandbox) == asked

    def test_later_start_date_overrides_the_bookmark(self, tap: Tap, sandbox: Sandbox) -> None:
        run = tap.run(state=state_until(tap, OLD), start_date="2020-02-01")
        assert _window(sandbox) == "2020-01-31T23:59:59.999000Z"
        assert any("start_date is later" in line and OLD[:16] in line for line in run.lines("INFO"))
        tap.succeed(state=run.state)  # which reads what changed in between, and asks nothing
        assert _window(sandbox) == "2019-12-31T23:44:59.999000Z"

    def test_no_window_starts_before_start_date(self, tap: Tap) -> None:
        run = tap.run(state=state_until(tap, OLD), start_date=OLD)
        assert _window(tap.sandbox) == "2019-12-31T23:59:59.999000Z"
        assert not any("start_date is later" in line for line in run.lines("INFO"))


class TestClocks:
    def test_fast_local_clock_loses_no_update(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.clock_offset = -3 * HOUR
        run = tap.run()
        assert _instant(run.bookmark) <= sandbox.feed_requests[0].time
        (warning,) = run.lines("WARNING")
        assert run.codes("WARNING") == ["clock-wrong"]
        assert "180 minutes ahead" in warning
        assert "billed" not in warning  # no row is lost, and none is read again
        updated = next(iter(sandbox.world.rows()))
        sandbox.world.touch(updated)
        assert tap.run(state=run.state, lookback_minutes=0).ids == [updated]

    def test_slow_local_clock_fetches_the_overlap_again_and_says_so(self, tap: Tap) -> None:
        tap.sandbox.clock_offset = 3 * HOUR
        run = tap.run()
        (warning,) = run.lines("WARNING")
        assert run.codes("WARNING") == ["clock-wrong"]
        assert "180 minutes behind" in warning
        assert "billed again" in warning
        updated = next(iter(tap.sandbox.world.rows()))
        tap.sandbox.world.touch(updated)
        second = tap.run(state=run.state, lookback_minutes=0)
        third = tap.run(state=second.state, lookback_minutes=0)
        assert second.ids == third.ids == [updated]

    @pytest.mark.parametrize("hours", [1, 10**6], ids=["by the API's clock", "by both clocks"])
    def test_future_bookmark_ends_the_run(self, tap: Tap, sandbox: Sandbox, hours: int) -> None:
        """Also if the user has something to decide."""
        sandbox.clock_offset = -2 * HOUR
        bookmark = format_timestamp(sandbox.now() + timedelta(hours=hours))
        state = state_until(tap, bookmark, country_codes=["DE"])
        for countries in (["DE"], ["DE", "FR"]):
            run = tap.run(state=state, country_codes=countries)
            assert error_code(run) == "future-bookmark"
            assert bookmark[:16] in complaint(run)
            assert sandbox.feed_requests == []
            assert all(emitted == state for emitted in run.states)


class TestState:
    def test_a_plain_catalog_is_accepted(self, tap: Tap, sandbox: Sandbox, recent: str) -> None:
        entry = entry_of(discover())
        stream = {name: entry[name] for name in ("tap_stream_id", "stream", "schema")}
        run = tap.succeed(state=state_until(tap, recent), catalog={"streams": [stream]})
        assert _window(sandbox) is not None  # it is incremental
        assert sandbox.rows_billed == 0
        schema = schema_message(run)
        assert schema["bookmark_properties"] == ["updated_at"]
        assert schema["key_properties"] == ["id"]

    def test_it_is_read_as_it_was_written(self) -> None:
        """What an earlier version has left beside it is ignored, as Meltano keeps it."""
        state = read_state({**WRITTEN, "sync": {"started_at": OLD}}, CAREER_SITES)
        assert state
        (read,), (progress,) = state.position.reads, state.position.progress
        assert (read.filters, progress.sync.filters) == ({"country_codes": ["DE"]}, {})
        assert json.loads(json.dumps(as_raw(state, CAREER_SITES, OLD))) == WRITTEN

    @pytest.mark.parametrize("raw", [{}, {"replication_key": "updated_at"}, {"sync": None}])
    def test_one_that_says_nothing_is_none(self, raw: dict[str, Any]) -> None:
        assert read_state(raw, CAREER_SITES) is None

    @pytest.mark.parametrize("raw", [{"replication_key_value": OLD}, {"sync": {"started_at": OLD}}])
    def test_one_of_before_the_log_is_refused(self, raw: dict[str, Any]) -> None:
        """Also as an SDK tap writes it: nothing says of which rows its bookmark is."""
        with pytest.raises(ValueError, match="old version"):
            read_state(raw, CAREER_SITES)

    @pytest.mark.parametrize("name", ["owner", "offset", "entry", "time"])
    def test_a_member_that_is_missing_is_named(self, name: str) -> None:
        raw = {key: value for key, value in WRITTEN.items() if key != name}
        with pytest.raises(ValueError, match=name):
            read_state(raw, CAREER_SITES)

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("owner", 5),
            ("offset", -1),
            ("offset", None),
            ("entry", ""),
            ("entry", "../x"),
            ("time", None),
            ("position", "x"),
            ("position.reads", None),
            ("position.reads.0.until", 5),
            ("position.reads.0.filters", 7),
            ("position.is_begun", "yes"),
            ("position.order", None),
            ("position.filter_sets", {}),
            ("position.revenue", 1),
            ("position.progress.0.pages", 0),
            ("position.progress.0.rows", -1),
            ("position.progress.0.cursor", ""),
            ("position.progress.0.has_gap", None),
            ("position.progress.0.sync.id", "5" * 65),
            ("position.progress.0.sync.since", None),
            ("position.progress.0.sync.started", 5),
            ("position.progress.0.sync.restarts", 0.5),
            ("position.progress.0.sync.batch_size", 0),
            ("position.progress.0.sync.revenue", 1),
        ],
    )
    def test_a_bad_member_is_named(self, path: str, value: Any) -> None:
        raw = deepcopy(WRITTEN)
        part: Any = raw
        *parents, name = path.split(".")
        for each in parents:
            part = part[int(each) if each.isdecimal() else each]
        part[name] = value
        with pytest.raises(ValueError, match=r"`bookmarks\.career_sites") as refusal:
            read_state(raw, CAREER_SITES)
        assert re.search(rf"\b{name}\b|filter_sets", str(refusal.value))
        assert "\n" not in str(refusal.value)
