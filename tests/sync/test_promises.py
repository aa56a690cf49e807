"""A model of user, API, store, target and crashes: no row is lost, and none is billed twice.

The machine drives the tap's own code in process, see `model`. Around it are an API with rows that
change and cursors that die, clocks that jump, a disk that forgets what was not synced when the
power fails, filters and a start date that change, and a target that stores early or late.
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

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tap_jobo.archive.contents import Contents
from tap_jobo.archive.page import decode_header
from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import TapJoboError
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.feed_spec import FeedSpec
from tests.support.clock import FakeClock
from tests.support.target import Row, Target
from tests.sync.model import (
    BROKEN,
    FEWER,
    MODEL,
    MORE_SITES,
    Accident,
    BilledPage,
    FakeApi,
    FaultyStore,
    OneRun,
    Settings,
    code_of,
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
    """The world: whatever happens in it, the next good runs bring every row as it is now."""

    is_in_bucket = False
    specs: tuple[FeedSpec, ...] = (CAREER_SITES,)

    def __init__(self) -> None:
        super().__init__()
        self._temporary = temporary_folder()
        self.store = FaultyStore(None if self.is_in_bucket else Path(self._temporary.name))
        self.clock = FakeClock()
        self.api = FakeApi(self.clock)
        self.target = Target(merges_states=True, state={})
        self.settings = Settings()
        self.is_date_ahead = self.were_clocks_wrong = False
        self.accepts_gaps = False
        self._streams = [spec.name for spec in self.specs]
        self._lost: set[str] = set()  # the streams whose states were lost or rewound
        self._incomplete: set[str] = set()  # those of which the warehouse has lost rows
        self._gaps: set[tuple[str, str, int]] = set()  # versions of rows that the user gave up
        self._ancestors: dict[str, set[str]] = {}  # by the id of a sync
        self._past: list[tuple[dict[str, Any], dict[str, dict[str, Row]]]] = []
        self._arrived: set[Any] = set()
        self._kept: dict[str, Any] = {}  # the state for which the user chose to keep the bookmark

    @initialize(
        rows=st.integers(0, 9),
        by_time=st.booleans(),
        is_date_ahead=st.booleans(),
        hours=HOURS,
    )
    def fill(self, *, rows: int, by_time: bool, is_date_ahead: bool, hours: int) -> None:
        self.is_date_ahead = is_date_ahead
        self.set_clocks(hours, 0)
        self.api.by_time = by_time
        for number in range(1, rows + 1):
            self.api.touch(number)

    def billed(self) -> None:
        """Check that the page that was just billed was not billed before without need."""
        self.clock.passed += 1  # so that no two syncs begin in the same second
        *earlier, page = self.api.pages
        sync = page.sync
        direct = {sync.parent_id, sync.replaces} - {""}
        self._ancestors[sync.id] = direct.union(*(self._ancestors.get(each, ()) for each in direct))
        for each in earlier if page.content else ():
            # The rows of another line may be older than what has arrived since.
            is_same_line = sync.parent_id in {"", each.sync.parent_id, each.sync.id}
            is_refresh = sync.is_full and not each.sync.is_full  # which replays no increments
            alike = (each.sync.added, each.sync.selected) == (sync.added, sync.selected)
            # Nor does an increment replay a full sync of its parent, which a decision has given up.
            is_sibling = each.sync.parent_id == sync.parent_id
            is_beside = is_sibling and each.sync.is_full and not sync.is_full
            is_dropped = each.is_given_up or not alike  # with its settings
            if is_refresh or is_beside or is_dropped:
                continue
            is_again = each.content == page.content and is_same_line and not each.is_excused
            if is_again and not self._is_abandoned(each, page):
                self._note_decision(self.settings)  # of this run
                if each.is_given_up:
                    continue
                assert each.sync.id in self._ancestors[sync.id], "a page is billed twice"
                assert self._is_overlap(each, page), "a page is billed again after it arrived"

        self._check_unused(page)

    def _check_unused(self, page: BilledPage) -> None:
        """Check that no page waits in the archive that the run can't use, unless so decided."""
        arrived, sync = self._arrived, page.sync
        line = {sync.id, *self._ancestors[sync.id]}
        for each in self.api.pages[:-1]:  # in the order in which they were billed
            if line & {each.sync.parent_id, each.sync.replaces} and not each.sync.is_full:
                line.add(each.sync.id)
        stored = {*self.store.pages.values()} - self.store.removed
        firsts = {each.sync.id for each in stored if "cursor" not in each.request}
        parents = {sync.parent_id}
        for each in [each for each in self.api.pages if each in stored and each is not page]:
            if each.stream != page.stream or not each.rows or each.is_given_up:
                continue
            if each.sync.id in arrived | line or each.sync.id not in firsts:
                continue
            if each.sync.parent_id not in parents or self._is_abandoned(each, page):
                continue
            parents.add(each.sync.id)
            is_decided = self.settings.on_filter_change != "error" or (
                self.settings.on_missing_state == "resync"
            )
            assert is_decided, "a paid page that waits can't be used any more"
            each.is_given_up = True

    def _is_abandoned(self, earlier: BilledPage, page: BilledPage) -> bool:
        """Whether a full sync is done again after one that began after it has arrived."""
        (spec,) = (spec for spec in self.specs if spec.name == page.stream)
        completed = Contents(self.store).completed(self.settings.key(spec).name)
        is_older = completed is not None and earlier.sync.number <= completed.number
        return page.sync.is_full and is_older

    def _is_overlap(self, earlier: BilledPage, page: BilledPage) -> bool:
        """Whether all rows of a page may have changed since an earlier sync of it began."""
        if page.sync.is_full or self.were_clocks_wrong or earlier.sync.id == page.sync.replaces:
            return True
        overlap = timedelta(minutes=self.settings.lookback_minutes, seconds=1)
        return all(self.api.rows[key][0] >= earlier.at - overlap for key, _ in page.rows)

    def _check_removal(self, state: dict[str, Any]) -> Callable[[BilledPage, bytes], None]:
        """Return a check that pages that a run removes have arrived, or are old."""
        choice = self.settings.on_missing_state.removeprefix("resume:").split(",")
        complete = {each.get("completed_sync") for each in state.values()} | {*choice}
        arrived = complete.union(*(self._ancestors.get(each, ()) for each in complete))
        self._arrived = arrived

        def check(page: BilledPage, content: bytes) -> None:
            age = self.clock.true - parse_timestamp(decode_header(content).received_at)
            # Both clocks may have been wrong.
            is_old = age > timedelta(days=28)
            page.is_excused |= is_old
            assert page.sync.id in arrived or is_old, "a page expired too early"

        return check

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
        self.were_clocks_wrong |= bool(hours or date)
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

    @rule()
    def end_oddly(self) -> None:
        self.api.has_odd_end = True

    @rule(streams=st.integers(1, 3), keep_rows=st.sampled_from([True, True, True, False]))
    def lose_state(self, streams: int, *, keep_rows: bool) -> None:
        """Lose the state of the first stream, of the second one, or of both."""
        lost = [name for n, name in enumerate(self._streams, 1) if n & streams]
        self.target.state = {k: v for k, v in self.target.state.items() if k not in lost}
        self._rewind(lost, self.target.state, keep_rows=keep_rows)
        if not keep_rows:
            for name in lost:
                self.target.tables[name].clear()
            self._past.clear()  # no state may say that they are there, and neither may a setting

    @rule(back=st.integers(1, 6), keep_rows=st.booleans())
    def restore_backup(self, back: int, *, keep_rows: bool) -> None:
        """Go back to an older state, of the pipeline alone or of the warehouse too."""
        if back > len(self._past):
            return
        state, tables = self._past[-back]
        self.target.state = deepcopy(state)
        # Not all that the archive knows has arrived.
        self._rewind(self._streams, self.target.state, keep_rows=False)
        if not keep_rows:
            self.target.tables.clear()
            self.target.tables.update(deepcopy(tables))
            del self._past[-back + 1 or len(self._past) :]

    def _rewind(self, streams: list[str], state: dict[str, Any], *, keep_rows: bool) -> None:
        """Note that states are older than what was billed, which a run may have to read again."""
        self._lost |= {*streams}
        if not keep_rows:
            self._incomplete |= {*streams}
            self.settings = replace(self.settings, on_missing_state="error")
        for page in self.api.pages:
            if page.stream in streams:
                given = state.get(page.stream)
                is_other = given and page.sync.parent_id != given.get("completed_sync", "")
                page.is_excused |= page in self.store.removed or bool(is_other)

    @rule(
        crash_at=st.integers(0, 80),
        power=st.none() | st.integers(0, 2),
        lost=st.integers(0, 3),
        is_ahead=st.booleans(),
        events=EVENTS,
        full_refresh=st.booleans(),
    )
    def crash(  # noqa: PLR0913
        self,
        *,
        crash_at: int,
        power: int | None,
        lost: int,
        is_ahead: bool,
        events: list[Any],
        full_refresh: bool,
    ) -> None:
        """Kill the tap, or the whole machine with what it had not synced."""
        state = {} if full_refresh else self.target.state
        if full_refresh:
            self._rewind(self._streams, {}, keep_rows=True)
            self.settings = replace(self.settings, on_missing_state="resync")
        accident = Accident(crash_at=crash_at, events=events)
        self.run_tap(state, accident, power=power, lost=lost, is_ahead=is_ahead)
        if full_refresh:  # its states may be lost
            self._rewind(self._streams, self.target.state, keep_rows=True)

    @rule(
        crashes=st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40)),
        changed=st.lists(NUMBERS, max_size=3),
        lost=st.sampled_from([0, 99]),
    )
    def refresh_twice(self, crashes: tuple[int, int, int], changed: list[int], lost: int) -> None:
        """Let a full refresh die, then another one after a good run, and the run after that."""
        how: Any = {"power": None, "lost": lost, "is_ahead": True, "events": []}
        self.crash(crash_at=crashes[0], full_refresh=True, **how)
        self.change(changed)
        self.run_to_end([])
        self.crash(crash_at=crashes[1], full_refresh=True, **how)
        self.crash(crash_at=crashes[2], full_refresh=False, **how)

    @rule(pages=st.integers(0, 4), lost=st.integers(0, 3), is_ahead=st.booleans(), events=EVENTS)
    def run_to_budget(self, *, pages: int, lost: int, is_ahead: bool, events: list[Any]) -> None:
        accident = Accident(pages=pages, events=events)
        self.run_tap(self.target.state, accident, lost=lost, is_ahead=is_ahead)

    @rule(events=EVENTS)
    def run_to_end(self, events: list[Any]) -> None:
        self.run_tap(self.target.state, Accident(events=events))

    @rule()
    def settle(self) -> None:
        self.set_clocks(0, 0)
        self.api.has_odd_end = False
        for _ in range(50):
            if self.run_tap(self.target.state) and self._run_anew():
                break
        else:
            raise AssertionError("no two good runs in 50 that did what the errors say")
        for name in self._streams:
            self._check_rows(name)

    def _run_anew(self) -> bool:
        """Run it; return whether that went well, and finished no sync of an earlier run.

        What has changed since such a sync began is read by the next run, if that is this recent.
        """
        billed, begun = len(self.api.pages), {page.sync.id for page in self.api.pages}
        is_good = self.run_tap(self.target.state)
        return is_good and begun.isdisjoint(page.sync.id for page in self.api.pages[billed:])

    def _check_rows(self, stream: str) -> None:
        """Check that each row that the settings ask for is there, as it is now."""
        since = parse_timestamp(self.settings.start_date or "0001-01-01")
        wanted = {
            key: str(version)
            for key, (at, version) in self.api.rows.items()
            if at >= since
            and self.api.matches(key, self.settings.countries)
            and (stream, key, version) not in self._gaps
        }
        if wanted.pop(BROKEN, None):
            names = (name for name in self.store.list("v2") if f"{stream}-" in name)
            quarantined = [self.store.read(name) for name in names if "/quarantine/" in name]
            assert json.dumps(self.api.row(BROKEN)).encode() in quarantined
        found = {key: row["name"] for key, row in self.target.tables[stream].items()}
        assert {key: found.get(key) for key in wanted} == wanted, stream

    def run_tap(
        self,
        state: dict[str, Any],
        accident: Accident | None = None,
        *,
        power: int | None = None,
        lost: int = 0,
        is_ahead: bool = False,
    ) -> bool:
        """Run it; where it ends with an error, do what the error says."""
        accident = accident or Accident()
        if self.settings.on_filter_change == "keep" and state != self._kept:
            self.settings = replace(self.settings, on_filter_change="error")
        self.store.unsynced.clear()
        self.store.check_removal = self._check_removal(state)
        take, settings = self.target.take, self.settings
        run = OneRun(self, settings, deepcopy(state), take, accident, specs=self.specs)
        advice = run.outcome()
        if self.store.in_flight:
            self.store.in_flight.is_excused = True
        self.store.in_flight, self.store.check_removal = None, lambda _page, _content: None
        self.store.step = lambda: False
        if power is not None:
            self.store.lose_power(power)
        self.target.drain(states_lost=lost, is_ahead=is_ahead)
        self._past.append((deepcopy(self.target.state), deepcopy(dict(self.target.tables))))
        self._note_decision(settings)
        if advice:
            self._follow(advice)
        elif run.is_complete:
            self.settings = replace(self.settings, on_missing_state="error")
        return advice is None

    def _note_decision(self, settings: Settings) -> None:
        """Note what a run was allowed to give up, also of a stream that it has not come to."""
        if settings.on_filter_change != "error" or settings.on_missing_state == "resync":
            for kept in Contents(self.store).all_syncs:
                for number in kept.pages:
                    page = self.store.pages[kept.page_name(number)]
                    page.is_given_up |= number <= kept.given_up

    def _follow(self, advice: TapJoboError) -> None:
        """Do what an error asks the user to do."""
        code, text = code_of(advice), str(advice)
        if code == "clock-wrong":
            assert "Nothing was billed" in text
            self.set_clocks(0, 0)
        elif code == "format-changed":
            self._drop(text)
            if "'has_more' without a 'next_cursor'" in text:
                self.api.has_odd_end = False
            else:
                assert "None of the 1 rows" in text, "one bad row of several is no changed format"
                self.api.rows.pop(BROKEN, None)  # which Jobo has mended
        elif code == "lost-state":
            self._follow_missing_state(text)
        elif code in ("filters-changed", "unused-pages"):
            self._follow_filter_change(text)
        elif code == "archive-unusable":  # the bucket's response got lost
            assert self.is_in_bucket, text
        elif code == "invalid-state":  # its time is in the future
            assert self.api.date_skew
            assert self.api.date_skew < timedelta(0)
        else:
            assert code in ("cursor-rejected", "endless-feed"), text
            self._follow_ended_sync(code, text)

    def _follow_ended_sync(self, code: str, text: str) -> None:
        self._drop(text)
        if code == "cursor-rejected":
            self._rewind(self._streams, {}, keep_rows=False)
            self.target.state = {}

    def _follow_missing_state(self, text: str) -> None:
        named = set(re.findall(r"No state for (\w+),", text))
        assert named <= self._lost
        ways = re.findall(r"'(resume:[0-9a-f,]+)'", text)
        assert ways or "a sync that continues from a complete one" in text
        are_rows_there = all(map(self.target.tables.get, named)) and not named & self._incomplete
        choice = ways[0] if len(ways) == len(named) and are_rows_there else "resync"
        for page in self.api.pages if choice == "resync" else ():  # the user pays for them again
            page.is_excused |= page.stream in named
        self.settings = replace(self.settings, on_missing_state=choice)

    def _follow_filter_change(self, text: str) -> None:
        """Decide for all streams; give up pages that wait by the setting, or by the command."""
        assert "Nothing was billed" in text
        assert self.settings.on_filter_change == "error"
        waiting = [line for line in text.splitlines() if code_of(line) == "unused-pages"]
        changed = [line for line in text.splitlines() if code_of(line) == "filters-changed"]
        if waiting and not changed and len(self.api.pages) % 2:
            for line in waiting:
                self._drop(line)
            return
        choice = "keep" if changed and all(map(self._may_keep, changed)) else "resync"
        self.settings = replace(self.settings, on_filter_change=choice)
        self._kept = deepcopy(self.target.state)

    def _may_keep(self, text: str) -> bool:
        """Whether the user keeps the bookmark: always if no row is missing then."""
        stream = text.split()[3]
        assert text.startswith(f"The filters of {stream} have changed ("), text
        bookmark = re.search(r"'keep' continues from (\S+):", text)
        if not bookmark:
            assert "'resync' reads all matching rows" in text
            return self.accepts_gaps
        if "no row is missing" in text:
            return True
        if self.accepts_gaps:
            is_any = "any row that the unfinished sync has not read may stay missing" in text
            assert is_any or "rows that only the new filters match stay missing" in text
            start = re.search(r"start_date was (\S+) and is", text)
            countries = re.search(r"country_codes was (.+?) and is", text)
            self._gaps |= {
                (stream, key, version)
                for key, (at, version) in self.api.rows.items()
                if at <= parse_timestamp(bookmark[1])
                and (
                    is_any
                    or (start and at < parse_timestamp(start[1]))
                    or (countries and not self.api.matches(key, countries[1].split(", ")))
                )
            }
        return self.accepts_gaps

    def _drop(self, text: str) -> None:
        """Drop the pages that a message names, if they were written, which are billed again."""
        for name in () if "could not be written" in text else drop_pages(self.store, text):
            self.store.pages[name].is_excused = self.store.pages[name].is_given_up = True

    def teardown(self) -> None:
        with self._temporary:  # which is also removed if that fails
            self.settle()


