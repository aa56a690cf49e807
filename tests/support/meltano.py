"""`meltano run` over the repository's meltano.yml, against a sandbox and a Postgres."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
from psycopg.rows import dict_row

from jobo_sandbox import Fault, Hold
from tests.support.process import execute

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jobo_sandbox import Sandbox
    from tests.support.process import Run

PIPELINE = ("run", "tap-jobo", "target-postgres")


def environment() -> dict[str, str]:
    """This process's environment, without the settings of the plugins and of Meltano."""
    settings = ("TAP_JOBO_", "TARGET_", "MELTANO_", "PYTHON", "LOGLEVEL", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(settings)}


@dataclass
class Project:
    """The repository's meltano.yml in a folder of its own, against a sandbox and a schema."""

    folder: Path
    port: int
    sandbox: Sandbox
    name: str

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            **environment(),
            "TAP_JOBO_API_KEY": self.sandbox.api_key,
            "TAP_JOBO_API_URL": self.sandbox.url,
            "TAP_JOBO_JOURNAL_DIR": str(self.folder / f"journal-{self.name}"),
            "TARGET_POSTGRES_SQLALCHEMY_URL": self.url,
            "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": self.name,
            "MELTANO_DATABASE_URI": f"sqlite:///{self.folder}/{self.name}.db",
            **(extra or {}),
        }

    def meltano(self, *args: str, env: Mapping[str, str] | None = None) -> Run:
        command = [shutil.which("meltano") or "meltano", *args]
        return execute(command, self.environment(env), cwd=self.folder)

    def run(self) -> Run:
        run = self.meltano(*PIPELINE)
        assert run.returncode == 0, run.stderr
        return run

    def start(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [shutil.which("meltano") or "meltano", *args],
            env=self.environment(env),
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run_and_kill(
        self, plugin: str, *args: str, at_request: int, env: Mapping[str, str] | None = None
    ) -> None:
        """Run, and kill a plugin's process while the feed's n-th request waits for its answer."""
        hold = Hold()
        self.sandbox.faults.add(Fault(hold=hold), on=at_request)
        meltano = self.start(*args, env=env)
        hold.wait(60)
        for process in psutil.Process(meltano.pid).children(recursive=True):
            if any(part.endswith(f"/{plugin}") for part in process.cmdline()):
                process.send_signal(signal.SIGKILL)
        hold.release()
        assert meltano.wait(60) != 0

    def table(self) -> dict[str, dict[str, Any]]:
        with psycopg.connect(self.url.replace("+psycopg", ""), row_factory=dict_row) as database:
            rows = database.execute(f'SELECT * FROM "{self.name}".career_sites').fetchall()
        return {str(row["id"]): row for row in rows}

    def column_types(self) -> dict[str, str]:
        with psycopg.connect(self.url.replace("+psycopg", "")) as database:
            return dict(
                database.execute(
                    "SELECT column_name, data_type FROM information_schema.columns "
                    "WHERE table_schema = %s AND table_name = 'career_sites'",
                    [self.name],
                ).fetchall()
            )

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
