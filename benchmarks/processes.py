"""Whole processes, timed in turn: each round runs every contender once, so that ratios are fair."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_STOPWATCH: Final = str(Path(__file__).with_name("stopwatch.py"))


@dataclass(frozen=True)
class Contender:
    """A command to be timed.

    Attributes:
        name: Its name in the table.
        command: The command line.
        before: Done before each run, outside of the time.
        env: Variables of its environment.
        told_rows: Finds how many rows it read in its output; None if it prints the rows.
    """

    name: str
    command: Sequence[str]
    before: Callable[[], object] = lambda: None
    env: Mapping[str, str] = field(default_factory=dict)
    told_rows: Callable[[str], int] | None = None


@dataclass(frozen=True)
class Timing:
    """What the runs of a contender took, round by round.

    Attributes:
        seconds: Wall time of each run, start and end of the interpreter included.
        cpu: Processor time of each run, its own and the kernel's, in seconds.
        memory: The most resident memory of any run, in bytes.
    """

    seconds: Sequence[float]
    cpu: Sequence[float]
    memory: float


def environment() -> dict[str, str]:
    """Return this environment without what would falsify the time of a Python process."""
    falsifying = ("PYTHON", "TAP_JOBO_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    return {
        name: value for name, value in os.environ.items() if not name.upper().startswith(falsifying)
    }


def measure(contenders: Sequence[Contender], rounds: int) -> dict[str, Timing]:
    """Run all contenders in turn, `rounds` times, after one round that does not count."""
    runs: dict[str, list[dict[str, float]]] = {each.name: [] for each in contenders}
    for number in range(rounds + 1):
        for each in contenders:
            each.before()
            found = _run_once(each)
            if number:
                runs[each.name].append(found)
    return {name: _timing(found) for name, found in runs.items()}


def _run_once(contender: Contender) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, _STOPWATCH, *contender.command],
        env=environment() | dict(contender.env),
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _timing(runs: Sequence[Mapping[str, float]]) -> Timing:
    seconds, cpu, memory = ([run[part] for run in runs] for part in ("seconds", "cpu", "memory"))
    return Timing(seconds, cpu, max(memory))


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios, each of two runs that followed one another."""
    return median(one / other for one, other in zip(mine, theirs, strict=True))


def spread(values: Sequence[float]) -> str:
    """Return the median and, in parentheses, the middle half of the values."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    first, _, third = quantiles(values, n=4, method="inclusive")
    return f"{median(values):.2f} ({first:.2f}-{third:.2f})"


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


def number_of_rows(contender: Contender) -> int:
    """Run a contender once and return how many rows it read."""
    output = _run(contender).stdout
    return contender.told_rows(output) if contender.told_rows else output.count('"RECORD"')


def figure_of(contender: Contender, metric: str) -> float:
    """Run the tap once and return a figure of its METRIC lines."""
    points = re.findall(r"METRIC: (\{.*\})", _run(contender).stderr)
    (value,) = (point["value"] for point in map(json.loads, points) if point["metric"] == metric)
    return float(value)


def _run(contender: Contender) -> subprocess.CompletedProcess[str]:
    contender.before()
    command, env = contender.command, environment() | dict(contender.env)
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
