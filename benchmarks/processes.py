"""Whole processes, timed in turn: each round runs every contender once, so that ratios are fair."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyperf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True)
class Contender:
    """A command to be timed.

    Attributes:
        name: Its name in the table.
        command: The command line.
        before: Done before each run, outside of the time.
    """

    name: str
    command: Sequence[str]
    before: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Timing:
    """What the runs of a contender took, round by round.

    Attributes:
        seconds: Wall time of each run, start and end of the interpreter included.
        memory: The most resident memory of any run, in bytes.
    """

    seconds: Sequence[float]
    memory: int


def environment() -> dict[str, str]:
    """Return this environment without what would falsify the time of a Python process."""
    falsifying = ("PYTHON", "TAP_JOBO_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    return {
        name: value for name, value in os.environ.items() if not name.upper().startswith(falsifying)
    }


def measure(contenders: Sequence[Contender], rounds: int) -> dict[str, Timing]:
    """Run all contenders in turn, `rounds` times, after one round that does not count."""
    with tempfile.TemporaryDirectory() as folder:
        files = {each.name: Path(folder) / f"{n}.json" for n, each in enumerate(contenders)}
        for number in range(rounds + 1):
            for each in contenders:
                each.before()
                _run_once(each, files[each.name])
                if not number:
                    files[each.name].unlink()
        return {name: _timing(path) for name, path in files.items()}


def _run_once(contender: Contender, results: Path) -> None:
    once = ["--processes=1", "--values=1", "--loops=1", "--warmups=0", "--quiet", "--copy-env"]
    options = [*once, f"--name={contender.name}", f"--append={results}"]
    subprocess.run(
        [sys.executable, "-m", "pyperf", "command", *options, *contender.command],
        env=environment(),
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _timing(results: Path) -> Timing:
    benchmark = pyperf.Benchmark.load(str(results))
    runs = [run.get_metadata()["command_max_rss"] for run in benchmark.get_runs()]
    return Timing(seconds=benchmark.get_values(), memory=max(runs))


def rows_of(contender: Contender) -> list[dict[str, object]]:
    """Run a contender once and return the rows that it printed, in their order."""
    messages = map(json.loads, _run(contender).stdout.splitlines())
    rows = [
        message.get("record", message)
        for message in messages
        if message.get("type", "RECORD") == "RECORD"
    ]
    for row in rows:
        if row.get("_rescued_data", "") is None:  # which the tap alone has
            del row["_rescued_data"]
    return rows


def figure_of(contender: Contender, metric: str) -> float:
    """Run the tap once and return a figure of its METRIC lines."""
    points = re.findall(r"METRIC: (\{.*\})", _run(contender).stderr)
    (value,) = (point["value"] for point in map(json.loads, points) if point["metric"] == metric)
    return float(value)


def _run(contender: Contender) -> subprocess.CompletedProcess[str]:
    contender.before()
    command, env = contender.command, environment()
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True)


@contextmanager
def page_server(rows: int, job_bytes: int = 0) -> Iterator[str]:
    """Serve so many career sites, or jobs of a size, at the address that is given."""
    command = [sys.executable, "-m", "benchmarks.page_server", str(rows), str(job_bytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as server:
        try:
            assert server.stdout  # noqa: S101 - a pipe, as asked for
            yield server.stdout.readline().strip()
        finally:
            server.terminate()
