"""The parts of a simulated world: an API, the folders of archives, and pipelines with warehouses.

Its clock counts whole minutes, so that all that happens has a time of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from unittest.mock import patch
from uuid import UUID

import msgspec

from jobo_sandbox import Sandbox
from tap_jobo.archive import layout
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.archive.files import decode_entry
from tap_jobo.archive.key import ArchiveKey, key_of_name
from tap_jobo.archive.memory import Memory
from tap_jobo.archive.store import StoreError
from tap_jobo.model import ALL, EntryHeader, Filters, Order, Position, Progress, State, Sync
from tap_jobo.records.values import ERASED
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.sync import fold, plan
from tap_jobo.sync.filters import FilterRules
from tap_jobo.sync.maintenance import log_of
from tap_jobo.sync.wanted import Wanted

if TYPE_CHECKING:
    from tests.sync.world.runs import AnyRun

RowOrder = Literal["time", "id"]
Way = Literal["no-state", "resync", "keep", "restart-sync", "drop"]
_T = TypeVar("_T")
OWNER: Final = "api-live-1a2b3c4d"
KEY: Final = key_of_name(f"{OWNER}/career_sites")
COUNTRIES: Final = ("AT", "BE", "CH")
KINDS: Final = ("x", "y")
_SETTINGS: Final = {each.name: each for each in CAREER_SITES.filters}
OLD_FILTERS: Final = tuple(_SETTINGS[name] for name in ("country_codes", "founded_after"))
ALL_FILTERS: Final = (*OLD_FILTERS, _SETTINGS["industries"])
RULES: Final = FilterRules(ALL_FILTERS)
OLD_RULES: Final = FilterRules(OLD_FILTERS)
"""Of an earlier version, which does not know the filter `industries`."""
LISTED: Final = 600
"""Minutes for which the API of a free feed lists a row, of which the tap requests a quarter."""
REQUESTED: Final = 150
BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)


@contextmanager
def short_spans() -> Iterator[None]:
    """Let a week, an hour and a day be short, as the histories are."""
    spans: dict[str, Any] = {"HEAL": minutes(60), "HOUR": minutes(20), "DAY": minutes(40)}
    with patch.multiple(plan, **spans), patch.object(fold, "WEEK", minutes(60)):
        yield


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


@cache
def at(minute_: int) -> str:
    """Return a minute of the world as the tap writes it."""
    return f"{(BEGINNING + minutes(minute_)).isoformat(timespec='microseconds')[:-6]}Z"


@cache
def minute(time: str) -> int:
    """Return the minute of the world that a time of the tap is; 0 is before all."""
    return round((datetime.fromisoformat(time) - BEGINNING) / minutes(1)) if time else 0


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

    @property
    def name(self) -> str:
        """The name of the company, which has all of it."""
        return f"{self.id} {self.at} {self.country} {self.kind} {self.version}"

    @property
    def founded(self) -> int:
        return self.id % 5 + 1990

    def matches(self, filters: Filters) -> bool:
        return (
            self.country in filters.get("country_codes", [self.country])
            and self.kind in filters.get("industries", [self.kind])
            and self.founded >= filters.get("founded_after", 0)
        )


@cache
def _template() -> dict[str, Any]:
    (row,) = Sandbox(size=1, seed=1).world.rows().values()
    return row


def row_of(item: dict[str, Any]) -> Row:
    """Return the row that the API has sent, also if it was made a record."""
    id_, at_, country, kind, version = item["name"].split()
    return Row(int(id_), int(at_), country, kind, int(version))


@dataclass
class Api:
    """A feed whose pages are in the order of the rows' times, or of their ids."""

    order: RowOrder = "time"
    is_free: bool = False
    now: int = 0
    rows: dict[int, Row] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)
    rejects: int = 0  #: how many cursors it rejects from now on
    #: the syncs whose cursors it rejects, `all` for all
    stuck: set[str] = field(default_factory=set)
    has_rejected: bool = False
    #: when versions of rows became visible that did some minutes after their time, and that time
    late: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)

    def wait(self, minutes_: int) -> None:
        self.now += minutes_

    def tick(self) -> int:
        self.wait(1)
        return self.now

    def key(self, id_: int) -> str:
        """Return the id of a row as the API sends it."""
        return str(UUID(int=id_ + 1))

    def item(self, row: Row) -> dict[str, Any]:
        """Return a row as the API sends it."""
        sent = {"id": self.key(row.id), "updated_at": at(row.at), "name": row.name}
        return {**_template(), **sent}

    def set(self, row: Row) -> None:
        self.rows[row.id] = row

    def put(self, id_: int, country: str, kind: str) -> None:
        """Add a row, or change it."""
        self.versions[id_] = self.versions.get(id_, 0) + 1
        self.set(Row(id_, self.tick(), country, kind, self.versions[id_]))

    def put_late(self, id_: int, country: str, kind: str, late: int) -> None:
        """Change a row whose time is some minutes ago, but not before it changed last."""
        now, old = self.tick(), self.rows.get(id_)
        time = max(now - late, old.at if old else 0)
        self.versions[id_] = version = self.versions.get(id_, 0) + 1
        self.late[id_, version] = now, now - time
        self.set(Row(id_, time, country, kind, version))

    def change_silently(self, id_: int) -> None:
        """Change a row, but not when it was updated."""
        if id_ in self.rows:
            self.tick()
            self.versions[id_] += 1
            if late := self.late.get((id_, self.rows[id_].version)):
                self.late[id_, self.versions[id_]] = late
            self.set(replace(self.rows[id_], version=self.versions[id_]))

    def move(self, id_: int, country: str) -> None:
        """Let a row match other filters, but not change when it was updated."""
        self.set(replace(self.rows[id_], country=country))

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
        return page, self._place(page[-1]) if len(rows) > len(page) else None

    def _place(self, row: Row) -> str:
        return f"{row.at:06} {row.id}" if self.order == "time" else f"{row.id:06}"

    def _lists(self, row: Row, sync: Sync) -> bool:
        is_listed = not self.is_free or row.at >= self.now - LISTED
        return is_listed and at(row.at) >= sync.since and row.matches(sync.reads)


