"""The whole pipeline into a real Postgres, and its parts: `meltano run`, a direct pipe, each alone.

It runs in the repository, whose loader Meltano installs if it is missing, but with a database of
Meltano's, a journal, and tables of its own.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from benchmarks.commands import KEY, catalog
from benchmarks.processes import Contender, environment

if TYPE_CHECKING:
    from collections.abc import Mapping

_REPOSITORY: Final = Path(__file__).parents[1]
_MELTANO: Final = str(Path(sys.executable).with_name("meltano"))
_TAP: Final = str(Path(sys.executable).with_name("tap-jobo"))
_LOADER: Final = _REPOSITORY / ".meltano/loaders/target-postgres/venv"
_TARGET: Final = str(_LOADER / Path(sys.executable).parent.name / "target-postgres")


class Pipeline:
    """The pipeline's commands for a feed at `url`, with their files in a folder."""

    def __init__(self, folder: Path, url: str, port: int, stream: str = "career_sites") -> None:
        self._folder = folder
        self._journal = folder / "journal"
        self._meltano_db = folder / "meltano.db"
        self._database = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        self._messages = folder / "messages.jsonl"
        settings = {"api_key": KEY, "api_url": url, "journal_dir": str(self._journal)}
        chosen = self._write("catalog.json", catalog(stream))
        self._tap = [_TAP, "--config", self._write("tap.json", settings), "--catalog", chosen]
        self._env = {
            "TAP_JOBO_API_KEY": KEY,
            "TAP_JOBO_API_URL": url,
            "TAP_JOBO_JOURNAL_DIR": str(self._journal),
            "TARGET_POSTGRES_SQLALCHEMY_URL": self._database.replace(":", "+psycopg:", 1),
            "MELTANO_DATABASE_URI": f"sqlite:///{self._meltano_db}",
            "MELTANO_CLI_LOG_LEVEL": "warning",
        }

    def install(self) -> None:
        """Install the plugins, and write the messages that the loader alone is to load."""
        env = environment() | self._env
        subprocess.run(
            [_MELTANO, "install"], cwd=_REPOSITORY, env=env, check=True, capture_output=True
        )
        tap = self.tap()
        tap.before()
        with self._messages.open("wb") as messages:
            subprocess.run(
                tap.command, env=env, stdout=messages, stderr=subprocess.DEVNULL, check=True
            )

    def tap(self) -> Contender:
        """Return the tap alone, whose messages nobody stores."""
        return Contender("the tap alone", self._tap, self._reset, self._env)

    def loader(self, name: str = "the loader alone", **settings: object) -> Contender:
        """Return the loader alone, with the messages of a file."""
        command = f"{self._loader(settings)} < {shlex.quote(str(self._messages))}"
        return self._shell(name, command)

    def pipe(self) -> Contender:
        """Return both with a pipe between them, without Meltano."""
        command = f"{shlex.join(self._tap)} | {self._loader({})}"
        return self._shell("`tap-jobo | target-postgres`", command)

    def meltano(self, name: str = "", **settings: object) -> Contender:
        """Return the pipeline as users run it, with settings of the loader."""
        env = {f"TARGET_POSTGRES_{key.upper()}": str(value) for key, value in settings.items()}
        command = [_MELTANO, "run", "tap-jobo", "target-postgres"]
        command = ["env", "-C", str(_REPOSITORY), *command]
        name = name or "`meltano run tap-jobo target-postgres`"
        return Contender(name, command, self._reset, self._env | env)

    def _shell(self, name: str, command: str) -> Contender:
        bash = ["bash", "-o", "pipefail", "-c", command]
        return Contender(name, bash, self._reset, self._env)

    def _loader(self, settings: Mapping[str, object]) -> str:
        file = "-".join(["loader", *(f"{key}-{value}" for key, value in settings.items())])
        url = self._env["TARGET_POSTGRES_SQLALCHEMY_URL"]
        config = self._write(f"{file}.json", {"sqlalchemy_url": url, **settings})
        return shlex.join([_TARGET, "--config", config])

    def _write(self, name: str, content: Mapping[str, object]) -> str:
        path = self._folder / name
        path.write_text(json.dumps(content))
        return str(path)

    def _reset(self) -> None:
        shutil.rmtree(self._journal, ignore_errors=True)
        self._meltano_db.unlink(missing_ok=True)
        with psycopg.connect(self._database) as database:
            database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
