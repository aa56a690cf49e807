"""Measures what a build of the dbt package takes: `uv run just dbt-speed`.

The tap and target-postgres fill the loader's tables from the sandbox. SQL multiplies them to
100,000 career sites with profiles and 500,000 jobs. Each build is a new process of dbt, with the
data tests and without the unit tests. The table in dbt/README.md has the medians of the
rounds, less dbt's own start.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import psutil

from benchmarks.report import write
from jobo_sandbox import Sandbox
from jobo_sandbox.postgres import running_postgres
from tests.support import STREAMS, tap_of
from tests.support.dbt import PACKAGE
from tests.support.pipeline import load, plugin_of, tool_of
from tests.support.repository import REPOSITORY
from tests.support.warehouses import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = REPOSITORY / "dbt/README.md"
NAME: Final = "dbt-speed"
SITES, JOBS, COPIES, ROUNDS = 1_000, 5_000, 100, 3
TABLES: Final = ("career_sites", "companies", "jobs", "managed_jobs", "expired_jobs")
ROLE: Final = ("ALTER ROLE postgres SET jit = off", "ALTER ROLE postgres SET work_mem = '64MB'")
"""What dbt/README.md advises."""
MEANING: Final = """\
Each cell shows the wall time and processor time of a build in seconds, including data tests. dbt's
own start takes another {start}. Postgres 18 ran on the same machine, which has {cores} cores.
"""
ALL, CORE = "", "--select tag:jobo_core"
NOTHING: Final = "--select path:nothing"


@dataclass(frozen=True)
class Took:
    """Seconds of wall time and of the processor, of dbt and Postgres together."""

    wall: float
    processor: float

    def beyond(self, start: Took) -> str:
        """A cell of the table: both without dbt's own start."""
        wall, processor = self.wall - start.wall, self.processor - start.processor
        return f"{wall:.1f} / {processor:.1f}"


def multiply(copies: int) -> str:
    """The statements that add copies of all rows, with ids and companies of their own."""
    return f"""
DO $$
DECLARE
    name text;
    columns text;
    selected text;
BEGIN
    FOREACH name IN ARRAY '{{{",".join(TABLES)}}}'::text[] LOOP
        SELECT
            string_agg(quote_ident(column_name), ', '),
            string_agg(CASE column_name
                WHEN 'id' THEN 'md5(id::text || n)::uuid'
                WHEN 'company' THEN
                    'jsonb_set(company, ''{{id}}'', to_jsonb(md5(company ->> ''id'' || n)::uuid))'
                ELSE quote_ident(column_name)
            END, ', ')
        INTO columns, selected
        FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name = name;
        EXECUTE format(
            'INSERT INTO %I (%s) SELECT %s FROM %I CROSS JOIN generate_series(2, {copies}) AS n',
            name, columns, selected, name
        );
    END LOOP;
END $$
"""  # noqa: S608 - a number


def change(part: int) -> str:
    """The statements that load 1% of the rows again, of which a tenth are new or expire."""
    stored = "_sdc_extracted_at = now(), _sdc_batched_at = now()"
    hash_ = "abs(hashtext(id::text)::bigint)"
    chosen = f"WHERE {hash_} % 100 = {part % 100}"
    expired = f"WHERE {hash_} % 1000 = {part % 1000}"
    return f"""
UPDATE career_sites SET {stored}, summary = summary || '.' {chosen};
UPDATE companies SET {stored}, summary = summary || '.' {chosen};
UPDATE jobs SET {stored}, updated_at = now(), summary = summary || '.' {chosen};
UPDATE managed_jobs SET {stored}, updated_at = now(), summary = summary || '.' {chosen};
UPDATE jobs SET {stored}, id = md5(id::text || 'new {part}')::uuid, created_at = now() {expired};
INSERT INTO expired_jobs (id, reported_at, _sdc_extracted_at, _sdc_batched_at)
SELECT id, now(), now(), now() FROM jobs WHERE {hash_} % 1000 = {(part + 500) % 1000}
ON CONFLICT (id) DO UPDATE
SET reported_at = now(), _sdc_extracted_at = now(), _sdc_batched_at = now()
"""  # noqa: S608 - a number


