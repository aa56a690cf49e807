"""What the models of the promises share: an API, stores that fail, and a run in this process.

The run is the tap's own sync, state, archive, store and feed reader. What is around them is made
up. A crash may come between any two side effects, and within the creation of a file.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol
from unittest.mock import patch
from uuid import UUID

from click.testing import CliRunner
from hypothesis import HealthCheck, settings
from obstore.exceptions import GenericError
from obstore.store import MemoryStore

from tap_jobo.api.api_clock import ApiClock, read_api_clock
from tap_jobo.api.budget import Budget, FeedCost
from tap_jobo.api.feed import FeedReader
from tap_jobo.api.responses import ApiResponse
from tap_jobo.archive import __main__ as command
from tap_jobo.archive.archive import Archives
from tap_jobo.archive.bucket import Bucket
from tap_jobo.archive.contents import ArchiveKey, Contents, archive_key
from tap_jobo.archive.folder import Folder
from tap_jobo.archive.store import Lock, MissingError, Store, StoreError
from tap_jobo.clock import Clock, parse_timestamp
from tap_jobo.errors import BudgetReachedError, RejectedError, TapJoboError
from tap_jobo.model import BilledPage as TapPage
from tap_jobo.model import Sync
from tap_jobo.records.converter import RecordConverter
from tap_jobo.singer.order import StreamOrder
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.feed_sync import FeedSync
from tap_jobo.sync.lost_state import recover_state
from tap_jobo.sync.report import Report
from tap_jobo.sync.start import SyncStart
from tap_jobo.sync.state import StreamState, read_state
from tests.support.clock import FakeClock
from tests.support.loggers import LOGGER
from tests.support.process import without_place
from tests.support.target import Row

SCHEMA = CAREER_SITES.schema.to_dict()
CONVERTER = RecordConverter(SCHEMA, LOGGER, CAREER_SITES.never_null)
NO_VALUES = dict.fromkeys(sorted(CAREER_SITES.field_names))
MORE_SITES = replace(CAREER_SITES, name="more_sites")
"""A second stream, with the same rows."""
NEVER = 10**9
COUNTRIES = ("DE", "FR", "US")
BROKEN = "no id"
"""The id of row 0: it is skipped, and kept in quarantine."""
_MEMORY = Path("/dev/shm")
"""A folder in memory, where there is one: the model itself decides what a power failure takes."""


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder for an archive, which a model removes when it ends."""
    return tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)


