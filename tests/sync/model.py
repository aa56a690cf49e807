"""What the models of the promises share: a world around the installed tap, and what it must not do.

The tap runs as a process against the sandbox, over HTTP, on an archive in a folder or a bucket. It
dies at any step (see `mortal_tap`), its target has some or none of what it wrote, states and
archives get lost, copied, and restored, rows change while it runs, and the user does what the
messages say. The world counts, without the rules by which the tap decides:

- After a complete run, a warehouse has the newest version of every row that its settings ask for,
  but for those since a gap that this run has told of.
- A version of a row that the warehouse has, or the archive, is billed again only if it changed
  since a run that read all of it began, or since the sync that bought it did. Else an order, an
  answer, or a warning with a price has allowed it.
- A page is lost only with a run that was killed or fenced.
- No run refuses again for a reason that its message has ended, and none asks for what was read.
- No month costs more than `max_credits_per_month`, also if that is set later.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, settings

from jobo_sandbox import Fault, Hold, Sandbox
from jobo_sandbox.ledger import Entry as Request
from tap_jobo.archive import layout
from tap_jobo.archive.entries import DamagedEntryError, decode_entry
from tap_jobo.archive.files import check_line
from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.model import ArchiveFile, EntryHeader, Order
from tap_jobo.records.values import ERASED
from tap_jobo.streams.career_sites import CAREER_SITES
from tests.support import ARCHIVE_COMMAND, Run, Tap, execute
from tests.support.crash import parse, wait_for
from tests.support.places import Files, Folders, Objects, Place
from tests.support.s3 import serve_s3
from tests.support.target import Message, Row, Target
from tests.support.warm import _fork

MODEL = settings(
    max_examples=10,
    stateful_step_count=12,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
"""How much of a model's world the tests try; `just explore` tries more of it, at random."""
FEWER = settings(MODEL, max_examples=3)
"""For the same world in a bucket."""
NEVER: Final = -1
COUNTRIES: Final = ("DE", "FR", "US")
STREAM: Final = "career_sites"
START: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
HEAL: Final = timedelta(days=7).total_seconds()
"""How far an archive may be behind a warehouse and still buy what it lacks."""
_MORTAL_TAP: Final = str(Path(__file__).parents[1] / "support/mortal_tap.py")
_SINCE: Final = re.compile(r"missing since (\S+Z)")
_MEMORY: Final = Path("/dev/shm")
"""A folder in memory, where there is one: a killed process loses nothing that it has written."""

Version = tuple[str, str]
"""The id of a row, and the name that it has in this version."""


# What an archive holds


@dataclass(frozen=True)
class Held:
    """What an archive holds, as far as it can be read: by number, headers, and versions of rows."""

    headers: dict[int, EntryHeader]
    pages: dict[int, frozenset[Version]]
    order: Order | None = None

    def newer_than(self, time: str) -> set[Version]:
        """Return the versions of the entries that came later than a time."""
        numbers = [number for number, header in self.headers.items() if header.time > time]
        return set().union(*(self.pages[number] for number in numbers))

    @property
    def head(self) -> int:
        """The number of the last entry that can be read, 0 without one."""
        return max(self.headers, default=0)


@lru_cache(maxsize=10_000)
def _decode(number: int, content: bytes) -> tuple[EntryHeader, frozenset[Version]]:
    entry = decode_entry(number, lambda: content)
    rows = json.loads(entry.body).get("career_sites", []) if entry.body else []
    return entry.header, frozenset((row["id"], row["name"]) for row in rows if row != ERASED)


def hold(files: Files) -> Held:
    """Read the files of an archive."""
    held, order = Held({}, {}), None
    for name, content in files.items():
        if f"/{STREAM}/" not in name:
            continue
        if name.endswith("/archive.json"):
            order = msgspec.json.decode(check_line(content), type=ArchiveFile).order
        if match := layout.PAGE.fullmatch(name):
            number = int(match["number"])
            with suppress(DamagedEntryError):
                held.headers[number], held.pages[number] = _decode(number, content)
    return replace(held, order=order)


# The pipelines


@dataclass(frozen=True)
class Settings:
    """What the user sets for a pipeline."""

    countries: tuple[str, ...] = ()
    start_date: str | None = None
    on_filter_change: str = "error"
    batch_size: int = 2
    lookback_minutes: int = 0

    @property
    def lookback(self) -> float:
        return 60.0 * self.lookback_minutes

    @property
    def rows(self) -> tuple[frozenset[str], str]:
        """What selects the rows."""
        return frozenset(self.countries), self.start_date or ""

    def covers(self, other: Settings) -> bool:
        """Return whether these ask for all rows that others ask for."""
        is_wide = not self.countries or (
            other.countries and {*other.countries} <= {*self.countries}
        )
        return bool(is_wide) and self.rows[1] <= other.rows[1]

    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "on_filter_change": self.on_filter_change,
            "batch_size": self.batch_size,
            "lookback_minutes": self.lookback_minutes,
        }
        if self.countries:
            config["country_codes"] = [*self.countries]
        if self.start_date:
            config["start_date"] = self.start_date
        return config


