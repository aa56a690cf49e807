"""What the models of the promises share: a world around the installed tap, and what it must not do.

The tap runs as a process against the sandbox, over HTTP, on an archive in a folder or a bucket. It
dies at any step (see `mortal_tap`), its target has some or none of what it wrote, states and
archives get lost, copied, and restored, rows change while it runs, and the user does what the
messages say. The world counts, without the rules by which the tap decides:

- No row version is billed that the archive or the state has, unless it changed since the bookmark
  and the lookback before it, the user has allowed it, or the state was ahead of its archive.
- Every warehouse has each row that its state says it has, but for a gap that was noted.
- No run refuses again for a reason that its message has ended.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from hypothesis import HealthCheck, settings
from obstore.store import S3Store

from jobo_sandbox import Fault, Hold, Sandbox
from jobo_sandbox.ledger import Entry as Request
from tap_jobo.archive import layout
from tap_jobo.archive.entries import DamagedEntryError, decode_entry
from tap_jobo.archive.files import check_line
from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.model import ArchiveFile, EntryHeader
from tap_jobo.streams.career_sites import CAREER_SITES
from tests.support import ARCHIVE_COMMAND, Run, Tap, execute
from tests.support.crash import parse, wait_for
from tests.support.s3 import S3, serve_s3
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
_MORTAL_TAP: Final = [
    sys.executable,
    "-P",
    str(Path(__file__).parents[1] / "support/mortal_tap.py"),
]
_MEMORY: Final = Path("/dev/shm")
"""A folder in memory, where there is one: a killed process loses nothing that it has written."""

Version = tuple[str, str]
"""The id of a row, and the name that it has in this version."""
Files = dict[str, bytes]


# The places that hold archives


class Place(Protocol):
    """Holds archives, each under a name."""

    env: dict[str, str]

    def location(self, name: str) -> str:
        """Return the setting `archive_dir`."""

    def files(self, name: str) -> Files:
        """Return all files of an archive."""

    def write(self, name: str, files: Files) -> None:
        """Replace all files of an archive."""

    def release_locks(self) -> None:
        """Let a minute pass, so that a killed run holds no lease."""


@dataclass
class Folders:
    """A folder for each archive."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    def location(self, name: str) -> str:
        return str(self.root / name)

    def files(self, name: str) -> Files:
        top = self.root / name
        paths = [path for path in sorted(top.rglob("*")) if path.is_file()]
        return {str(path.relative_to(top)): path.read_bytes() for path in paths}

    def write(self, name: str, files: Files) -> None:
        shutil.rmtree(self.root / name, ignore_errors=True)
        for file, content in files.items():
            path = self.root / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def release_locks(self) -> None:
        """The operating system has released them."""


class Objects:
    """A prefix in a bucket for each archive."""

    def __init__(self, s3: S3, prefix: str) -> None:
        self.env = s3.env
        self._s3, self._prefix = s3, prefix
        self._store: S3Store = s3.store
        self._known: dict[tuple[str, str | None], bytes] = {}

    def location(self, name: str) -> str:
        return f"s3://{self._s3.bucket}/{self._prefix}/{name}"

    def files(self, name: str) -> Files:
        top = f"{self._prefix}/{name}"
        found = self._store.list(top).collect()
        return {each["path"].removeprefix(f"{top}/"): self._read(each) for each in found}

    def _read(self, meta: Any) -> bytes:
        key = meta["path"], meta["e_tag"]
        if key not in self._known:
            self._known[key] = bytes(self._store.get(meta["path"]).bytes())
        return self._known[key]

    def write(self, name: str, files: Files) -> None:
        top = f"{self._prefix}/{name}"
        if old := [each["path"] for each in self._store.list(top).collect()]:
            self._store.delete(old)
        for file, content in files.items():
            self._store.put(f"{top}/{file}", content)

    def release_locks(self) -> None:
        found = [each["path"] for each in self._store.list(self._prefix).collect()]
        if leases := [path for path in found if "/leases/" in path]:
            self._store.delete(leases)


# What an archive holds


@dataclass(frozen=True)
class Held:
    """What an archive holds, as far as it can be read.

    Attributes:
        file: The content of `archive.json`, None if there is none.
        headers: The headers of its entries, by number.
        pages: The versions of the rows of each entry.
    """

    file: ArchiveFile | None
    headers: dict[int, EntryHeader]
    pages: dict[int, frozenset[Version]]

    @property
    def id(self) -> str:
        return self.file.id if self.file else ""

    @property
    def versions(self) -> set[Version]:
        return set().union(*self.pages.values())

    @property
    def last(self) -> EntryHeader | None:
        """The header of the last entry."""
        return self.headers[max(self.headers)] if self.headers else None