@dataclass(frozen=True)
class Entry:
    """An entry of an archive: its header, what its page led to, and the rows of its body."""

    header: EntryHeader
    rows: tuple[Row, ...]
    is_last: bool

    @property
    def sync(self) -> Sync:
        assert self.header.sync
        return self.header.sync


@cache
def _entry(content: bytes) -> Entry:
    entry = decode_entry(1, content)
    if not entry.body:
        return Entry(entry.header, (), is_last=False)
    page = msgspec.json.decode(entry.body)
    rows = tuple(row_of(item) for item in page["career_sites"] if item != ERASED)
    return Entry(entry.header, rows, is_last=not page["has_more"])


@lru_cache(maxsize=8)
def _position(key: ArchiveKey, files: frozenset[tuple[str, bytes]]) -> Position:
    whole = Memory()
    whole.files = dict(files)
    return log_of(StreamArchive(whole, key)).position


class Disk(Memory):
    """Files that last, of an archive on a disk."""

    location = "the archive"
    fails_in = 0  #: the so-many-th call fails from now on, none if that is 0
    loses_response = False  #: whether it does what it should before that

    def __init__(self, *, lasts: bool = True) -> None:
        super().__init__()
        self.lasts = lasts

    def list(self, prefix: str, after: str = "") -> list[str]:
        return self._meet(super().list, prefix, after)

    def read(self, name: str, size: int | None = None) -> bytes:
        return self._meet(super().read, name, size)

    def replace(self, name: str, content: bytes) -> None:
        self._meet(super().replace, name, content)

    def create(self, name: str, content: bytes) -> None:
        self._meet(super().create, name, content)

    def _meet(self, call: Callable[..., _T], *arguments: Any) -> _T:
        """Do what a call does, unless it is the one that fails."""
        self.fails_in -= 1
        is_failing = self.fails_in == 0
        result = None if is_failing and not self.loses_response else call(*arguments)
        if is_failing:
            raise StoreError(self.location, "it is away")
        return result  # type: ignore[return-value]


@dataclass
class Folder:
    """The folder of an archive."""

    disk: Disk = field(default_factory=Disk)  #: its files
    key: ArchiveKey = KEY
    #: the files of the pages that are damaged, as they were, by their numbers
    intact: dict[int, bytes] = field(default_factory=dict)
    #: the damaged pages whose header can't be read either
    headless: set[int] = field(default_factory=set)

    def copy(self) -> Folder:
        copy = Folder(Disk(), self.key, {**self.intact}, {*self.headless})
        copy.disk.files = {**self.disk.files}
        return copy

    @property
    def archive(self) -> StreamArchive:
        return StreamArchive(self.disk, self.key)

    @property
    def head(self) -> int:
        return self.archive.head

    @property
    def entries(self) -> list[Entry]:
        """The entries, as they were before they were damaged."""
        return [
            _entry(self.intact.get(number) or self.disk.files[self._page(number)])
            for number in range(1, self.head + 1)
        ]

    @property
    def position(self) -> Position:
        """The position of one who loads everything, and who can read all pages."""
        whole = self.disk.files | {self._page(n): each for n, each in self.intact.items()}
        return _position(self.key, frozenset(whole.items()))

    @property
    def order(self) -> Order | None:
        return self.archive.file.order

    def damage(self, number: int, *, is_headless: bool) -> None:
        """Change a byte of a page: of its header, or of its body."""
        name = self._page(number)
        content = self.intact.setdefault(number, self.disk.read(name))
        damaged = bytearray(content)
        damaged[1 if is_headless or number in self.headless else -1] ^= 1
        self.disk.replace(name, bytes(damaged))
        self.headless |= {number} if is_headless else set()

    def _page(self, number: int) -> str:
        return layout.page_name(self.key.name, number)


@dataclass(frozen=True)
class Asked:
    """A question."""

    code: str  #: that of its message
    ways: tuple[Way, ...]  #: the ways out that a user of the world has
    page: int = 0  #: the number of the page that is damaged, 0 if none is
    text: str = ""  #: what the user reads, if it is written


@dataclass
class Pipe:
    """A pipeline with its settings, its state, and a warehouse."""

    name: str
    wanted: Wanted
    folder: str = "main"
    uses_archive: bool = True
    state: State | None = None
    saved: list[State] = field(default_factory=list)  #: all states that Meltano ever had
    warehouse: dict[int, Row] = field(default_factory=dict)
    question: Asked | None = None
    is_true: bool = True  #: whether its state is the last one of its warehouse
    since: int | None = None  #: the minute of its first run that was done, None before that
    shortest: int = 0  #: the shortest lookback that its runs have had since then
    #: what its runs have read that were done: until when, for which filters and start date
    done: list[tuple[Filters, str, str]] = field(default_factory=list)

    def forget(self) -> None:
        """Take note that its state is none, or an older one."""
        self.is_true, self.done, self.since = False, [], None

    @property
    def lookback(self) -> int:
        return round(self.wanted.lookback / minutes(1))

    @property
    def own(self) -> Position:
        assert self.state
        return self.state.position

    @property
    def going(self) -> Progress:
        (progress,) = self.own.progress
        return progress


class Target:
    """A target that stores rows in batches, then passes the last state to Meltano."""

    def __init__(self, run: AnyRun, batch: int) -> None:
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
            pipe.state = self._state
            pipe.saved.append(self._state)
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