@dataclass(frozen=True)
class Reading:
    """Rows that were read: for which settings, and when the reading began."""

    settings: Settings
    began: float


@dataclass(frozen=True)
class Known:
    """What is true of a state, whatever it says.

    Attributes:
        versions: The versions of rows that it covers.
        bought: Of these, those that the pipeline has bought itself.
        done: The runs before it that were complete.
    """

    versions: frozenset[Version] = frozenset()
    bought: Mapping[Version, Reading] = field(default_factory=dict)
    done: tuple[Reading, ...] = ()


@dataclass
class Pipeline:
    """A warehouse with its state.

    Attributes:
        name: Of the pipeline.
        archive: The name of its archive.
        settings: Its settings.
        target: The warehouse, and the state.
        known: What is true of the state.
        given: What is true of the state that its last run was given.
        past: Earlier states, with what is true of them, and the table of their time.
        answer: What the user has set for a question, until a run is complete.
        warned: The gaps that a WARNING has told of.
    """

    name: str
    archive: str = "shared"
    settings: Settings = field(default_factory=Settings)
    target: Target = field(default_factory=lambda: Target(merges_states=True, state={}))
    known: Known = field(default_factory=Known)
    given: Known = field(default_factory=Known)
    past: list[tuple[dict[str, Any], Known, dict[str, Row]]] = field(default_factory=list)
    answer: str = ""
    warned: set[str] = field(default_factory=set)

    @property
    def position(self) -> dict[str, Any]:
        """The stream's part of the state, empty without one."""
        return stream_part(self.target.state)

    @property
    def versions(self) -> set[Version]:
        """The versions in the warehouse."""
        return {(key, row["name"]) for key, row in self.target.rows.items()}

    def lose_state(self) -> None:
        self.target.state, self.known = {}, Known()


def utc(seconds: float) -> str:
    """Return a time as the tap writes it."""
    return format_timestamp(datetime.fromtimestamp(seconds, UTC))


def seconds_of(timestamp: str) -> float:
    return parse_timestamp(timestamp).timestamp()


def stream_part(state: dict[str, Any] | None) -> dict[str, Any]:
    part: dict[str, Any] = (state or {}).get("bookmarks", {}).get(STREAM, {})
    return part


@dataclass(frozen=True)
class Accident:
    """How a run goes wrong.

    Attributes:
        die_at: The step at which it dies.
        signal: Of what.
        pages: After how many pages its limit is reached.
        states_lost: How many of its last states do not arrive.
        is_ahead: Whether the rows behind the last state that arrives are stored.
        events: What happens while the n-th page is requested.
    """

    die_at: int = NEVER
    signal: str = "SIGKILL"
    pages: int | None = None
    states_lost: int = 0
    is_ahead: bool = False
    events: Sequence[Callable[[World], object]] = ()


FINE: Final = Accident()


@dataclass
class ApiRow:
    """A row of the API: its version, its country, and when each version came."""

    version: int
    country: str
    times: dict[str, float]

    @property
    def changed_at(self) -> float:
        return self.times[str(self.version)]


@dataclass
class Page:
    """A page that was served.

    Attributes:
        request: The request.
        names: The current versions of all rows.
        began: When its sync began, None if that is unknown.
        done: The runs of the archive that were complete by then.
    """

    request: Request
    names: dict[str, str]
    began: float | None
    done: tuple[Reading, ...]

    @property
    def versions(self) -> frozenset[Version]:
        rows = self.request.row_ids
        return frozenset((key, self.names[key]) for key in rows if key in self.names)


@dataclass
class Running:
    """A run in progress.

    Attributes:
        number: Counts the runs.
        pipe: Its pipeline.
        settings: Its settings.
        began: When it began.
        is_off: Whether it runs without the archive.
        has_state: Whether it has a state.
        loaded_until: When the last page came that its state covers.
        known: What is true of that.
        output: What it writes.
        log: What it logs.
        events: What happens while it requests its pages.
        held: What the archive had when it began, or when it got the lock.
        waits_for_lock: Whether another run may have bought pages since it was started.
        pages: The pages that were served.
    """

    number: int
    pipe: Pipeline
    settings: Settings
    began: float
    is_off: bool
    has_state: bool
    loaded_until: str
    known: Known
    output: Path
    log: Path
    events: Iterator[Callable[[World], object]]
    held: Held
    waits_for_lock: bool = False
    pages: list[Page] = field(default_factory=list)
    process: Any = None

    @property
    def is_over(self) -> bool:
        """Whether the process has ended."""
        return self.process.exitcode is not None