@lru_cache(maxsize=10_000)
def _decode(number: int, content: bytes) -> tuple[EntryHeader, frozenset[Version]]:
    entry = decode_entry(number, lambda: content)
    rows = json.loads(entry.body).get("career_sites", []) if entry.body else []
    return entry.header, frozenset((row["id"], row["name"]) for row in rows)


def hold(files: Files, stream: str = STREAM) -> Held:
    """Read the files of a stream's archive."""
    held = Held(None, {}, {})
    files = {name: files[name] for name in files if name.startswith(f"{layout.TOP}/{stream}-")}
    for name, content in files.items():
        if name.endswith("/archive.json"):
            held = replace(held, file=msgspec.json.decode(check_line(content), type=ArchiveFile))
    first = held.file.first if held.file else 1
    for name, content in files.items():
        if (match := layout.PAGE.fullmatch(name)) and int(match["number"]) >= first:
            number = int(match["number"])
            with suppress(DamagedEntryError):
                held.headers[number], held.pages[number] = _decode(number, content)
    return held


# The pipelines


@dataclass(frozen=True)
class Settings:
    """What the user sets for all pipelines."""

    countries: tuple[str, ...] = ()
    start_date: str | None = None
    on_filter_change: str = "error"
    batch_size: int = 2
    lookback_minutes: int = 0

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


@dataclass
class Saved:
    """A state, with the versions of rows that it covers, and the table of its time."""

    state: dict[str, Any]
    has: frozenset[Version]
    rows: dict[str, Row]


@dataclass
class Pipeline:
    """A warehouse with its state.

    Attributes:
        name: Of the pipeline.
        archive: The name of its archive.
        catalog: What it selects, None for the career sites.
        target: The warehouse, and the state.
        has: The versions of rows that the state covers.
        past: Earlier states.
        answer: What the user has set for a question, until a sync is complete.
        has_seen_gap: Whether a run has warned of a gap.
    """

    name: str
    archive: str = "shared"
    catalog: dict[str, Any] | None = None
    target: Target = field(default_factory=lambda: Target(merges_states=True, state={}))
    has: frozenset[Version] = frozenset()
    past: list[Saved] = field(default_factory=list)
    answer: str = ""
    has_seen_gap: bool = False

    @property
    def position(self) -> dict[str, Any]:
        """The stream's part of the state, empty without one."""
        return stream_part(self.target.state)

    def lose_state(self) -> None:
        self.target.state, self.has = {}, frozenset()


def utc(seconds: float) -> str:
    """Return a time as the tap writes it."""
    return format_timestamp(datetime.fromtimestamp(seconds, UTC))


