"""The tables: each is measured in one go, its contenders in turn."""

from __future__ import annotations

import sys
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.bucket import bucket
from benchmarks.commands import FLOOR, LOOP, OURS, PLAIN, Commands
from benchmarks.limits import uses
from benchmarks.page_server import PAGE
from benchmarks.peers import peers
from benchmarks.pipeline import Pipeline
from benchmarks.processes import (
    figure_of,
    measure,
    number_of_rows,
    page_server,
    ratio,
    rows_of,
    spread,
)
from jobo_sandbox.postgres import running_postgres

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.processes import Contender, Timing

_MEGABYTE: Final = 1_000_000
_BUCKET_PAGES: Final = 200
"""Pages that go to a bucket, whose server is slow."""


def feed(folder: Path, rows: int, rounds: int, job_bytes: int, peers_in: Path | None) -> None:
    """Read a whole feed: career sites, or jobs of a size.

    Args:
        folder: Where files of the runs go.
        rows: How many rows the feed has.
        rounds: How often each contender runs.
        job_bytes: The size of a job; 0 for career sites.
        peers_in: Where the environments of the peers are; None to leave the peers out.
    """
    stream = "jobs" if job_bytes else "career_sites"

    def contenders(url: str) -> list[Contender]:
        own = Commands(folder, url, stream).whole_feed()
        return own + (list(peers(peers_in, url, stream)) if peers_in else [])

    with page_server(rows, job_bytes) as url:
        all_ = contenders(url)
        _see_that_rows_are_the_same(all_[:4], all_[4:], rows)
        full = measure(all_, rounds)
    with page_server(0, job_bytes) as url:
        empty = measure(contenders(url), rounds)
    say(f"\n{rows:,} {stream}" + (f" of {job_bytes:,} bytes" if job_bytes else ""))
    say("\n| | seconds | x floor | x loop | processor, s | x loop | rows per second | start-up |")
    say("|---|---|---|---|---|---|---|---|")
    floor, loop = full[FLOOR], full[LOOP]
    for name, timing in full.items():
        say(
            f"| {name} | {spread(timing.seconds)} | {ratio(timing.seconds, floor.seconds):.1f} "
            f"| {ratio(timing.seconds, loop.seconds):.2f} | {spread(timing.cpu)} "
            f"| {ratio(timing.cpu, loop.cpu):.2f} | {rows / median(timing.seconds):,.0f} "
            f"| {median(empty[name].seconds):.2f} |"
        )


def _see_that_rows_are_the_same(
    printing: Sequence[Contender], others: Sequence[Contender], rows: int
) -> None:
    expected, *found = map(rows_of, printing)
    if any(each != expected for each in found) or any(
        number_of_rows(each) != rows for each in others
    ):
        sys.exit("The contenders read different rows: their times say nothing.")


def start_up(folder: Path, rounds: int) -> None:
    """Start and do nothing else."""
    say(f"\n| start-up | {PLAIN}, s | {OURS}, s | ratio | ratio of processor time |")
    say("|---|---|---|---|---|")
    with page_server(0) as url:
        commands = Commands(folder, url)
        for name, contenders in {
            "`--version`": commands.option("--version"),
            "`--discover`": commands.option("--discover"),
            "a run with nothing new": commands.quiet(),
        }.items():
            timings = measure(contenders, rounds)
            plain, ours = timings[PLAIN], timings[OURS]
            ratios = f"{ratio(ours.seconds, plain.seconds):.2f} | {ratio(ours.cpu, plain.cpu):.2f}"
            say(f"| {name} | {spread(plain.seconds)} | {spread(ours.seconds)} | {ratios} |")


def journal(folder: Path, rows: int, rounds: int) -> None:
    """Keep pages and replay them, in a folder and in a bucket; and the memory that it takes."""
    say("\n| per page of 50 career sites | ms | processor, ms |\n|---|---|---|")
    pages = rows // PAGE
    with page_server(0) as url:
        start = measure([Commands(folder, url).purchase()], rounds)[OURS]
    with page_server(rows) as url:
        commands = Commands(folder, url)
        runs = [commands.without_journal(), commands.purchase(), commands.replay()]
        if figure_of(runs[1], "jobo_rows") != figure_of(runs[2], "jobo_rows_replayed"):
            sys.exit("The replay replays nothing: its time says nothing.")
        _say_per_page(measure(runs, rounds), start, pages)
    with page_server(_BUCKET_PAGES * PAGE) as url, bucket() as place:
        runs = Commands(folder, url).bucket(place)
        _say_per_page(measure(runs, min(rounds, 3)), start, _BUCKET_PAGES)
    _memory(folder, rows)


