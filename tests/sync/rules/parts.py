"""The parts of a simulated world: an API, the folders of archives, and pipelines with warehouses.

Its clock counts whole minutes, so that all that happens has a time of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

from tap_jobo.archive.key import KEY_DIGITS
from tap_jobo.model import ArchiveFile, EntryHeader, Position, Sync
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.jobs import EXPIRED_JOBS
from tap_jobo.sync.plan import SAFETY_MARGIN
from tap_jobo.sync.position import ArchiveView, advance, base_after, empty_view, end_ids
from tap_jobo.sync.repair import ReadEntry
from tap_jobo.sync.settings import SyncSettings
from tap_jobo.sync.state import State, read_state

if TYPE_CHECKING:
    from tap_jobo.streams.feed_spec import FeedSpec
    from tap_jobo.sync.start import Question

Order = Literal["time", "id"]
COUNTRIES: Final = ("AT", "BE", "CH")
KEY: Final = "0" * KEY_DIGITS
_FILTERS: Final = tuple(each for each in CAREER_SITES.filters if each.name == "country_codes")
BILLED_FEED: Final = replace(CAREER_SITES, filters=_FILTERS)
"""Its `since` is exclusive, so a full sync begins a millisecond early."""
FREE_FEED: Final = replace(
    EXPIRED_JOBS, filters=_FILTERS, longest_lookback=timedelta(minutes=150) + SAFETY_MARGIN
)
"""Its API lists what changed in the last 210 minutes, of which the tap requests 150."""
_REQUEST: Final = 5  # minutes that pass at most until the API has a request
_BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def at(minute: int) -> str:
    """Return a minute of the world as the tap writes it."""
    return f"{(_BEGINNING + timedelta(minutes=minute)).isoformat(timespec='microseconds')[:-6]}Z"


@cache
def minute(time: str) -> int:
    """Return the minute of the world that a time of the tap is."""
    return minutes(datetime.fromisoformat(time) - _BEGINNING)


def minutes(duration: timedelta) -> int:
    return int(duration / timedelta(minutes=1))


def countries(*codes: str) -> dict[str, Any]:
    """Return the filters for rows of some countries, none for all rows."""
    return {"country_codes": [*codes]} if codes else {}


class Wrong(AssertionError):  # noqa: N818 - what a history shows
    """A promise is broken."""


@dataclass(frozen=True)
class Row:
    """A version of a row."""

    id: int
    at: int
    country: str
    version: int

    @property
    def uuid(self) -> str:
        return f"00000000-0000-4000-8000-{self.id:012d}"

    def as_raw(self) -> dict[str, Any]:
        return {"id": self.uuid, "country_code": self.country, "version": self.version}


@dataclass
class Api:
    """A feed whose pages are in the order of the rows' times, or of their ids."""

    order: Order
    spec: FeedSpec
    now: int = 0
    rows: dict[int, Row] = field(default_factory=dict)
    rejects: int = 0  # cursors, from now on
    served: int = 0  # rows

    def tick(self) -> int:
        self.now += 1
        return self.now

    def put(self, id_: int, country: str) -> None:
        """Add a row, or change it."""
        old = self.rows.get(id_)
        self.rows[id_] = Row(id_, self.tick(), country, old.version + 1 if old else 1)

    @property
    def reachable(self) -> list[Row]:
        """The rows that a sync returns which begins now."""
        window = self.spec.longest_lookback
        oldest = self.now - minutes(window - SAFETY_MARGIN) if window else 0
        return [row for row in self.rows.values() if row.at >= oldest]

    def page(self, sync: Sync, cursor: str | None) -> tuple[tuple[Row, ...], str | None] | None:
        """Return a page and the next cursor, None if the cursor is rejected."""
        self.tick()
        if window := self.spec.longest_lookback:
            oldest = at(self.now - minutes(window) - _REQUEST)
            if sync.since is None or sync.since < oldest:
                raise Wrong(f"the API refuses to list rows since {sync.since}")
        if cursor is not None and self.rejects:
            self.rejects -= 1
            return None
        rows = sorted(
            (row for row in self.rows.values() if self._matches(row, sync)), key=self._place
        )
        if cursor is not None:
            rows = [row for row in rows if self._place(row) > json.loads(cursor)]
        page = tuple(rows[: sync.batch_size])
        self.served += len(page)
        has_more = len(rows) > len(page)
        return page, json.dumps(self._place(page[-1])) if has_more else None

    def _place(self, row: Row) -> list[int]:
        return [row.at, row.id] if self.order == "time" else [row.id]

    def _matches(self, row: Row, sync: Sync) -> bool:
        codes, time = sync.reads.get("country_codes"), at(row.at)
        is_new = sync.since is None or time > sync.since
        is_first = self.spec.since_is_inclusive and time == sync.since
        return (is_new or is_first) and (codes is None or row.country in codes)