class World:
    """The API, the archives, the pipelines, and the user.

    Attributes:
        place: Holds the archives.
        pipelines: By name.
        time: The true time, in Unix seconds.
        skew: Seconds that the local clock is ahead of it.
        rows: The rows of the API by id.
        is_calm: Whether all archives are as the runs have left them.
        has_allowed: Whether anything may ever have been billed again.
        has_kept: Whether an answer was ever to leave rows unbought.
        choices: What the user chooses where a message offers several ways.
        allowed: The versions that may be billed again, by the archive and whether it is off.
        credit: How many rows more may be, because a message has said so, by the archive.
        done: The complete runs of each archive.
        bought: What each version was bought for last.
        erased: The last version of each row that was erased.
        limit: That of each month, in credits, None if there is none.
    """

    def __init__(self, place: Place, folder: Path, names: Sequence[str] = ("prod",)) -> None:
        self.place, self.folder = place, folder
        self.pipelines = {name: Pipeline(name) for name in names}
        self.time = START.timestamp()
        self.skew = 0.0
        self.rows: dict[str, ApiRow] = {}
        self.keys: list[str] = []
        self.is_calm = True
        self.has_allowed = self.has_kept = False
        self.choices: Iterator[int] = cycle([0])
        self.allowed: dict[tuple[str, bool], set[Version]] = defaultdict(set)
        self.credit: Counter[str] = Counter()
        self.done: dict[str, list[Reading]] = defaultdict(list)
        self.bought: dict[Version, Reading] = {}
        self.erased: dict[str, int] = {}
        self.limit: int | None = None
        self._unlimited: Counter[str] = Counter()  # what each month had cost when it was set
        self._uncounted = 0  # credits of requests that no run had counted by then
        self._decided: set[str] = set()  # archives of which a decision is not carried out
        self._copies: list[tuple[str, Files, set[Version]]] = []
        self._orders: dict[str, tuple[Order, float]] = {}  # and when it was given, by the archive
        self._billed_at: dict[tuple[str, str], float] = {}  # by the archive and the row
        self._log: list[str] = []
        self._archives = self._suspended = self._runs = 0
        self._running: dict[int, Running] = {}
        self.sandbox = Sandbox(
            size=0,
            seed=1,
            clock=lambda: self.time,
            created_at=START,
            before_page=self._before_page,
        )
        self._clock = folder / "time"
        self.pass_time(0)

    def note(self, text: str) -> None:
        self._log.append(text)

    def require(self, condition: object, text: str) -> None:
        if not condition:
            self.note(text)
        assert condition, "\n".join(self._log)

    # The API

    def pass_time(self, seconds: float) -> None:
        self.time += seconds
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(f"{self.time:.3f}", "ascii")
        fresh.replace(self._clock)

    def touch(self, number: int) -> None:
        """Change the row of this number, or add one.

        Rows of added filters are bought first, and then what changed of all: a row may be in both.
        """
        self._touch(number)
        for name in self._decided:
            for is_off in (False, True):
                self.allowed[name, is_off] |= self.versions - self.bought.keys()

    def _touch(self, number: int) -> None:
        """Change a row; each change may take it to another country."""
        self.pass_time(1)
        if number >= len(self.keys):
            country = COUNTRIES[len(self.keys) % len(COUNTRIES)]
            key = self.sandbox.world.add(name="1", country_code=country)
            self.keys.append(key)
            self.rows[key] = ApiRow(1, country, {"1": self.time})
            return
        row = self.rows[key := self.keys[number]]
        row.version += 1
        row.times[str(row.version)] = self.time
        row.country = COUNTRIES[(number + row.version // 2) % len(COUNTRIES)]
        self.sandbox.world.touch(key, name=str(row.version), country_code=row.country)

    @property
    def versions(self) -> set[Version]:
        """The current versions of all rows."""
        return {(key, str(row.version)) for key, row in self.rows.items()}

    def changed_at(self, version: Version) -> float:
        """Return when a version came."""
        key, name = version
        return self.rows[key].times[name]

    def wanted(self, settings: Settings, until: float) -> set[Version]:
        """Return the versions that settings ask for, of rows that changed before a time."""
        start = seconds_of(settings.start_date) if settings.start_date else 0
        return {
            (key, str(row.version))
            for key, row in self.rows.items()
            if start <= row.changed_at < until
            and (not settings.countries or row.country in settings.countries)
            and row.version > self.erased.get(key, 0)
        }

    def _before_page(self, request: Request) -> None:
        """Let something happen, and note what a page will have."""
        running = self._running[int(request.headers["x-run"])]
        last = running.pages[-1].began if running.pages else None
        began = last if request.cursor else self.time
        self.pass_time(1)
        if running.waits_for_lock:  # for another run, whose pages it has loaded by now
            running.waits_for_lock = False
            running.held = self.held(running.pipe.archive)
        if event := next(running.events, None):
            event(self)
        names = {key: str(row.version) for key, row in self.rows.items()}
        done = tuple(self.done[running.pipe.archive])
        running.pages.append(Page(request, names, began, done))

    # One run

    def start(  # noqa: PLR0913 - each is a way to run
        self,
        pipe: Pipeline,
        accident: Accident = FINE,
        *,
        is_fresh: bool = False,
        is_off: bool = False,
        is_full: bool = False,
        waits: float = 0,
    ) -> Running:
        """Start a run of a pipeline.

        Args:
            pipe: The pipeline.
            accident: How it goes wrong.
            is_fresh: Whether it gets no state.
            is_off: Whether it runs without the archive.
            is_full: Whether the archive has no room.
            waits: Seconds that it waits for each second by its clock.
        """
        self._runs += 1
        self.is_calm &= not is_off
        state = None if is_fresh else (pipe.target.state or None)
        choice = pipe.answer or pipe.settings.on_filter_change
        pipe.given = pipe.known if state else Known()
        running = Running(
            number=self._runs,
            pipe=pipe,
            settings=replace(pipe.settings, on_filter_change=choice),
            began=self.time,
            is_off=is_off,
            has_state=bool(stream_part(state)),
            loaded_until=stream_part(state).get("time", ""),
            known=pipe.given,
            output=self.folder / f"{self._runs}.output",
            log=self.folder / f"{self._runs}.log",
            events=iter(accident.events),
            held=Held({}, {}) if is_off else self.held(pipe.archive),
        )
        self._running[running.number] = running
        config = running.settings.config()
        if self.limit is not None and not is_off:
            config["max_credits_per_month"] = self.limit
        if accident.pages is not None:
            config["max_credits"] = max(1, accident.pages) * running.settings.batch_size * 50
        if is_off:
            config["archive"] = False
        tap = Tap(self.sandbox, self.folder, {"archive_dir": self.place.location(pipe.archive)})
        command = tap.command(state=state, settings=config)
        env = tap.environment(
            {
                **self.place.env,
                "TEST_RUN": str(running.number),
                "TEST_TIME": str(self._clock),
                "TEST_SKEW": str(self.skew),
                "TEST_WAITS": str(waits),
                "TEST_DIE_AT": str(accident.die_at),
                "TEST_SIGNAL": accident.signal,
                **({"TEST_FULL": "1"} if is_full else {}),
            }
        )
        with running.output.open("wb") as output, running.log.open("wb") as log:
            streams = output.fileno(), log.fileno()
            running.process = _fork([_MORTAL_TAP, *command[1:]], env, None, streams)
        return running

    def finish(self, running: Running, accident: Accident = FINE) -> Run:
        """Wait until a run is over, give the target what it wrote, and check it."""
        running.process.join(120)
        code = running.process.exitcode
        assert code is not None, "the run never ends"
        run = Run(code, running.output.read_text("utf-8"), running.log.read_text("utf-8"))
        running.output.unlink()
        running.log.unlink()
        wait_for(lambda: self.sandbox.open_requests <= self._suspended)  # it may still be billed
        self.note(self._describe(running, run, accident))
        if code == -9:
            self.place.release_locks()
        else:
            self.require(code in (0, 1, 128 + 2, 128 + 15), run.stderr)
            self.require("tap-bug" not in run.codes("CRITICAL"), run.stderr)
        if self.is_calm:
            unexpected = {"archive-behind"} | (set() if self.has_kept else {"gap"})
            self.require(not unexpected & {*run.codes("WARNING")}, run.stderr)
        self._note_pages(running, run)
        self._deliver(running, parse(run.stdout.splitlines(keepends=True)), accident)
        if self.is_calm:
            self._check_state(running.pipe)
            self._check_months()
        gap = self._note_gap(running.pipe, run)
        if is_complete(run) and not accident.states_lost:
            until = running.began - running.settings.lookback
            self._check_rows(running.pipe, self.wanted(running.settings, until), gap)
            self._note_done(running)
        return run

    def run(self, pipe: Pipeline, accident: Accident = FINE, **how: Any) -> Run:
        """Run a pipeline to its end."""
        return self.finish(self.start(pipe, accident, **how), accident)

    def _deliver(self, running: Running, messages: list[Message], accident: Accident) -> None:
        """Let the target store what a run wrote."""
        pipe, before = running.pipe, running.pipe.versions
        states = [n for n, message in enumerate(messages) if message["type"] == "STATE"]
        kept = states[: max(0, len(states) - accident.states_lost)]
        pipe.target.receive(messages, states_lost=accident.states_lost, is_ahead=accident.is_ahead)
        if kept:
            rows = [
                each["record"]
                for each in messages[: kept[-1]]
                if each["type"] == "RECORD" and each["stream"] == STREAM
            ]
            new = {(row["id"], row["name"]) for row in rows}
            bought = {
                version: Reading(running.settings, page.began)
                for page in running.pages
                for version in page.versions & new
                if page.began is not None
            }
            known = running.known
            pipe.known = Known(known.versions | new, {**known.bought, **bought}, known.done)
        table = dict(pipe.target.rows)
        for key, name in before if self.is_calm else ():
            self.require(int(table[key]["name"]) >= int(name), "a row has become older")
        pipe.past.append((deepcopy(pipe.target.state), pipe.known, table))

    def _note_done(self, running: Running) -> None:
        """Note a complete run, which has carried out an order for its settings."""
        pipe, reading = running.pipe, Reading(running.settings, running.began)
        if not pipe.position:  # it found no row, and has read nothing
            return
        pipe.known = replace(pipe.known, done=(*pipe.known.done, reading))
        if running.is_off:
            return
        self.done[pipe.archive].append(reading)
        self._decided.discard(pipe.archive)
        order, given_at = self._orders.get(pipe.archive, (None, 0))
        countries, start = running.settings.rows
        if order is None or order.start != start or given_at > running.began:
            return
        if frozenset(order.filters.get("country_codes", ())) != countries:
            return
        del self._orders[pipe.archive]
        for version in self.wanted(running.settings, given_at) if self.is_calm else ():
            is_due = utc(self.changed_at(version)) >= (order.since or "")
            is_bought = self._billed_at.get((pipe.archive, version[0]), 0) >= given_at
            self.require(is_bought or not is_due, f"{order} was not carried out for {version}")

    def _describe(self, running: Running, run: Run, accident: Accident) -> str:
        codes = [code for code in run.codes("CRITICAL") + run.codes("WARNING") if code]
        how = (" off" if running.is_off else "") + ("" if running.has_state else " without a state")
        rows = sum(len(page.versions) for page in running.pages)
        return (
            f"{running.began - START.timestamp():.0f}: run {running.number} of {running.pipe.name}"
            f"{how}, {running.settings} -> {run.returncode} {codes}, {rows} rows billed, "
            f"{len(run.records)} written; {running.pipe.archive} had 1..{running.held.head}; "
            f"{accident}"
            if run.returncode >= 0
            else f"run {running.number} of {running.pipe.name}{how}, {running.settings} is killed, "
            f"{rows} rows billed; {running.pipe.archive} had 1..{running.held.head}; {accident}"
        )

    # What may be billed

    def held(self, name: str) -> Held:
        """Return what an archive holds now."""
        return hold(self.place.files(name))

    def allow(self, name: str) -> None:
        """Let every row be billed once more: the user has decided so for an archive."""
        self.has_allowed = True
        self._decided.add(name)
        for is_off in (False, True):
            self.allowed[name, is_off] = self.versions

    def _allow_again(self) -> None:
        """What the user has once allowed may be done again from an earlier place."""
        if self.has_allowed:
            for name in {pipe.archive for pipe in self.pipelines.values()}:
                self.allow(name)

    def _note_prices(self, name: str, run: Run) -> None:
        """Allow what the warnings of a run say is billed again."""
        for text in run.messages_of("WARNING", "sync-restarted"):
            (cost,) = re.findall(r"\$([\d.]*\d)", text)
            self.credit[name] += round(float(cost) * 1_000 / CAREER_SITES.list_price)
        for text in run.messages_of("WARNING", "archive-behind"):
            if "again (" in text:  # what the archive lacks, which goes on if the run is killed
                new = {each for each in self.versions if self.changed_at(each) > self.time - HEAL}
                self.allowed[name, False] |= new
                self.allowed[name, True] |= new

    def _note_pages(self, running: Running, run: Run) -> None:
        """Check what a run was billed for."""
        name = running.pipe.archive
        self._note_prices(name, run)
        allowed = self.allowed[name, running.is_off]
        lost = self._lost_pages(running, is_whole=run.returncode == 0)
        excess: set[Version] = set()
        billed: dict[Version, float | None] = {}
        for page in running.pages:
            again = {each for each in page.versions if self._is_again(running, page, each, billed)}
            excess |= again - allowed
            if page in lost:  # it is billed once more
                continue
            allowed -= again
            for version in page.versions:
                billed[version] = page.began
                if page.began is not None:
                    self.bought[version] = Reading(running.settings, page.began)
                if not running.is_off:
                    self._billed_at[name, version[0]] = self.time
        self.credit[name] -= len(excess)
        self.require(self.credit[name] >= 0, f"billed again: {excess}")

    def _lost_pages(self, running: Running, *, is_whole: bool) -> list[Page]:
        """Return the page in flight of a run that did not end well."""
        if running.is_off:
            return [] if is_whole else running.pages[-1:]
        held = self.held(running.pipe.archive)
        new = [held.pages[number] for number in held.pages if number > running.held.head]
        lost = [page for page in running.pages if page.versions and page.versions not in new]
        self.require(len(lost) <= (not is_whole), f"pages are lost: {lost}")
        return lost

    def _is_again(
        self, running: Running, page: Page, version: Version, billed: Mapping[Version, float | None]
    ) -> bool:
        """Return whether a version is billed again that need not be.

        If the archive has been touched, what is newer in it than the state counts as known.
        """
        is_whole = self.is_calm or not running.has_state
        since = "" if is_whole else running.loaded_until
        loaded = running.held.newer_than(since)
        if version not in running.known.versions | loaded | billed.keys():
            return False
        done = page.done if self.is_calm else running.known.done
        limits = [each.began for each in done if each.settings.covers(running.settings)]
        last = self.bought.get(version)
        if last and not self.is_calm and not (version in loaded and utc(last.began) > since):
            last = running.known.bought.get(version)
        if last and last.settings.rows == running.settings.rows:
            limits.append(last.began)
        limits += [each for each in [billed.get(version)] if each is not None]
        slack = 2 * running.settings.lookback + max(0, -self.skew) + 2  # by whole seconds
        return any(self.changed_at(version) < limit - slack for limit in limits)

    @property
    def _bills(self) -> Counter[str]:
        """What each month has cost, by the sandbox."""
        bills: Counter[str] = Counter()
        for request in self.sandbox.ledger:
            bills[f"{request.time:%Y-%m}"] += request.credits
        return bills

    def set_limit(self, credits_: int) -> None:
        """Set the limit of each month, after runs without one."""
        self.limit, self._unlimited = credits_, self._bills
        held = self.held("shared")
        counted = held.headers[held.head].spent if held.headers else {}
        self._uncounted = self._unlimited.total() - sum(counted.values())
        self.note(f"the limit is {credits_}, and {self._uncounted} credits are not counted")

    def _check_months(self) -> None:
        if self.limit is None:
            return
        for month, bill in self._bills.items():
            most = max(self.limit + self._uncounted, self._unlimited[month])
            self.require(bill <= most, f"{month} costs {bill}")

    # What must have arrived

    def _note_gap(self, pipe: Pipeline, run: Run) -> float | None:
        """Return since when rows may be missing by what a run tells, None if none are."""
        warned = run.messages_of("WARNING", "gap")
        told = warned + [text for text in run.lines("INFO") if "still be missing" in text]
        gaps = [found[1] if (found := _SINCE.search(text)) else "" for text in told]
        pipe.warned |= {*gaps[: len(warned)]}
        if not told:
            return None
        self.require({*gaps} <= pipe.warned, f"{pipe.name} was not warned of the gap: {told}")
        self.require(not self.is_calm or self.has_kept, f"a gap without a cause: {told}")
        since = min(gaps)
        return seconds_of(since) if since else 0

    def _check_rows(self, pipe: Pipeline, wanted: set[Version], gap: float | None) -> None:
        missing = wanted - pipe.versions
        told = {each for each in missing if gap is not None and self.changed_at(each) >= gap}
        self.require(missing <= told, f"{pipe.name} lacks {missing - told}, its gap is {gap}")

    def _check_state(self, pipe: Pipeline) -> None:
        """Check that a warehouse has all that the archive has up to the place of its state."""
        newest: dict[str, int] = {}
        for number, versions in self.held(pipe.archive).pages.items():
            for key, name in versions if number <= pipe.position.get("offset", 0) else ():
                newest[key] = max(newest.get(key, 0), int(name))
        for key, version in newest.items():
            has = int(pipe.target.rows.get(key, {"name": "0"})["name"])
            is_there = has >= version or version <= self.erased.get(key, 0)
            self.require(is_there, f"{pipe.name} has {has} of {key}, not {version}, at its state")

    # The user

    def attempt(self, pipe: Pipeline, accident: Accident = FINE, **how: Any) -> bool:
        """Run, and do what an error says. Return whether the first run was good and complete."""
        run = self.run(pipe, accident, **how)
        is_good = self._note_end(pipe, run, accident)
        refused: list[str] = []
        while run.returncode == 1 and run.codes("CRITICAL")[-1] != "output-closed":
            code, text = run.codes("CRITICAL")[0], run._logged("CRITICAL")[0]
            reason = text if code == "archive-damaged" else code  # there may be several pages
            self.require(reason not in refused, f"refused again: {refused} {run.stderr}")
            refused.append(reason)
            how = {"is_fresh": how.get("is_fresh", False)} | self._follow(pipe, code, text)
            run = self.run(pipe, **how)
            self._note_end(pipe, run, FINE)
        return is_good

    def _note_end(self, pipe: Pipeline, run: Run, accident: Accident) -> bool:
        is_good = is_complete(run) and not accident.states_lost
        if is_good:
            pipe.answer = ""
        return is_good

    def _follow(self, pipe: Pipeline, code: str, text: str) -> dict[str, Any]:
        """Do what an error asks the user to do; return how the next run is started."""
        self.note(f"  {pipe.name} is told: {text}")
        ways: dict[str, Callable[[Pipeline, str], dict[str, Any]]] = {
            "filters-changed": self._answer,
            "archive-lacks-rows": self._answer,
            "archive-damaged": self._drop_damaged,
            "cursor-rejected": self._restart_sync,
            "archive-unusable": lambda _pipe, _text: {},
            "run-in-progress": lambda _pipe, _text: {},
        }
        is_unexpected = code in {"archive-damaged", "archive-lacks-rows"}
        self.require(code in ways and not (self.is_calm and is_unexpected), text)
        return ways[code](pipe, text)

    def _answer(self, pipe: Pipeline, text: str) -> dict[str, Any]:
        """Choose one of the ways out of a question."""
        self.require("nothing billed" in text, text)
        done = self.done[pipe.archive] if self.is_calm else pipe.given.done
        has_read = any(each.settings.covers(pipe.settings) for each in done)
        self.require(not has_read, "it asks for what was read")
        way = ("resync", "keep", "no-state", "own")[next(self.choices)]
        if way == "keep" and "=keep " in text:
            self.has_kept = True
            pipe.answer = "keep"
        elif way == "no-state" and "without a state" in text:
            pipe.lose_state()
            return {"is_fresh": False}
        elif way == "own":
            self._archives += 1
            pipe.archive, self.is_calm = f"own-{self._archives}", False
        elif way == "no-state" and " state " in text and self._has_everything(pipe):
            pipe.target.state = json.loads(self.command(text, "state"))
            pipe.known = Known(frozenset(pipe.versions))
            return {"is_fresh": False}
        pipe.answer = pipe.answer or "resync"
        self.allow(pipe.archive)
        return {}

    def _has_everything(self, pipe: Pipeline) -> bool:
        return self.versions <= pipe.versions

    def _restart_sync(self, pipe: Pipeline, text: str) -> dict[str, Any]:
        self.allow(pipe.archive)
        self.command(text, "restart")
        return {}

    def _drop_damaged(self, _pipe: Pipeline, text: str) -> dict[str, Any]:
        """Drop the page that a message names."""
        self.command(text, "drop")
        return {}

    def command(self, text: str, name: str) -> str:
        """Run the command that a message shows; return its output."""
        shown = [shlex.split(each) for each in re.findall(r"`([^`]+)`", text)]
        command = next(each for each in shown if name in each)
        run = self._archive_command(command[1:])
        self.require(run.returncode == 0, run.stderr)
        return run.stdout

    def _archive_command(self, arguments: Sequence[str]) -> Run:
        yes = ["--yes"] if {"restart", "drop"} & {*arguments} else []
        environment = Tap(self.sandbox, self.folder).environment(self.place.env)
        run = execute([str(ARCHIVE_COMMAND), *arguments, *yes], environment)
        self.note(f"tap-jobo-archive {' '.join(arguments[2:])} -> {run.stdout or run.stderr}")
        return run

    def _command_on(self, name: str, *arguments: str) -> Run:
        return self._archive_command(["--archive-dir", self.place.location(name), *arguments])

    def restart(self, name: str, *options: str) -> None:
        """Order to buy an archive again, which may be refused."""
        run = self._command_on(name, "restart", STREAM, *options)
        if run.returncode:
            reasons = r"Nothing was changed|There is no archive|\[archive-damaged\]"
            self.require(re.search(reasons, run.stderr), run.stderr)
            return
        self.allow(name)
        order = self.held(name).order
        assert order
        self._orders.pop(name, None)
        if order.over is None:
            self._orders[name] = order, self.time

    def drop(self, name: str, place: int) -> None:
        """Drop a page of an archive."""
        if headers := self.held(name).headers:
            self.is_calm = False
            run = self._command_on(name, "drop", STREAM, str(sorted(headers)[place % len(headers)]))
            self.require(run.returncode == 0, run.stderr)

    def erase(self, name: str, number: int) -> None:
        """Erase a row from an archive, and from the warehouses."""
        if not (self.keys and self.held(name).headers):
            return
        key = self.keys[number % len(self.keys)]
        run = self._command_on(name, "erase", key)
        if run.returncode:
            self.require(re.search(r"archive-damaged|No page", run.stderr), run.stderr)
            return
        self.erased[key] = self.rows[key].version
        for pipe in self.pipelines.values():
            pipe.target.rows.pop(key, None)
            for _, _, table in pipe.past:
                table.pop(key, None)

    def damage(self, name: str, place: int, byte: int) -> None:
        """Change a byte of a page."""
        files = self.place.files(name)
        if pages := [each for each in sorted(files) if layout.PAGE.fullmatch(each)]:
            self.is_calm = False
            page = pages[place % len(pages)]
            content = bytearray(files[page])
            content[byte % len(content)] ^= 1
            self.place.write(name, {**files, page: bytes(content)})
            self.note(f"{page} of {name} is damaged")

    # Two runs at once

    def run_beside(
        self,
        pipe: Pipeline,
        page: int,
        meanwhile: Callable[[], object],
    ) -> Run:
        """Suspend a run before one of its pages, beyond its lease, and let something happen."""
        hold = Hold()
        running = self.start(pipe)
        request = self._hold_request(running, page, hold)
        if request:
            self.place.release_locks()
            self._suspended += 1
            meanwhile()
            self._suspended -= 1
            hold.release()
        return self.finish(running)

    def run_after(self, pipe: Pipeline, other: Pipeline, page: int) -> Run:
        """Let a run wait for the lock of another one, which is within a page."""
        hold = Hold()
        first = self.start(pipe)
        is_held = self._hold_request(first, page, hold)
        second = self.start(other, waits=0.005)
        second.waits_for_lock = True
        if is_held:
            wait_for(
                lambda: "Another run is buying" in second.log.read_text("utf-8") or second.is_over
            )
            hold.release()
        self.finish(first)
        run = self.finish(second)
        is_fenced = "run-in-progress" in run.codes("CRITICAL")
        self.require(not is_fenced, "it has not waited, or has not looked again")
        self.pass_time(600)  # as its clock says, for which the wait took no time
        return run

    def pause(self, pipe: Pipeline, step: int, meanwhile: Callable[[], object]) -> None:
        """Stop a run at a step, and let something happen. In a folder, it keeps its lock."""
        running = self.start(pipe, Accident(step, "SIGSTOP"))
        running.waits_for_lock = True
        wait_for(lambda: running.is_over or _is_stopped(running.process.pid))
        self._suspended += not running.is_over
        meanwhile()
        if not running.is_over:
            self._suspended -= 1
            os.kill(running.process.pid, signal.SIGCONT)
        run = self.finish(running)
        is_fenced = "run-in-progress" in run.codes("CRITICAL")
        self.require(self.place.env or not is_fenced, "it has not looked again")

    def _hold_request(self, running: Running, page: int, hold: Hold) -> bool:
        """Hold the request for a page; return whether the run has sent it before it ended."""
        number = str(running.number)
        left = [page]

        def is_page(request: Request) -> bool:
            left[0] -= request.headers.get("x-run") == number
            return left[0] < 0

        self.sandbox.faults.add(Fault(hold=hold), when=is_page)
        wait_for(lambda: hold._arrived.done() or running.is_over)
        if not hold._arrived.done():
            self.sandbox.faults.clear()
        return hold._arrived.done()

    def load_new_warehouse(self, beside: Pipeline, accident: Accident = FINE) -> None:
        """Load another warehouse of a pipeline's settings; it asks only what that could, too."""
        laptop = Pipeline("laptop", beside.archive, settings=beside.settings)
        self.run(laptop, accident, is_fresh=True)
        run = self.run(laptop)
        if run.returncode == 1:
            self._follow(laptop, run.codes("CRITICAL")[0], run._logged("CRITICAL")[0])

    # What happens to states and archives

    def restore_state(self, pipe: Pipeline, back: int, *, keeps_rows: bool) -> None:
        """Go back to an older state, of the pipeline alone or of the warehouse, too."""
        if not pipe.past:
            return
        back = back % len(pipe.past)
        state, pipe.known, table = pipe.past[-1 - back]
        pipe.target.state = deepcopy(state)
        self._allow_again()
        if not keeps_rows:
            pipe.target.tables[STREAM] = dict(table)
            del pipe.past[len(pipe.past) - back :]
        self.note(f"{pipe.name} is back by {back} states, with its rows: {keeps_rows}")

    def lose_archive(self, name: str) -> None:
        self.is_calm = False
        self.place.write(name, {})
        self._allow_again()
        self.note(f"archive {name} is lost")

    def copy_archive(self, name: str) -> None:
        files = self.place.files(name)
        files = {name: content for name, content in files.items() if not name.endswith(".tmp")}
        self._copies.append((name, files, set(self.allowed[name, False])))
        self.note(f"archive {name} is copied as {len(self._copies)}")

    def restore_archive(self, back: int) -> None:
        if not self._copies:
            return
        self.is_calm = False
        name, files, allowed = self._copies[-1 - back % len(self._copies)]
        self.place.write(name, files)
        self.allowed[name, False] |= allowed
        self._allow_again()
        self.note(f"archive {name} is restored to 1..{hold(files).head}")

    def change_settings(self, pipe: Pipeline | None = None, **changes: Any) -> None:
        """Change the settings of a pipeline, or of all."""
        for each in [pipe] if pipe else self.pipelines.values():
            before, each.settings = each.settings, replace(each.settings, **changes)
            if before.rows != each.settings.rows:
                each.answer = ""
            if each.settings.on_filter_change != "error":
                self.allow(each.archive)
            self.has_kept |= each.settings.on_filter_change == "keep"

    # The end

    def settle(self) -> None:
        """All accidents end; each pipeline runs until two runs in a row were good."""
        self.note("the world comes to rest")
        self.limit = None
        self.change_settings(on_filter_change="error")
        for pipe in [*self.pipelines.values()] * 2:  # again, as it may ask for what others bought
            self._run_until_good(pipe)
        for _ in range(2):  # nothing changes, so in the end, nothing is billed
            for pipe in self.pipelines.values():
                self.pass_time(pipe.settings.lookback + abs(self.skew) + 10)
                billed = self.sandbox.rows_billed
                self.require(self.attempt(pipe), "a run is not complete")
        self.require(self.sandbox.rows_billed == billed, "billed although nothing has changed")

    def _run_until_good(self, pipe: Pipeline) -> None:
        good = 0
        for _ in range(20):
            good = good + 1 if self.attempt(pipe) else 0
            if good == 2:
                return
        self.require(False, f"no two good runs of {pipe.name} in 20")  # noqa: FBT003


def _is_stopped(pid: int) -> bool:
    with suppress(OSError):  # it has just ended
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "T"
    return False


def is_complete(run: Run) -> bool:
    """Return whether a run ended well, and left nothing to buy."""
    return run.returncode == 0 and "sync complete" in run.summaries.get(STREAM, "")


@contextmanager
def new_world(*, is_in_bucket: bool, names: Sequence[str] = ("prod",)) -> Iterator[World]:
    """Make a world, and remove it at the end."""
    with ExitStack() as stack:
        memory = _MEMORY if _MEMORY.is_dir() else None
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory)))
        place: Place = Folders(root / "archives")
        if is_in_bucket:
            place = Objects(stack.enter_context(serve_s3()), root.name)
        world = World(place, root, names)
        stack.enter_context(world.sandbox)
        yield world
