"""A rehearsal of the tap before the first fork: each one has what it loaded, compiled, and cached.

It leaves the signals, the environment, and the log as they were, for forks of other programs.
"""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from jobo_sandbox import Sandbox
from tests.support.process import Tap

with Sandbox(size=60, seed=1, jobs=20) as sandbox, TemporaryDirectory() as folder:
    tap = Tap(sandbox, Path(folder))
    for options in (["--discover"], []):
        tap.run(*options)  # if it fails, the tests tell why
assert threading.active_count() == 1, "a fork has no other threads"
gc.collect()
gc.freeze()