@dataclass(frozen=True)
class Page:
    """An entry of an archive, with the rows and the cursor that its body holds."""

    header: EntryHeader
    rows: tuple[Row, ...]
    next_cursor: str | None

    @cached_property
    def position(self) -> Position:
        """The position after it."""
        return advance(self.header, len(self.rows), self.next_cursor)

    @property
    def base(self) -> int | None:
        return base_after(self.header, self.next_cursor)

    @property
    def read(self) -> ReadEntry:
        return ReadEntry(self.header, len(self.rows), self.next_cursor)


@dataclass
class Folder:
    """The folder of an archive, as `StreamArchive` sees it."""

    spec: FeedSpec
    file: ArchiveFile
    pages: dict[int, Page] = field(default_factory=dict)
    damaged: set[int] = field(default_factory=set)  # pages that cannot be read
    headless: set[int] = field(default_factory=set)  # those whose headers cannot be read either
    lost: dict[int, tuple[Row, ...]] = field(default_factory=dict)  # the rows of dropped pages

    def copy(self) -> Folder:
        return replace(
            self,
            pages=dict(self.pages),
            damaged=set(self.damaged),
            headless=set(self.headless),
            lost=dict(self.lost),
        )

    @property
    def head(self) -> int:
        return max(max(self.pages, default=0), self.file.first - 1)

    @property
    def last(self) -> Page | None:
        return self.pages.get(self.head) if self.head >= self.file.first else None

    @property
    def current(self) -> dict[int, Page]:
        """The pages that are part of the archive."""
        return {n: page for n, page in self.pages.items() if n >= self.file.first}

    def header(self, number: int) -> EntryHeader | None:
        page = self.pages.get(number) if number >= self.file.first else None
        return page.header if page and number not in self.headless else None

    def id_of(self, number: int) -> str | None:
        if following := self.header(number + 1):
            return following.previous
        if number == self.file.first - 1:
            return self.file.origin.entry if self.file.origin else None
        own = self.header(number)
        return own.id if own else None

    @property
    def view(self) -> ArchiveView:
        empty = empty_view(self.file, is_free_feed=self.spec.is_free)
        if self.last is None:
            return empty
        return replace(
            empty,
            head=self.head,
            head_id=self.last.header.id,
            end_ids=end_ids(self.head, self.id_of, self.header),
            position=self.last.position,
            complete_base=self.last.base,
            overcount=0,
            id_of=self.id_of,
            is_dropped=self.is_dropped,
        )

    def is_dropped(self, number: int) -> bool:
        header = self.header(number)
        return header is not None and header.is_dropped

    def first_damaged(self, numbers: Iterable[int]) -> int | None:
        return next((number for number in numbers if number in self.damaged), None)


@dataclass
class Pipeline:
    """A pipeline with its settings, Meltano's state, and a warehouse."""

    name: str
    settings: SyncSettings
    folder: str = "main"
    uses_archive: bool = True
    raw: dict[str, Any] = field(default_factory=dict)
    saved: list[dict[str, Any]] = field(default_factory=list)  # all states that Meltano ever had
    warehouse: dict[int, Row] = field(default_factory=dict)
    question: Question | None = None
    damaged: int | None = None  # the page that the question is about
    excused: set[tuple[int, int]] = field(default_factory=set)  # missing rows that it was warned of
    overwritten: dict[int, str] = field(default_factory=dict)  # rows that an archive made older

    @property
    def state(self) -> State | None:
        return read_state(self.raw, self.settings)

    @property
    def lookback(self) -> int:
        return minutes(self.settings.lookback)

    def wants(self, row: Row) -> bool:
        codes = self.settings.filters.get("country_codes")
        start = self.settings.start_date
        return (codes is None or row.country in codes) and (start is None or at(row.at) >= start)


class Target:
    """A target that stores rows in batches, then passes the last state to Meltano."""

    def __init__(self, pipe: Pipeline, batch: int) -> None:
        self._pipe = pipe
        self._batch = batch
        self._rows: list[Row] = []
        self._state: dict[str, Any] | None = None
        self.received = 0
        self.archive = ""  # the id of the archive that it is loaded from

    def row(self, row: Row) -> None:
        self._rows.append(row)
        self.received += 1
        if len(self._rows) >= self._batch:
            self.flush()

    def state(self, state: State) -> None:
        self._state = state.as_raw(self._pipe.settings.spec)

    def flush(self) -> None:
        pipe = self._pipe
        for row in self._rows:
            old = pipe.warehouse.get(row.id)
            if old and old.version > row.version:
                pipe.overwritten[row.id] = self.archive
            else:
                pipe.overwritten.pop(row.id, None)
            pipe.warehouse[row.id] = row
        self._rows = []
        if (state := self._state) is not None:
            self._state = None
            pipe.raw = merge(pipe.raw, state)
            pipe.saved.append(pipe.raw)
            if pipe.raw != state:
                raise Wrong("a merged state is not the last one")


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Merge states as Meltano does: key by key, and none is removed."""
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if key in merged and isinstance(before, dict) != isinstance(value, dict):
            raise Wrong("Meltano cannot merge an object with another value")
        merged[key] = merge(before, value) if isinstance(before, dict) else value
    return merged
