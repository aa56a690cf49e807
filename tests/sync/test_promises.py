"""A model of user, API, disk, target and crashes: no row is lost, and none is billed twice.

The machine drives the tap's own scan, state, journal, store and feed reader in process. What is
around them is made up: an API with rows that change and cursors that die, clocks that jump, a disk
that forgets what was not synced when the power fails, and a target that stores late. A crash may
come between any two side effects: request, raw page on disk, gate, quarantine, rows, state.
"""

from __future__ import annotations

import json
import re
import tempfile
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tap_jobo.api.api_clock import read_api_clock
from tap_jobo.api.budget import Budget, FeedCost
from tap_jobo.api.feed_reader import FeedReader, RawPage
from tap_jobo.api.sender import ApiResponse
from tap_jobo.clock import parse_timestamp
from tap_jobo.errors import (
    ApiError,
    BudgetReachedError,
    ClockError,
    CursorRejectedError,
    FormatError,
    StateError,
)
from tap_jobo.journal.identity import owner_of
from tap_jobo.journal.journal import Journal
from tap_jobo.journal.schema import hash_cursor
from tap_jobo.journal.sqlite import SqliteStore
from tap_jobo.records.converter import RecordConverter
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.sync.delivery import Delivery
from tap_jobo.sync.gate import ENOUGH
from tap_jobo.sync.report import Report
from tap_jobo.sync.start import SyncStart
from tap_jobo.sync.state import StreamState, read_state
from tests.support.clock import FakeClock
from tests.support.loggers import LOGGER
from tests.support.target import Row, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tap_jobo.journal.page_store import Entry
    from tap_jobo.scan import Scan

SCHEMA = CAREER_SITES.schema.to_dict()
NEVER = 10**9
COUNTRIES = ("DE", "FR", "US")
BROKEN = "no id"
"""The id of row 0: it is skipped, and kept in quarantine."""


class CrashError(BaseException):
    """The process dies here: nothing that catches errors may catch it."""