MODEL = settings(
    max_examples=80,
    stateful_step_count=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
"""How much of a model's world the tests try; `just explore` tries more of it, at random."""
FEWER = settings(MODEL, max_examples=40)
"""For the same world in a bucket."""


def code_of(message: object) -> str:
    """Return the code of what a message asks the user to do, empty if it has none."""
    found = re.search(r"\[([a-z]+(?:-[a-z]+)+)\]$", str(message).partition("\n")[0])
    return found[1] if found else ""


class CrashError(BaseException):
    """The process dies here: nothing that catches errors may catch it."""


@dataclass(eq=False)
class BilledPage:
    """A page that was billed.

    Attributes:
        request: What it was requested with.
        rows: Its rows, each with its version.
        at: When, by the true time.
        sync: Its sync.
        is_excused: Whether there is a reason to bill it again.
        is_given_up: Whether the user has decided that it need not be used.
    """

    request: dict[str, Any]
    rows: list[tuple[str, int]]
    at: datetime
    sync: Sync = field(init=False)
    is_excused: bool = False
    is_given_up: bool = False

    @property
    def stream(self) -> str:
        return str(self.request["stream"])

    @property
    def content(self) -> object:
        """What two pages share if one of them is wasted; None for an empty first page."""
        is_known = self.rows or "cursor" in self.request
        return self.request.get("cursor") or (is_known and (self.request, self.rows))


class FakeApi:
    """Rows with the time of their last update, delivered by keyset; stands in for the client.

    Attributes:
        rows: When each row changed last, by the true time, and how often.
        pages: Each page billed.
        dead_before: Cursors of a lower number are rejected.
        rejections: How many requests with a cursor are rejected from now on.
        has_countries: Whether each row is in one country only; otherwise every filter matches it.
        has_odd_end: Whether a last page that is not full says that there are more.
        date_skew: How far the `Date` header is ahead of the true time; None for no header.
        pace: Seconds that pass with each change.
    """

    def __init__(self, clock: FakeClock, pace: float = 0.3) -> None:
        self.clock = clock
        self.rows: dict[str, tuple[datetime, int]] = {}
        self.pages: list[BilledPage] = []
        self.by_time = False
        self.dead_before = 0
        self.rejections = 0
        self.has_countries = self.has_odd_end = False
        self.date_skew: timedelta | None = timedelta()
        self.pace = pace
        self._issued = 0

    def touch(self, number: int) -> None:
        """Change the row of this number, or add it."""
        self.clock.passed += self.pace
        key = str(UUID(int=number)) if number else BROKEN
        self.rows[key] = (self.clock.true, self.rows.get(key, (None, 0))[1] + 1)

    def row(self, key: str) -> Row:
        """The row as the API writes it now. Some have a null where none is documented."""
        version = self.rows[key][1]
        ats = None if key != BROKEN and UUID(key).int % 4 == 3 else "lever"
        known = {"id": key, "name": str(version), "ats": ats, "listing_url": "https://a.example"}
        return NO_VALUES | known

    def matches(self, key: str, countries: Sequence[str] | None) -> bool:
        """Whether a filter matches a row, which moves to another country now and then."""
        number = 0 if key == BROKEN else UUID(key).int
        country = COUNTRIES[(number + self.rows[key][1] // 2) % len(COUNTRIES)]
        return not (self.has_countries and countries) or country in (countries or ())

    def kill_cursors(self) -> None:
        """Reject from now on every cursor issued before."""
        self.dead_before = self._issued + 1

    def headers(self) -> dict[str, str]:
        """The headers of a response: its `Date`."""
        if self.date_skew is None:
            return {}
        return {"Date": format_datetime(self.clock.true + self.date_skew, usegmt=True)}

    def answer(self, body: dict[str, Any]) -> ApiResponse:
        """Bill a page."""
        asked: dict[str, Any] = json.loads(body.get("cursor", "{}"))
        if asked and (asked["number"] < self.dead_before or self.rejections):
            self.rejections = max(0, self.rejections - 1)
            raise RejectedError("Invalid cursor", "", 400, names_cursor=True)
        after = parse_timestamp(body["updated_after"]) if "updated_after" in body else None
        # Latest first, so that a row which changes during a sync escapes it.
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
        versions = [(key, self.rows[key][1]) for _, key in page]
        self.pages.append(BilledPage(body, versions, self.clock.true))
        is_odd_end = self.has_odd_end and len(page) < body["batch_size"]
        content = {
            "career_sites": [self.row(key) for _, key in page],
            "next_cursor": cursor,
            "has_more": more or is_odd_end,
        }
        if not asked and (factor := self._issued // 2 % 3):
            content["estimated_total"] = len(found) * (1, 1_000)[factor - 1]
        return ApiResponse(json.dumps(content).encode(), 200, self.headers())


class LossyMemory:
    """A bucket in memory whose responses get lost.

    Attributes:
        lost: What becomes of the response to the next conditional PUT: `retried` (the client sends
            it again, as obstore does), `error` (the run gets an error), or nothing.
    """

    def __init__(self) -> None:
        self._bucket = MemoryStore()
        self.lost = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)

    def put(self, name: str, content: bytes, **options: Any) -> None:
        self._bucket.put(name, content, **options)
        if options.get("mode") != "create":
            return
        lost, self.lost = self.lost, ""
        if lost == "retried":
            self._bucket.put(name, content, **options)
        if lost == "error":
            raise GenericError("timed out")


class FaultyStore:
    """A store around which a run may crash, and that may have no room.

    Args:
        folder: Where it is, None for a bucket in memory.

    Attributes:
        step: Counts a side effect down to the crash; tells whether it comes now.
        is_full: Whether nothing can be written.
        pages: Each page ever created, by its name.
        removed: The pages that were removed.
        in_flight: The page that is billed and not yet stored.
        unwritten: How many pages could not be stored.
        unsynced: How to undo the removals that a power failure may take back.
        check_removal: Checks a page that is removed, and its file's content.
        while_waiting: What happens while the next run waits for the lock.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.memory = LossyMemory()
        bucket: Any = self.memory
        self.inner: Store = (
            Folder(folder) if folder else Bucket(bucket, "s3://memory", Clock(), LOGGER)
        )
        self.location = self.inner.location
        self.list, self.read = self.inner.list, self.inner.read
        self.exclusive_lock = self.inner.exclusive_lock
        self.step: Callable[[], bool] = lambda: False
        self.is_full = False
        self.pages: dict[str, BilledPage] = {}
        self.removed: set[BilledPage] = set()
        self.in_flight: BilledPage | None = None
        self.unwritten = 0
        self.unsynced: list[Callable[[], object]] = []
        self.check_removal: Callable[[BilledPage, bytes], None] = lambda _page, _content: None
        self.while_waiting: Callable[[], object] = lambda: None

    def run_lock(self, key: str, stream: str, wait: object) -> Lock:  # noqa: ARG002
        """Return a lock that keeps no run out: the fence has to hold without it."""
        happens, self.while_waiting = self.while_waiting, lambda: None
        happens()
        return nullcontext(lambda: None)

    def create(self, name: str, content: bytes) -> None:
        self._may_crash()
        if self.step():
            self._tear(name, content)
            raise CrashError
        if name.endswith(".page"):
            assert self.in_flight
            self.pages[name], self.in_flight = self.in_flight, None
            self.pages[name].is_excused |= self.is_full  # it is delivered all the same
            self.unwritten += self.is_full
        if self.is_full:
            raise StoreError(self.location, "no room")
        self.inner.create(name, content)
        self._may_crash()

    def replace(self, name: str, content: bytes) -> None:
        self._may_crash()
        if self.is_full:
            raise StoreError(self.location, "no room")
        self.inner.replace(name, content)
        self._may_crash()

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            self._may_crash()
            with suppress(MissingError):
                self._note_removal(name)
            self.inner.remove([name])
        self._may_crash()

    def lose_power(self, kept: int) -> None:
        """Take back all but the first `kept` of the removals that were not synced."""
        while self.folder and len(self.unsynced) > kept:
            self.unsynced.pop()()
        self.unsynced.clear()

    def damage(self, name: str) -> None:
        """Let a byte of a file change."""
        content = bytearray(self.inner.read(name))
        if content:  # a power failure can leave a file empty
            content[len(content) // 2] ^= 1
        self.inner.replace(name, bytes(content))

    def _note_removal(self, name: str) -> None:
        content = self.inner.read(name)
        self.unsynced.append(lambda: self.inner.create(name, content))
        if page := self.pages.get(name):
            self.check_removal(page, content)
            self.removed.add(page)

    def _may_crash(self) -> None:
        if self.step():
            raise CrashError

    def _tear(self, name: str, content: bytes) -> None:
        """Leave what a process that is killed while it writes may leave."""
        if self.folder:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            torn = path.with_name(f"{path.name}.0.tmp")
            torn.write_bytes(content[: len(content) * (len(self.pages) % 5) // 5])


def drop_pages(store: FaultyStore, message: str) -> list[str]:
    """Drop what a message names, unless another run has removed it; return the pages' names."""
    commands = re.findall(r"`tap-jobo-archive drop ([0-9a-f. ]+)`", without_place(message))
    may_be_in_state_alone = code_of(message) == "cursor-rejected"
    assert commands or may_be_in_state_alone, message
    before = store.list("v2")
    with patch.object(command, "open_store", lambda *_: store):
        for name in " ".join(commands).split():
            run = CliRunner().invoke(command.main, ["drop", name, "--yes"])
            is_gone = "The archive has no page or sync" in run.output
            assert run.exit_code == 0 or is_gone or store.is_full, run.output
    left = store.list("v2")
    return [name for name in before if name.endswith(".page") and name not in left]


@dataclass(frozen=True)
class Settings:
    """What the user sets."""

    countries: tuple[str, ...] = ("DE",)
    start_date: str | None = None
    on_filter_change: str = "resync"
    on_missing_state: str = "error"
    is_full_table: bool = False
    lookback_minutes: int = 0
    batch_size: int = 2
    api_key: str = "jbe_live_1"

    @property
    def filters(self) -> dict[str, object]:
        return CAREER_SITES.filters_of({"country_codes": [*self.countries]})

    def key(self, spec: FeedSpec = CAREER_SITES) -> ArchiveKey:
        return archive_key(spec, api_key=self.api_key, api_url="https://api")


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
    events: Sequence[Callable[[Any], None]] = ()


class World(Protocol):
    """What is around a run."""

    clock: FakeClock
    api: FakeApi
    store: FaultyStore

    def billed(self) -> None:
        """Check the page that was just billed."""


@dataclass
class OneRun:
    """A process of the tap, from its state to its end or crash.

    Args:
        world: What is around it.
        settings: What the user sets.
        state: The state that it is given.
        take: Takes a message.
        accident: How it goes wrong.
        is_alone: Whether no other run goes on beside it.
        specs: The streams that it reads.
        limit: Its `max_credits_per_month`.
    """

    world: World
    settings: Settings
    state: dict[str, Any]
    take: Callable[[dict[str, Any]], None]
    accident: Accident = field(default_factory=Accident)
    is_alone: bool = True
    specs: Sequence[FeedSpec] = (CAREER_SITES,)
    limit: int | None = None

    def __post_init__(self) -> None:
        self.locks = ExitStack()
        self.archives = Archives(
            store=self.world.store,
            limit=self.limit,
            now=lambda: self.api_clock.now(),  # noqa: PLW0108 - which is made at its first use
            wait=lambda _: None,
            logger=LOGGER,
        )
        self._left = self.accident.crash_at
        self._pages = self.accident.pages
        self._events = iter(self.accident.events)
        self._rejected: set[str] = set()
        self._states = 0
        self.is_complete = False

    def messages(self) -> Iterator[None]:
        """Run it, page by page; between two pages, another run may go on."""
        self.world.store.step = self.step
        streams = [OneStream(self, spec) for spec in self.specs]
        on_missing_state = self.settings.on_missing_state
        StreamOrder(streams, on_missing_state, LOGGER).start()  # type: ignore[arg-type]
        failures: list[TapJoboError] = []
        for stream in streams:
            try:
                for _ in stream.read():
                    yield
                    self.world.store.step = self.step
            except TapJoboError as error:
                if error.ends_run:
                    raise
                failures.append(error)
        if failures:
            raise failures[0]
        self.is_complete = all(stream.is_complete for stream in streams)

    def outcome(self) -> TapJoboError | None:
        """Run it, and return the error that ended it, None also for a crash."""
        with suppress(CrashError):
            try:
                for _ in self.messages():
                    pass
            except TapJoboError as error:
                return error
        return None

    def check(self) -> None:
        if self.step():
            raise CrashError

    def step(self) -> bool:
        self._left -= 1
        return self._left == -1

    def write_state(self, stream: str, state: dict[str, Any]) -> None:
        self.check()
        self._states += 1
        assert self._states < 300, "the run never ends"
        assert not self.world.store.in_flight
        self.state = self.state | {stream: state}
        self.take({"type": "STATE", "value": self.state})
        self.check()

    # In place of the client.

    logger = LOGGER

    def fetch(
        self,
        request: dict[str, Any],
        *,
        rows: int = 0,
        cost: FeedCost | None = None,
        feed: FeedSpec | None = None,
        any_status: bool = False,
    ) -> ApiResponse:
        if any_status:
            return ApiResponse(b"", 404, self.world.api.headers())
        assert rows == request["batch_size"]
        assert cost
        assert feed
        assert request.get("cursor") not in self._rejected, "a rejected cursor is sent again"
        if self._pages == 0:
            raise BudgetReachedError
        self._pages -= 1
        cost.reserve(rows)
        self.check()
        if event := next(self._events, None):
            event(self.world)
        try:
            return self.world.api.answer(request)
        except RejectedError:
            self._rejected.add(request["cursor"])
            raise

    @cached_property
    def api_clock(self) -> ApiClock:
        return read_api_clock(
            self,  # type: ignore[arg-type]
            lambda _path: SimpleNamespace(headers={}),  # type: ignore[arg-type, return-value]
            self.world.clock,
        )


class OneStream:
    """A stream of a run."""

    def __init__(self, run: OneRun, spec: FeedSpec) -> None:
        self._run = run
        self._world = run.world
        self._spec = spec
        self._key = run.settings.key(spec)
        self._started: set[str] = set()
        self._start = SyncStart(
            spec=spec,
            config={**run.settings.filters, **asdict(run.settings)},
            clock=lambda: run.api_clock,
            logger=LOGGER,
            is_full_table=run.settings.is_full_table,
        )
        self.is_complete = False

    # What the order of a run takes of a stream.

    is_read = True
    first_state: StreamState | None = None

    def check_selection(self) -> None:
        """Nothing is selected."""

    def check_settings(self) -> None:
        """There is no limit."""

    def open(self) -> None:
        state = read_state(self._run.state.get(self._spec.name, {}), self._spec)
        self._archive = self._run.locks.enter_context(self._run.archives.open(self._key))
        self.state = recover_state(state, self._archive.history, self._start)
        if not self._run.settings.is_full_table:
            self.first_state = self.state

    def check_state(self) -> Sequence[str]:
        self._start.check(self.state, self._archive.history)
        return ()

    def record_decision(self) -> None:
        self._start.record_decision(self.state, self._archive.history)

    def read(self) -> Iterator[None]:
        """Read the stream, page by page."""
        run, name = self._run, self._spec.name
        budget = Budget(logger=LOGGER)
        cost = FeedCost(budget, self._spec)
        cost.month = self._archive.month
        self._reader = FeedReader(
            spec=self._spec,
            client=run,  # type: ignore[arg-type]
            prepare=lambda _path, body, _method: {**body, "stream": name},  # type: ignore[arg-type, return-value]
            cost=cost,
            clock=run.api_clock,
            row_type=CONVERTER.row_type,
        )
        report = Report(stream=name, count_rows=lambda: 0, budget=budget, cost=cost, logger=LOGGER)
        sync = FeedSync(
            start=self._start,
            state=self.state,
            archive=self._archive,
            reader=self,  # type: ignore[arg-type]
            converter=CONVERTER,
            report=report,
            check=self._check,
        )
        try:
            yield from self._deliver(sync)
        finally:
            if not isinstance(sys.exception(), CrashError | GeneratorExit):
                assert self._archive.month
                self._archive.month.settle(cost.credits)
                self._archive.remove_unused()
        self.is_complete = report.is_complete

    def _deliver(self, sync: FeedSync) -> Iterator[None]:
        run, name = self._run, self._spec.name
        for delivery in sync.pages():
            assert not self._world.store.in_flight, "rows are out before the page is stored"
            for row in delivery.records:
                run.check()
                run.take({"type": "RECORD", "stream": name, "record": row})
            before, self.state = self.state, delivery.state
            if before.bookmark:
                assert self.state.bookmark, "the bookmark is gone"
                assert self.state.bookmark >= before.bookmark, "the bookmark moved back"
            run.write_state(name, self.state.as_raw("updated_at"))
            yield

    def _check(self) -> None:
        self._run.check()
        self._archive.check_lock()

    # In place of the reader.

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def fetch_page(self, sync: Sync) -> TapPage:
        if self._run.is_alone:
            self._check_that_page_is_not_stored(sync)
        billed = len(self._world.api.pages)
        fetched = self._reader.fetch_page(sync)
        page = self._world.api.pages[billed]
        page.sync = sync
        self._world.store.in_flight = page
        self._world.billed()
        self._run.check()
        return fetched

    def _check_that_page_is_not_stored(self, sync: Sync) -> None:
        self._started.add(sync.id)
        contents = Contents(self._world.store)
        completed = contents.completed(self._key.name)
        for kept in contents.syncs(self._key.name).values():
            pages = {self._world.store.pages[kept.page_name(number)] for number in kept.pages}
            assert kept.sync.id != sync.id or sync.cursor not in {
                page.request.get("cursor") for page in pages
            }, "billed again though it is stored"
            can_be_resumed = (
                not sync.cursor
                and 1 in kept.pages
                and kept.sync.id not in self._started
                and (kept.sync.parent_id, kept.sync.is_full) == (sync.parent_id, sync.is_full)
                and (kept.sync.since, kept.sync.added) == (sync.since, sync.added)
                and kept.sync.selected == sync.selected
                and sync.replaces in ("", kept.sync.replaces)
                and not (sync.is_full and completed and kept.sync.number <= completed.number)
            )
            assert not can_be_resumed, "begun again though a stored sync could be resumed"
