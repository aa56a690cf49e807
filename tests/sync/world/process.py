"""The simulated world around the installed tap, which is a process.

The tap dies at any step, or is stopped there (see `odd_tap`). What it does is read from what
others see of it: its output, its log, the sandbox's ledger, and the files of the archive.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from jobo_sandbox import Fault, Sandbox
from jobo_sandbox.ledger import Entry as Request
from tap_jobo.archive.key import archive_key
from tap_jobo.model import NOTHING, State
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.sync.plan import best
from tap_jobo.sync.state import as_raw, read_state
from tests.support import ARCHIVE_COMMAND, Run, Tap, execute
from tests.support.archives import Files, files_at
from tests.support.crash import wait_for, wait_until_quiet
from tests.support.s3 import serve_s3
from tests.support.target import Message, merge
from tests.support.warm import _fork, warm_arguments
from tests.sync.world.in_memory import PRICE
from tests.sync.world.parts import (
    BEGINNING,
    Api,
    Asked,
    Disk,
    Folder,
    Pipe,
    Row,
    RowOrder,
    Way,
    minute,
    minutes,
    row_of,
)
from tests.sync.world.runs import AnyRun, Conditions, Ending, Outcome
from tests.sync.world.world import World

STREAM: Final = CAREER_SITES.name
_SINCE: Final = re.compile(r"missing since (\S+Z)")
_MEMORY: Final = Path("/dev/shm")
"""A folder in memory, where there is one: a killed process loses nothing that it has written."""
_WAYS: Final[dict[str, Way]] = {
    "=resync ": "resync",
    "=keep ": "keep",
    "without a state": "no-state",
    " --sync": "restart-sync",
    " drop ": "drop",
}
"""What a message that offers a way out has."""


class ServedApi(Api):
    """The feed of a sandbox, whose clock is a file that the tap reads, too."""

    def __init__(self, order: RowOrder, file: Path) -> None:
        super().__init__(order)
        self._file = file
        self.sandbox = Sandbox(size=0, seed=1, clock=self.unix_time, created_at=BEGINNING)
        self.sandbox.order = "updated_asc" if order == "time" else "id"
        self._keys: dict[int, str] = {}
        self.wait(0)

    def unix_time(self) -> float:
        return (BEGINNING + minutes(self.now)).timestamp()

    def wait(self, minutes_: int) -> None:
        super().wait(minutes_)
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self.unix_time():.3f}", "ascii")
        fresh.replace(self._file)

    def key(self, id_: int) -> str:
        return self._keys.get(id_, "")

    def set(self, row: Row) -> None:
        super().set(row)
        if row.id not in self._keys:
            self._keys[row.id] = self.sandbox.world.add()
        self.sandbox.world.touch(
            self._keys[row.id],
            at=BEGINNING + minutes(row.at),
            name=row.name,
            country_code=row.country,
            industries=[row.kind],
            founded_year=row.founded,
        )


class Stored(Disk):
    """The files of an archive that processes write, as they were after the last run."""

    def __init__(self, stored: Files) -> None:
        super().__init__()
        self._stored = stored
        self.pull()

    def pull(self) -> None:
        self.files = self._stored.copy()

    def create(self, name: str, content: bytes) -> None:
        super().create(name, content)
        self._stored.store.create(name, content)

    def replace(self, name: str, content: bytes) -> None:
        super().replace(name, content)
        self._stored.store.replace(name, content)


class ProcessRun(AnyRun):
    """A run of the installed tap."""

    world: ProcessWorld

    def __init__(self, world: ProcessWorld, pipe: Pipe, conditions: Conditions) -> None:
        super().__init__(world, pipe, conditions)
        self.number = len(world.runs) + 1
        self.position = self.state.position if self.state else NOTHING
        self.changes = [*conditions.changes]
        self._output = world.root / f"{self.number}.output"
        self._log = world.root / f"{self.number}.log"

    def _start(self) -> Any:
        """Start the process, whose waits take no time."""
        world, happens = self.world, self.conditions
        stops = happens.other is not None
        step = happens.other[1] if happens.other else happens.die_at
        raw = _raw(self.state) if self.state else None
        state = {"bookmarks": {STREAM: raw}} if raw else None
        oddities = {
            "TEST_RUN": f"{self.number}",
            "TEST_TIME": str(world.clock_file),
            "TEST_CLOCK": f"{-60 * world.skew}",
            "TEST_WAITS": "0",
            "TEST_DIE_AT": f"{-1 if step is None else step}",
            "TEST_SIGNAL": "SIGSTOP" if stops else happens.signal,
            "TEST_FAILS_AT": f"{happens.fails_at}",
            "TEST_FAILURE": "lost" if happens.loses_response else "away",
        }
        folder = world.root / self.pipe.name  # whose settings a message may name
        folder.mkdir(exist_ok=True)
        tap = Tap(world.api.sandbox, folder, self._config(), oddities=oddities)
        env = tap.environment()
        command = warm_arguments(tap.command(*["--buy"] * happens.only_buys, state=state), env)
        with self._output.open("wb") as output, self._log.open("wb") as log:
            return _fork(command, env, None, (output.fileno(), log.fileno()))

    def _config(self) -> dict[str, Any]:
        wanted, happens = self.wanted, self.conditions
        config = {
            **wanted.filters,
            "archive_dir": f"{self.world.place}/{self.pipe.folder}",
            "on_filter_change": wanted.choice,
            "batch_size": wanted.batch_size,
            "lookback_minutes": self.pipe.lookback,
        }
        if wanted.start:
            config["start_date"] = wanted.start
        if happens.pages is not None:
            going = self.state.position.progress if self.state else ()
            sizes = [each.sync.batch_size for each in going]
            config["max_credits"] = happens.pages * max([wanted.batch_size, *sizes]) * PRICE
        if not self.lasts:
            config["archive"] = False
        elif self.world.limit is not None:
            config["max_credits_per_month"] = self.world.limit
        return config

    def go(self) -> Ending:
        process = self._start()
        if self.conditions.other:
            self._pause(process, self.conditions.other[0])
        process.join(120)
        assert process.exitcode is not None, "the run never ends"
        run = self._read(process.exitcode)
        if run.returncode == -signal.SIGKILL or self.conditions.fails_at:
            self.world.release_locks()
        self._settle()
        self._deliver(run)
        ending = self._ending(run)
        self._check_gap(run, is_done=ending[0] == "done")
        return ending

    def _read(self, code: int) -> Run:
        run = Run(code, self._output.read_text("utf-8"), self._log.read_text("utf-8"))
        self._output.unlink()
        self._log.unlink()
        world = self.world
        wait_until_quiet(world.api.sandbox)  # it may still be billed
        codes = [code for code in run.codes("CRITICAL") + run.codes("WARNING") if code]
        world.note(f"  run {self.number}: {code} {codes} {self.conditions}")
        known = code in (0, 1, -signal.SIGKILL, 128 + signal.SIGINT, 128 + signal.SIGTERM)
        world.require(known and "tap-bug" not in codes, run.stderr)
        return run

    def _pause(self, process: Any, other: str) -> None:
        """Let another pipeline run while this one is stopped. In a folder, it keeps its lock."""
        wait_for(lambda: process.exitcode is not None or _is_stopped(process.pid))
        if self.conditions.loses_lock:
            self.world.release_locks()
        self.world.run(other)
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGCONT)

    # What came of it

    def _settle(self) -> None:
        """Find the pages that it has bought."""
        world, number = self.world, f"{self.number}"
        requests = world.api.sandbox.feed_requests
        served = [each.row_ids for each in requests if each.headers.get("x-run") == number]
        pages = [ids for ids in served if ids]
        self.billed = sum(map(len, pages))
        if not self.lasts:
            return
        world.look()
        self.folder = world.folders.get(self.pipe.folder, self.folder)
        entries = self.folder.entries
        own = [n for n, each in enumerate(entries, 1) if each.header.id.startswith(f"{number}-")]
        self.lost = len(pages) - sum(bool(entries[n - 1].rows) for n in own)
        for each in own:
            self.note_bought(each)

    def _deliver(self, run: Run) -> None:
        """Give the target what it wrote, as Meltano merges states."""
        state = self.state
        is_new = state is None or not state.position.is_begun
        self.first = 0 if state is None or is_new else state.offset
        if {"archive-behind", "adopted"} & {*run.codes("WARNING")}:
            self.world.note_behind(self.pipe, self.first)
            self.first = None
        raw = _raw(state) if state else {}
        for message in run.whole_messages:
            if message["type"] == "RECORD" and message["stream"] == STREAM:
                self.target.row(row_of(message["record"]))
            elif message["type"] == "STATE" and _part(message) not in ({}, raw):
                raw = merge(raw, _part(message))
                self.state = _read_state(raw)
                self.target.state(self.state)
                has = best(self.state.position, self.wanted)
                is_right = raw["replication_key_value"] == (has.until if has else None)
                self.world.require(is_right, f"the bookmark is not that of {has}")
        self.position = self.state.position if self.state else NOTHING
        if self.conditions.only_buys and self.folder.head and not self.folder.headless:
            self.position = self.folder.position

    def _ending(self, run: Run) -> Ending:
        if run.returncode == -signal.SIGKILL:
            return "died", None
        if run.returncode == 1:
            return self._error(run.codes("CRITICAL")[0], run.logged_at("CRITICAL")[0])
        is_complete = run.returncode == 0 and "sync complete" in run.summaries.get(STREAM, "")
        return ("done" if is_complete else "limit"), None

    def _error(self, code: str, text: str) -> Ending:
        """Return how a run ends, by its message, which the user is going to follow."""
        ways = tuple(way for part, way in _WAYS.items() if part in text)
        outcomes: dict[str, Outcome] = {
            "api-unavailable": "failed",
            "archive-unusable": "failed",
            "run-in-progress": "failed",
            "output-closed": "limit",
            "limit-too-low": "limit",
            "cursor-rejected": "rejected",
            "archive-damaged": "asked",
            "filters-changed": "asked",
            "archive-lacks-rows": "asked",
        }
        self.world.require(code in outcomes, text)
        page = re.search(r" drop \S+ (\d+)", text) if code == "archive-damaged" else None
        return outcomes[code], Asked(code, ways, int(page[1]) if page else 0, text)

    def _check_gap(self, run: Run, *, is_done: bool) -> None:
        """Check since when rows are missing, by what it tells: first as a WARNING."""
        warned = [_since(text) for text in run.messages_of("WARNING", "gap")]
        told = [_since(text) for text in run.lines("INFO") if "still be missing" in text]
        known = self.world.warned.setdefault(self.pipe.name, set())
        known |= {*warned}
        is_known = {*told} <= known
        self.world.require(is_known, f"{self.pipe.name} was not warned of the gap: {told}")
        has = best(self.position, self.wanted)
        if is_done and has and has.gap is not None:
            is_told = min(warned + told, default=self.world.api.now) <= minute(has.gap)
            self.world.require(is_told, f"the gap since {has.gap} is not told")


def _since(text: str) -> int:
    found = _SINCE.search(text)
    return minute(found[1]) if found else 0


def _part(message: Message) -> dict[str, Any]:
    part: dict[str, Any] = message["value"].get("bookmarks", {}).get(STREAM, {})
    return part


def _raw(state: State) -> dict[str, Any]:
    """Return a state as it is written, by the tap or by another one."""
    if state.owner:
        return as_raw(state, CAREER_SITES, None)
    until = state.position.reads[0].until
    return {"replication_key": CAREER_SITES.replication_key, "replication_key_value": until}


def _read_state(raw: dict[str, Any]) -> State:
    state = read_state(raw, CAREER_SITES, {})
    return state or State(owner=raw["owner"], offset=0, entry=None, time="", position=NOTHING)


def _is_stopped(pid: int) -> bool:
    with suppress(OSError):  # it has just ended
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "T"
    return False


class ProcessWorld(World):
    """A world whose runs are processes."""

    api: ServedApi
    steps = 100

    def __init__(self, place: str, root: Path, *names: str, order: RowOrder = "time") -> None:
        super().__init__(*names, order=order)
        self.place = place  #: the folder or the bucket that holds the archives
        self.root = root  #: holds all other files
        self.clock_file = root / "time"
        self.api = ServedApi(order, self.clock_file)
        self.api.sandbox.before_page = self._before_page
        rejection = Fault(reject_cursor="400", times=None)
        self.api.sandbox.faults.add(rejection, when=self._is_rejected)
        for endpoint in ("clock", STREAM):
            away = Fault(status=503, times=None)
            self.api.sandbox.faults.add(away, endpoint=endpoint, when=self._is_away)
        self.limit: int | None = None  #: that of each month, in credits, None if there is none
        self._unlimited: Counter[str] = Counter()  # what each month had cost when it was set
        self._uncounted = 0  # credits of requests that no run had counted by then
        self.warned: dict[str, set[int]] = {}  #: the gaps that a WARNING has told each pipeline of
        self.runs: list[ProcessRun] = []

    def new_run(self, pipe: Pipe, happens: Conditions) -> AnyRun:
        run = ProcessRun(self, pipe, happens)
        self.runs.append(run)
        return run

    # The API

    def _before_page(self, request: Request) -> None:
        """Let a minute pass, and something happen."""
        run = self._run_of(request)
        self.api.tick()
        if run.changes:
            self.api.put(*run.changes.pop())

    def _is_rejected(self, request: Request) -> bool:
        """Return whether the API rejects a request's cursor, which does not show its sync."""
        if request.cursor is None or not (self.api.rejects or self.api.stuck):
            return False
        run = self._run_of(request)
        self.look()
        folder = self.folders.get(run.pipe.folder) if run.lasts else None
        going = (folder.position.progress if folder else ()) or run.position.progress
        syncs = {each.sync.id for each in going if each.cursor == request.cursor}
        is_rejected = bool(self.api.rejects or self.api.stuck & {*syncs, "all"})
        self.api.rejects = max(0, self.api.rejects - 1)
        self.api.has_rejected |= is_rejected
        return is_rejected

    def _is_away(self, request: Request) -> bool:
        return self._run_of(request).conditions.is_offline

    def _run_of(self, request: Request) -> ProcessRun:
        return self.runs[int(request.headers["x-run"]) - 1]

    # Archives

    def stored(self, name: str) -> Files:
        """Return the files of an archive."""
        return files_at(f"{self.place}/{name}")

    def release_locks(self) -> None:
        """Let a minute pass, so that a killed run holds no lease."""
        for name in {pipe.folder for pipe in self.pipes.values()}:
            self.stored(name).expire_leases()

    def new_folder(self, name: str) -> Folder:
        sandbox = self.api.sandbox
        key = archive_key(CAREER_SITES, api_key=sandbox.api_key, api_url=sandbox.url)
        return Folder(Stored(self.stored(name)), key)

    def look(self) -> None:
        """Look at the archives that runs have written."""
        for name in {pipe.folder for pipe in self.pipes.values()}:
            if name not in self.folders and self.stored(name).names:
                self.folders[name] = self.new_folder(name)
        for folder in self.folders.values():
            assert isinstance(folder.disk, Stored)
            folder.disk.pull()

    def lose_folder(self, name: str) -> None:
        super().lose_folder(name)
        self.stored(name).lose()

    def restore_folder(self, name: str, number: int = -1) -> None:
        super().restore_folder(name, number)
        copy, stored = self.folders[name], self.stored(name)
        stored.restore(copy.disk.files)
        self.folders[name] = replace(copy, disk=Stored(stored))

    # The user, who runs the commands of messages

    def _drop_damaged(self, pipe: Pipe, question: Asked) -> None:
        folder = self.folders.get(pipe.folder)
        if folder is None:  # it was lost meanwhile
            return
        self._follow(question.text, "drop")
        self.is_calm = False
        for each in [*folder.intact]:
            header = folder.archive.header(each)
            if header and header.dropped:
                folder.intact.pop(each)
                folder.headless.discard(each)

    def _restart_stuck(self, pipe: Pipe) -> None:
        assert pipe.question
        self._follow(pipe.question.text, "restart")

    def _follow(self, text: str, name: str, most: int = 9) -> None:
        """Run the command that a message shows, which may show another one to run before."""
        shown = [shlex.split(each) for each in re.findall(r"`([^`]+)`", text)]
        command = next((each for each in shown if name in each), [])
        self.require(command and most, text)
        environment = Tap(self.api.sandbox, self.root).environment()
        run = execute([str(ARCHIVE_COMMAND), *command[1:], "--yes"], environment)
        self.note(f"tap-jobo-archive {' '.join(command[3:])}: {run.stdout or run.stderr}")
        self.look()
        if run.returncode:
            self._follow(run.stderr, "drop", most - 1)
            self._follow(text, name, most - 1)

    # Months

    def set_limit(self, credits_: int) -> None:
        """Set the limit of each month, after runs without one."""
        self.limit, self._unlimited = credits_, self._bills
        folder = self.folders.get("main")
        last = folder.archive.last_header if folder else None
        self._uncounted = self._unlimited.total() - sum(last.spent.values() if last else ())
        self.note(f"the limit is {credits_}, and {self._uncounted} credits are not counted")

    @property
    def _bills(self) -> Counter[str]:
        """What each month has cost, by the sandbox."""
        bills: Counter[str] = Counter()
        for request in self.api.sandbox.ledger:
            bills[f"{request.time:%Y-%m}"] += request.credits
        return bills

    def conclude(self, run: AnyRun) -> Outcome:
        outcome = super().conclude(run)
        for month, bill in self._bills.items() if self.is_calm and self.limit is not None else ():
            most = max((self.limit or 0) + self._uncounted, self._unlimited[month])
            self.require(bill <= most, f"{month} costs {bill}")
        return outcome

    def quiesce(self, *how: Any) -> None:
        self.limit = None
        super().quiesce(*how)


@contextmanager
def process_world(
    *names: str, is_in_bucket: bool = False, order: RowOrder = "time"
) -> Iterator[ProcessWorld]:
    """Make a world, and remove it at the end."""
    with ExitStack() as stack:
        memory = _MEMORY if _MEMORY.is_dir() else None
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory)))
        place = str(root / "archives")
        if is_in_bucket:
            s3 = stack.enter_context(serve_s3())
            stack.enter_context(patch.dict(os.environ, s3.env))
            place = s3.url
        world = ProcessWorld(place, root, *names, order=order)
        stack.enter_context(world.api.sandbox)
        yield world
