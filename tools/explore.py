"""Tries the models of the two promises with random examples: `just explore MINUTES`.

The suite tries the same examples each time, so that a change fails or passes for a reason of its
own. This tries others. An example that fails is shrunk and printed as Python code: paste it into a
test beside the model that it names.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import cycle
from pathlib import Path
from typing import Final

from hypothesis import Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

sys.path.insert(0, str(Path(__file__).parents[1]))

_EXAMPLES: Final = 10
"""How many examples of a model a process tries at a time: up to half a minute, so long may the
command take beyond its minutes."""


def all_machines() -> list[type[RuleBasedStateMachine]]:
    """Return the models; those of a folder twice, because a bucket takes more time."""
    # Not above: each run of the tap, which is a process of its own, would import them.
    from tests.sync import test_promises as one  # noqa: PLC0415

    in_folder = [one.Promises, one.Troubled]
    return [*in_folder, *in_folder, one.BucketPromises, one.TroubledBucket]


def explore(minutes: float) -> str:
    """Try examples on all cores; return how one failed, empty if none did."""
    end = time.monotonic() + minutes * 60
    tried: Counter[str] = Counter()
    failure = ""
    machines = cycle(all_machines())
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores) as pool:
        running: set[Future[tuple[str, str]]] = set()
        while True:
            while len(running) < cores and time.monotonic() < end and not failure:
                number = random.SystemRandom().getrandbits(32)
                running.add(pool.submit(try_examples, next(machines), number))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for name, failed in (each.result() for each in done):
                tried[name] += 0 if failed else _EXAMPLES
                failure = failure or failed
    counts = ", ".join(f"{count:,} of {name}" for name, count in sorted(tried.items()))
    sys.stdout.write(f"Examples that passed: {counts}.\n")
    return failure


def try_examples(machine: type[RuleBasedStateMachine], number: int) -> tuple[str, str]:
    """Return a model's name and how it fails with the random seed of this number, if it does."""
    from tests.sync.model import MODEL  # noqa: PLC0415 - as above

    failure = ""
    phases = [Phase.generate]
    for more in (Phase.shrink, None):
        try:
            run_state_machine_as_test(
                seed(number)(machine),
                settings=settings(
                    MODEL,
                    max_examples=_EXAMPLES,
                    derandomize=False,
                    phases=phases,
                    report_multiple_bugs=False,
                    # On a CI host, Hypothesis adds a line that is not code.
                    print_blob=False,
                ),
            )
        except Exception:  # noqa: BLE001 - whatever the model raises is a find
            failure = f"{machine.__name__} with the seed {number}:\n{traceback.format_exc()}"
        if not failure or more is None:
            break
        sys.stderr.write(f"{machine.__name__} fails. This may take five minutes to shrink.\n")
        phases = [*phases, more]
    return machine.__name__, failure


def _minutes(text: str) -> float:
    if not 0 < (minutes := float(text)) < math.inf:
        raise argparse.ArgumentTypeError("no time in which an example could fail")
    return minutes


def main() -> None:
    """Try examples for some minutes, and exit with 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=_minutes)
    if failure := explore(parser.parse_args().minutes):
        sys.exit(failure)


if __name__ == "__main__":
    main()
