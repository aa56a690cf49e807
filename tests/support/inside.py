"""Runs the tap within the test's process, with streams, an environment, and a log of its own.

That takes less than half the time of a fork. A run that is killed, or that a test gives variables,
is a process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO
from unittest.mock import patch

from tap_jobo.cli import run
from tests.support.signals import kept_signals


def run_inside(command: Sequence[str], env: Mapping[str, str]) -> tuple[int, str, str]:
    """Run the tap to its end; return its exit code, its output, and its log."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as log:
        with _as_in_a_process(command, env, output, log):
            code = _run(log)
        for file in (output, log):
            file.seek(0)
        return code, output.read(), log.read()


def _run(log: TextIO) -> int:
    """Run the command line, and return its exit code as an interpreter does."""
    try:
        run()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=log)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - which an interpreter prints, too
        traceback.print_exc(file=log)
        return 1
    return 0


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
        output.flush()
        log.flush()


@contextlib.contextmanager
def _kept_loggers() -> Iterator[None]:
    """Give all loggers back what they had; one that is new has nothing."""
    root = logging.getLogger()
    before = {each: _copied(each) for each in [root, *_loggers()]}
    root.handlers = []
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        for each in [root, *_loggers()]:
            vars(each).update(before.get(each) or _new())
            each.setLevel(each.level)  # which forgets what it has worked out


def _loggers() -> list[logging.Logger]:
    known = logging.getLogger().manager.loggerDict.values()
    return [each for each in known if isinstance(each, logging.Logger)]


def _new() -> dict[str, object]:
    return {
        "handlers": [],
        "filters": [],
        "level": logging.NOTSET,
        "propagate": True,
        "disabled": False,
    }


def _copied(logger: logging.Logger) -> dict[str, object]:
    return {
        "handlers": logger.handlers,
        "filters": [*logger.filters],
        "level": logger.level,
        "propagate": logger.propagate,
        "disabled": logger.disabled,
    }
