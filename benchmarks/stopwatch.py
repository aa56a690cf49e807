"""Runs a command into a pipe that is read, and prints what it took: `stopwatch.py COMMAND ...`.

A process of its own, and a small one: a child's peak memory is never less than its parent's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Final

_CHUNK: Final = 1 << 16
"""Bytes that are read of the output at a time, as Meltano does."""
_RSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024
"""Bytes of one unit of `ru_maxrss`."""


def run(command: list[str]) -> dict[str, float]:
    """Return wall and processor seconds, and the peak memory of the largest process in bytes."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout  # noqa: S101 - a pipe, as asked for
    while os.read(process.stdout.fileno(), _CHUNK):
        pass
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    processor = usage.ru_utime + usage.ru_stime
    return {"seconds": seconds, "processor": processor, "memory": usage.ru_maxrss * _RSS_UNIT}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1:])))  # noqa: T201
