"""Runs a command of the tap or the sandbox in a process forked from one with its modules loaded.

Loading them takes most of a short run's time. What is forked is a process like any other, with its
own memory, streams, signals and exit status. Tests that start the tap by itself, and those of the
installation and of Meltano, start it cold.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

COMMAND: Final = Path(sys.executable).with_name("tap-jobo")
_SUPPORT: Final = str(Path(__file__).parent)


def warm_arguments(command: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """Return the program and its arguments, or nothing if it needs an interpreter of its own."""
    if not hasattr(os, "fork") or any(name.startswith("PYTHON") for name in env):
        return []
    if command[0] == str(COMMAND):
        return ["tap-jobo", *command[1:]]
    if tuple(command[:2]) == (sys.executable, "-m"):
        return list(command[2:])
    is_ours = command[0] == sys.executable and command[1].startswith(_SUPPORT)
    return list(command[1:]) if is_ours else []


def run_warm(
    arguments: Sequence[str], env: Mapping[str, str], cwd: Path | None, timeout: float
) -> tuple[int, bytes, bytes]:
    """Run a program to its end.

    Args:
        arguments: What `warm_arguments` returned.
        env: The whole environment.
        cwd: The folder, by default this process's.
        timeout: Seconds until the process is killed.

    Returns:
        Its exit code, its output and its log.

    Raises:
        TimeoutExpired: It took longer.
    """
    request = {"arguments": arguments, "env": dict(env), "cwd": str(cwd or Path.cwd())}
    ours, theirs = socket.socketpair()
    (output, write_output), (log, write_log) = os.pipe(), os.pipe()
    with ours:
        handed = [0, write_output, write_log, theirs.fileno()]
        socket.send_fds(_server(), [json.dumps(request).encode()], handed)
        theirs.close()
        os.close(write_output)
        os.close(write_log)
        with ours.makefile() as answers:
            process = int(answers.readline())
            try:
                written = _read([output, log], time.monotonic() + timeout)
            except TimeoutError as error:
                os.kill(process, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(arguments), timeout) from error
            finally:
                os.close(output)
                os.close(log)
            return int(answers.readline()), written[output], written[log]


def _read(pipes: Sequence[int], deadline: float) -> dict[int, bytes]:
    """Read pipes to their ends."""
    read = {pipe: bytearray() for pipe in pipes}
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(deadline - time.monotonic())
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 16)
                read[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)
    return {pipe: bytes(content) for pipe, content in read.items()}


@cache
def _server() -> socket.socket:
    """Start the server once in each process of pytest."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.warm_server", str(theirs.fileno())],
        cwd=Path(__file__).parents[2],
        pass_fds=[theirs.fileno()],
    )
    theirs.close()

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours
