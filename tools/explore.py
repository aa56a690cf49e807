"""Plays random histories of the two promises: `just explore MINUTES [KIND...]`.

They are those of tests/sync/world. By default, the installed tap plays them as a process, in
folders and buckets. Those in `memory` play the archive's rules alone, 2,000 in a minute. The suite
plays the same ones each time, so that a change fails or passes for a reason of its own. This plays
others. One that fails is shown with as few steps as fail: it is a test to write.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

sys.path.insert(0, str(Path(__file__).parents[1]))

_HISTORIES: Final = 5
"""How many a process plays at a time: up to half a minute, so long may the command take beyond its
minutes."""


def explore(minutes: float, kinds: Iterable[str]) -> str:
    """Play histories on all cores; return how one failed, empty if none did.

    Args:
        minutes: For how long new ones begin.
        kinds: Where archives are, in turn: `folder`, `bucket`, or `memory`.
    """
    end = time.monotonic() + minutes * 60
    played: Counter[str] = Counter()
    failure = ""
    turns = cycle(kinds)
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores) as pool:
        running: set[Future[tuple[str, str]]] = set()
        while True:
            while len(running) < cores and time.monotonic() < end and not failure:
                seed = random.SystemRandom().getrandbits(32)
                running.add(pool.submit(play, next(turns), seed))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for kind, failed in (each.result() for each in done):
                played[kind] += 0 if failed else _HISTORIES
                failure = failure or failed
    counts = ", ".join(f"{kind} {count:,}" for kind, count in sorted(played.items()))
    sys.stdout.write(f"Histories that passed: {counts}.\n")
    return failure


def play(kind: Any, seed: int) -> tuple[str, str]:
    """Return where archives are, and what is wrong with a history, empty if nothing is."""
    # Not above: each run of the tap, which is a process of its own, would import it.
    from tests.sync.world.histories import find_wrong  # noqa: PLC0415

    return kind, find_wrong(seed, _HISTORIES, kind)


def _minutes(text: str) -> float:
    if not 0 < (minutes := float(text)) < math.inf:
        raise argparse.ArgumentTypeError("no time in which a history could fail")
    return minutes


def main() -> None:
    """Play histories for some minutes, and exit with 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=_minutes)
    parser.add_argument("kinds", nargs="*", default=["folder", "folder", "bucket"])
    arguments = parser.parse_args()
    if failure := explore(arguments.minutes, arguments.kinds):
        sys.exit(failure)


if __name__ == "__main__":
    main()
