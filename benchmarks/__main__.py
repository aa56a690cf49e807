"""Measures the tap beside its alternatives and prints tables: `uv run just bench`."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks import charts
from benchmarks.feed import Feed
from benchmarks.pipelines import Pipelines
from benchmarks.processes import measure, measure_once, ratio, run_once, spread
from benchmarks.readers import LOOP, OFF, OURS, archive_of, readers, tap
from benchmarks.report import RESULTS, write
from benchmarks.server import serving
from jobo_sandbox.postgres import running_postgres

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FEEDS: Final = {"career_sites": 0, "jobs_4kb": 4_000}
"""The feeds, and the size of a job."""
_MEGABYTE: Final = 1_000_000


def main() -> None:
    """Measure; all of it takes an hour, in which the machine should do nothing else."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each program (5)")
    parser.add_argument("--rows", type=int, default=20_000, help="career sites (20000)")
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs (10000)")
    parser.add_argument("--pages", type=int, default=100, help="pages at the API's pace (100)")
    parser.add_argument("--latency", type=float, default=0.25, help="seconds of a page (0.25)")
    parser.add_argument("--interval", type=float, default=0.5, help="between two pages (0.5)")
    parser.add_argument("--feed", choices=_FEEDS, action="append", help="measure only this feed")
    parser.add_argument("--only", choices=_TABLES, help="measure only this")
    parser.add_argument(
        "--write", action="store_true", help="write the tables to the documentation"
    )
    options = parser.parse_args()
    _say("machine", [_machine(options.rounds)], options)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres runs as a user of its own
        for table in [options.only] if options.only else _TABLES:
            for feed in options.feed or _FEEDS:
                _say(f"{table} {feed}", _TABLES[table](folder, _FEEDS[feed], options), options)


def _read(folder: Path, job_bytes: int, options: argparse.Namespace) -> Iterator[str]:
    """Read a feed to standard output."""
    rows = options.jobs if job_bytes else options.rows
    with serving(rows, job_bytes) as url:
        feed = Feed(folder, url, job_bytes)
        full = measure(readers(feed), options.rounds, rows)
        run_once(tap(feed))
        disk = sum(path.stat().st_size for path in archive_of(feed).rglob("*") if path.is_file())
    with serving(0, job_bytes) as url:
        empty = measure(readers(Feed(folder, url, job_bytes)), options.rounds, 0)
    with serving(rows * 10, job_bytes) as url:
        memory = run_once(tap(Feed(folder, url, job_bytes)))["memory"]
    pages = rows // feed.page_rows
    yield f"{rows:,} {feed.title} in {pages:,} pages:"
    yield ""
    yield "| program | seconds | x loop | processor, s | rows per second | start-up | memory |"
    yield "|---|---|---|---|---|---|---|"
    for name, timing in full.items():
        yield (
            f"| {name} | {spread(timing.seconds)} | {ratio(timing, full[LOOP]):.2f} "
            f"| {median(timing.processor):.2f} | {rows / median(timing.seconds):,.0f} "
            f"| {median(empty[name].seconds):.2f} | {timing.memory / _MEGABYTE:.0f} MB |"
        )
    archive = [on - off for on, off in zip(full[OURS].seconds, full[OFF].seconds, strict=True)]
    yield ""
    yield (
        f"The archive takes {median(archive) / pages * 1_000:.2f} ms per page and "
        f"{disk / _MEGABYTE:.0f} MB. Ten times the rows take {memory / _MEGABYTE:.0f} MB of memory."
    )


def _pace(folder: Path, job_bytes: int, options: argparse.Namespace) -> Iterator[str]:
    """Load a feed into Postgres at the API's pace, once: most of the time is the API's."""
    latency, interval = options.latency, options.interval
    due = options.pages * max(latency, interval)
    with running_postgres(folder / "postgres") as port:
        with serving(0, job_bytes) as url:
            pipelines = Pipelines(Feed(folder, url, job_bytes), port)
            empty = measure(pipelines.at_pace(), 3, 0)
        rows = options.pages * Feed(folder, url, job_bytes).page_rows
        with serving(rows, job_bytes, latency, interval) as url:
            feed = Feed(folder, url, job_bytes)
            full = measure_once(Pipelines(feed, port).at_pace(), rows)
    yield (
        f"{rows:,} {feed.title} in {options.pages} pages, each after {latency:g} s of latency and "
        f"{interval:g} s after the one before it, so in {due:g} s:"
    )
    yield ""
    yield "| program | seconds | x the API's pace | start-up | x the API's pace, without start-up |"
    yield "|---|---|---|---|---|"
    for name, seconds in full.items():
        start = median(empty[name].seconds)
        yield (
            f"| {name} | {seconds:.1f} | {seconds / due:.2f} | {start:.1f} "
            f"| {(seconds - start) / due:.2f} |"
        )


_TABLES: Final = {
    "read": _read,
    "pace": _pace,
}


def _machine(rounds: int) -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor()
    return (
        f"Measured on {datetime.now(UTC):%B %-d, %Y}, on an {processor} with {os.cpu_count()} "
        f"cores and Python {platform.python_version()}, in {rounds} rounds."
    )


def _say(name: str, lines: Iterable[str], options: argparse.Namespace) -> None:
    """Print lines, and write them to the documentation if that is wanted."""
    text = "".join(f"{line}\n" for line in lines)
    print(text, flush=True)  # noqa: T201 - what it is for
    if options.write:
        write(RESULTS, name, text)
        charts.draw()


if __name__ == "__main__":
    main()
