"""dbt in the environment that meltano.yml describes, or in one of what stands in for an account."""

from __future__ import annotations

import atexit
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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
_COMMANDS = """
import json, sys
from dbt.cli.main import dbtRunner
sys.exit(sum(not dbtRunner().invoke(command).success for command in json.loads(sys.argv[1])))
"""


@cache
def _parsed() -> Path:
    """A folder for what dbt parsed, which stays valid from one test to the next."""
    folder = TemporaryDirectory(prefix="parsed-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def environment_of(plugin: str) -> Mapping[str, Any]:
    """Return a plugin's definition, with the dbt of dbt-postgres if meltano.yml has none."""
    if plugin not in _ADAPTERS:
        return plugin_of("utilities", plugin)
    dbt = plugin_of("utilities", "dbt-postgres")["pip_url"].rpartition(" ")[0]
    return {"pip_url": f"{dbt} {_ADAPTERS[plugin]}"}


@dataclass(frozen=True)
class Dbt:
    """The package as a project of its own.

    Attributes:
        plugin: Name of the utility in meltano.yml, or dbt-snowflake or dbt-bigquery.
        folder: For what dbt writes.
        settings: Environment variables that profiles.yml reads.
        variables: Those of the package.
    """

    plugin: str
    folder: Path
    settings: Mapping[str, str]
    variables: Mapping[str, object]

    def __call__(self, *commands: str) -> Run:
        """Run commands of dbt in one process, which must succeed."""
        run = self.attempt(*commands)
        assert run.returncode == 0, run.stdout + run.stderr
        return run

    def attempt(self, *commands: str) -> Run:
        """Run commands of dbt in one process. The exit code is the number of those that fail."""
        invocations = [[*shlex.split(command), *self.options] for command in commands]
        return self.execute(_COMMANDS, json.dumps(invocations))

    @property
    def options(self) -> list[str]:
        """Those of every command."""
        options = ["--target", self.plugin.removeprefix("dbt-"), "--profiles-dir", str(PACKAGE)]
        return [*options, "--project-dir", str(PACKAGE), "--vars", json.dumps(self.variables)]

    def execute(self, script: str, *arguments: str) -> Run:
        """Run a script of Python in dbt's environment."""
        # What dbt parsed is valid as long as its variables and the profile are the same.
        profile = json.dumps([self.plugin, self.variables])
        parsed = _parsed() / sha256(profile.encode()).hexdigest()
        own = {"DBT_TARGET_PATH": str(parsed), "DBT_LOG_PATH": str(self.folder)}
        own |= {"RESERVED_WORDS": str(REPOSITORY / "tests/support/reserved_words.toml")}
        own |= {"DBT_LOG_LEVEL_FILE": "none", "DBT_WRITE_JSON": "false", "DBT_USE_COLORS": "false"}
        given = f"import sys\nsys.argv[1:] = {arguments!r}\n"  # too long for a command line
        file = self.folder / "script.py"
        file.write_text(_PRELUDES.get(self.plugin, "") + given + script)
        command = [*tool_of(environment_of(self.plugin)), "python", str(file)]
        return execute(command, {**os.environ, **own, **self.settings}, self.folder)