class BucketPromises(Promises):
    """The same with a bucket."""

    is_in_bucket = True

    @rule(lost=st.sampled_from(["retried", "error"]))
    def lose_response(self, lost: str) -> None:
        self.store.memory.lost = lost


class FilteredPromises(Promises):
    """The same world with two streams, filters that filter, and a start date.

    Whatever matches the last ones arrives, unless a message has said that it may be missing.
    """

    specs = (CAREER_SITES, MORE_SITES)

    def __init__(self) -> None:
        super().__init__()
        self.api.has_countries = True

    @rule(
        countries=st.sampled_from([None, ("DE",), ("FR",), ("DE", "FR"), ()]),
        start=st.none() | st.sampled_from(["same"]) | st.integers(0, 5),
        on_filter_change=st.sampled_from(["resync", "error", "error"]),
        before=st.sampled_from(["", "settle", "change", "cut"]),
        after=st.sampled_from(["", "cut", "lose"]),
        accepts_gaps=st.booleans(),
    )
    def change_filters(  # noqa: PLR0913
        self,
        countries: tuple[str, ...] | None,
        start: str | int | None,
        on_filter_change: str,
        *,
        before: str,
        after: str,
        accepts_gaps: bool,
    ) -> None:
        """Change filters and start date, the latter to none or to the time of a row's change.

        Often that is after a complete sync, in a sync, or before the state is lost.
        """
        if before:
            self.settle()
        if before == "change":
            self.change([1, 2, 3])
        if before == "cut":
            self._cut(1)
        self.accepts_gaps = accepts_gaps
        start_date = None
        if start == "same":
            start_date = self.settings.start_date
        elif isinstance(start, int):
            dates = [*sorted(at for at, _ in self.api.rows.values()), self.clock.true]
            start_date = format_timestamp(min(dates[-1 - start % len(dates)], self.clock.now()))
        self.settings = replace(
            self.settings,
            countries=self.settings.countries if countries is None else countries,
            start_date=start_date,
            on_filter_change=on_filter_change,
        )
        if after:
            self._cut(4)
        if after == "lose":
            self.lose_state(streams=3, keep_rows=True)

    @rule(
        countries=st.sampled_from([("DE",), ("FR",), ("DE", "FR"), ("DE", "US")]),
        has_state=st.booleans(),
        pages=st.integers(1, 4),
        lookback=st.sampled_from([0, 15]),
    )
    def lose_all_and_change(
        self, countries: tuple[str, ...], pages: int, lookback: int, *, has_state: bool
    ) -> None:
        """Let the target lose all that a run has read, and change the filters then."""
        if has_state or self.api.pages:
            self.settings = replace(
                self.settings,
                countries=("DE", "FR"),
                on_filter_change="resync",
                is_full_table=False,
                start_date=None,
            )
            self.settle()
            self.change([1, 2, 3, 4, 5, 6])
        self.run_to_budget(pages=pages, lost=99, is_ahead=False, events=[])
        self.settings = replace(
            self.settings,
            countries=countries,
            on_filter_change="error",
            lookback_minutes=lookback,
        )
        self.run_to_end([])

    def _cut(self, first: int) -> None:
        """Let some rows change, and others not, and run until a sync is in progress."""
        self.change([*range(first, first + 3)])
        for _ in range(2):  # the first run may end with an error that asks for a decision
            self.run_tap(self.target.state, Accident(pages=1))

    @rule(
        old=st.sampled_from([("DE",), ("FR",)]),
        changed=st.lists(NUMBERS, max_size=3),
        pages=st.integers(0, 3),
        other=st.booleans(),
    )
    def widen(self, old: tuple[str, ...], changed: list[int], pages: int, *, other: bool) -> None:
        """Add a country, read some of what it adds, and then perhaps add another instead."""
        for countries in (old, ("DE", "FR"), (*old, "US"))[: 3 if other else 2]:
            self.settings = replace(
                self.settings, countries=countries, on_filter_change="resync", start_date=None
            )
            if countries == old:
                self.settle()
                self.change(changed)
            else:
                self.run_to_budget(pages=pages, lost=0, is_ahead=False, events=[])


TestPromises = pytest.mark.slow(Promises.TestCase)
TestPromises.settings = MODEL
TestBucketPromises = pytest.mark.exhaustive(BucketPromises.TestCase)
TestBucketPromises.settings = FEWER
TestFilteredPromises = pytest.mark.exhaustive(FilteredPromises.TestCase)
TestFilteredPromises.settings = FEWER
