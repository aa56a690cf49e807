"""Runs that are cut short, and what they cost."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from jobo_sandbox import Fault, Hold, Sandbox
from jobo_sandbox.patience import patient
from tests.support.process import Run, Tap
from tests.support.systems import need_sizes

_SMALL_PIPE = 4096
"""Bytes: the tap cannot run far ahead of its reader, so that a kill meets it anywhere."""
BIG_PIPE = 1 << 20
"""Bytes: nobody needs to read while the tap runs."""


def cut_after(tap: Tap, lines: int, signum: int, *, state: object = None, **settings: Any) -> Run:
    """Run the tap, and send a signal after so many lines of its output."""
    need_sizes()
    process = tap.start(state=state, pipe_size=_SMALL_PIPE, **settings)
    assert process.stdout
    read = "".join(process.stdout.readline() for _ in range(lines))
    process.send_signal(signum)
    return finish(process, read)


@dataclass
class HeldRun:
    """A run one of whose requests is held."""

    process: subprocess.Popen[str]
    hold: Hold  #: holds the request

    def end(self) -> Run:
        """Let it go on, and wait for its end."""
        self.hold.release()
        return finish(self.process)


@contextmanager
def held_run(
    tap: Tap,
    which: Mapping[str, Any],
    *,
    status: int | None = None,
    state: object = None,
    **settings: Any,
) -> Iterator[HeldRun]:
    """Start the tap, and hold one of its requests, which is then answered, or gets a status.

    `which` says which one, as the sandbox's faults have it.
    """
    need_sizes()
    hold = Hold()
    tap.sandbox.faults.add(Fault(hold=hold, status=status), **which)
    process = tap.start(state=state, pipe_size=BIG_PIPE, **settings)
    try:
        hold.wait(30)
        yield HeldRun(process, hold)
    finally:
        process.kill()
        hold.release()


def cut_in_request(
    tap: Tap,
    number: int,
    signum: int = signal.SIGKILL,
    *,
    billed: bool = True,
    **how: Any,
) -> Run:
    """Run the tap and send a signal while its `number`-th request, but for the clock, is held.

    Once the signal was sent, the request is answered (and billed) or refused.
    """
    before = sum(entry.endpoint != "clock" for entry in tap.sandbox.ledger)
    with held_run(tap, {"on": before + number}, status=None if billed else 503, **how) as held:
        held.process.send_signal(signum)
        if signum == signal.SIGKILL:
            held.process.wait()
        run = held.end()
    wait_until_quiet(tap.sandbox)
    return run


def kill_in_request(
    sandbox: Sandbox,
    number: int,
    command: Sequence[str],
    kill: Callable[[subprocess.Popen[bytes]], object] = subprocess.Popen.kill,
    **options: Any,
) -> None:
    """Run any command, and kill it in its `number`-th request to the feed, which is billed."""
    hold, nowhere = Hold(), subprocess.DEVNULL
    sandbox.faults.add(Fault(hold=hold), on=len(sandbox.feed_requests) + number)
    with subprocess.Popen(command, stdout=nowhere, stderr=nowhere, **options) as process:
        hold.wait(60)
        kill(process)
        hold.release()
    assert process.returncode != 0
    wait_until_quiet(sandbox)


def run_meanwhile(
    tap: Tap,
    action: Callable[[subprocess.Popen[str]], object],
    *,
    state: object = None,
    **which: Any,
) -> Run:
    """Run the tap, and do something while a request is in progress: by default, its second."""
    with held_run(tap, which or {"on": 2}, state=state) as held:
        action(held.process)
        return held.end()


def finish(process: subprocess.Popen[str], read: str = "") -> Run:
    """Read what a process still writes, until its end."""
    assert process.stdout
    assert process.stderr
    with process:
        read += process.stdout.read()
        stderr = process.stderr.read()
    return Run(process.returncode, read, stderr)


def wait_until_quiet(sandbox: Sandbox) -> None:
    """Let the sandbox bill what a client that is gone has asked for."""
    wait_for(lambda: not sandbox.open_requests)


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until it holds; a condition that never does fails the test."""
    end = time.monotonic() + patient(seconds)
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def rows_billed_twice(sandbox: Sandbox) -> int:
    """How many rows were billed that had been billed before."""
    counts = sandbox.billed_ids()
    return counts.total() - len(counts)


def some_signal(rng: Random) -> signal.Signals:
    """SIGKILL mostly, else SIGTERM or SIGINT."""
    return rng.choice([signal.SIGKILL] * 4 + [signal.SIGTERM, signal.SIGINT])
