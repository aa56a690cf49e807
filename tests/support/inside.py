"""Runs a command within the test's process, with streams, an environment, and a log of its own.

That takes less than half the time of a fork. A run that is killed, or that a test gives variables,
is a process. What may differ for the next run is whether pure functions have cached a result.
"""

import contextlib
import gc
import logging
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TextIO
from unittest.mock import patch

from jobo_sandbox.patience import patient
from tap_jobo.archive_cli import main as run_archive_command
from tap_jobo.cli import run as run_tap
from tap_jobo.clock import Clock
from tests.support import odd_tap

_PROGRAMS: Mapping[str, Callable[[], object]] = {
    "tap-jobo": run_tap,
    "tap-jobo-archive": run_archive_command,
}


def run_inside(command: Sequence[str], env: Mapping[str, str]) -> tuple[int, str, str]:
    """Run the tap, or its other command, to its end; return its exit code, its output, and its log.

    Of the variables of `odd_tap`, it knows TEST_CLOCK.
    """
    with (
        tempfile.TemporaryFile("w+") as output,
        tempfile.TemporaryFile("w+") as log,
        _garbage_removed(),
        _as_in_a_process(command, env, output, log),
        patch.object(Clock, "now", odd_tap.now if "TEST_CLOCK" in env else Clock.now),
        _threads_ended(),
    ):
        code = _run(_PROGRAMS[Path(command[0]).name], log)
        for file in (output, log):
            file.seek(0)
        written, logged = output.read(), log.read()
    if code > 128:  # no test sends one to its own process: it was for pytest, as after Ctrl-C
        signal.raise_signal(code - 128)
    return code, written, logged


def _run(program: Callable[[], object], log: TextIO) -> int:
    """Run the command line, and return its exit code as an interpreter does."""
    try:
        program()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=log)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:  # noqa: BLE001 - which an interpreter prints, too
        traceback.print_exc(file=log)
        return 1
    return 0


@contextlib.contextmanager
def _garbage_removed() -> Iterator[None]:
    """Close what the end of a process would close, such as connections, and nothing older."""
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()


@contextlib.contextmanager
def _threads_ended() -> Iterator[None]:
    """Wait for threads' requests, such as for profiles, which the end of a process breaks off.

    A run that failed has locked its log for good, on which they would wait. The tap's own threads
    are daemons, and no others.
    """
    before = {*threading.enumerate()}
    yield
    for handler in logging.getLogger().handlers:
        with contextlib.suppress(RuntimeError):  # it is not locked
            handler.release()
    end = time.monotonic() + patient(10)
    while any(each.daemon for each in {*threading.enumerate()} - before):  # or about to start
        assert time.monotonic() < end, "start this run as a process"
        time.sleep(0.001)


@contextlib.contextmanager
def _as_in_a_process(
    command: Sequence[str], env: Mapping[str, str], output: TextIO, log: TextIO
) -> Iterator[None]:
    """Give the tap what a process of its own would have, and then the tests what they had."""
    with (
        kept_signals(),
        _kept_loggers(),
        warnings.catch_warnings(),
        patch.dict(os.environ, env, clear=True),
        patch.object(os, "fsync", lambda _: None),
        patch.multiple(sys, argv=[*command], excepthook=sys.excepthook, stdout=output, stderr=log),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def kept_signals() -> Iterator[None]:
    """Give pytest its signal handlers back, which a tap within this process takes over."""
    taken = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    handlers = {number: signal.getsignal(number) for number in taken}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _kept_loggers() -> Iterator[None]:
    """Give all loggers back what they had; one that is new has what every new one has."""
    before = {each: _state(each) for each in _loggers()}
    new = logging.getLogger("tests.new")
    logging.getLogger().handlers = []
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        for each in _loggers():
            vars(each).update(before.get(each) or _state(new))
            each.setLevel(each.level)  # which forgets what it has worked out


def _loggers() -> list[logging.Logger]:
    root = logging.getLogger()
    known = root.manager.loggerDict.values()
    return [root, *(each for each in known if isinstance(each, logging.Logger))]


def _state(logger: logging.Logger) -> dict[str, object]:
    names = ("handlers", "filters", "level", "propagate", "disabled")
    return {name: copy(getattr(logger, name)) for name in names}
