from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.errors import StateError
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.sync.start import window
from tap_jobo.sync.state import read_state
from tap_jobo.sync_id import Sync
from tap_jobo.tap import TapJobo
from tests.support import Tap, complaint, discover, entry_of, kept_signals, schema_message, state_at

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3600
OLD = "2020-01-01T00:00:00.000000Z"
KEYS = {"replication_key", "replication_key_value", "completed_scan", "filters", "scan"}
NO_FILTERS = dict.fromkeys(
    (
        "industries",
        "company_sizes",
        "country_codes",
        "funding_stages",
        "company_types",
        "founded_after",
        "is_agency",
    )
)
NO_SCAN = dict.fromkeys(
    ("id", "started_at", "updated_after", "batch_size", "cursor", "rows", "pages", "restarts")
)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return discover(tmp_path_factory.mktemp("catalog"))


@pytest.fixture
def recent(sandbox: Sandbox) -> str:
    """A bookmark of an hour ago, since which nothing was updated."""
    return _text(sandbox.now() - timedelta(hours=1))


def _text(instant: datetime) -> str:
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")


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
        before = sandbox.now()
        run = tap.run()
        assert before - timedelta(seconds=10) < _instant(run.bookmark)
        assert _instant(run.bookmark) <= sandbox.feed_requests[0].time

    def test_it_precedes_the_request_even_if_the_response_is_slow(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        sandbox.clock_offset = -HOUR  # so that the API's clock decides, read after the answer
        sandbox.faults.add(Fault(delay=2.2))
        run = tap.run()
        assert _instant(run.bookmark) <= sandbox.feed_requests[0].time

    def test_no_row_moves_it(self, tap: Tap, sandbox: Sandbox) -> None:
        key = next(iter(sandbox.world.rows()))
        sandbox.world.touch(key, updated_at="2999-01-01T00:00:00Z")
        run = tap.run()
        assert "2999-01-01T00:00:00Z" in [record["updated_at"] for record in run.records]
        assert _instant(run.bookmark) <= sandbox.feed_requests[0].time

    def test_it_is_stored_only_when_the_scan_is_complete(self, tap: Tap) -> None:
        run = tap.run()
        *earlier, last = (state["bookmarks"]["career_sites"] for state in run.states)
        assert len(earlier) == 2
        assert not any("replication_key_value" in bookmark for bookmark in earlier)
        assert last["replication_key"] == "updated_at"
        assert "replication_key_value" in last

    def test_error_in_the_middle_leaves_it_where_it_was(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.faults.add(Fault(status=403), on=3)
        run = tap.run(state=state_at(OLD))
        complaint(run)
        assert len(run.ids) == 100
        for state in run.states:
            bookmark = state["bookmarks"]["career_sites"]
            assert bookmark["replication_key_value"] == OLD
        assert run.bookmark.keys() == KEYS

    def test_quiet_run_bills_nothing(self, tap: Tap, sandbox: Sandbox) -> None:
        state = tap.run().state
        bought = sandbox.rows_billed, len(sandbox.feed_requests)
        run = tap.run(state=state)
        assert run.returncode == 0
        assert run.records == []
        assert (sandbox.rows_billed, len(sandbox.feed_requests) - 1) == bought
        assert _instant(run.bookmark) >= _instant(state["bookmarks"]["career_sites"])

    def test_next_run_delivers_what_changed(self, tap: Tap, sandbox: Sandbox) -> None:
        state = tap.run().state
        changed = list(sandbox.world.rows())[7]
        sandbox.world.touch(changed, name="Changed")
        added = sandbox.world.add()
        run = tap.run(state=state)
        assert sorted(run.ids) == sorted([changed, added])
        assert "Changed" in [record["name"] for record in run.records]

    def test_update_while_the_scan_runs_is_found_by_the_next_run(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        delivered = min(sandbox.world.rows())

        def touch(entry: Any) -> None:
            if entry.number == 2:
                sandbox.world.touch(delivered)

        sandbox.before_page = touch
        state = tap.run(lookback_minutes=0).state
        assert tap.run(state=state, lookback_minutes=0).ids == [delivered]


class TestWindow:
    @pytest.mark.parametrize(
        ("settings", "minutes"),
        [({}, 15), ({"lookback_minutes": 90}, 90)],
    )
    def test_run_starts_at_the_bookmark_minus_lookback(
        self, tap: Tap, sandbox: Sandbox, recent: str, settings: dict[str, Any], minutes: int
    ) -> None:
        tap.run(state=state_at(recent), **settings)
        expected = datetime.fromisoformat(recent) - timedelta(minutes=minutes)
        assert _window(sandbox) == _text(expected)

    def test_without_bookmark_and_start_date_everything_is_read(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        run = tap.run()
        assert _window(sandbox) is None
        assert len(run.ids) == 120

    @pytest.mark.parametrize(
        ("start_date", "asked"),
        [
            ("2020-02-01T08:30:00.250Z", "2020-02-01T08:30:00.249000Z"),
            ("2020-02-01T08:30:00+02:00", "2020-02-01T06:29:59.999000Z"),
        ],
    )
    def test_first_run_starts_at_start_date_without_lookback(
        self, tap: Tap, sandbox: Sandbox, start_date: str, asked: str
    ) -> None:
        assert tap.run(start_date=start_date).returncode == 0
        assert _window(sandbox) == asked

    def test_earliest_start_date_reads_everything(self, tap: Tap) -> None:
        run = tap.run(start_date="0001-01-01")
        assert run.returncode == 0, run.stderr
        assert len(run.ids) == 120

    def test_row_updated_exactly_at_start_date_is_included(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        start = (sandbox.now() - timedelta(hours=2)).replace(microsecond=0)
        exactly, before, *_ = sandbox.world.rows()
        sandbox.world.touch(exactly, at=start)
        sandbox.world.touch(before, at=start - timedelta(seconds=1))
        assert tap.run(start_date=_text(start)).ids == [exactly]

    def test_start_date_in_the_future_is_refused(self, tap: Tap, sandbox: Sandbox) -> None:
        run = tap.run(start_date=_text(sandbox.now() + timedelta(hours=1)))
        assert "start_date" in complaint(run)
        assert sandbox.ledger == []

    def test_later_start_date_overrides_the_bookmark_and_is_logged(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        run = tap.run(state=state_at(OLD), start_date="2020-02-01")
        assert _window(sandbox) == "2020-01-31T23:59:59.999000Z"
        assert any("start_date" in line and OLD in line for line in run.lines("INFO"))

    def test_start_date_equal_to_the_bookmark_keeps_the_lookback(self) -> None:
        noon = datetime(2020, 1, 1, 12, tzinfo=UTC)
        assert window(CAREER_SITES, noon, noon, 15) == "2020-01-01T11:45:00.000000Z"

    def test_earlier_start_date_makes_no_difference(self, tap: Tap, sandbox: Sandbox) -> None:
        run = tap.run(state=state_at("2020-03-01T00:00:00Z"), start_date="2020-02-01")
        assert _window(sandbox) == "2020-02-29T23:45:00.000000Z"
        assert "start_date" not in run.stderr


class TestClocks:
    def test_fast_local_clock_loses_no_update(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.clock_offset = -3 * HOUR
        run = tap.run()
        assert _instant(run.bookmark) <= sandbox.feed_requests[0].time
        (warning,) = run.lines("WARNING")
        assert "180 minutes ahead of" in warning
        assert "nothing is lost" in warning
        updated = next(iter(sandbox.world.rows()))
        sandbox.world.touch(updated)
        assert tap.run(state=run.state, lookback_minutes=0).ids == [updated]

    def test_slow_local_clock_fetches_the_overlap_again_and_says_so(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        sandbox.clock_offset = 3 * HOUR
        run = tap.run()
        (warning,) = run.lines("WARNING")
        assert "180 minutes behind" in warning
        assert "every run bills the rows that changed in between again" in warning
        updated = next(iter(sandbox.world.rows()))
        sandbox.world.touch(updated)
        second = tap.run(state=run.state, lookback_minutes=0)
        third = tap.run(state=second.state, lookback_minutes=0)
        assert second.ids == third.ids == [updated]

    @pytest.mark.parametrize("offset", [-240, 240])
    def test_clocks_a_few_minutes_apart_log_no_warning(
        self, tap: Tap, sandbox: Sandbox, offset: int
    ) -> None:
        sandbox.clock_offset = offset
        run = tap.run()
        assert run.lines("WARNING") == []
        assert _instant(run.bookmark) <= sandbox.feed_requests[0].time

    def test_future_bookmark_by_the_apis_clock_ends_the_run(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        sandbox.clock_offset = -2 * HOUR
        bookmark = _text(sandbox.now() + timedelta(hours=1))  # past by the local clock
        state = state_at(bookmark, filters=NO_FILTERS, scan=NO_SCAN)
        run = tap.run(state=state)
        assert "future" in complaint(run)
        assert bookmark in complaint(run)
        assert sandbox.rows_billed == 0
        assert all(emitted == state for emitted in run.states)

    def test_future_bookmark_by_both_clocks_ends_the_run(self, tap: Tap, sandbox: Sandbox) -> None:
        state = state_at("2999-01-01T00:00:00.000000Z", filters=NO_FILTERS, scan=NO_SCAN)
        run = tap.run(state=state)
        assert "future" in complaint(run)
        assert all(emitted == state for emitted in run.states)
        assert len(sandbox.ledger) == 1

    def test_future_bookmark_fetches_no_page_of_a_pending_scan(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        pending = {"id": "1", "started_at": OLD, "batch_size": 50, "rows": 0, "pages": 1}
        scan = {**NO_SCAN, **pending, "restarts": 0, "cursor": "opaque"}
        state = state_at("2999-01-01T00:00:00.000000Z", filters=NO_FILTERS, scan=scan)
        assert "future" in complaint(tap.run(state=state))
        assert sandbox.feed_requests == []


class TestCatalog:
    def test_full_table_ignores_the_bookmark_and_writes_a_new_one(
        self, tap: Tap, sandbox: Sandbox, recent: str, catalog: dict[str, Any]
    ) -> None:
        stream = {**entry_of(catalog), "replication_method": "FULL_TABLE"}
        run = tap.run(state=state_at(recent), catalog={"streams": [stream]})
        assert run.returncode == 0
        assert _window(sandbox) is None
        assert sorted(run.ids) == sorted(sandbox.world.rows())
        assert _instant(run.bookmark) > datetime.fromisoformat(recent)

    def test_catalog_without_replication_key_is_still_incremental(
        self, tap: Tap, sandbox: Sandbox, recent: str, catalog: dict[str, Any]
    ) -> None:
        stream = {name: entry_of(catalog)[name] for name in ("tap_stream_id", "stream", "schema")}
        run = tap.run(state=state_at(recent), catalog={"streams": [stream]})
        assert run.returncode == 0
        assert _window(sandbox) is not None
        assert sandbox.rows_billed == 0
        schema = schema_message(run)
        assert schema["bookmark_properties"] == ["updated_at"]
        assert schema["key_properties"] == ["id"]


class TestState:
    @pytest.fixture(autouse=True)
    def _signals(self) -> Iterator[None]:
        with kept_signals():
            yield

    def test_it_has_the_documented_keys_and_no_others(self, tap: Tap) -> None:
        run = tap.run()
        for state in run.states:
            assert state.keys() == {"bookmarks"}
            assert state["bookmarks"].keys() == {"career_sites"}
            bookmark = state["bookmarks"]["career_sites"]
            assert bookmark["filters"] == NO_FILTERS
            assert bookmark["scan"].keys() == NO_SCAN.keys()
        assert run.states[0]["bookmarks"]["career_sites"].keys() == KEYS - {
            "replication_key_value",
            "completed_scan",
        }
        assert run.bookmark.keys() == KEYS
        assert run.bookmark["scan"] == NO_SCAN

    def test_other_streams_of_the_state_are_kept(self, tap: Tap) -> None:
        other = {"replication_key": "x", "replication_key_value": "y"}
        run = tap.run(state={"bookmarks": {"other": other}})
        assert run.state["bookmarks"]["other"] == other

    def test_plain_state_of_an_sdk_tap_is_accepted(
        self, tap: Tap, sandbox: Sandbox, recent: str
    ) -> None:
        run = tap.run(state=state_at(recent), country_codes=["US"])
        assert run.returncode == 0
        assert sandbox.rows_billed == 0
        assert run.bookmark["filters"] == {**NO_FILTERS, "country_codes": ["US"]}

    def test_empty_state_of_the_stream_is_no_state(self, tap: Tap) -> None:
        run = tap.run(state={"bookmarks": {"career_sites": {}}})
        assert run.returncode == 0
        assert len(run.ids) == 120

    @pytest.mark.parametrize("text", ["[]", '{"bookmarks": []}', "[" * 100_000])
    def test_file_that_is_no_state_is_rejected_before_any_request(
        self, tap: Tap, sandbox: Sandbox, text: str
    ) -> None:
        path = tap.folder / "given.json"
        path.write_text(text)
        run = tap.run("--state", str(path))
        assert "state" in complaint(run).lower()
        assert run.stdout == ""
        assert sandbox.ledger == []

    def test_state_of_wrong_values_is_refused_before_any_request(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        run = tap.run(state=state_at("yesterday"))
        assert "bookmarks.career_sites.replication_key_value" in complaint(run)
        assert run.stdout == ""
        assert sandbox.ledger == []

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"replication_key_value": 5}, "replication_key_value"),
            ({"replication_key_value": "yesterday"}, "replication_key_value"),
            ({"replication_key_value": "2020-02-30T00:00:00Z"}, "replication_key_value"),
            ({"replication_key_value": ["2020-02-01"]}, "replication_key_value"),
            ({"completed_scan": 5}, "completed_scan"),
            ({"completed_scan": "Scan 5"}, "completed_scan"),
            ({"filters": "US"}, "filters"),
            ({"filters": ["US"]}, "filters"),
            ({"filters": {"country_codes": [1, "US"]}}, "filters"),
            ({"scan": ["x"]}, "scan"),
            ({"scan": "x"}, "scan"),
            ({"scan": {"id": 5}}, "id"),
            ({"scan": {"id": None}}, "id"),
            ({"scan": {"id": "Scan 5"}}, "id"),
            ({"scan": {"started_at": 5}}, "started_at"),
            ({"scan": {"started_at": "soon"}}, "started_at"),
            ({"scan": {"updated_after": "soon"}}, "updated_after"),
            ({"scan": {"cursor": None}}, "cursor"),
            ({"scan": {"cursor": ""}}, "cursor"),
            ({"scan": {"cursor": 5}}, "cursor"),
            ({"scan": {"batch_size": 0}}, "batch_size"),
            ({"scan": {"batch_size": None}}, "batch_size"),
            ({"scan": {"batch_size": True}}, "batch_size"),
            ({"scan": {"rows": "x"}}, "rows"),
            ({"scan": {"rows": -1}}, "rows"),
            ({"scan": {"pages": 0}}, "pages"),
            ({"scan": {"restarts": 0.5}}, "restarts"),
        ],
    )
    def test_bad_member_is_named(self, changes: dict[str, Any], named: str) -> None:
        scan = {
            "id": "5",
            "started_at": OLD,
            "updated_after": None,
            "batch_size": 50,
            "cursor": "c",
            "rows": 50,
            "pages": 1,
            "restarts": 0,
        }
        if isinstance(changes.get("scan"), dict):
            changes = {"scan": {**scan, **changes["scan"]}}
        state = state_at(OLD, **changes)
        with pytest.raises(
            StateError, match=rf"`bookmarks\.career_sites(\.scan)?\.{named}`"
        ) as refusal:
            TapJobo(config={"api_key": "k"}, state=state)
        assert "\n" not in str(refusal.value)

    @pytest.mark.parametrize("batch_size", [1, 50])
    def test_member_at_the_end_of_its_range_is_accepted(self, batch_size: int) -> None:
        scan = {"started_at": OLD, "cursor": "c", "batch_size": batch_size, "rows": 0, "pages": 1}
        pending = read_state({"scan": {"id": "1", **scan, "restarts": 0}}, CAREER_SITES).pending
        assert pending == Sync(
            "1", None, batch_size, started_at=OLD, cursor="c", pages=1, is_full=True
        )

    @pytest.mark.parametrize(
        "bookmarks", [[], None, "x", {"career_sites": []}, {"career_sites": None}]
    )
    def test_bookmarks_of_a_wrong_type_are_refused(self, bookmarks: object) -> None:
        with pytest.raises(StateError, match="'bookmarks'"):
            TapJobo(config={"api_key": "k"}, state={"bookmarks": bookmarks})
