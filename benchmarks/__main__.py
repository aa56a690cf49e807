"""Times the tap beside its alternatives and prints tables: `uv run --group bench -m benchmarks`."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import tables
from benchmarks.tables import say

if TYPE_CHECKING:
    from collections.abc import Callable

_JOB_BYTES: Final = (4_000, 8_000)
_PIPELINE: Final = 10_000
"""Career sites that are loaded into Postgres."""
_BACKFILL: Final = 100_000
"""Jobs of a backfill whose memory and journal are measured."""
_PARTS: Final = (
    *("career_sites", "start_up", "journal", "jobs_4kb", "jobs_8kb", "backfill", "pipeline"),
    "limits",
)


def main() -> None:
    """Run everything; it takes some minutes, in which the machine should do nothing else."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("--rows", type=int, default=50_000, help="rows of the feed (50000)")
    parser.add_argument("--rounds", type=int, default=9, help="runs of each command (9)")
    parser.add_argument("--jobs", type=int, default=20_000, help="rows of the jobs feed (20000)")
    parser.add_argument("--only", choices=_PARTS, action="append", help="measure only this")
    parser.add_argument(
        "--peers", action="store_true", help="also run dlt, airbyte-cdk and singer-python"
    )
    options = parser.parse_args()
    if min(options.rows, options.rounds, options.jobs) < 1:
        parser.error("--rows, --rounds and --jobs must be 1 or more")
    say(f"{_machine()}; the median of {options.rounds} rounds (and the middle half of them).")
    with tempfile.TemporaryDirectory() as folder:
        for part in options.only or _PARTS:
            _measure(part, Path(folder), options)


def _measure(part: str, folder: Path, options: argparse.Namespace) -> None:
    peers = folder / "peers" if options.peers else None
    rounds = options.rounds
    measures: dict[str, Callable[[], None]] = {
        "career_sites": lambda: tables.feed(folder, options.rows, rounds, 0, peers),
        "start_up": lambda: tables.start_up(folder, rounds),
        "journal": lambda: tables.journal(folder, options.rows, rounds),
        "jobs_4kb": lambda: tables.feed(folder, options.jobs, rounds, 4_000, peers),
        "jobs_8kb": lambda: tables.feed(folder, options.jobs, rounds, 8_000, peers),
        "backfill": lambda: tables.memory_and_disk(folder, _BACKFILL, _JOB_BYTES),
        "pipeline": lambda: tables.pipeline(folder, _PIPELINE, min(rounds, 5)),
        "limits": lambda: tables.limits(folder),
    }
    measures[part]()


def _machine() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in _lines(Path("/proc/cpuinfo"))
        if line.startswith("model name")
    ]
    processor = names[0] if names else platform.processor()
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
