"""The bookmark: when it moves, the window that it opens, the clocks, and states."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from tap_jobo.clock import format_timestamp
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.sync.settings import SyncSettings
from tap_jobo.sync.state import read_state
from tests.support import Tap, complaint, discover, entry_of, error_code, schema_message, state_at

HOUR = 3600
OLD = "2020-01-01T00:00:00.000000Z"
NO_FILTERS = CAREER_SITES.filters_of({})
PENDING: dict[str, Any] = {
    "id": "5",
    "kind": "full",
    "first": None,
    "started_at": OLD,
    "updated_after": None,
    "start_date": None,
    "batch_size": 50,
    "cursor": "c",
    "rows": 50,
    "pages": 1,
    "restarts": 0,
    "gap": False,
    "filters": {},
    "reads": {},
}
SETTINGS = SyncSettings.of(CAREER_SITES, {"on_filter_change": "error", "lookback_minutes": 15})
NO_SYNC = dict.fromkeys(PENDING)


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
        started_at = run.states[0]["bookmarks"]["career_sites"]["sync"]["started_at"]
        assert started_at == run.bookmark["replication_key_value"]

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
        state = state_at(format_timestamp(now - since))
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
        tap.succeed(state=state_at(recent), **settings)
        expected = datetime.fromisoformat(recent) - timedelta(minutes=minutes)
        assert _window(sandbox) == format_timestamp(expected)

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
        run = tap.run(state=state_at(OLD), start_date="2020-02-01")
        assert _window(sandbox) == "2020-01-31T23:59:59.999000Z"
        assert any("start_date is later" in line and OLD[:16] in line for line in run.lines("INFO"))

    def test_start_date_equal_to_the_bookmark_keeps_the_lookback(self, tap: Tap) -> None:
        run = tap.run(state=state_at(OLD), start_date=OLD)
        assert _window(tap.sandbox) == "2019-12-31T23:45:00.000000Z"
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

    @pytest.mark.parametrize(
        ("hours", "countries"),
        [(1, ["DE"]), (10**6, ["DE"]), (1, ["DE", "FR"])],
        ids=["by the API's clock", "by both clocks", "before added values"],
    )
    def test_future_bookmark_ends_the_run(
        self, tap: Tap, sandbox: Sandbox, hours: int, countries: list[str]
    ) -> None:
        sandbox.clock_offset = -2 * HOUR
        bookmark = format_timestamp(sandbox.now() + timedelta(hours=hours))
        filters = NO_FILTERS | {"country_codes": ["DE"]}
        state = state_at(bookmark, filters=filters, sync=NO_SYNC)
        run = tap.run(state=state, country_codes=countries, on_filter_change="resync")
        assert error_code(run) == "future-bookmark"
        assert bookmark[:16] in complaint(run)
        assert sandbox.feed_requests == []
        assert all(emitted == state for emitted in run.states)


class TestState:
    def test_plain_state_of_an_sdk_tap_and_a_plain_catalog_are_accepted(
        self, tap: Tap, sandbox: Sandbox, recent: str
    ) -> None:
        entry = entry_of(discover())
        stream = {name: entry[name] for name in ("tap_stream_id", "stream", "schema")}
        catalog = {"streams": [stream]}
        run = tap.succeed(state=state_at(recent), catalog=catalog, country_codes=["US"])
        assert _window(sandbox) is not None  # it is incremental
        assert sandbox.rows_billed == 0
        assert run.bookmark["filters"] == {**NO_FILTERS, "country_codes": ["US"]}
        schema = schema_message(run)
        assert schema["bookmark_properties"] == ["updated_at"]
        assert schema["key_properties"] == ["id"]

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"replication_key_value": 5}, "replication_key_value"),
            ({"replication_key_value": "2020-02-30T00:00:00Z"}, "replication_key_value"),
            ({"completed_sync": "Scan 5"}, "completed_sync"),
            ({"filters": ["US"]}, "filters"),
            ({"filters": {"country_codes": [1, "US"]}}, "filters"),
            ({"sync": "x"}, "sync"),
            ({"sync": {"id": None}}, "id"),
            ({"sync": {"id": "5" * 65}}, "id"),
            ({"sync": {"started_at": "soon"}}, "started_at"),
            ({"sync": {"updated_after": "soon"}}, "updated_after"),
            ({"sync": {"cursor": ""}}, "cursor"),
            ({"sync": {"batch_size": 0}}, "batch_size"),
            ({"sync": {"batch_size": True}}, "batch_size"),
            ({"sync": {"rows": -1}}, "rows"),
            ({"sync": {"pages": 0}}, "pages"),
            ({"sync": {"restarts": 0.5}}, "restarts"),
            ({"sync": {"kind": "half"}}, "kind"),
            ({"sync": {"first": 0}}, "first"),
            ({"sync": {"start_date": "soon"}}, "start_date"),
            ({"sync": {"gap": None}}, "gap"),
            ({"sync": {"filters": {"country_codes": [1, "US"]}}}, "filters"),
            ({"sync": {"reads": ["US"]}}, "reads"),
            ({"start_date": "soon"}, "start_date"),
            ({"gap": None}, "gap"),
            ({"archive": "../x"}, "archive"),
            ({"offset": -1}, "offset"),
            ({"offset": None}, "offset"),
            ({"entry": ""}, "entry"),
            ({"bill_offset": "3"}, "bill_offset"),
        ],
    )
    def test_bad_member_is_named(self, changes: dict[str, Any], named: str) -> None:
        if isinstance(sync := changes.get("sync"), dict):
            changes = {"sync": {**PENDING, **sync}}
        part = {"replication_key_value": OLD, **changes}
        with pytest.raises(
            ValueError, match=rf"`bookmarks\.career_sites(\.sync)?\.{named}`"
        ) as refusal:
            read_state(part, SETTINGS)
        assert "\n" not in str(refusal.value)

    def test_a_sync_in_progress_is_whole(self) -> None:
        state = read_state({"sync": PENDING}, SETTINGS)
        assert state
        assert state.position.progress
        for name in PENDING.keys() - {"first", "updated_after", "start_date"}:
            left = {key: value for key, value in PENDING.items() if key != name}
            if name == "started_at":  # without it, there is none
                assert read_state({"sync": left}, SETTINGS) is None
                continue
            with pytest.raises(ValueError, match=name):
                read_state({"sync": left}, SETTINGS)

    @pytest.mark.parametrize("archive", [True, False])
    def test_a_plain_state_is_of_the_filters_of_the_first_run(
        self, tap: Tap, recent: str, *, archive: bool
    ) -> None:
        """Otherwise, rows of filters that are added later would be missing without a question."""
        tap.settings["archive"] = archive
        run = tap.succeed(state=state_at(recent), country_codes=["US"])
        assert run.ids == []
        wider: Any = {"country_codes": ["DE", "US"]}
        assert error_code(tap.run(state=run.state, **wider)) == "filters-changed"
        assert tap.run(state=run.state, on_filter_change="resync", **wider).ids
