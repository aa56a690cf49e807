"""What loads a feed into Postgres: the pipelines of meltano.yml, dlt's, and a script by hand."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any, Final

import psycopg
import yaml
from psycopg import sql

from benchmarks.feed import KEY, PROGRAMS, REPOSITORY
from benchmarks.processes import Contender
from benchmarks.readers import archive_of, forget, tap

if TYPE_CHECKING:
    from benchmarks.feed import Feed

BY_HAND: Final = "by hand: `requests`, COPY, upsert"
DLT: Final = "dlt, the same tables: JSON columns, upsert"
PIPE: Final = "tap \\| target-postgres"


class Pipelines:
    """The pipelines for a feed, into the Postgres on a port of this machine."""

    def __init__(self, feed: Feed, port: int) -> None:
        self._feed = feed
        self._database = f"postgresql://postgres:unused@127.0.0.1:{port}/postgres"
        project = yaml.safe_load((REPOSITORY / "meltano.yml").read_text("utf-8"))
        self._plugin: dict[str, Any]
        (self._plugin,) = (
            each for each in project["plugins"]["loaders"] if each["name"] == "target-postgres"
        )

    def at_pace(self) -> list[Contender]:
        """Return the pipelines that are measured at the API's pace."""
        return [self._by_hand(), self._pipe(), self._meltano(), self._dlt()]

    def _by_hand(self) -> Contender:
        script = self._feed.script(BY_HAND, "by_hand.py", self._feed.schema, self._database)
        return self._into_tables(script)

    def _dlt(self) -> Contender:
        script = self._feed.script(DLT, "dlt_pipeline.py", self._database, package="dlt[postgres]")
        return self._into_tables(script)

    def _pipe(self) -> Contender:
        programs = self._feed.installed(*self._plugin["pip_url"].split())
        url = self._database.replace(":", "+psycopg:", 1)
        config = self._feed.write("target", {**self._plugin["config"], "sqlalchemy_url": url})
        loader = [str(programs / self._plugin["executable"]), "--config", config]
        command = f"{shlex.join(tap(self._feed).command)} | {shlex.join(loader)}"
        bash = ["bash", "-o", "pipefail", "-c", command]
        return self._into_tables(Contender(PIPE, bash))

    def _meltano(self) -> Contender:
        """Return the pipeline as the README runs it, with a project database of its own."""
        env = {
            "TAP_JOBO_API_KEY": KEY,
            "TAP_JOBO_API_URL": self._feed.url,
            "TAP_JOBO_ARCHIVE_DIR": str(archive_of(self._feed)),
            "TAP_JOBO__SELECT": f'["{self._feed.stream}.*"]',
            "TARGET_POSTGRES_SQLALCHEMY_URL": self._database.replace(":", "+psycopg:", 1),
            "MELTANO_PYTHON": sys.executable,  # as all others
            "MELTANO_DATABASE_URI": f"sqlite:///{self._feed.folder}/meltano.db",
        }
        meltano = [str(PROGRAMS / "meltano"), "run", "tap-jobo", "target-postgres"]
        command = ["env", "-C", str(REPOSITORY), *meltano]
        return self._into_tables(Contender("`meltano run`, its start included", command, env=env))

    def _into_tables(self, each: Contender) -> Contender:
        """Return a contender that begins with an empty database, and count its rows there."""
        return Contender(each.name, each.command, self._reset, each.env, self._stored_rows)

    def _reset(self) -> None:
        forget(self._feed)
        (self._feed.folder / "meltano.db").unlink(missing_ok=True)
        with psycopg.connect(self._database) as database:
            database.execute("DROP SCHEMA IF EXISTS public_staging CASCADE")
            database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    def _stored_rows(self, _output: bytes) -> int:
        count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(self._feed.stream))
        with psycopg.connect(self._database) as database:
            try:
                (rows,) = database.execute(count).fetchone() or (0,)
            except psycopg.errors.UndefinedTable:  # dlt makes none for no rows
                rows = 0
        return int(rows)
