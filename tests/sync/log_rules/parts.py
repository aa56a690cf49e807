"""The parts of a simulated world: an API, the folders of archives, and pipelines with warehouses.

Its clock counts whole minutes, so that all that happens has a time of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal
from unittest.mock import patch

from tap_jobo.model import (
    ALL,
    NOTHING,
    DroppedPage,
    Filters,
    Order,
    Position,
    Progress,
    State,
    Sync,
)
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.sync import plan, reads
from tap_jobo.sync.filter_rules import FilterRules
from tap_jobo.sync.fold import Page, advance, at_entry, lost_page
from tap_jobo.sync.plan import Log
from tap_jobo.sync.start import Places, Question
from tap_jobo.sync.wanted import Wanted

if TYPE_CHECKING:
    from tests.sync.log_rules.run import TapRun

RowOrder = Literal["time", "id"]
OWNER: Final = "api-live-1a2b3c4d"
COUNTRIES: Final = ("AT", "BE", "CH")
KINDS: Final = ("x", "y")
_SETTINGS: Final = {each.name: each for each in CAREER_SITES.filters}
_KNOWN: Final = [_SETTINGS[name] for name in ("country_codes", "founded_after")]
RULES: Final = FilterRules([*_KNOWN, _SETTINGS["industries"]])
OLD_RULES: Final = FilterRules(_KNOWN)
"""Of an earlier version, which does not know the filter `industries`."""
LISTED: Final = 600
"""Minutes for which the API of a free feed lists a row, of which the tap requests a quarter."""
REQUESTED: Final = 150
_BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)


@contextmanager
def short_spans(most: int = reads.MOST) -> Iterator[None]:
    """Let a week, an hour and a day be short, as the histories are, and positions perhaps too."""
    spans: dict[str, Any] = {"HEAL": minutes(60), "HOUR": minutes(20), "DAY": minutes(40)}
    with patch.multiple(plan, **spans), patch.object(reads, "MOST", most):
        yield


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


@cache
def at(minute_: int) -> str:
    """Return a minute of the world as the tap writes it."""
    return f"{(_BEGINNING + minutes(minute_)).isoformat(timespec='microseconds')[:-6]}Z"


@cache
def minute(time: str) -> int:
    """Return the minute of the world that a time of the tap is; 0 is before all."""
    return round((datetime.fromisoformat(time) - _BEGINNING) / minutes(1)) if time else 0


def having(*countries: str, kind: str = "", founded: int = 0) -> Filters:
    """Return the filters for rows of some countries and kinds, none for all rows."""
    filters: Filters = {}
    if countries:
        filters["country_codes"] = sorted(countries)
    if kind:
        filters["industries"] = sorted(kind)
    if founded:
        filters["founded_after"] = founded
    return filters


class Wrong(AssertionError):  # noqa: N818 - what a history shows
    """A promise is broken."""


@dataclass(frozen=True)
class Row:
    """A version of a row."""

    id: int
    at: int
    country: str
    kind: str
    version: int
    is_erased: bool = False

    def matches(self, filters: Filters) -> bool:
        return (
            self.country in filters.get("country_codes", [self.country])
            and self.kind in filters.get("industries", [self.kind])
            and self.id % 5 + 1990 >= filters.get("founded_after", 0)
        )


@dataclass
class Api:
    """A feed whose pages are in the order of the rows' times, or of their ids.

    Attributes:
        rejects: How many cursors it rejects from now on.
        stuck: The syncs whose cursors it rejects, `all` for all.
    """

    order: RowOrder = "time"
    is_free: bool = False
    now: int = 0
    rows: dict[int, Row] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)
    rejects: int = 0
    stuck: set[str] = field(default_factory=set)
    has_rejected: bool = False
    served: int = 0

    def tick(self) -> int:
        self.now += 1
        return self.now

    def put(self, id_: int, country: str, kind: str) -> None:
        """Add a row, or change it."""
        self.versions[id_] = self.versions.get(id_, 0) + 1
        self.rows[id_] = Row(id_, self.tick(), country, kind, self.versions[id_])

    def change_silently(self, id_: int) -> None:
        """Change a row, but not when it was updated."""
        if id_ in self.rows:
            self.tick()
            self.versions[id_] += 1
            self.rows[id_] = replace(self.rows[id_], version=self.versions[id_])

    def expire(self, id_: int) -> None:
        self.rows.pop(id_, None)

    def page(self, sync: Sync, cursor: str | None) -> tuple[tuple[Row, ...], str | None] | None:
        """Return a page and the next cursor, None if the cursor is rejected."""
        self.tick()
        if self.is_free and sync.since < at(self.now - LISTED):
            raise Wrong(f"the API refuses {sync} at {self.now}")
        if cursor is not None and (self.rejects or self.stuck & {sync.id, "all"}):
            self.rejects = max(0, self.rejects - 1)
            self.has_rejected = True
            return None
        rows = sorted(
            (row for row in self.rows.values() if self._lists(row, sync)), key=self._place
        )
        rows = [row for row in rows if cursor is None or self._place(row) > cursor]
        page = tuple(rows[: sync.batch_size])
        self.served += len(page)
        return page, self._place(page[-1]) if len(rows) > len(page) else None

    def _place(self, row: Row) -> str:
        return f"{row.at:06} {row.id}" if self.order == "time" else f"{row.id:06}"

    def _lists(self, row: Row, sync: Sync) -> bool:
        is_listed = not self.is_free or row.at >= self.now - LISTED
        return is_listed and at(row.at) >= sync.since and row.matches(sync.reads)


@dataclass(frozen=True)
class Entry:
    """An entry of an archive, with the rows that its body holds.

    Attributes:
        before: The position before it, of one who loads everything.
        own: The position of its buyer.
    """

    id: str
    page: Page
    rows: tuple[Row, ...]
    before: Position
    own: Position
    time: int

    @property
    def sync(self) -> Sync:
        assert self.page.sync
        return self.page.sync


@dataclass
class Folder:
    """The folder of an archive.

    Attributes:
        damaged: The pages that can't be read.
        headless: Those of them whose header can't be read either.
        dropped: What `archive.json` notes of pages that were dropped behind the head.
        pending: The id of the entry after which a page was requested that is not there yet.
    """

    entries: list[Entry] = field(default_factory=list)
    order: Order | None = None
    damaged: set[int] = field(default_factory=set)
    headless: set[int] = field(default_factory=set)
    dropped: list[DroppedPage] = field(default_factory=list)
    pending: str | None = None

    def copy(self) -> Folder:
        return replace(
            self,
            entries=[*self.entries],
            damaged={*self.damaged},
            headless={*self.headless},
            dropped=[*self.dropped],
        )

    @property
    def head(self) -> int:
        return len(self.entries)

    def header(self, number: int) -> Entry | None:
        is_there = 1 <= number <= self.head and number not in self.headless
        return self.entries[number - 1] if is_there else None

    def id_of(self, number: int) -> str | None:
        """Return the id of an entry. The header after it names it, too."""
        is_known = self.header(number) or (number > 0 and self.header(number + 1))
        return self.entries[number - 1].id if is_known else None

    def _time_of(self, number: int) -> str | None:
        header = self.header(number)
        return at(header.time) if header else None

    @property
    def places(self) -> Places:
        return Places(owner=OWNER, head=self.head, id_of=self.id_of, time_of=self._time_of)

    def log(self, rules: FilterRules) -> Log:
        first = self.header(1)
        return Log(
            position=self.position_by(rules),
            order=self.order,
            first=first.own if first else NOTHING,
        )

    @property
    def position(self) -> Position:
        return self.position_by(RULES)

    def position_by(self, rules: FilterRules) -> Position:
        """Return the position at the head: entries that were dropped there never were."""
        number = self.head
        while number and self.entries[number - 1].page.dropped == "head":
            number -= 1
        return self.position_before(number + 1, rules)

    def position_before(self, number: int, rules: FilterRules) -> Position:
        """Return the position before an entry, of one who loads everything."""
        if header := self.header(number):
            return at_entry(number, header.before, self.dropped, rules)
        if number == 1:
            return NOTHING
        before = self.position_before(number - 1, rules)
        last = self.header(number - 1)
        return advance(before, last.page if last else _UNKNOWN, rules)

    def read(self, number: int) -> Page:
        """Return what is known of the page of an entry that may be damaged."""
        if header := self.header(number):
            return header.page
        before, after = self.position_before(number, RULES), self.header(number + 1)
        if after is None:
            return _UNKNOWN
        page = self.entries[number - 1].page
        return lost_page(before, after.before, (page.rows, page.cursor), RULES) or _UNKNOWN

    def time_around(self, number: int) -> int:
        """Return the time of an entry by those around it: of the next one, else of the last."""
        later = [entry.time for n in range(number, self.head + 1) if (entry := self.header(n))]
        earlier = [entry.time for n in range(1, number) if (entry := self.header(n))]
        return [*later, *reversed(earlier), 0][0]


_UNKNOWN: Final = Page(sync=None, page=1, rows=0, cursor=None, dropped="behind")


@dataclass
class Pipe:
    """A pipeline with its settings, its state, and a warehouse.

    Attributes:
        saved: All states that Meltano ever had, and whether they were lies.
        is_lie: Whether its state is that of another warehouse.
        is_true: Whether its state is the last one of its warehouse.
        epoch: Changes when an older state is restored, so that what was read is forgotten.
    """

    name: str
    wanted: Wanted
    folder: str = "main"
    uses_archive: bool = True
    state: State | None = None
    saved: list[tuple[State, bool]] = field(default_factory=list)
    warehouse: dict[int, Row] = field(default_factory=dict)
    question: Question | None = None
    damaged: int | None = None
    is_lie: bool = False
    is_true: bool = True
    epoch: str = ""

    @property
    def lookback(self) -> int:
        return round(self.wanted.lookback / minutes(1))

    @property
    def own(self) -> Position:
        assert self.state
        return self.state.position

    @property
    def best(self) -> Any:
        return plan.best(self.own, self.wanted)

    @property
    def going(self) -> Progress:
        (progress,) = self.own.progress
        return progress


class Target:
    """A target that stores rows in batches, then passes the last state to Meltano."""

    def __init__(self, run: TapRun, batch: int) -> None:
        self._run = run
        self._pipe = run.pipe
        self._batch = batch
        self._rows: list[Row] = []
        self._state: State | None = None
        self.received = 0
        self.has_state = False

    def row(self, row: Row) -> None:
        self._rows.append(row)
        self.received += 1
        if len(self._rows) >= self._batch:
            self.flush()

    def state(self, state: State) -> None:
        self._state = state
        self.has_state = True

    def flush(self) -> None:
        pipe = self._pipe
        for row in self._rows:
            old = pipe.warehouse.get(row.id)
            is_older = old is not None and old.version > row.version
            if is_older and not self._run.may_be_older:
                raise self._run.world.wrong(f"older over newer: {row} over {old}")
            pipe.warehouse[row.id] = row
        self._rows = []
        if self._state is not None:
            pipe.state, pipe.is_lie = self._state, self._run.is_lie
            pipe.saved.append((self._state, pipe.is_lie))
            self._state = None


def wants_nothing(filters: Filters = {}, rules: FilterRules = RULES) -> Wanted:  # noqa: B006
    """Return what a pipeline wants at first: all rows, or those of filters."""
    return Wanted(
        filters=filters,
        start=ALL,
        choice="error",
        lookback=minutes(0),
        batch_size=2,
        is_free=False,
        rules=rules,
    )


def first_damaged(folder: Folder, numbers: Iterable[int]) -> int | None:
    return next((number for number in numbers if number in folder.damaged), None)
