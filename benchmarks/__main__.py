"""Measures the tap beside its alternatives and prints tables: `uv run just bench`."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.feed import Feed
from benchmarks.pipelines import BY_HAND, DLT, Pipelines
from benchmarks.processes import measure, measure_once, ratio, run_once, spread
from benchmarks.readers import LOOP, OFF, OURS, journal_of, readers, tap
from benchmarks.server import serving
from jobo_sandbox.postgres import running_postgres

_FEEDS: Final = {"career_sites": 0, "jobs_4kb": 4_000, "jobs_8kb": 8_000}
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
    parser.add_argument("--only", choices=("read", "load", "pace"), help="measure only this")
    parser.add_argument("--other", type=Path, help="the tap-jobo of another checkout, beside ours")
    options = parser.parse_args()
    _say(f"{_machine()}; the median of {options.rounds} rounds (and the middle half of them).")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres runs as a user of its own
        for feed in options.feed or _FEEDS:
            rows = options.jobs if _FEEDS[feed] else options.rows
            if options.only in {None, "read"}:
                _read(folder, _FEEDS[feed], rows, options)
            if options.only in {None, "load"}:
                _load(folder, _FEEDS[feed], rows, options.rounds)
            if options.only in {None, "pace"}:
                _pace(folder, _FEEDS[feed], options)


def _read(folder: Path, job_bytes: int, rows: int, options: argparse.Namespace) -> None:
    """Read a feed to standard output."""
    with serving(rows, job_bytes) as url:
        feed = Feed(folder, url, job_bytes)
        full = measure(readers(feed, options.other), options.rounds, rows)
        run_once(tap(feed))
        disk = sum(path.stat().st_size for path in journal_of(feed).rglob("*") if path.is_file())
    with serving(0, job_bytes) as url:
        empty = measure(readers(Feed(folder, url, job_bytes), options.other), options.rounds, 0)
    with serving(rows * 10, job_bytes) as url:
        memory = run_once(tap(Feed(folder, url, job_bytes)))["memory"]
    _say(f"\n{rows:,} {feed.title} to standard output\n")
    _say("| | seconds | x loop | processor, s | rows per second | start-up | memory |")
    _say("|---|---|---|---|---|---|---|")
    for name, timing in full.items():
        _say(
            f"| {name} | {spread(timing.seconds)} | {ratio(timing, full[LOOP]):.2f} "
            f"| {median(timing.processor):.2f} | {rows / median(timing.seconds):,.0f} "
            f"| {median(empty[name].seconds):.2f} | {timing.memory / _MEGABYTE:.0f} MB |"
        )
    pages = rows / feed.page_rows
    journal = [on - off for on, off in zip(full[OURS].seconds, full[OFF].seconds, strict=True)]
    _say(
        f"\nThe journal takes {median(journal) / pages * 1_000:.2f} ms per page and "
        f"{disk / _MEGABYTE:.0f} MB. Ten times the rows take {memory / _MEGABYTE:.0f} MB of memory."
    )


def _load(folder: Path, job_bytes: int, rows: int, rounds: int) -> None:
    """Load a feed into Postgres."""
    with running_postgres(folder / "postgres") as port, serving(rows, job_bytes) as url:
        feed = Feed(folder, url, job_bytes)
        timings = measure(Pipelines(feed, port).all(), rounds, rows)
    _say(f"\n{rows:,} {feed.title} into Postgres\n")
    _say("| | seconds | x by hand | dlt's time / its time | rows per second | memory |")
    _say("|---|---|---|---|---|---|")
    for name, timing in timings.items():
        _say(
            f"| {name} | {spread(timing.seconds)} | {ratio(timing, timings[BY_HAND]):.2f} "
            f"| {ratio(timings[DLT], timing):.1f} | {rows / median(timing.seconds):,.0f} "
            f"| {timing.memory / _MEGABYTE:.0f} MB |"
        )


def _pace(folder: Path, job_bytes: int, options: argparse.Namespace) -> None:
    """Load a feed into Postgres at the API's pace, once: most of the time is the API's."""
    latency, interval = options.latency, options.interval
    due = options.pages * max(latency, interval)
    with running_postgres(folder / "postgres") as port:
        with serving(0, job_bytes) as url:
            empty = measure(
                Pipelines(Feed(folder, url, job_bytes), port).at_pace(options.other), 3, 0
            )
        rows = options.pages * Feed(folder, "", job_bytes).page_rows
        with serving(rows, job_bytes, latency, interval) as url:
            feed = Feed(folder, url, job_bytes)
            full = measure_once(Pipelines(feed, port).at_pace(options.other), rows)
    _say(
        f"\n{rows:,} {feed.title} into Postgres at the API's pace: {options.pages} pages, each with"
    )
    _say(f"{latency:g} s of latency, one every {interval:g} s at most, so {due:g} s\n")
    _say("| | seconds | x the API's pace | start-up | x the API's pace without it |")
    _say("|---|---|---|---|---|")
    for name, seconds in full.items():
        start = median(empty[name].seconds)
        _say(
            f"| {name} | {seconds:.1f} | {seconds / due:.2f} | {start:.1f} "
            f"| {(seconds - start) / due:.2f} |"
        )


def _machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor()
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what it is for


if __name__ == "__main__":
    main()
