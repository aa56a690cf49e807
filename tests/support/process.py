"""The installed tap as a process, and what came out of it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jobo_sandbox import Sandbox
from jobo_sandbox.patience import patient
from tap_jobo.archive.key import archive_key
from tap_jobo.model import Position, Read, State
from tap_jobo.streams import FEEDS
from tap_jobo.sync.state import as_raw
from tests.support.inside import run_inside
from tests.support.warm import COMMAND, WarmProcess, warm_arguments

_TIMEOUT = patient(120)
_CODE = re.compile(r" \[([a-z]+(?:-[a-z]+)*)\](?=\n|\Z)")
"""What ends the first line of a message that a user must act on."""
# -P: the program's folder is no place to import from.
_ODD_TAP = [sys.executable, "-P", str(Path(__file__).with_name("odd_tap.py"))]


def without_place(message: str) -> str:
    """Return a message whose command names neither its folder, nor the archive, nor settings."""
    place = r"`\S*tap-jobo-archive --archive-dir (?:'[^']*'|\S+) "
    message = re.sub(place, "`tap-jobo-archive ", message)
    return re.sub(r" --config (?:'[^']*'|[^\s`]+)`", "`", message)


def commands_in(message: str) -> list[list[str]]:
    """The arguments of each `tap-jobo-archive` in a message, without those of its place."""
    shown = re.findall(r"`tap-jobo-archive ([^`]+)`", without_place(message))
    return [shlex.split(each) for each in shown]


def log_records(log: str) -> list[str]:
    """The records of a log: the lines of a message after its first one are indented."""
    return re.split(r"\n(?!  )", log)


SETTINGS = ("TAP_JOBO_", "PYTHON", "MELTANO", "LOGLEVEL", "SINGER_SDK_")
"""How the variables begin that would reach into a test."""


@dataclass(frozen=True)
class Run:
    """A run that is over: its exit code, its messages, its log."""

    returncode: int
    stdout: str  #: its messages
    stderr: str  #: its log
    stream: str = ""  #: the one stream that is looked at; without it, all are

    def of(self, stream: str) -> Run:
        """The same run, of which only one stream is looked at."""
        return replace(self, stream=stream)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Every line of standard output; one that is torn fails the test here."""
        return [json.loads(line) for line in self.stdout.split("\n") if line]

    @property
    def whole_messages(self) -> list[dict[str, Any]]:
        """The messages of a run that was killed: only the last line may be torn."""
        return replace(self, stdout=self.stdout[: self.stdout.rfind("\n") + 1]).messages

    @property
    def records(self) -> list[dict[str, Any]]:
        return [each["record"] for each in self._of_the_stream("RECORD")]

    def _of_the_stream(self, kind: str) -> list[dict[str, Any]]:
        messages = (each for each in self.messages if each["type"] == kind)
        return [each for each in messages if self.stream in ("", each["stream"])]

    @property
    def ids(self) -> list[str]:
        return [record["id"] for record in self.records]

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The records by id; none may come twice."""
        rows = {record["id"]: record for record in self.records}
        assert len(rows) == len(self.records)
        return rows

    @property
    def states(self) -> list[dict[str, Any]]:
        return [message["value"] for message in self.messages if message["type"] == "STATE"]

    @property
    def state(self) -> dict[str, Any]:
        return self.states[-1]

    @property
    def bookmark(self) -> dict[str, Any]:
        """The stream's part of the last state; by default, that of career sites."""
        part: dict[str, Any] = self.state["bookmarks"][self.stream or "career_sites"]
        return part

    @property
    def schema_message(self) -> dict[str, Any]:
        """The stream's only SCHEMA message; by default, that of career sites."""
        (message,) = self.of(self.stream or "career_sites")._of_the_stream("SCHEMA")
        return message

    @property
    def progress(self) -> dict[str, Any]:
        """How far the stream's sync in progress is, by the last state; empty without one."""
        (progress,) = self.bookmark["position"]["progress"] or [{}]
        return dict(progress)

    def lines(self, level: str) -> list[str]:
        """The log's messages of a level, such as WARNING, without codes and the archive's place.

        One that offers ways out has more than one line.
        """
        return [without_place(_CODE.sub("", text, count=1)) for text in self.logged_at(level)]

    def codes(self, level: str) -> list[str]:
        """The codes of the messages of a level; empty for one that has none."""
        found = (_CODE.search(text) for text in self.logged_at(level))
        return [code[1] if code else "" for code in found]

    def messages_of(self, level: str, code: str) -> list[str]:
        """The messages of a level that have this code, as in `lines`."""
        pairs = zip(self.lines(level), self.codes(level), strict=True)
        return [line for line, each in pairs if each == code]

    def logged(self) -> list[tuple[str, str]]:
        """The level and the text of each record of the log, as they are."""
        parts = (record.split(" | ", 3) for record in log_records(self.stderr.rstrip("\n")))
        return [(part[1].strip(), part[3]) for part in parts if len(part) == 4]

    def logged_at(self, level: str) -> list[str]:
        """The messages of a level, as they are."""
        return [text for each, text in self.logged() if each == level]

    @property
    def complaint(self) -> str:
        """The one message with which a run that failed in order says why, without the key."""
        (line,) = self.complaints
        return line

    @property
    def error_code(self) -> str:
        """The code of the error with which a run failed in order."""
        (code,) = self.error_codes
        return code

    @property
    def error_codes(self) -> list[str]:
        """The codes of the errors with which a run failed in order."""
        return self.codes("CRITICAL")[-len(self.complaints) :]

    @property
    def complaints(self) -> list[str]:
        """The last messages of a run that failed in order, which say why, without the key."""
        assert self.returncode == 1, self.stderr
        assert not self.shows_a_key
        records = [record for record in log_records(self.stderr) if record]
        assert all(record.count(" | ") >= 3 for record in records), self.stderr
        log = [record for record in records if " | DEBUG    | " not in record]
        assert " | CRITICAL | " in log[-1]
        lines, codes = self.lines("CRITICAL"), self.codes("CRITICAL")
        assert lines, self.stderr
        assert all(codes), self.stderr
        return lines

    @property
    def shows_a_key(self) -> bool:
        """Whether a good part of a key, the sandbox's or another, is in the output or the log."""
        return re.search(r"jbe_(live|test)_[A-Za-z0-9]{6}", self.stdout + self.stderr) is not None

    @property
    def summaries(self) -> dict[str, str]:
        """What the run says of each stream at its end, by the stream."""
        lines = (line.split(": ", 2) for line in self.lines("INFO") if line.startswith("Summary: "))
        return {stream: text for _, stream, text in lines}

    @property
    def metrics(self) -> dict[str, float]:
        """The figures of METRIC lines, by name; one without a line is zero."""
        return defaultdict(float, {point["metric"]: point["value"] for point in self.points})

    @property
    def loaded(self) -> int:
        """The rows that all streams of the run have loaded from the archive."""
        points = [each for each in self.points if each["metric"] == "jobo_rows_loaded"]
        return int(sum(each["value"] for each in points))

    @property
    def points(self) -> list[dict[str, Any]]:
        """The objects of the METRIC lines."""
        points = map(json.loads, re.findall("METRIC: (.*)", self.stderr))
        return [each for each in points if self.stream in ("", each["tags"].get("stream"))]


