"""A rehearsal of the tap before the first fork: each one has what it loaded, compiled, and cached.

It leaves the signals, the environment, and the log as they were, for forks of other programs.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import warnings
from contextlib import ExitStack, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from jobo_sandbox import Sandbox
from tap_jobo.cli import run
from tests.support.process import Tap
from tests.support.signals import kept_signals


def _rehearse(command: list[str], env: dict[str, str]) -> None:
    """Run the tap in this process, with an environment of its own and without output."""
    root = logging.getLogger()
    with ExitStack() as kept:
        kept.enter_context(kept_signals())
        kept.enter_context(patch.dict(os.environ, env, clear=True))
        kept.enter_context(patch.multiple(sys, argv=command, excepthook=sys.excepthook))
        kept.enter_context(patch.multiple(root, handlers=[], level=root.level))
        nowhere = kept.enter_context(Path(os.devnull).open("w"))
        kept.enter_context(redirect_stdout(nowhere))
        kept.enter_context(redirect_stderr(nowhere))
        kept.enter_context(warnings.catch_warnings())
        kept.callback(logging.captureWarnings, capture=False)
        with suppress(SystemExit):  # if it fails, the tests tell why
            run()


with Sandbox(size=60, seed=1, jobs=20) as sandbox, TemporaryDirectory() as folder:
    tap = Tap(sandbox, Path(folder))
    for options in (["--discover"], []):
        _rehearse(tap.command(*options), tap.environment())
assert threading.active_count() == 1, "a fork has no other threads"
gc.collect()
gc.freeze()
