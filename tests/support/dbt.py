"""dbt in the environment that meltano.yml describes, or in one of what stands in for an account."""

import atexit
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.forked import forked
from tests.support.pipeline import plugin_of, tool_of
from tests.support.process import Run, execute
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
_LOADED = {
    "dbt-snowflake": ["fakesnow", "sqlglot.dialects.snowflake"],
    "dbt-bigquery": ["duckdb", "sqlglot.dialects.bigquery"],
}
"""What that needs."""
_DBT = """
import gc, importlib
for name in MODULES:
    importlib.import_module(name)
from dbt.cli.main import dbtRunner
rehearsed = set()
def prepare(arguments):
    # Classes of dbt compile what reads and writes them when that is first called. Not so with
    # threads, which a fork would lack: those of the static parser.
    rehearsal, *_ = arguments
    if rehearsal and os.environ["DBT_TARGET_PATH"] not in rehearsed:
        rehearsed.add(os.environ["DBT_TARGET_PATH"])
        for _ in range(2):
            dbtRunner().invoke(json.loads(rehearsal))
        gc.freeze()
def main(arguments):
    _, file = arguments
    with open(file) as request:  # which is too long for a command line
        script, *sys.argv[1:] = json.load(request)
    exec(script, {"__name__": "__main__"})
"""
_COMMANDS = """
import json, sys
from dbt.cli.main import dbtRunner
sys.exit(sum(not dbtRunner().invoke(command).success for command in json.loads(sys.argv[1])))
"""


@cache
def _server(plugin: str) -> tuple[Path, Path]:
    """Return a program that runs a script where dbt is loaded, and a folder for what dbt parsed."""
    adapter = f"dbt.adapters.{plugin.removeprefix('dbt-')}"
    modules = ["dbt.cli.main", adapter, *_LOADED.get(plugin, [])]
    folder = TemporaryDirectory(prefix="parsed-")
    atexit.register(folder.cleanup)
    python = [*tool_of(environment_of(plugin)), "python"]
    return forked("dbt", _DBT.replace("MODULES", repr(modules)), python), Path(folder.name)


def environment_of(plugin: str) -> Mapping[str, Any]:
    """Return a plugin's definition, with the dbt of dbt-postgres if meltano.yml has none."""
    if plugin not in _ADAPTERS:
        return plugin_of("utilities", plugin)
    dbt = plugin_of("utilities", "dbt-postgres")["pip_url"].rpartition(" ")[0]
    return {"pip_url": f"{dbt} {_ADAPTERS[plugin]}"}


@dataclass(frozen=True)
class Dbt:
    """The package as a project of its own."""

    plugin: str  #: name of the utility in meltano.yml, or dbt-snowflake or dbt-bigquery
    folder: Path  #: for what dbt writes
    settings: Mapping[str, str]  #: environment variables that profiles.yml reads
    variables: Mapping[str, object] = field(default_factory=dict)  #: those of the package

    def __call__(self, *commands: str) -> Run:
        """Run commands of dbt in one process, which must succeed."""
        run = self.attempt(*commands)
        assert run.returncode == 0, run.stdout + run.stderr
        return run

    def attempt(self, *commands: str) -> Run:
        """Run commands of dbt in one process. The exit code is the number of those that fail."""
        invocations = [[*shlex.split(command), *self.options] for command in commands]
        parse = json.dumps(["parse", "--no-static-parser", *self.options])
        return self._execute(parse, _COMMANDS, json.dumps(invocations))

    @property
    def options(self) -> list[str]:
        """Those of every command."""
        options = ["--target", self.plugin.removeprefix("dbt-"), "--profiles-dir", str(PACKAGE)]
        return [*options, "--project-dir", str(PACKAGE), "--vars", json.dumps(self.variables)]

    def execute(self, script: str, *arguments: str) -> Run:
        """Run a script of Python in dbt's environment, which must succeed."""
        run = self._execute("", script, *arguments)
        assert run.returncode == 0, run.stdout + run.stderr
        return run

    def _execute(self, rehearsal: str, script: str, *arguments: str) -> Run:
        """Run a script of Python in dbt's environment, after a command of dbt that is tried."""
        program, folder = _server(self.plugin)
        # What dbt parsed is valid as long as its variables and the profile are the same.
        profile = json.dumps([self.plugin, self.variables])
        parsed = folder / sha256(profile.encode()).hexdigest()
        own = {"DBT_TARGET_PATH": str(parsed), "DBT_LOG_PATH": str(self.folder)}
        own |= {"RESERVED_WORDS": str(REPOSITORY / "tests/support/reserved_words.toml")}
        own |= {"DBT_LOG_LEVEL_FILE": "none", "DBT_WRITE_JSON": "false", "DBT_USE_COLORS": "false"}
        environment = {**os.environ, **own, **self.settings}
        script = _PRELUDES.get(self.plugin, "") + script
        request = self.folder / "request.json"
        request.write_text(json.dumps([script, *arguments]))
        return execute([str(program), rehearsal, str(request)], environment, self.folder)