def stream_part(state: dict[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = state.get("bookmarks", {}).get(STREAM, {})
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
    """A row of the API: how often it has changed, when it last did, and its country."""

    version: int
    changed_at: float
    country: str


@dataclass
class Running:
    """A run in progress, and what it may be billed for.

    Attributes:
        number: Counts the runs.
        pipe: Its pipeline.
        filters: The filters and the start date of its settings.
        is_off: Whether it runs without the archive.
        is_full: Whether the archive has no room.
        covered: The versions that its state covers.
        output: What it writes.
        log: What it logs.
        state: What it is given.
        events: What happens while it requests its pages.
        archived: The versions that the archive has, or had before it was adopted.
        bookmark: The newest one that the run has shown so far.
        archive_id: The id of the archive before the run.
        has_waited: Whether another run may have bought pages since it was started.
        billed: The versions that were billed.
        is_cut_short: Whether it did not end well.
    """

    number: int
    pipe: Pipeline
    filters: tuple[Any, ...]
    is_off: bool
    is_full: bool
    covered: frozenset[Version]
    output: Path
    log: Path
    state: dict[str, Any] | None
    events: Iterator[Callable[[World], object]]
    archived: set[Version] = field(default_factory=set)
    bookmark: str | None = None
    archive_id: str = ""
    has_waited: bool = False
    billed: set[Version] = field(default_factory=set)
    is_cut_short: bool = False
    process: Any = None
    _read: int = 0

    @property
    def is_over(self) -> bool:
        """Whether the process has ended."""
        return self.process.exitcode is not None

    def note_output(self) -> None:
        """Take up the last state that was written so far."""
        with self.output.open("rb") as file:
            file.seek(self._read)
            content = file.read()
        complete = content[: content.rfind(b"\n") + 1]
        self._read += len(complete)
        for line in reversed(complete.splitlines()):
            if b'"STATE"' in line[:20]:
                part = stream_part(json.loads(line)["value"])
                self.bookmark = part.get("replication_key_value")
                break


class World:
    """The API, the archives, the pipelines, and the user.

    Attributes:
        place: Holds the archives.
        pipelines: By name.
        settings: Of all pipelines.
        time: The true time, in Unix seconds.
        skew: Seconds that the local clock is ahead of it.
        rows: The rows of the API by id.
        is_calm: Whether all archives are as the runs have left them.
        has_allowed: Whether anything may ever have been billed again.
        has_changed_filters: Whether they have ever changed.
        has_strays: Whether a state may be of no archive, or of another one.
        choices: What the user chooses where a message offers several ways.
        allowed: The versions that may be billed again, by the archive and whether it is off.
        credit: How many rows more may be, because a message has said so, by the archive.
        gaps: The versions that may be missing.
        kills: How many runs were killed.
    """

    def __init__(self, place: Place, folder: Path, names: Sequence[str] = ("prod",)) -> None:
        self.place, self.folder = place, folder
        self.pipelines = {name: Pipeline(name) for name in names}
        self.settings = Settings()
        self.time = START.timestamp()
        self.skew = 0.0
        self.rows: dict[str, ApiRow] = {}
        self.keys: list[str] = []
        self.is_calm = True
        self.has_allowed = self.has_changed_filters = self.has_strays = False
        self.choices: Iterator[int] = cycle([0])
        self.allowed: dict[tuple[str, bool], set[Version]] = defaultdict(set)
        self.credit: Counter[str] = Counter()
        self.gaps: set[Version] = set()
        self.kills = self.runs = 0
        self.copies: list[tuple[str, Files, set[Version]]] = []
        self.log: list[str] = []
        self._origins: dict[str, frozenset[Version]] = {}  # what adopted archives had, by id
        self._bookmarks: dict[str, str | None] = {}  # by the id of an entry
        self._filters: dict[str, tuple[Any, ...]] = {}  # of the last sync, by the archive
        self._seen_runs: set[str] = set()  # those of entries
        self._archives = self._suspended = 0
        self._runs: dict[int, Running] = {}
        self._served: dict[int, tuple[Running, dict[str, str], float | None]] = {}
        self.sandbox = Sandbox(
            size=0,
            seed=1,
            clock=lambda: self.time,
            created_at=START,
            before_page=self._before_page,
        )
        self._clock = folder / "time"
        self._tick(0)

    # The API

    def _tick(self, seconds: float) -> None:
        self.time += seconds
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(f"{self.time:.3f}", "ascii")
        fresh.replace(self._clock)

    def touch(self, number: int) -> None:
        """Change the row of this number, or add one; each change may take it to another country."""
        self._tick(1)
        if number >= len(self.keys):
            country = COUNTRIES[len(self.keys) % len(COUNTRIES)]
            key = self.sandbox.world.add(name="1", country_code=country)
            self.keys.append(key)
            self.rows[key] = ApiRow(1, self.time, country)
            return
        row = self.rows[key := self.keys[number]]
        row.version, row.changed_at = row.version + 1, self.time
        row.country = COUNTRIES[(number + row.version // 2) % len(COUNTRIES)]
        self.sandbox.world.touch(key, name=str(row.version), country_code=row.country)

    def pass_time(self, seconds: float) -> None:
        self._tick(seconds)

    def version(self, key: str) -> Version:
        """Return the current version of a row."""
        return key, str(self.rows[key].version)

    @property
    def versions(self) -> set[Version]:
        """The current versions of all rows."""
        return {self.version(key) for key in self.rows}

    def matching(self, countries: Sequence[str], start_date: str | None) -> list[str]:
        """Return the rows that these settings select."""
        start = parse_timestamp(start_date).timestamp() if start_date else 0
        return [
            key
            for key, row in self.rows.items()
            if row.changed_at >= start and (not countries or row.country in countries)
        ]

    def _before_page(self, request: Request) -> None:
        """Let something happen, and note what a page will have, and what the run may know then."""
        running = self._runs[int(request.headers["x-run"])]
        self._tick(1)
        if running.has_waited:  # for another run, whose pages it has loaded by now
            running.has_waited = False
            self._see(running)
        if event := next(running.events, None):
            event(self)
        running.note_output()
        bookmark = parse_timestamp(running.bookmark).timestamp() if running.bookmark else None
        names = {key: str(row.version) for key, row in self.rows.items()}
        self._served[id(request)] = running, names, bookmark

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
        **more: Any,
    ) -> Running:
        """Start a run of a pipeline.

        Args:
            pipe: The pipeline.
            accident: How it goes wrong.
            is_fresh: Whether it gets no state.
            is_off: Whether it runs without the archive.
            is_full: Whether the archive has no room.
            waits: Seconds that it waits for each second by its clock.
            more: Further settings.
        """
        self.runs += 1
        self.is_calm &= not (is_off or is_full)
        self.has_strays |= is_off and (is_fresh or not pipe.target.state)
        state = None if is_fresh else (pipe.target.state or None)
        running = Running(
            number=self.runs,
            pipe=pipe,
            filters=(self.settings.countries, self.settings.start_date),
            is_off=is_off,
            is_full=is_full,
            covered=frozenset() if is_fresh else pipe.has,
            output=self.folder / f"{self.runs}.output",
            log=self.folder / f"{self.runs}.log",
            state=deepcopy(state),
            events=iter(accident.events),
        )
        self._see(running)
        self._runs[running.number] = running
        config = (
            replace(
                self.settings, on_filter_change=pipe.answer or self.settings.on_filter_change
            ).config()
            | more
        )
        if accident.pages is not None:
            config["max_credits"] = max(1, accident.pages) * self.settings.batch_size * 50
        if is_off:
            config["archive"] = False
        tap = Tap(self.sandbox, self.folder, {"archive_dir": self.place.location(pipe.archive)})
        command = tap.command(state=state, catalog=pipe.catalog, settings=config)
        arguments = [*_MORTAL_TAP[2:], *command[1:]]
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
            running.process = _fork(arguments, env, None, (output.fileno(), log.fileno()))
        return running

    def finish(self, running: Running, accident: Accident = FINE) -> Run:
        """Wait until a run is over, give the target what it wrote, and check what was billed."""
        running.process.join(120)
        code = running.process.exitcode
        assert code is not None, "the run never ends"
        text, log = running.output.read_text("utf-8"), running.log.read_text("utf-8")
        running.output.unlink()
        running.log.unlink()
        wait_for(lambda: self.sandbox.open_requests <= self._suspended)  # it may still be billed
        run = Run(code, text, log)
        pipe, messages = running.pipe, parse(text.splitlines(keepends=True))
        if code == -9:
            self.kills += 1
            self.place.release_locks()
        else:
            assert code in (0, 1, 128 + 2, 128 + 15), log
            assert "tap-bug" not in run.codes("CRITICAL"), log
        self._note_states(running, messages)
        self._note_adoption(running)
        self._note_warnings(pipe, run)
        running.is_cut_short = code != 0
        excess = self._note_pages(running)
        self.log.append(self._describe(running, run, accident))
        self.credit[pipe.archive] -= len(excess)
        assert self.credit[pipe.archive] >= 0, f"billed again: {excess}"
        self._deliver(pipe, running, messages, accident)
        self._check_rows(pipe)
        return run

    def run(self, pipe: Pipeline, accident: Accident = FINE, **how: Any) -> Run:
        """Run a pipeline to its end."""
        return self.finish(self.start(pipe, accident, **how), accident)

    def _see(self, running: Running) -> None:
        """Take up what the archive and the state of a run have now."""
        held, pipe = self.held(running.pipe.archive), running.pipe
        running.bookmark = pipe.position.get("replication_key_value") if running.state else None
        if running.is_off:
            return
        running.archived, running.archive_id = self.known(held), held.id
        if held.file:
            running.bookmark = self._bookmark_of(held, held.file)

    def _bookmark_of(self, held: Held, file: ArchiveFile) -> str | None:
        """Return the newest bookmark that an archive is known to have."""
        last = held.last
        if last is None:
            return file.origin.position.bookmark if file.origin else None
        known = None if last.is_dropped else self._bookmarks.get(last.id)
        return known or last.before.bookmark

    def _note_states(self, running: Running, messages: list[Message]) -> None:
        """Take up the bookmark of each entry whose state was written."""
        if running.is_off or running.is_full:  # their states may have more than their entry
            return
        states = (message["value"] for message in messages if message["type"] == "STATE")
        for part in filter(None, map(stream_part, states)):
            if part["entry"]:
                self._bookmarks.setdefault(part["entry"], part["replication_key_value"])

    def _note_adoption(self, running: Running) -> None:
        """Take up what an archive had that was adopted by this run."""
        file = self.held(running.pipe.archive).file
        if file and file.origin and file.id not in self._origins:
            self._origins[file.id] = running.covered

    def _note_warnings(self, pipe: Pipeline, run: Run) -> None:
        for text in run.messages_of("WARNING", "sync-restarted"):
            (cost,) = re.findall(r"\$([\d.]*\d)", text)
            self.credit[pipe.archive] += round(float(cost) * 1_000 / CAREER_SITES.list_price)
        pipe.has_seen_gap |= "gap" in run.codes("WARNING")
        if self.is_calm:
            unexpected = {"archive-adopted", "archive-empty", "archive-behind"}
            unexpected |= set() if self.has_changed_filters else {"gap"}
            assert not unexpected & {*run.codes("WARNING")}, run.stderr

    def _deliver(
        self, pipe: Pipeline, running: Running, messages: list[Message], accident: Accident
    ) -> None:
        """Let the target store what a run wrote."""
        states = [n for n, message in enumerate(messages) if message["type"] == "STATE"]
        kept = states[: max(0, len(states) - accident.states_lost)]
        before = dict(pipe.target.rows)
        pipe.target.receive(messages, states_lost=accident.states_lost, is_ahead=accident.is_ahead)
        if kept:
            records = (each for each in messages[: kept[-1]] if each.get("stream") == STREAM)
            rows = [each["record"] for each in records if each["type"] == "RECORD"]
            pipe.has = running.covered | {(row["id"], row["name"]) for row in rows}
        state, table = deepcopy(pipe.target.state), dict(pipe.target.rows)
        for key, row in before.items() if self.is_calm else ():
            assert int(table[key]["name"]) >= int(row["name"]), "a row has become older"
        pipe.past.append(Saved(state, pipe.has, table))

    def _describe(self, running: Running, run: Run, accident: Accident) -> str:
        codes = [code for code in run.codes("CRITICAL") + run.codes("WARNING") if code]
        held, name = self.held(running.pipe.archive), running.pipe.archive
        where = f"{held.id[-4:]} {min(held.headers, default=0)}..{max(held.headers, default=0)}"
        how = " off" if running.is_off else " full" if running.is_full else ""
        given = "no state" if running.state is None else _short(running.state)
        return (
            f"run of {running.pipe.name}{how} ({given}) -> {run.returncode} {codes}, "
            f"{len(running.billed)} rows billed, {len(run.stdout.splitlines())} lines; "
            f"archive {name} {where}; {accident}"
        )

    # What may be billed

    def held(self, name: str, stream: str = STREAM) -> Held:
        """Return what an archive holds now."""
        return hold(self.place.files(name), stream)

    def known(self, held: Held) -> set[Version]:
        """Return the versions that an archive has, or had when it was adopted."""
        return held.versions | self._origins.get(held.id, frozenset())

    def allow(self, name: str) -> None:
        """Let every row be billed once more: the user has decided so for an archive."""
        self.has_allowed = True
        for is_off in (False, True):
            self.allowed[name, is_off] = self.versions

    def allow_all(self) -> None:
        """The same for all archives."""
        for name in {pipe.archive for pipe in self.pipelines.values()}:
            self.allow(name)

    def _note_pages(self, running: Running) -> list[Version]:
        """Return the versions that a run was billed for without a reason.

        Its last page may be in flight: it is not in the archive, and is billed once more.
        """
        held, name = self.held(running.pipe.archive), running.pipe.archive
        excess: list[Version] = []
        new: set[Version] = set()
        used: set[Version] = set()
        allowed = self.allowed[name, running.is_off]
        known = running.archived | running.covered
        ahead = running.covered - running.archived
        if running.is_off or held.id != running.archive_id:
            ahead = frozenset()  # the run goes on from its state alone, or the archive does
        mine = [
            each
            for each in self.sandbox.feed_requests
            if id(each) in self._served and self._served[id(each)][0] is running
        ]
        pages = 0
        for request in mine:
            _, names, bookmark = self._served.pop(id(request))
            if not (request.cursor or running.is_off):
                self._filters[name] = running.filters
            allowed -= used  # of the page before
            excess += new
            page = {(key, names[key]) for key in request.row_ids}
            pages += bool(page)
            since = None if bookmark is None else bookmark - self.lookback
            recent = {each for each in page if since is not None and self._is_recent(each, since)}
            again = (page & (known | running.billed)) - recent - ahead
            used = again & allowed
            new = again - used
            running.billed |= page
        if not (running.is_cut_short and self._count_new_pages(held) < pages):
            allowed -= used
            excess += new
        return excess

    def _count_new_pages(self, held: Held) -> int:
        """Return how many pages with rows the last run has added to an archive."""
        runs = {header.run for header in held.headers.values()} - self._seen_runs
        self._seen_runs |= runs
        return sum(held.headers[n].run in runs for n in held.headers if held.pages[n])

    @property
    def lookback(self) -> float:
        return 60.0 * self.settings.lookback_minutes

    def _is_recent(self, version: Version, since: float) -> bool:
        """Return whether a version has come, or has gone again, since a time."""
        key, name = version
        row = self.rows[key]
        return row.changed_at >= since or name != str(row.version)

    # What must have arrived

    def _check_rows(self, pipe: Pipeline) -> None:
        """Check that the warehouse has what its state says it has.

        A full sync in progress will bring everything: a new warehouse has no more.
        """
        part = pipe.position
        if not part.get("replication_key_value") or part["sync"]["kind"] == "full":
            return
        bookmark = parse_timestamp(part["replication_key_value"]).timestamp()
        countries, start = part["filters"]["country_codes"] or (), part["start_date"]
        wanted = {
            self.version(key)
            for key in self.matching(countries, start)
            if self.rows[key].changed_at < bookmark
        }
        self._check_missing(pipe, wanted)

    def _check_missing(self, pipe: Pipeline, wanted: set[Version]) -> None:
        missing = wanted - {(key, row["name"]) for key, row in pipe.target.rows.items()}
        assert missing <= self.gaps, f"{pipe.name} lacks {missing - self.gaps}"
        is_noted = pipe.position.get("gap") or pipe.has_seen_gap
        assert not missing or is_noted, f"{pipe.name} lacks {missing}, and nothing has noted it"

    # The user

    def attempt(self, pipe: Pipeline, accident: Accident = FINE, **how: Any) -> bool:
        """Run, and do what an error says. Return whether the run was good and complete."""
        run = self.run(pipe, accident, **how)
        if run.returncode == 0:
            return self._note_success(pipe, run, accident)
        refused: list[str] = []
        while run.returncode == 1 and run.codes("CRITICAL")[-1] != "output-closed":
            code, text = run.codes("CRITICAL")[0], run._logged("CRITICAL")[0]
            reason = text if code == "archive-damaged" else code  # there may be several pages
            assert reason not in refused, f"refused again: {refused} {run.stderr}"
            refused.append(reason)
            how = {"is_fresh": how.get("is_fresh", False)} | self._follow(pipe, code, text)
            run = self.run(pipe, **how)
            if run.returncode == 0:
                self._note_success(pipe, run, FINE)
        return False

    def _note_success(self, pipe: Pipeline, run: Run, accident: Accident) -> bool:
        is_complete = "sync complete" in run.summaries.get(STREAM, "")
        if is_complete and not accident.states_lost:
            pipe.answer = ""
        return is_complete and not accident.states_lost

    def _follow(self, pipe: Pipeline, code: str, text: str) -> dict[str, Any]:
        """Do what an error asks the user to do; return how the next run is started."""
        self.log.append(f"  {pipe.name} is told: {text}")
        ways: dict[str, Callable[[Pipeline, str], dict[str, Any]]] = {
            "filters-changed": self._answer,
            "other-filters": self._answer_other_filters,
            "archive-incomplete": self._complete_archive,
            "other-archive": self._leave_archive,
            "archive-damaged": self._drop_damaged,
            "cursor-rejected": self._restart,
            "archive-unusable": lambda _pipe, _text: {},
            "run-in-progress": lambda _pipe, _text: {},
        }
        assert not (self.is_calm and code == "archive-damaged"), text
        # An archive that was restored, or off for a night, refuses nobody.
        is_whole = not (self.has_strays or self._origins)
        assert not (is_whole and code in {"archive-incomplete", "other-archive"}), text
        return ways[code](pipe, text)

    def _answer(self, pipe: Pipeline, text: str) -> dict[str, Any]:
        """Set `on_filter_change`, or change the filters back to those of the last sync."""
        assert "nothing billed" in text
        way = ("resync", "keep", "back")[next(self.choices)]
        last = self._filters.get(pipe.archive)
        if way == "back" and last and self.is_calm:
            self.change_settings(countries=last[0], start_date=last[1])
            return {}
        is_kept = way == "keep" and "[filters-changed]" in text
        pipe.answer = "keep" if is_kept else "resync"
        if is_kept and "=keep " in text:  # if it is not offered, both are alike
            self.gaps |= self.versions - self.known(self.held(pipe.archive))
        self.allow(pipe.archive)
        return {}

    def _answer_other_filters(self, pipe: Pipeline, text: str) -> dict[str, Any]:
        if next(self.choices):
            return self._own_archive(pipe)
        if "=resync " not in text:  # with the state, it is asked whatever the answer is
            pipe.answer = "resync"
            self.allow(pipe.archive)
            return {"is_fresh": True}
        return self._answer(pipe, text)

    def _own_archive(self, pipe: Pipeline) -> dict[str, Any]:
        self._archives += 1
        pipe.archive = f"own-{self._archives}"
        self.is_calm, self.has_strays = False, True
        if self.has_allowed:
            self.allow(pipe.archive)
        return {}

    def _complete_archive(self, pipe: Pipeline, text: str) -> dict[str, Any]:
        held = self.held(pipe.archive)
        assert held.file
        assert held.file.origin, "the archive has all from the beginning"
        warehouse = {(key, row["name"]) for key, row in pipe.target.rows.items()}
        earlier = self._origins[held.id] & self.versions
        if earlier <= warehouse and next(self.choices):
            printed = self.command(text, "state")
            pipe.target.state = json.loads(printed)
            pipe.has = self._origins[held.id]
            return {"is_fresh": False}
        self.command(text, "restart")
        self.allow(pipe.archive)
        return {}

    def _leave_archive(self, pipe: Pipeline, text: str) -> dict[str, Any]:
        if "without a state" in text.lower() and next(self.choices):
            pipe.lose_state()
            return {}
        return self._own_archive(pipe)

    def _restart(self, pipe: Pipeline, text: str) -> dict[str, Any]:
        self.command(text, "restart")
        self.allow(pipe.archive)
        return {}

    def _drop_damaged(self, pipe: Pipeline, text: str) -> dict[str, Any]:
        """Drop the page that a message names, after the one before it if that is damaged, too."""
        found = re.search(r"drop career_sites (\d+)", text)
        assert found, text
        number = int(found[1])
        while "Drop it first" in self._drop(pipe.archive, number).stderr:
            number -= 1
        if number < int(found[1]):
            assert self._drop(pipe.archive, int(found[1])).returncode == 0
        return {}

    def command(self, text: str, name: str) -> str:
        """Run the command that a message shows; return its output."""
        shown = [shlex.split(each) for each in re.findall(r"`([^`]+)`", text)]
        (command,) = (each for each in shown if name in each)
        run = self._archive_command(command[1:])
        assert run.returncode == 0, run.stderr
        return run.stdout

    def _archive_command(self, arguments: Sequence[str]) -> Run:
        yes = ["--yes"] if "restart" in arguments else []
        environment = Tap(self.sandbox, self.folder).environment(self.place.env)
        run = execute([str(ARCHIVE_COMMAND), *arguments, *yes], environment)
        self.log.append(f"tap-jobo-archive {' '.join(arguments[2:])} -> {run.stdout or run.stderr}")
        return run

    def restart(self, name: str, since: str | None = None) -> None:
        """Order to buy an archive again, which may be refused."""
        option = [] if since is None else ["--since", since]
        place = ["--archive-dir", self.place.location(name)]
        run = self._archive_command([*place, "restart", STREAM, *option])
        if run.returncode == 0:
            self.allow(name)
        else:
            reasons = r"Nothing was changed|There is no archive|\[archive-damaged\]"
            assert re.search(reasons, run.stderr), run.stderr

    def drop(self, name: str, place: int) -> None:
        """Drop a page of an archive. The rows of any but the last one may be missing from then."""
        held = self.held(name)
        if not held.headers:
            return
        self.is_calm = False
        number = sorted(held.headers)[place % len(held.headers)]
        self.gaps |= held.pages[number]
        run = self._drop(name, number)
        assert run.returncode == 0 or "Drop it first" in run.stderr, run.stderr

    def _drop(self, name: str, number: int) -> Run:
        location = self.place.location(name)
        return self._archive_command(
            ["--archive-dir", location, "drop", STREAM, str(number), "--yes"]
        )

    def damage(self, name: str, place: int, byte: int) -> None:
        """Change a byte of a page, whose rows may be missing once it is dropped."""
        files = self.place.files(name)
        pages = [each for each in sorted(files) if layout.PAGE.fullmatch(each)]
        if not pages:
            return
        self.is_calm = False
        page = pages[place % len(pages)]
        number = int(Path(page).stem)
        self.gaps |= self.held(name).pages.get(number, frozenset())
        content = bytearray(files[page])
        content[byte % len(content)] ^= 1
        self.place.write(name, {**files, page: bytes(content)})
        self.log.append(f"page {number} of {name} is damaged")

    # Two runs at once

    def run_beside(
        self,
        pipe: Pipeline,
        page: int,
        meanwhile: Callable[[], object],
        *,
        keeps_lock: bool = False,
        **how: Any,
    ) -> Run:
        """Suspend a run before one of its pages, beyond its lease, and let something happen."""
        hold = Hold()
        running = self.start(pipe, **how)
        request = self._hold_request(running, page, hold)
        if request:
            if not keeps_lock:
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
        second.has_waited = True
        if is_held:
            wait_for(
                lambda: "Another run is buying" in second.log.read_text("utf-8") or second.is_over
            )
            hold.release()
        self.finish(first)
        run = self.finish(second)
        self.pass_time(600)  # as its clock says, for which the wait took no time
        return run

    def load_new_warehouse(self, archive: str, accident: Accident = FINE) -> None:
        """Load another warehouse from an archive; it must get all, and free, if it gets any.

        The archive of a pipeline that went on from its state may refuse.
        """
        pipe = Pipeline("laptop", archive)
        self.run(pipe, accident, is_fresh=True)
        if pipe.target.state is None or not pipe.position:
            pipe.lose_state()
        run = self.run(pipe)
        if run.returncode == 0 and "sync complete" in run.summaries.get(STREAM, ""):
            return  # and `finish` has checked its rows
        code = run.codes("CRITICAL")[0]
        may_be_refused = {"other-filters", "filters-changed", "cursor-rejected"}
        if not self.is_calm:
            may_be_refused |= {"archive-incomplete", "archive-damaged"}
        assert code in may_be_refused, run.stderr

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

    # What happens to states and archives

    def restore_state(self, pipe: Pipeline, back: int, *, keeps_rows: bool) -> None:
        """Go back to an older state, of the pipeline alone or of the warehouse, too."""
        if not pipe.past:
            return
        back = back % len(pipe.past)
        saved = pipe.past[-1 - back]
        pipe.target.state, pipe.has = deepcopy(saved.state), saved.has
        self._allow_again()
        if not keeps_rows:
            pipe.target.tables[STREAM] = dict(saved.rows)
            del pipe.past[len(pipe.past) - back :]
        self.log.append(f"{pipe.name} is back at {_short(pipe.target.state)}")

    def lose_archive(self, name: str) -> None:
        self.is_calm, self.has_strays = False, True
        self.place.write(name, {})
        self._allow_again()
        self.log.append(f"archive {name} is lost")

    def copy_archive(self, name: str) -> None:
        files = self.place.files(name)
        files = {name: content for name, content in files.items() if not name.endswith(".tmp")}
        self.copies.append((name, files, set(self.allowed[name, False])))
        self.log.append(f"archive {name} is copied as {len(self.copies)}")

    def restore_archive(self, back: int) -> None:
        if not self.copies:
            return
        self.is_calm = False
        name, files, allowed = self.copies[-1 - back % len(self.copies)]
        self.has_strays |= hold(files).id != self.held(name).id
        self.place.write(name, files)
        self.allowed[name, False] |= allowed
        self._allow_again()
        self.log.append(f"archive {name} is restored to {max(files, default='')}")

    def _allow_again(self) -> None:
        """What the user has once allowed may be done again from an earlier place."""
        if self.has_allowed:
            self.allow_all()

    def change_settings(self, **changes: Any) -> None:
        before = self.settings
        self.settings = replace(self.settings, **changes)
        selects = [(each.countries, each.start_date) for each in (before, self.settings)]
        if selects[0] != selects[1]:
            self.has_changed_filters = True
            for pipe in self.pipelines.values():
                pipe.answer = ""
            if self.settings.on_filter_change != "error":
                self.allow_all()
        self.log.append(f"settings: {self.settings}")

    # The end

    def settle(self) -> None:
        """All accidents end; each pipeline runs until two runs in a row were good."""
        self.change_settings(on_filter_change="error")
        for pipe in self.pipelines.values():
            self._run_until_good(pipe)
            wanted = self.matching(self.settings.countries, self.settings.start_date)
            self._check_missing(pipe, {self.version(key) for key in wanted})
        for pipe in self.pipelines.values():  # nothing changes, so nothing is billed
            self.pass_time(self.lookback + abs(self.skew) + 10)
            assert self.attempt(pipe)
        self.pass_time(self.lookback + abs(self.skew) + 10)
        for pipe in self.pipelines.values():
            rows = self.sandbox.rows_billed
            assert self.attempt(pipe)
            assert self.sandbox.rows_billed == rows, "rows are billed although nothing has changed"

    def _run_until_good(self, pipe: Pipeline) -> None:
        good = 0
        for _ in range(20):
            good = good + 1 if self.attempt(pipe) else 0
            if good == 2:
                return
        raise AssertionError(f"no two good runs of {pipe.name} in 20")


def _short(state: dict[str, Any]) -> str:
    part = stream_part(state)
    if not part:
        return "no state"
    sync = part["sync"]
    going = f" {sync['kind']} p{sync['pages']}" if sync["started_at"] else ""
    bookmark = (part["replication_key_value"] or "none")[:19]
    return f"{(part['archive'] or '')[-4:]}@{part['offset']} b={bookmark}{going}"


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
