"""dbt in the environment that meltano.yml describes, loaded once and forked for each command."""

from __future__ import annotations

import atexit
import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jobo_sandbox.patience import patient
from tests.support.pipeline import plugin_of, tool_of
from tests.support.process import Run
from tests.support.repository import REPOSITORY

PACKAGE = REPOSITORY / "dbt"
_FAKE = "duckdb==2.0.1 sqlglot==30.22.0"
_ADAPTERS = {
    "dbt-snowflake": f"dbt-snowflake==1.11.6 fakesnow==0.12.1 {_FAKE}",
    "dbt-bigquery": f"dbt-bigquery==1.11.3 {_FAKE}",
}
"""Adapters that meltano.yml does not have, with what stands in for an account."""
_PRELUDES = {
    f"dbt-{name}": (REPOSITORY / f"tests/support/fake_{name}.py").read_text("utf-8")
    for name in ("snowflake", "bigquery")
}
"""What each script in an environment begins with."""
_TIMEOUT = patient(120)
_SERVER = """
import contextlib, gc, importlib, json, os, signal, sys, traceback
for name in ("dbt.cli.main", sys.argv[1]):
    importlib.import_module(name)
from dbt.cli.main import dbtRunner
TIMEOUT = float(sys.argv[2])
answers = os.fdopen(os.dup(1), "w")
def give_up(*_):
    text = f"dbt did not end within {TIMEOUT} seconds. JOBO_PATIENCE=3 gives it more."
    print(text, file=sys.stderr, flush=True)
    os._exit(1)
def redirect(stdout, stderr):
    for number, name in enumerate((stdout, stderr), start=1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
def enter(environment, folder):
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
def become(script, arguments):
    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, TIMEOUT)
    redirect("stdout", "stderr")
    sys.argv[1:] = arguments
    try:
        exec(script, {"__name__": "__main__"})
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # the interpreter's own end takes half a second
redirect(os.devnull, os.devnull)
rehearsed = set()
for line in sys.stdin:
    rehearsal, script, arguments, environment, folder = json.loads(line)
    enter(environment, folder)
    # Classes of dbt compile what reads and writes them when that is first called. Not so with
    # threads, which a fork would lack: those of the static parser.
    if rehearsal and environment["DBT_TARGET_PATH"] not in rehearsed:
        rehearsed.add(environment["DBT_TARGET_PATH"])
        for _ in range(2):
            dbtRunner().invoke(rehearsal)
        gc.freeze()
    pid = os.fork()
    if not pid:
        become(script, arguments)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=answers, flush=True)
"""
_COMMANDS = """
import json, sys
from dbt.cli.main import dbtRunner
sys.exit(sum(not dbtRunner().invoke(command).success for command in json.loads(sys.argv[1])))
"""


class _Server:
    """A process that has dbt loaded, and the folder where dbt keeps what it parsed."""

    def __init__(self, plugin: str) -> None:
        adapter = f"dbt.adapters.{plugin.removeprefix('dbt-')}"
        command = [
            *tool_of(environment_of(plugin)),
            "python",
            "-c",
            _SERVER,
            adapter,
            str(_TIMEOUT),
        ]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self._folder = TemporaryDirectory()
        self.folder = Path(self._folder.name)
        atexit.register(self.close)

    def run(self, *request: Any) -> int:
        """Run a script with arguments, environment, and folder, and return its exit code.

        What comes first is a command of dbt that is tried before.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()
        self._folder.cleanup()


_server = cache(_Server)


def environment_of(plugin: str) -> Mapping[str, Any]:
    """Return a plugin's definition, with the dbt of dbt-postgres if meltano.yml has none."""
    if plugin not in _ADAPTERS:
        return plugin_of("utilities", plugin)
    dbt = plugin_of("utilities", "dbt-postgres")["pip_url"].rpartition(" ")[0]
    return {"pip_url": f"{dbt} {_ADAPTERS[plugin]}"}


@dataclass(frozen=True)
class Dbt:
    """The package as a project of its own, or in another project.

    Attributes:
        plugin: Name of the utility in meltano.yml, or dbt-snowflake or dbt-bigquery.
        folder: For what dbt writes.
        settings: Environment variables that profiles.yml reads.
        variables: Those of the package.
        project: A project that has the package, and its variables.
    """

    plugin: str
    folder: Path
    settings: Mapping[str, str]
    variables: Mapping[str, object]
    project: Path = PACKAGE

    def __call__(self, *commands: str) -> Run:
        """Run commands of dbt in one process, which must succeed."""
        run = self.attempt(*commands)
        assert run.returncode == 0, run.stdout + run.stderr
        return run

    def attempt(self, *commands: str) -> Run:
        """Run commands of dbt in one process. The exit code is the number of those that fail."""
        invocations = [[*shlex.split(command), *self.options] for command in commands]
        return self._execute(
            ["parse", "--no-static-parser", *self.options], _COMMANDS, json.dumps(invocations)
        )

    @property
    def options(self) -> list[str]:
        """Those of every command."""
        options = ["--target", self.plugin.removeprefix("dbt-"), "--profiles-dir", str(PACKAGE)]
        options += ["--project-dir", str(self.project)]
        if self.project == PACKAGE:
            options += ["--vars", json.dumps(self.variables)]
        return options

    def execute(self, script: str, *arguments: str) -> Run:
        """Run a script of Python in dbt's environment."""
        return self._execute([], script, *arguments)

    def _execute(self, rehearsal: list[str], script: str, *arguments: str) -> Run:
        server = _server(self.plugin)
        # What dbt parsed is valid as long as its variables and the profile are the same.
        parsed = sha256(json.dumps([self.variables, str(self.project)]).encode()).hexdigest()
        own = {"DBT_TARGET_PATH": str(server.folder / parsed), "DBT_LOG_PATH": str(self.folder)}
        own |= {"RESERVED_WORDS": str(REPOSITORY / "tests/support/reserved_words.toml")}
        own |= {"DBT_LOG_LEVEL_FILE": "none", "DBT_WRITE_JSON": "false", "DBT_USE_COLORS": "false"}
        environment = {**os.environ, **own, **self.settings}
        script = _PRELUDES.get(self.plugin, "") + script
        code = server.run(rehearsal, script, arguments, environment, str(self.folder))
        texts = ((self.folder / name).read_text() for name in ("stdout", "stderr"))
        return Run(code, *texts)
