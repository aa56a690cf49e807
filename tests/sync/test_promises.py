"""A model of user, API, store, target and crashes: no row is lost, and none is billed twice.

The machine drives the tap's own code in process, see `model`. Around it are an API with rows that
change and cursors that die, clocks that jump, a disk that forgets what was not synced when the
power fails, filters that change, and a target that stores late.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tap_jobo.errors import (
    ApiError,
    ClockError,
    FormatError,
    JournalError,
    StateError,
    TapJoboError,
)
from tests.support.clock import FakeClock
from tests.support.target import Row, Target
from tests.sync.model import (
    BROKEN,
    MODEL,
    Accident,
    CrashError,
    FakeApi,
    FaultyStore,
    OneRun,
    Settings,
    drop_pages,
    temporary_folder,
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

    is_in_bucket = False

    def __init__(self) -> None:
        super().__init__()
        self._temporary = temporary_folder()
        self.store = FaultyStore(None if self.is_in_bucket else Path(self._temporary.name))
        self.clock = FakeClock()
        self.api = FakeApi(self.clock)
        self.target = Target(merges_states=True, state={})
        self.settings = Settings()
        self.may_bill_again: set[str] = set()
        self.is_rewound = False
        self.has_warehouse = True
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

    def billed(self) -> None:
        """Check that the page that was just billed was not billed before without need."""
        *earlier, cursor = (cursor for cursor, _ in self.api.pages)
        self.store.oldest_kept = self.clock.true - timedelta(days=28)  # their clocks were wrong too
        if cursor and cursor in earlier:
            is_acknowledged = self.is_rewound and cursor in self.store.removed
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
        self.has_warehouse = self.has_warehouse and keep_rows
        if not keep_rows:
            self.target.rows.clear()
            self._past.clear()  # no state may say that they are there, and neither may a setting
            self.settings = replace(self.settings, on_missing_state="error")

    @rule(back=st.integers(1, 6), keep_rows=st.booleans())
    def restore_backup(self, back: int, *, keep_rows: bool) -> None:
        """Go back to an older state, of the pipeline alone or of the warehouse too."""
        if back > len(self._past):
            return
        self.is_rewound = True
        state, rows = self._past[-back]
        self.has_warehouse = False  # not all that the journal knows to have arrived
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
        if full_refresh:
            self.settings = replace(self.settings, on_missing_state="resync")
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
        if BROKEN in wanted:
            quarantined = [
                self.store.read(name) for name in self.store.list("v1") if "/quarantine/" in name
            ]
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
        accident = accident or Accident()
        self.store.unsynced.clear()
        self.store.oldest_kept = None
        run = OneRun(self, self.settings, deepcopy(state), self.target.take, accident)
        advice: TapJoboError | None = None
        try:
            for _ in run.messages():
                pass
        except CrashError:
            if self.store.is_page_in_flight:
                self.may_bill_again.add(self.api.pages[-1][0])
        except (ApiError, ClockError, FormatError, JournalError, StateError) as error:
            advice = error
        self.may_bill_again |= self.store.unwritten
        self.store.is_page_in_flight = False
        self.store.oldest_kept = None
        self.store.step = lambda: False
        if power is not None:
            self.store.lose_power(power)
        self.target.drain(states_lost=lost)
        self._past.append((deepcopy(self.target.state), dict(self.target.rows)))
        if advice:
            self._follow(advice)
        elif run.is_complete:
            self.settings = replace(self.settings, on_missing_state="error")
        return advice is None

    def _follow(self, advice: TapJoboError) -> None:
        """Do what an error asks the user to do."""
        text = str(advice)
        if isinstance(advice, ClockError):
            assert "Nothing was billed" in text
            self.set_clocks(0, 0)
        elif isinstance(advice, FormatError):
            assert "None of the 1 rows" in text, "one bad row of several is no change of format"
            self._drop(text)
            del self.api.rows[BROKEN]  # which Jobo has mended
        elif isinstance(advice, StateError) and "on_missing_state" in text:
            assert self.is_rewound
            has_rows = bool(self.target.rows) and self.has_warehouse
            way = re.search(r"'(resume:[0-9a-f]+)'", text)
            assert way or "a sync that continues from a complete one" in text
            choice = way[1] if way and has_rows else "resync"
            self.settings = replace(self.settings, on_missing_state=choice)
        elif isinstance(advice, StateError) and "on_filter_change" in text:
            assert self.settings.on_filter_change == "error"
            self.settings = replace(self.settings, on_filter_change="resync")
        elif isinstance(advice, JournalError):  # the bucket's response got lost
            assert self.is_in_bucket
            assert re.search("could not be written|cannot be used", text)
        elif isinstance(advice, StateError):
            assert "is in the future" in text
            assert self.api.date_skew
            assert self.api.date_skew < timedelta(0)
        else:
            assert "a full refresh (without state)" in text, text
            self._drop(text)
            self.is_rewound = True
            self.has_warehouse = False
            self.target.state = {}

    def _drop(self, text: str) -> None:
        """Drop the pages that a message names, which are billed again."""
        self.may_bill_again |= {self.store.cursors[name] for name in drop_pages(self.store, text)}

    def teardown(self) -> None:
        self.settle()
        self._temporary.cleanup()


class BucketPromises(Promises):
    """The same with a bucket."""

    is_in_bucket = True

    @rule(lost=st.sampled_from(["retried", "error"]))
    def lose_response(self, lost: str) -> None:
        self.store.memory.lost = lost


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


TestPromises = Promises.TestCase
TestPromises.settings = MODEL
TestBucketPromises = BucketPromises.TestCase
TestBucketPromises.settings = MODEL
TestFilteredPromises = FilteredPromises.TestCase
TestFilteredPromises.settings = MODEL
