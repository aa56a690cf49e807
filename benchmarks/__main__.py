"""Times the tap beside its alternatives and prints tables: `uv run --group bench -m benchmarks`."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import pyperf

from benchmarks.commands import FLOOR, LOOP, OURS, PLAIN, Commands
from benchmarks.limits import uses
from benchmarks.processes import figure_of, measure, page_server, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.processes import Contender, Timing

_MEGABYTE: Final = 1_000_000
_JOB_BYTES: Final = (4_000, 8_000)
_BACKFILL: Final = 100_000
"""Jobs of a backfill whose memory and journal are measured."""


def main() -> None:
    """Run everything; it takes some minutes, in which the machine should do nothing else."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("--rows", type=int, default=50_000, help="rows of the feed (50000)")
    parser.add_argument("--rounds", type=int, default=9, help="runs of each command (9)")
    parser.add_argument("--jobs", type=int, default=50_000, help="rows of the jobs feed (50000)")
    parser.add_argument(
        "--only", choices=("career_sites", "jobs", "limits"), help="measure only this"
    )
    options = parser.parse_args()
    if min(options.rows, options.rounds, options.jobs) < 1:
        parser.error("--rows, --rounds and --jobs must be 1 or more")
    _say(f"{_machine()}; {options.rows:,} rows, the median of {options.rounds} rounds.")
    with tempfile.TemporaryDirectory() as folder:
        if options.only in {None, "career_sites"}:
            _rows(Path(folder), options.rows, options.rounds)
            _start_up(Path(folder), options.rounds)
            _replay_and_memory(Path(folder), options.rows, options.rounds)
        if options.only in {None, "jobs"}:
            for job_bytes in _JOB_BYTES:
                _say(f"\n{options.jobs:,} jobs of {job_bytes:,} bytes")
                _rows(Path(folder), options.jobs, options.rounds, job_bytes)
            _memory_and_disk(Path(folder))
        if options.only in {None, "limits"}:
            _limits(Path(folder))


def _rows(folder: Path, rows: int, rounds: int, job_bytes: int = 0) -> None:
    stream = "jobs" if job_bytes else "career_sites"
    with page_server(rows, job_bytes) as url:
        contenders = Commands(folder, url, stream).whole_feed()
        _see_that_rows_are_the_same(contenders)
        full = measure(contenders, rounds)
    with page_server(0, job_bytes) as url:
        empty = measure(Commands(folder, url, stream).whole_feed(), rounds)
    _say("\n| | seconds | x floor | x loop | rows a second | start-up, 0 rows |")
    _say("|---|---|---|---|---|---|")
    for name, timing in full.items():
        seconds = median(timing.seconds)
        floor, loop = _ratio(timing, full[FLOOR]), _ratio(timing, full[LOOP])
        start = median(empty[name].seconds)
        _say(
            f"| {name} | {seconds:.2f} | {floor:.1f} | {loop:.2f} | {rows / seconds:,.0f} "
            f"| {start:.2f} |"
        )


def _see_that_rows_are_the_same(contenders: Sequence[Contender]) -> None:
    expected, *others = map(rows_of, contenders)
    if any(rows != expected for rows in others):
        sys.exit("The contenders emit different rows: their times say nothing.")


def _start_up(folder: Path, rounds: int) -> None:
    _say(f"\n| start-up | {PLAIN} | {OURS} | ratio |\n|---|---|---|---|")
    with page_server(0) as url:
        commands = Commands(folder, url)
        for name, contenders in {
            "`--version`": commands.option("--version"),
            "`--discover`": commands.option("--discover"),
            "a quiet run": commands.quiet(),
        }.items():
            timings = measure(contenders, rounds)
            plain, ours = timings[PLAIN], timings[OURS]
            figures = f"{median(plain.seconds):.2f} | {median(ours.seconds):.2f}"
            _say(f"| {name} | {figures} | {_ratio(ours, plain):.2f} |")


def _replay_and_memory(folder: Path, rows: int, rounds: int) -> None:
    with page_server(0) as url:
        start = median(measure([Commands(folder, url).purchase()], rounds)[OURS].seconds)
    with page_server(rows) as url:
        commands = Commands(folder, url)
        timings = measure([commands.purchase(), commands.replay()], rounds)
        if figure_of(commands.replay(), "jobo_rows_replayed") != rows:
            sys.exit("The replay replays nothing: its time says nothing.")
    fetched, replayed = (median(timings[name].seconds) - start for name in (OURS, "replay"))
    with page_server(rows * 10) as url:
        more = measure([Commands(folder, url).purchase()], 1)[OURS].memory
    few = timings[OURS].memory
    _say("\n| | |\n|---|---|")
    _say(f"| to fetch {rows:,} rows, start-up apart | {fetched:.2f} s |")
    _say(f"| to replay them from the journal, start-up apart | {replayed:.2f} s |")
    _say(f"| peak memory, {rows:,} rows | {few / _MEGABYTE:.1f} MB |")
    _say(f"| peak memory, {rows * 10:,} rows | {more / _MEGABYTE:.1f} MB |")


def _memory_and_disk(folder: Path) -> None:
    """Tell what a backfill of jobs takes: once each, as neither depends on other processes."""
    _say("\n| jobs | bytes each | peak memory | journal |\n|---|---|---|---|")
    for job_bytes in _JOB_BYTES:
        for jobs in (_BACKFILL // 10, _BACKFILL):
            with page_server(jobs, job_bytes) as url:
                commands = Commands(folder, url, "jobs")
                memory = measure([commands.purchase()], 1)[OURS].memory
            disk = sum(path.stat().st_size for path in commands.journal.iterdir())
            figures = f"{memory / _MEGABYTE:.0f} MB | {disk / _MEGABYTE:.0f} MB"
            _say(f"| {jobs:,} | {job_bytes:,} | {figures} |")


def _limits(folder: Path) -> None:
    _say("\n| limit | used | answered with 429 |\n|---|---|---|")
    for use in uses(folder):
        _say(f"| {use.name} | {use.share:.0%} | {use.refused:.1%} |")


def _ratio(timing: Timing, other: Timing) -> float:
    """Return the median of the ratios, each of two runs that followed one another."""
    pairs = zip(timing.seconds, other.seconds, strict=True)
    return median(mine / theirs for mine, theirs in pairs)


def _machine() -> str:
    processor = (
        pyperf.Run([1.0], collect_metadata=True)
        .get_metadata()
        .get("cpu_model_name", platform.processor())
    )
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what it is for


if __name__ == "__main__":
    main()