class FakeApi:
    """Rows with the time of their last update, delivered by keyset; stands in for the client.

    Attributes:
        rows: When each row changed last, by the true time, and how often.
        billed: The hashes of the cursors of the pages billed.
        dead_before: Cursors of a lower number are rejected.
        has_countries: Whether each row is in one country only; otherwise every filter matches it.
        date_skew: How far the `Date` header is ahead of the true time; None for no header.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.rows: dict[str, tuple[datetime, int]] = {}
        self.billed: list[str] = []
        self.by_time = False
        self.dead_before = 0
        self.has_countries = False
        self.date_skew: timedelta | None = timedelta()
        self._issued = 0

    def touch(self, number: int) -> None:
        """Change the row of this number, or add it."""
        self.clock.passed += 0.3
        key = str(UUID(int=number)) if number else BROKEN
        self.rows[key] = (self.clock.true, self.rows.get(key, (None, 0))[1] + 1)

    def row(self, key: str) -> Row:
        """The row as the API writes it now."""
        version = str(self.rows[key][1])
        return {"id": key, "name": version, "ats": "lever", "listing_url": "https://a.example"}

    def matches(self, key: str, countries: Sequence[str] | None) -> bool:
        """Whether a filter matches a row, which moves to another country now and then."""
        number = 0 if key == BROKEN else UUID(key).int
        country = COUNTRIES[(number + self.rows[key][1] // 2) % len(COUNTRIES)]
        return not (self.has_countries and countries) or country in (countries or ())

    def kill_cursors(self) -> None:
        """Reject from now on every cursor issued before."""
        self.dead_before = self._issued + 1

    def date(self) -> datetime | None:
        """The `Date` of a response."""
        if self.date_skew is None:
            return None
        return (self.clock.true + self.date_skew).replace(microsecond=0)

    def answer(self, body: dict[str, Any]) -> ApiResponse:
        """Bill a page."""
        asked: dict[str, Any] = json.loads(body.get("cursor", "{}"))
        if asked and asked["number"] < self.dead_before:
            raise CursorRejectedError("Jobo answered 400 (Invalid cursor)")
        after = parse_timestamp(body["updated_after"]) if "updated_after" in body else None
        # Latest first, so that a row which changes during a scan escapes it.
        found: list[list[Any]] = sorted(
            ([-at.timestamp(), key] if self.by_time else [0, key])
            for key, (at, _) in self.rows.items()
            if (after is None or at > after) and self.matches(key, body.get("country_codes"))
        )
        left = [place for place in found if place > asked.get("at", [])]
        self._issued += 1
        # Now and then a page is empty, though there are more.
        page = [] if self._issued % 3 == 2 else left[: body["batch_size"]]
        more = len(left) > len(page)
        place = page[-1] if page else asked.get("at", [])
        cursor = json.dumps({"number": self._issued, "at": place}) if more else None
        self.billed.append(hash_cursor(body.get("cursor")))
        rows = [self.row(key) for _, key in page]
        content = json.dumps({"career_sites": rows, "next_cursor": cursor, "has_more": more})
        return ApiResponse(content.encode(), 200, {}, self.date())


class Step:
    """Counts side effects down to the crash."""

    def __init__(self, crash_at: int) -> None:
        self._left = crash_at

    def __call__(self) -> None:
        if self._left == 0:
            raise CrashError
        self._left -= 1


class CrashingStore(SqliteStore):
    """The tap's store, with crashes around what it writes, and a disk that may lose power.

    Args:
        folder: Where the file is.
        step: Crashes when its time has come.
        unsynced: How to undo what was written since the last sync, kept across runs.

    Attributes:
        is_page_in_flight: Whether a page is billed and not yet on disk.
        removed: The hashes of the cursors of the pages that were removed.
        oldest_kept: Pages that came since then must not be removed any more in this run, in which
            only expiry removes pages once it has requested one.
    """

    def __init__(
        self, folder: Path, step: Step, unsynced: list[Callable[[SqliteStore], None]]
    ) -> None:
        self._step = step
        self._unsynced_writes = unsynced
        self.is_page_in_flight = False
        self.removed: set[str] = set()
        self.oldest_kept: datetime | None = None
        super().__init__(folder)

    def save(self, entry: Entry, body: bytes) -> None:
        self._step()
        super().save(entry, body)
        self._unsynced_writes.clear()
        self.is_page_in_flight = False
        self._step()

    def annotate(self, entry: Entry) -> None:
        (before,) = (each for each in self.entries() if _place(each) == _place(entry))
        self._step()
        super().annotate(entry)
        self._unsynced_writes.append(lambda store: SqliteStore.annotate(store, before))
        self._step()

    def set_tally(self, owner: str, tally: str) -> None:
        before = self.tally(owner)
        self._step()
        super().set_tally(owner, tally)
        self._unsynced_writes.append(lambda store: SqliteStore.set_tally(store, owner, before))
        self._step()

    def remove(self, entries: Sequence[Entry]) -> None:
        if self.oldest_kept:
            for entry in entries:
                age = parse_timestamp(entry.received_at) - self.oldest_kept
                assert age < timedelta(0), "a page expired too early"
        self._step()
        super().remove(entries)
        self._unsynced_writes.clear()
        self.removed |= {entry.cursor for entry in entries}
        self._step()

    def quarantine(self, owner: str, rows: Iterable[bytes]) -> int:
        self._step()
        new = super().quarantine(owner, rows)
        self._unsynced_writes.clear()
        self._step()
        return new

    def lose_power(self, kept: int) -> None:
        """Lose all but the first `kept` of the writes that were not synced."""
        while len(self._unsynced_writes) > kept:
            self._unsynced_writes.pop()(self)
        self._unsynced_writes.clear()


def _place(entry: Entry) -> tuple[str, str, str]:
    return entry.owner, entry.scan, entry.cursor


@dataclass(frozen=True)
class Settings:
    """What the user sets."""

    countries: tuple[str, ...] = ("DE",)
    on_filter_change: str = "resync"
    is_full_table: bool = False
    lookback_minutes: int = 0
    batch_size: int = 2
    api_key: str = "jbe_live_1"

    @property
    def filters(self) -> dict[str, object]:
        return CAREER_SITES.filters_of({"country_codes": [*self.countries]})

    @property
    def owner(self) -> str:
        return owner_of(
            CAREER_SITES, api_key=self.api_key, api_url="https://api", filters=self.filters
        )


@dataclass
class Accident:
    """How a run goes wrong.

    Attributes:
        crash_at: After how many side effects it dies.
        pages: After how many requests its budget is reached, or a signal comes.
        events: What happens while the n-th request is under way.
    """

    crash_at: int = NEVER
    pages: int = NEVER
    events: Sequence[Callable[[Promises], None]] = ()


class OneRun:
    """A process of the tap, from its state to its end or crash.

    Args:
        machine: The world around it.
        state: The state that it is given.
        accident: How it goes wrong.
    """

    def __init__(self, machine: Promises, state: dict[str, Any], accident: Accident) -> None:
        self._machine = machine
        self._settings = machine.settings
        self._state = read_state(state, CAREER_SITES)
        is_same = self._state.filters in (None, self._settings.filters)
        self._is_pending = self._state.pending is not None and is_same
        step = Step(accident.crash_at)
        self._step = step
        self._pages = accident.pages
        self._events = iter(accident.events)
        self._seen: set[str] = set()
        self._rejected: set[str] = set()
        self._states = 0
        self.store = CrashingStore(machine.folder, step, machine.unsynced)

    def go(self) -> None:
        """Run it, and note a page that a crash took before it was on disk."""
        self._clock = read_api_clock(
            self,  # type: ignore[arg-type]
            lambda: None,  # type: ignore[arg-type, return-value]
            self._machine.clock,
            LOGGER,
        )
        self._clock.reject_future(self._start().bookmark(self._state))
        self._clock.reject_future(self._state.pending.start if self._state.pending else None)
        try:
            for row in chain.from_iterable(self._delivery().pages()):
                assert not self.store.is_page_in_flight, "rows are out before the page is on disk"
                self._step()
                self._machine.target.take(
                    {"type": "RECORD", "stream": "career_sites", "record": row}
                )
        except CrashError:
            if self.store.is_page_in_flight:
                self._machine.may_bill_again.add(self._machine.api.billed[-1])
        finally:
            self._machine.removed |= self.store.removed

    # In place of the reader and the client.

    def fetch_page(self, scan: Scan) -> RawPage:
        self._check_that_page_is_not_on_disk(scan)
        return self._reader().fetch_page(scan)

    def reconcile(self, page: RawPage, rows: int, requested: int) -> str:
        return self._reader().reconcile(page, rows, requested)

    def fetch(
        self,
        request: dict[str, Any],
        *,
        rows: int,
        cost: FeedCost | None,
        envelope: tuple[str, ...],
        forbidden: str | None,
    ) -> ApiResponse:
        assert rows == request["batch_size"]
        assert cost
        assert envelope
        assert forbidden is None
        assert not self._is_pending or request.get("cursor"), "begun again though it could go on"
        assert request.get("cursor") not in self._rejected, "a rejected cursor is sent again"
        if self._pages == 0:
            raise BudgetReachedError
        self._pages -= 1
        self._step()
        clock = self._machine.clock
        if event := next(self._events, None):
            event(self._machine)
        try:
            response = self._machine.api.answer(request)
        except CursorRejectedError:
            self._is_pending = False
            self._rejected.add(request["cursor"])
            raise
        self.store.is_page_in_flight = True
        self.store.oldest_kept = clock.true - timedelta(days=28)  # their clocks were wrong too
        self._machine.check_bill()
        self._step()
        return response

    def fetch_any(self, *_: object) -> ApiResponse:
        return ApiResponse(b"", 404, {}, self._machine.api.date())

    def _check_that_page_is_not_on_disk(self, scan: Scan) -> None:
        self._seen.add(scan.id)
        for entry in self.store.entries():
            if entry.owner != self._settings.owner:
                continue
            assert _place(entry) != (
                self._settings.owner,
                scan.id,
                hash_cursor(scan.cursor),
            ), "billed again though it is on disk"
            can_be_resumed = (
                not scan.cursor
                and not entry.cursor
                and entry.scan not in self._seen
                and entry.base == scan.base
                and entry.since == (scan.since or "")
                and scan.replaces in ("", entry.replaces)
            )
            assert not can_be_resumed, "begun again though a scan on disk could be resumed"

    # What the run is made of.

    def _write_state(self, state: StreamState) -> None:
        self._states += 1
        assert self._states < 300, "the run never ends"
        before, self._state = self._state, state
        if before.bookmark:
            assert state.bookmark, "the bookmark is gone"
            assert state.bookmark >= before.bookmark, "the bookmark moved back"
        assert not self.store.is_page_in_flight
        self._is_pending = self._is_pending and state.pending is not None
        self._step()
        self._machine.target.take({"type": "STATE", "value": state.as_raw("updated_at")})
        self._step()

    def _reader(self) -> FeedReader:
        return FeedReader(
            spec=CAREER_SITES,
            client=self,  # type: ignore[arg-type]
            prepare=lambda body: body,  # type: ignore[arg-type, return-value]
            filters=self._settings.filters,
            cost=self._cost,
            clock=self._clock,
        )

    def _start(self) -> SyncStart:
        return SyncStart(
            spec=CAREER_SITES,
            filters=self._settings.filters,
            on_filter_change=self._settings.on_filter_change,
            start_date=None,
            lookback_minutes=self._settings.lookback_minutes,
            batch_size=self._settings.batch_size,
            is_full_table=self._settings.is_full_table,
            clock=self._clock,
            logger=LOGGER,
        )

    def _delivery(self) -> Delivery:
        budget = Budget(max_credits=None, alert_threshold=None, logger=LOGGER)
        self._cost = FeedCost(budget, "career_sites", list_price=50)
        return Delivery(
            spec=CAREER_SITES,
            start=self._start(),
            state=self._state,
            journal=Journal(self.store, self._settings.owner, LOGGER),
            reader=self,
            converter=RecordConverter(
                SCHEMA, SCHEMA["properties"], LOGGER, never_null=CAREER_SITES.never_null
            ),
            cost=self._cost,
            report=Report(
                stream="career_sites",
                count_rows=lambda: 0,
                budget=budget,
                cost=self._cost,
                clock=self._machine.clock,
                logger=LOGGER,
            ),
            write_state=self._write_state,
            check=lambda: None,
            after_page=self._step,
            logger=LOGGER,
        )


NUMBERS = st.integers(0, 9)
HOURS = st.sampled_from([-30, -1, 0, 3, 31 * 24])
DATES = st.sampled_from([-3, 0, 0, 5, None])


def _touch(number: int) -> Callable[[Promises], None]:
    return lambda machine: machine.api.touch(number)


def _jump(hours: int, date: int | None) -> Callable[[Promises], None]:
    return lambda machine: machine.set_clocks(hours, date)


EVENTS = st.lists(
    st.one_of(
        st.none().map(lambda _: lambda _: None),
        NUMBERS.map(_touch),
        st.builds(_jump, HOURS, DATES),
        st.just(lambda machine: machine.api.kill_cursors()),
    ),
    max_size=4,
)


class Promises(RuleBasedStateMachine):
    """The world: whatever happens in it, two runs that end bring every row as it is now."""

    def __init__(self) -> None:
        super().__init__()
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self.clock = FakeClock()
        self.api = FakeApi(self.clock)
        self.target = Target(merges_states=True, state={})
        self.settings = Settings()
        self.unsynced: list[Callable[[SqliteStore], None]] = []
        self.may_bill_again: set[str] = set()
        self.removed: set[str] = set()
        self.is_rewound = False
        self.is_date_ahead = False
        self._past: list[tuple[dict[str, Any], dict[str, Row]]] = []

    @initialize(
        rows=st.integers(0, 9), by_time=st.booleans(), is_date_ahead=st.booleans(), hours=HOURS
    )
    def fill(self, *, rows: int, by_time: bool, is_date_ahead: bool, hours: int) -> None:
        self.is_date_ahead = is_date_ahead
        self.set_clocks(hours, 0)
        self.api.by_time = by_time
        for number in range(1, rows + 1):
            self.api.touch(number)

    def check_bill(self) -> None:
        """See that the page that was just billed was not billed before without need."""
        *earlier, cursor = self.api.billed
        if cursor and cursor in earlier:
            is_acknowledged = self.is_rewound and cursor in self.removed
            assert cursor in self.may_bill_again or is_acknowledged, "a page is billed twice"

    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=4))
    def change(self, numbers: list[int]) -> None:
        for number in numbers:
            self.api.touch(number)

    @rule(seconds=st.sampled_from([0.1, 1, 60, 100_000, 40 * 86_400]))
    def pass_time(self, seconds: float) -> None:
        self.clock.passed += seconds

    @rule(hours=HOURS, date=DATES)
    def set_clocks(self, hours: int, date: int | None) -> None:
        """Let the clocks jump, but never so that both are ahead: nobody could tell.

        Args:
            hours: How far the local clock is ahead.
            date: How far that of the API's responses is; None if they do not show it.
        """
        if self.is_date_ahead:
            hours = min(hours, 0)
        elif date is not None:
            date = min(date, 0)
        self.clock.skew = timedelta(hours=hours)
        self.api.date_skew = None if date is None else timedelta(hours=date)

    @rule(
        countries=st.sampled_from([("DE",), ("US",), ("DE", "US")]),
        on_filter_change=st.sampled_from(["resync", "keep"]),
        is_full_table=st.booleans(),
    )
    def change_filters(
        self, countries: tuple[str, ...], on_filter_change: str, *, is_full_table: bool
    ) -> None:
        self.settings = replace(
            self.settings,
            countries=countries,
            on_filter_change=on_filter_change,
            is_full_table=is_full_table,
        )

    @rule(lookback=st.sampled_from([0, 15, 3_000]), size=st.integers(1, 3), key=st.integers(1, 2))
    def change_settings(self, lookback: int, size: int, key: int) -> None:
        self.settings = replace(
            self.settings,
            lookback_minutes=lookback,
            batch_size=size,
            api_key=f"jbe_live_{key}",
        )

    @rule()
    def kill_cursors(self) -> None:
        self.api.kill_cursors()

    @rule(keep_rows=st.booleans())
    def lose_state(self, *, keep_rows: bool) -> None:
        self.is_rewound = True
        self.target.state = {}
        if not keep_rows:
            self.target.rows.clear()
            self._past.clear()  # no state may say that they are there

    @rule(back=st.integers(1, 6), keep_rows=st.booleans())
    def restore_backup(self, back: int, *, keep_rows: bool) -> None:
        """Go back to an older state, of the pipeline alone or of the warehouse too."""
        if back > len(self._past):
            return
        self.is_rewound = True
        state, rows = self._past[-back]
        self.target.state = deepcopy(state)
        if not keep_rows:
            self.target.rows.clear()
            self.target.rows.update(rows)
            del self._past[-back + 1 or len(self._past) :]

    @rule(
        crash_at=st.integers(0, 80),
        power=st.none() | st.integers(0, 2),
        lost=st.integers(0, 3),
        events=EVENTS,
        full_refresh=st.booleans(),
    )
    def crash(
        self,
        *,
        crash_at: int,
        power: int | None,
        lost: int,
        events: list[Any],
        full_refresh: bool,
    ) -> None:
        """Kill the tap, or the whole machine with what it had not synced."""
        self.is_rewound = self.is_rewound or full_refresh
        state = {} if full_refresh else self.target.state
        accident = Accident(crash_at=crash_at, events=events)
        self.run_tap(state, accident, power=power, lost=lost)

    @rule(pages=st.integers(0, 4), lost=st.integers(0, 3), events=EVENTS)
    def run_to_budget(self, pages: int, lost: int, events: list[Any]) -> None:
        self.run_tap(self.target.state, Accident(pages=pages, events=events), lost=lost)

    @rule(events=EVENTS)
    def run_to_end(self, events: list[Any]) -> None:
        self.run_tap(self.target.state, Accident(events=events))

    @rule()
    def settle(self) -> None:
        self.set_clocks(0, 0)
        while not self.run_tap(self.target.state):
            pass
        assert self.run_tap(self.target.state)
        wanted = {key for key in self.api.rows if self.api.matches(key, self.settings.countries)}
        no_longer = self.api.rows.keys() - wanted
        assert {k: row["name"] for k, row in self.target.rows.items() if k not in no_longer} == {
            key: str(self.api.rows[key][1]) for key in wanted - {BROKEN}
        }
        store = SqliteStore(self.folder)
        quarantined = store.quarantined()
        store.close()
        if BROKEN in wanted:
            assert json.dumps(self.api.row(BROKEN)).encode() in quarantined

    def run_tap(
        self,
        state: dict[str, Any],
        accident: Accident | None = None,
        *,
        power: int | None = None,
        lost: int = 0,
    ) -> bool:
        """Run it; where it ends with an error, do what the error says."""
        run = OneRun(self, deepcopy(state), accident or Accident())
        advice: ApiError | ClockError | FormatError | StateError | None = None
        try:
            run.go()
        except (ApiError, ClockError, FormatError, StateError) as error:
            advice = error
        if power is not None:
            run.store.lose_power(power)
        run.store.close()
        self.target.drain(states_lost=lost)
        self._past.append((deepcopy(self.target.state), dict(self.target.rows)))
        if advice:
            self._follow(advice)
        return advice is None

    def _follow(self, advice: ApiError | ClockError | FormatError | StateError) -> None:
        """Do what an error asks the user to do."""
        text = str(advice)
        if isinstance(advice, ClockError):
            assert "Nothing was billed" in text
            self.set_clocks(0, 0)
        elif isinstance(advice, FormatError):
            assert "has a usable 'id'" in text
            assert self.api.rows[BROKEN][1] >= ENOUGH, "one bad row is no change of format"
            self._drop(lambda entry: entry.name, text)
            del self.api.rows[BROKEN]  # which Jobo has mended
        elif isinstance(advice, StateError) and "on_filter_change" in text:
            assert self.settings.on_filter_change == "error"
            self.settings = replace(self.settings, on_filter_change="resync")
        elif isinstance(advice, StateError):
            assert "is in the future" in text
            assert self.api.date_skew
            assert self.api.date_skew < timedelta(0)
        else:
            assert "a full refresh (without state)" in text
            self._drop(lambda entry: entry.scan, text)
            self.is_rewound = True
            self.target.state = {}

    def _drop(self, name: Callable[[Entry], str], text: str) -> None:
        """Drop the pages that a message names, if it names any."""
        command = re.search(r"`python -m tap_jobo.journal drop (\S+)`", text)
        if not command:
            return
        store = SqliteStore(self.folder)
        found = [entry for entry in store.entries() if name(entry) == command[1]]
        assert found, "the message names a page that is not there"
        store.remove(found)
        store.close()
        self.may_bill_again |= {entry.cursor for entry in found}

    def teardown(self) -> None:
        self.settle()
        self._temporary.cleanup()


class FilteredPromises(Promises):
    """The same world with filters that filter: what matches the last ones arrives.

    `keep` is left out: it accepts that rows are missing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.api.has_countries = True

    @rule(
        countries=st.sampled_from([("DE",), ("FR",), ("DE", "FR"), ()]),
        on_filter_change=st.sampled_from(["resync", "error"]),
        is_in_sync=st.booleans(),
    )
    def change_filters(
        self, countries: tuple[str, ...], on_filter_change: str, *, is_in_sync: bool
    ) -> None:
        if is_in_sync:
            self.settle()
        super().change_filters(countries, on_filter_change, is_full_table=False)


SETTINGS = settings(
    max_examples=120,
    stateful_step_count=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestPromises = Promises.TestCase
TestPromises.settings = SETTINGS
TestFilteredPromises = FilteredPromises.TestCase
TestFilteredPromises.settings = SETTINGS
