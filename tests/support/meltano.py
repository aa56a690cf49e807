"""`meltano run` over the repository's meltano.yml, against a sandbox and a Postgres."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.rows import dict_row

from jobo_sandbox import Sandbox
from tests.support.crash import kill_in_request
from tests.support.docs import block
from tests.support.forked import forked
from tests.support.process import Run, execute, succeed
from tests.support.repository import REPOSITORY

PIPELINE = ("run", "tap-jobo", "target-postgres")
_PIP_URL = f"-e {REPOSITORY}[cloud]"


_MELTANO = """
from meltano.cli import main as run
def main(arguments):
    sys.argv[:] = ["meltano", *arguments]
    run()
"""


@cache
def meltano() -> Path:
    """Return a command `meltano` that has its modules loaded."""
    return forked("meltano", _MELTANO)


def install_plugins(image: Path) -> None:
    """Install the plugins that both of the repository's projects have into a folder."""
    image.mkdir()
    shutil.copy(REPOSITORY / "examples/kubernetes/meltano.yml", image)
    succeed(["meltano", "install"], os.environ | {"JOBO_TAP_PIP_URL": _PIP_URL}, image)


@dataclass
class Project:
    """A Meltano project with installed plugins, against a sandbox and a schema of its own."""

    folder: Path
    port: int  #: the Postgres
    sandbox: Sandbox  #: the source
    name: str  #: the schema

    def make(self, image: Path) -> None:
        """Make the folder with the repository's definition and installed plugins."""
        (self.folder / ".meltano").mkdir(parents=True)
        text = (REPOSITORY / "meltano.yml").read_text("utf-8")
        (self.folder / "meltano.yml").write_text(
            text.replace("pip_url: -e .\n", f"pip_url: {_PIP_URL}\n")
        )
        for kind in ("extractors", "loaders"):
            (self.folder / ".meltano" / kind).symlink_to(image / ".meltano" / kind)

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{meltano().parent}{os.pathsep}{os.environ['PATH']}",
            "JOBO_TAP_PIP_URL": _PIP_URL,
            "TAP_JOBO_API_KEY": self.sandbox.api_key,
            "TAP_JOBO_API_URL": self.sandbox.url,
            "TARGET_POSTGRES_SQLALCHEMY_URL": self.url,
            "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": self.name,
            **(extra or {}),
        }

    def meltano(self, *args: str, env: Mapping[str, str] | None = None) -> Run:
        return execute(["meltano", *args], self.environment(env), cwd=self.folder)

    def run(self, *args: str, env: Mapping[str, str] | None = None) -> Run:
        """Run a command, by default the pipeline, which must succeed."""
        return succeed(["meltano", *(args or PIPELINE)], self.environment(env), self.folder)

    def run_block(self, name: str, env: Mapping[str, str] | None = None) -> Run:
        """Run the commands of a block of the documents, which must succeed."""
        return succeed(["bash", "-eu", "-c", block(name)], self.environment(env), self.folder)

    def run_and_kill(self, *args: str, plugin: str, env: Mapping[str, str]) -> None:
        """Run, and kill a plugin while the feed's next request waits; Meltano kills the others."""

        def kill(meltano: subprocess.Popen[bytes]) -> None:
            for process in psutil.Process(meltano.pid).children(recursive=True):
                if any(part.endswith(f"/{plugin}") for part in process.cmdline()):
                    process.kill()

        command = shutil.which("meltano")  # started cold, so that the plugins are its children
        assert command
        environment = self.environment(env)
        kill_in_request(self.sandbox, 1, [command, *args], kill, env=environment, cwd=self.folder)

    def query(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Execute SQL in the schema."""
        options = f"-c search_path={self.name} -c timezone=UTC"
        url = self.url.replace("+psycopg", "")
        with psycopg.connect(url, options=options, row_factory=dict_row) as database:
            cursor = database.execute(sql.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def table(self, name: str = "career_sites") -> dict[str, dict[str, Any]]:
        """The rows of a table by id."""
        return {str(row["id"]): row for row in self.query(f'SELECT * FROM "{name}"')}

    def is_current(self) -> bool:
        """Whether the table holds every row of the feed as it is now."""
        expected = self.sandbox.world.rows()
        table = self.table()
        return table.keys() == expected.keys() and all(
            table[key][field] == value
            for key, row in expected.items()
            for field, value in row.items()
            if field not in ("id", "updated_at")
        )