def _say_per_page(timings: dict[str, Timing], start: Timing, pages: int) -> None:
    for name, timing in timings.items():
        shown = "journal in a folder" if name == OURS else name
        wall = (median(timing.seconds) - median(start.seconds)) / pages * 1000
        cpu = (median(timing.cpu) - median(start.cpu)) / pages * 1000
        say(f"| {shown} | {wall:.2f} | {cpu:.2f} |")


def _memory(folder: Path, rows: int) -> None:
    say("\n| career sites | peak memory |\n|---|---|")
    for number in (rows, rows * 10):
        with page_server(number) as url:
            memory = measure([Commands(folder, url).purchase()], 1)[OURS].memory
        say(f"| {number:,} | {memory / _MEGABYTE:.1f} MB |")


def memory_and_disk(folder: Path, most: int, sizes: Sequence[int]) -> None:
    """Tell what a backfill of jobs takes: once each, as neither depends on other processes."""
    say("\n| jobs | bytes each | peak memory | journal |\n|---|---|---|---|")
    for job_bytes in sizes:
        for jobs in (most // 10, most):
            with page_server(jobs, job_bytes) as url:
                commands = Commands(folder, url, "jobs")
                memory = measure([commands.purchase()], 1)[OURS].memory
            disk = sum(path.stat().st_size for path in commands.journal.iterdir())
            figures = f"{memory / _MEGABYTE:.0f} MB | {disk / _MEGABYTE:.0f} MB"
            say(f"| {jobs:,} | {job_bytes:,} | {figures} |")


def pipeline(folder: Path, rows: int, rounds: int) -> None:
    """Load career sites, and jobs, into Postgres: with Meltano, without it, each part alone."""
    with running_postgres(folder / "postgres") as port:
        with page_server(rows) as url:
            own = Pipeline(folder, url, port)
            own.install()
            full = measure(
                [
                    own.meltano(),
                    own.meltano("the same, `batch_size_rows` 1,000", batch_size_rows=1_000),
                    own.meltano("the same, `batch_size_rows` 100,000", batch_size_rows=100_000),
                    own.meltano("the same, `use_copy`", use_copy=True),
                    own.pipe(),
                    own.tap(),
                    own.loader(),
                    own.loader("the loader alone, `batch_size_rows` 1,000", batch_size_rows=1_000),
                    own.loader("the loader alone, `use_copy`", use_copy=True),
                    own.loader("the loader alone, no `validate_records`", validate_records=False),
                ],
                rounds,
            )
        with page_server(0) as url:
            empty = measure(
                [Pipeline(folder, url, port).meltano("`meltano run`, nothing to read")], rounds
            )
        with page_server(rows, 8_000) as url:
            jobs = Pipeline(folder, url, port, "jobs")
            jobs.install()
            loaders = [
                jobs.loader(f"{rows:,} jobs of 8 kB, the loader alone"),
                jobs.loader("the same, `batch_size_rows` 1,000", batch_size_rows=1_000),
                jobs.loader("the same, `use_copy`", use_copy=True),
            ]
            of_jobs = measure(loaders, 1)
    say(f"\n| {rows:,} career sites into Postgres | seconds | memory of the largest process |")
    say("|---|---|---|")
    for name, timing in (*full.items(), *empty.items(), *of_jobs.items()):
        say(f"| {name} | {spread(timing.seconds)} | {timing.memory / _MEGABYTE:.0f} MB |")


def limits(folder: Path) -> None:
    """Use the API's limits."""
    say("\n| limit | used | answered with 429 |\n|---|---|---|")
    for use in uses(folder):
        say(f"| {use.name} | {use.share:.0%} | {use.refused:.1%} |")


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201 - what it is for
