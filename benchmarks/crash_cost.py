"""Measures what a crash costs, with the tap and without it: `uv run just crash-cost`.

Each program reads the sandbox's career sites and is killed in the middle of a request. The costs
are what the sandbox's ledger has billed. They do not depend on the speed of the machine.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import psycopg

from benchmarks import charts
from benchmarks.feed import KEY, Feed
from benchmarks.processes import environment
from benchmarks.readers import OURS, peer, tap
from benchmarks.report import RESULTS, write
from jobo_sandbox import Fault, Hold, Sandbox
from jobo_sandbox.postgres import running_postgres
from tests.support.crash import wait_until_quiet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchmarks.processes import Contender

NAME: Final = "crash-cost"
AGAIN: Final = "cost-again"
_AGAIN: Final = (0, 1, 5)
"""The programs of the second table: the tap, a plain one, and dlt that continues from its state."""
_SIZE: Final = 10_000
_INTERVAL: Final = 60
_TRIES: Final = 8
_PAGE_ROWS: Final = 50
_STORED: Final = "SELECT count(details_url) FROM career_sites"
"""Counts the rows that have a field, any that the API sends in each row."""
_CHUNK: Final = 10
"""Pages that dlt loads at a time, where it loads in chunks."""
_PACE: Final = 0.2
"""Seconds of the response before a kill. Without a pace, airbyte-cdk buffers many pages."""
_ID: Final = re.compile(rb'"id": ?"([0-9a-f-]{36})"')
_STATE: Final = (b'{"type":"STATE"', b'{"type": "STATE"')


@dataclass(frozen=True)
class Program:
    """A program that reads the career sites.

    Attributes:
        contender: Its name and its command.
        database: The database in which it stores rows and state itself. Empty for a program that
            writes both to its output, and takes the option `--state`.
    """

    contender: Contender
    database: str = ""


def in_this_environment(feed: Feed) -> Iterator[Program]:
    """Yield the programs that need no environment of their own."""
    yield Program(tap(feed))
    sdk, file = f"singer-sdk {version('singer-sdk')}", "plain_sdk_tap.py"
    yield Program(feed.script(f"plain tap, {sdk}", file, feed.schema))
    yield Program(feed.script("the same with the cursor in its state", file, feed.schema, "resume"))


def in_their_own(feed: Feed, port: int) -> Iterator[Program]:
    """Yield the programs of other frameworks; those that load use the Postgres on this port."""
    yield Program(peer(feed, "airbyte-cdk", "airbyte_source.py", note=", resumable full refresh"))
    database = f"postgresql://postgres:unused@127.0.0.1:{port}/postgres"
    folder, package = str(feed.folder / "dlt"), "dlt[postgres]"
    yield Program(peer(feed, package, "dlt_pipeline.py", database, folder), database)
    chunks = (database, folder, str(_CHUNK))
    note = f", {_CHUNK} pages per load"
    yield Program(peer(feed, package, "dlt_in_chunks.py", *chunks, note=note), database)


def measured(
    feed: Feed, sandbox: Sandbox, programs: Iterable[Program], *, interval: int, tries: int
) -> Iterator[str]:
    """Yield the lines of the table: of a kill halfway, and of kills after `interval` pages each."""
    once = sandbox.size // _PAGE_ROWS // 2
    one, many, stored = (
        f"crash at page {once}",
        f"crash every {interval} pages",
        "rows so far stored",
    )
    yield f"| program | {one} | {one}, {stored} | {many} | {many}, {stored} |"
    yield "|---|---|---|---|---|"
    for program in programs:
        cells = [
            _Series(program, feed, sandbox, keeps=keeps).bill(page, kills, tries)
            for page, kills in ((once, 1), (interval, tries))
            for keeps in (False, True)
        ]
        name = program.contender.name
        yield f"| {f'**{name}**' if name == OURS else name} | {' | '.join(cells)} |"


def measured_again(feed: Feed, sandbox: Sandbox, programs: Iterable[Program]) -> Iterator[str]:
    """Yield the lines of the table: what the same rows cost once more, after a complete run.

    A table is reloaded by a run without a state, or with a dropped one, so it costs what a second
    warehouse costs. That needs no run of its own.
    """
    yield (
        "| program | the state is lost | a second warehouse, or a table reloaded "
        "| a new column in old rows |"
    )
    yield "|---|---|---|---|"
    for program in programs:
        series = _Series(program, feed, sandbox, keeps=True)
        series.bill(0, 0, 1)
        column = series.column()  # before the others, which fill the table again
        cells = [series.again(is_new=False), series.again(is_new=True), column]
        name = program.contender.name
        yield f"| {f'**{name}**' if name == OURS else name} | {' | '.join(cells)} |"


class _Series:
    """Runs of a program, from an empty target to the first run that is complete.

    Args:
        program: The program.
        feed: The folder of its files.
        sandbox: The API.
        keeps: Whether the target stores all that a killed run has written, and then its last
            state; it stores nothing of it otherwise.
    """

    def __init__(self, program: Program, feed: Feed, sandbox: Sandbox, *, keeps: bool) -> None:
        self._program, self._sandbox, self._keeps = program, sandbox, keeps
        self._output, self._state = feed.folder / "output", feed.folder / "state.json"
        self._local = feed.folder / "dlt"  # where dlt keeps its state, besides the database
        program.contender.before()
        self._lose_state()
        self._empty_target()

    def _lose_state(self) -> None:
        self._state.unlink(missing_ok=True)
        shutil.rmtree(self._local, ignore_errors=True)

    def _empty_target(self) -> None:
        self._stored: set[str] = set()
        if self._program.database:
            with psycopg.connect(self._program.database) as database:
                database.execute("DROP SCHEMA IF EXISTS public_staging CASCADE")
                database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    def again(self, *, is_new: bool) -> str:
        """Return what is billed if the state is lost, and the target is a new one, or is not."""
        self._lose_state()
        if is_new:
            self._empty_target()
        return self.bill(0, 0, 1)

    def column(self) -> str:
        """Return what is billed until the old rows have a field that they lacked.

        A program with a schema drops what it does not name, so a field that a later schema names
        needs the rows once more. A program that takes all fields of a row has it already.
        """
        if self._program.database:
            with psycopg.connect(self._program.database) as database:
                (found,) = database.execute(_STORED).fetchone() or (0,)
            if found == self._sandbox.size:
                return "$0.00"
        return self.again(is_new=False)

    def bill(self, page: int, kills: int, tries: int) -> str:
        """Return what was billed until a run was complete, or for so many tries.

        The first `kills` runs are killed in their request number `page`.
        """
        before, runs, is_complete = self._sandbox.credits_billed, 0, False
        while not is_complete and runs < tries:
            is_complete = self._run(page if runs < kills else 0)
            runs += 1
        if is_complete and set(self._sandbox.world.rows()) != self._rows():
            raise RuntimeError(f"{self._program.contender.name} has lost rows")
        dollars = (self._sandbox.credits_billed - before) / 1_000
        how = f"done in {runs} runs" if is_complete else f"not done after {runs}"
        return f"${dollars:,.2f}" + (f", {how}" if kills > 1 else "")

    def _run(self, page: int) -> bool:
        """Run the program, kill it in the request for a page, and return whether it ended first."""
        contender, hold = self._program.contender, Hold()
        if page:
            requests = len(self._sandbox.feed_requests)
            add = self._sandbox.faults.add
            add(Fault(hold=hold), on=requests + page, endpoint="career_sites")
            add(Fault(delay=_PACE), on=requests + page - 1, endpoint="career_sites")
        state = ["--state", str(self._state)] if self._state.exists() else []
        with (
            self._output.open("wb") as output,
            subprocess.Popen(
                [*contender.command, *state],
                stdout=output,
                stderr=subprocess.PIPE,
                env=environment() | dict(contender.env),
            ) as process,
        ):
            while process.poll() is None:
                with suppress(TimeoutError):
                    hold.wait(0.05)
                    process.kill()
        self._sandbox.faults.clear()
        hold.release()
        wait_until_quiet(self._sandbox)  # the request is billed, although nobody reads the response
        if process.returncode not in {0, -signal.SIGKILL}:
            raise RuntimeError(f"{contender.name} ended with {process.returncode}")
        if process.returncode == 0 or self._keeps:
            self._store(self._output.read_bytes())
        return process.returncode == 0

    def _store(self, output: bytes) -> None:
        self._stored.update(found.decode() for found in _ID.findall(output))
        states = [line for line in output.split(b"\n")[:-1] if line.startswith(_STATE)]
        if states:
            message = json.loads(states[-1])
            self._state.write_text(json.dumps(message.get("value") or [message["state"]]))

    def _rows(self) -> set[str]:
        if not self._program.database:
            return self._stored
        with psycopg.connect(self._program.database) as database:
            return {f"{key}" for (key,) in database.execute("SELECT id FROM career_sites")}


def _printed(lines: Iterable[str]) -> str:
    """Print lines as they come, and return them."""
    text = ""
    for line in lines:
        print(line, flush=True)  # noqa: T201 - what it is for
        text += f"{line}\n"
    return text


def main() -> None:
    """Measure, print the table, and write it and the charts beside the benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crash_cost", description=__doc__)
    parser.add_argument("--size", type=int, default=_SIZE, help=f"career sites ({_SIZE})")
    parser.add_argument("--print", action="store_true", help="only print the table")
    options = parser.parse_args()
    with (
        TemporaryDirectory(prefix="crash-cost-") as name,
        Sandbox(
            size=options.size, api_key=KEY, balance=10**9, rows_with_updated_at=True
        ) as sandbox,
        running_postgres(Path(name, "postgres")) as port,
    ):
        Path(name).chmod(0o755)  # Postgres runs as a user of its own
        feed = Feed(Path(name), sandbox.url, 0)
        programs = [*in_this_environment(feed), *in_their_own(feed, port)]
        text = _printed(measured(feed, sandbox, programs, interval=_INTERVAL, tries=_TRIES))
        again = _printed(measured_again(feed, sandbox, [*map(programs.__getitem__, _AGAIN)]))
        cost = options.size * sandbox.price / 1_000
    crashes = (
        f"\nBilled for {options.size:,} career sites, which cost ${cost:,.2f} without a crash. "
        f"Measured on {datetime.now(UTC):%B %-d, %Y}.\n"
    )
    if not options.print:
        write(RESULTS, NAME, text + crashes)
        write(RESULTS, AGAIN, again)
        charts.draw()


if __name__ == "__main__":
    main()
