"""Whole processes, timed in turn: each round runs every contender once, so that ratios are fair."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_STOPWATCH: Final = str(Path(__file__).with_name("stopwatch.py"))
_ID: Final = re.compile(rb'"id": ?"[0-9a-f]{8}-0000-4000-8000-0{12}"')


def printed_rows(output: bytes) -> int:
    """Return how many rows of a feed a program printed."""
    return len(_ID.findall(output))


@dataclass(frozen=True)
class Contender:
    """A command to be timed.

    Attributes:
        name: Its name in the table.
        command: The command line.
        before: Done before each run, outside of the time.
        env: Variables of its environment.
        count_rows: Finds, from its output, how many rows it read or stored.
    """

    name: str
    command: Sequence[str]
    before: Callable[[], object] = lambda: None
    env: Mapping[str, str] = field(default_factory=dict)
    count_rows: Callable[[bytes], int] = printed_rows


@dataclass(frozen=True)
class Timing:
    """What the runs of a contender took, round by round.

    Attributes:
        seconds: Wall time of each run, start and end of the interpreter included.
        processor: Processor time of each run, which a busy machine changes less.
        memory: The most resident memory of any of its processes in any run, in bytes.
    """

    seconds: Sequence[float]
    processor: Sequence[float]
    memory: float


def environment() -> dict[str, str]:
    """Return this environment without what would falsify the time of a Python process."""
    falsifying = ("PYTHON", "TAP_JOBO_", "TARGET_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    return {
        name: value for name, value in os.environ.items() if not name.upper().startswith(falsifying)
    }


def measure(contenders: Sequence[Contender], rounds: int, rows: int) -> dict[str, Timing]:
    """Run all contenders in turn, `rounds` times, after one round that only counts their rows."""
    for each in contenders:
        _check(each, _count_rows(each), rows)
    runs: dict[str, list[dict[str, float]]] = {each.name: [] for each in contenders}
    for _ in range(rounds):
        for each in contenders:
            runs[each.name].append(run_once(each))
    return {
        name: Timing(
            [run["seconds"] for run in found],
            [run["processor"] for run in found],
            max(run["memory"] for run in found),
        )
        for name, found in runs.items()
    }


def measure_once(contenders: Sequence[Contender], rows: int) -> dict[str, float]:
    """Run all contenders once, those that store their rows; return the seconds of each."""
    seconds = {}
    for each in contenders:
        seconds[each.name] = run_once(each)["seconds"]
        _check(each, each.count_rows(b""), rows)
    return seconds


def _check(contender: Contender, found: int, rows: int) -> None:
    if found != rows:
        sys.exit(f"{contender.name} took {found} of {rows} rows: its time says nothing.")


def _count_rows(contender: Contender) -> int:
    contender.before()
    command, env = contender.command, environment() | dict(contender.env)
    done = subprocess.run(command, env=env, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{contender.name}: {done.stderr.decode()[-3000:]}")
    return contender.count_rows(done.stdout)


def run_once(contender: Contender) -> dict[str, float]:
    """Run a contender and return its seconds, processor seconds, and memory in bytes."""
    contender.before()
    done = subprocess.run(
        [sys.executable, _STOPWATCH, *contender.command],
        env=environment() | dict(contender.env),
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def ratio(mine: Timing, theirs: Timing) -> float:
    """Return the median of the ratios of seconds, each of two runs of the same round."""
    pairs = zip(mine.seconds, theirs.seconds, strict=True)
    return median(one / other for one, other in pairs)


def spread(values: Sequence[float]) -> str:
    """Return the median and, in parentheses, the middle half of the values."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    first, _, third = quantiles(values, n=4, method="inclusive")
    return f"{median(values):.2f} ({first:.2f}-{third:.2f})"