class Builds:
    """Runs dbt over a database and takes the time.

    Args:
        postgres: The database.
        data: The data folder of its server.
    """

    def __init__(self, postgres: Postgres, data: Path) -> None:
        self._postgres = postgres
        self._server = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        folder = postgres.dbt.folder
        project = ["--project-dir", str(PACKAGE), "--profiles-dir", str(PACKAGE)]
        command = [*tool_of(plugin_of("utilities", "dbt-postgres")), "dbt", "--quiet", "build"]
        self._command = [*command, *project]
        paths = {"DBT_TARGET_PATH": str(folder / "target"), "DBT_LOG_PATH": str(folder)}
        self._environment = os.environ | paths | dict(postgres.dbt.settings)

    def build(self, selection: str) -> Took:
        """Run a build in a new process."""
        before = self._of_the_server()
        began = time.perf_counter()
        command = [*self._command, *selection.split()]
        process = subprocess.Popen(command, env=self._environment)  # noqa: S603
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"dbt ended with {process.returncode}")
        processor = usage.ru_utime + usage.ru_stime + self._of_the_server() - before
        print(f"{selection:24} {wall:6.1f} {processor:6.1f}", flush=True)  # noqa: T201
        return Took(wall, processor)

    def change(self, part: int) -> None:
        """Change the loader's tables."""
        self._postgres.execute(change(part))
        self.settle("CHECKPOINT")

    def settle(self, *statements: str) -> None:
        """Let the server do now what it would do during a build."""
        self._postgres.execute(*statements)

    def _of_the_server(self) -> float:
        times = self._server.cpu_times()
        running = []
        for each in self._server.children():
            with suppress(psutil.NoSuchProcess):  # it ended since, and counts among the server's
                running.append(each.cpu_times())
        own = sum(each.user + each.system for each in (times, *running))
        return float(own + times.children_user + times.children_system)


def measure(copies: int, rounds: int) -> Iterator[str]:
    """Yield the lines of the table."""
    with (
        TemporaryDirectory(prefix="tap-jobo-") as name,
        running_postgres(Path(name, "data")) as port,
    ):
        folder, data = Path(name), Path(name, "data")
        server = Postgres.on(port, folder)
        server.execute(*ROLE, "CREATE DATABASE jobo", "CREATE DATABASE no_rows")
        databases = [Postgres.on(port, folder, name) for name in ("jobo", "no_rows")]
        with Sandbox(size=SITES, jobs=JOBS, seed=1) as sandbox:
            for database in databases:
                run = tap_of(sandbox, folder, *STREAMS).succeed()
                load(run, database.loader, database.destination, folder)
        full, empty = databases
        empty.execute(f"TRUNCATE {', '.join(TABLES)}")
        full.execute(multiply(copies))
        full.execute("VACUUM ANALYZE", "CHECKPOINT")
        on = {}
        for key, database in (("full", full), ("empty", empty)):
            own = folder / key
            own.mkdir()
            on[key] = Builds(replace(database, dbt=replace(database.dbt, folder=own)), data)
        on["empty"].build(ALL)
        yield from _lines(on["full"], on["empty"], rounds)


def _lines(full: Builds, empty: Builds, rounds: int) -> Iterator[str]:
    full.build(NOTHING)  # parses the project
    cold = full.build(ALL)
    full.settle("VACUUM ANALYZE", "CHECKPOINT")
    taken: dict[str, list[Took]] = {}

    def take(name: str, builds: Builds, selection: str) -> None:
        taken.setdefault(name, []).append(builds.build(selection))

    for number in range(rounds):
        take("start", full, NOTHING)
        full.change(2 * number)
        take("1%", full, ALL)
        take("nothing", full, ALL)
        full.change(2 * number + 1)
        take("1%, core", full, CORE)
        take("nothing, core", full, CORE)
        full.build(ALL)
        take("empty", empty, ALL)
        take("empty, core", empty, CORE)
    medians = {
        name: Took(median(each.wall for each in all_), median(each.processor for each in all_))
        for name, all_ in taken.items()
    }
    start = medians["start"]

    def row(title: str, name: str) -> str:
        both = (medians[each].beyond(start) for each in (name, f"{name}, core"))
        return f"| {title} | {' | '.join(both)} |"

    yield MEANING.format(start=f"{start.wall:.1f} / {start.processor:.1f}", cores=os.cpu_count())
    yield f"| build | everything | `{CORE.split()[1]}` |"
    yield "|---|---|---|"
    yield row("all tables empty", "empty")
    yield row("nothing changed", "nothing")
    yield row("1% of the rows changed", "1%")
    yield f"| first build | {cold.beyond(start)} |  |"


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=COPIES, help="how often to multiply the rows")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often to time each build")
    options = parser.parse_args()
    table = "\n".join(measure(options.copies, options.rounds)) + "\n"
    print(table)  # noqa: T201
    if options.copies == COPIES:
        write(PAGE, NAME, table)


if __name__ == "__main__":
    main()