@dataclass
class Tap:
    """The tap with its settings, against a sandbox; its files are in `folder`."""

    sandbox: Sandbox  #: the API
    folder: Path  #: holds its files and its archive
    #: its settings, besides those that every test needs
    settings: dict[str, Any] = field(default_factory=dict)
    catalog: dict[str, Any] = field(default_factory=dict)  #: its catalog, if none is given to a run
    #: what `odd_tap` reads; without any, it is the installed command
    oddities: dict[str, str] = field(default_factory=dict)
    #: other values for constants of the tap, such as `api.session.MOST_BYTES`
    constants: dict[str, float] = field(default_factory=dict)

    def command(
        self,
        *args: str,
        state: object = None,
        catalog: object = None,
        settings: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """The command line, whose files are written on the way."""
        config = {
            "api_key": self.sandbox.api_key,
            "api_url": self.sandbox.url,
            "archive_dir": str(self.folder / "archive"),
            "max_credits": 10**9,  # without a limit, a first sync logs a WARNING
            **self.settings,
            **(settings or {}),
        }
        catalog = catalog or self.catalog or None
        given = {"config": config, "state": state, "catalog": catalog}
        is_odd = self.oddities or self.constants
        command = [*(_ODD_TAP if is_odd else [str(COMMAND)]), *args]
        for name, content in given.items():
            if content is not None:
                path = self.folder / f"{name}.json"
                path.write_text(json.dumps(content))
                command += [f"--{name}", str(path)]
        return command

    def run(
        self,
        *args: str,
        state: object = None,
        catalog: object = None,
        env: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> Run:
        """Run it to its end; `settings` go over those of the tap.

        It is a process of its own only if it is odd in more than its clock, or has variables.
        """
        command = self.command(*args, state=state, catalog=catalog, settings=settings)
        if env or self.constants or self.oddities.keys() - {"TEST_CLOCK"}:
            return execute(command, env=self.environment(env))
        given = command[len(_ODD_TAP) :] if self.oddities else command[1:]
        return Run(*run_inside([str(COMMAND), *given], self.environment()))

    def succeed(self, *args: str, **how: Any) -> Run:
        """Run it to its end, which must be a success; `how` is as for `run`."""
        run = self.run(*args, **how)
        assert run.returncode == 0, run.stderr
        return run

    def fail(self, *args: str, code: str, **how: Any) -> Run:
        """Run it to its end, which must be one error with this code; `how` is as for `run`."""
        run = self.run(*args, **how)
        assert run.error_code == code
        return run

    def refuse(self, *args: str, code: str | None = None, **how: Any) -> str:
        """Run it; it must end before a request, a row, or a state. Return the line with the reason.

        The line must have this code, if one is given; `how` is as for `run`.
        """
        sent = len(self.sandbox.ledger)
        run = self.run(*args, **how)
        assert len(self.sandbox.ledger) == sent
        assert run.records == run.states == []
        assert code in (None, run.error_code)
        return run.complaint

    @property
    def quick(self) -> Tap:
        """The same tap, whose waits take no time."""
        return replace(self, oddities={"TEST_WAITS": "0"})

    def start(
        self,
        *args: str,
        state: object = None,
        env: Mapping[str, str] | None = None,
        pipe_size: int = -1,
        **settings: Any,
    ) -> subprocess.Popen[str]:
        """Start it, with pipes for its output, of so many bytes if it is given."""
        command = self.command(*args, state=state, settings=settings)
        return _start(command, self.environment(env), pipe_size=pipe_size)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a user whose state folder is the test's."""
        constants = {"TEST_CONSTANTS": json.dumps(self.constants)}
        return environment(self.folder, {**constants, **self.oddities, **(extra or {})})


def environment(folder: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with another home, and without what is for other programs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    home = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}
    return {**kept, **home, **(extra or {})}


def execute(
    command: Iterable[str],
    env: Mapping[str, str],
    cwd: Path | None = None,
    *,
    timeout: float = _TIMEOUT,
) -> Run:
    """Run a command to its end."""
    with _start([*command], env, cwd) as process:
        try:
            output, log = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return Run(process.returncode, output, log)


def succeed(command: Iterable[str], *given: Any, **how: Any) -> Run:
    """Run a command to its end, which must be a success; all else is as for `execute`."""
    run = execute(command, *given, **how)
    assert run.returncode == 0, run.stdout[-10_000:] + run.stderr[-10_000:]
    return run


def _start(
    command: list[str], env: Mapping[str, str], cwd: Path | None = None, pipe_size: int = -1
) -> subprocess.Popen[str]:
    if arguments := warm_arguments(command, env):
        return WarmProcess(arguments, env, cwd, pipe_size)
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=env, cwd=cwd, pipesize=pipe_size
    )


def state_at(bookmark: object, **more: object) -> dict[str, Any]:
    """A state as any SDK tap writes it, with this bookmark."""
    part = {"replication_key": "updated_at", "replication_key_value": bookmark, **more}
    return {"bookmarks": {"career_sites": part}}


def state_until(
    tap: Tap, until: str, stream: str = "career_sites", *, start: str = "", **filters: Any
) -> dict[str, Any]:
    """The state of a warehouse that has read all rows of some filters until a time."""
    spec = next(each for each in FEEDS if each.name == stream)
    key = archive_key(spec, api_key=tap.sandbox.api_key, api_url=tap.sandbox.url)
    read = Read(filters=filters, start=start, until=until)
    position = Position(reads=(read,), is_begun=True)
    state = State(owner=key.owner, offset=0, entry=None, time=until, position=position)
    return {"bookmarks": {stream: as_raw(state, spec, until)}}
