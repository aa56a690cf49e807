"""Runs a command of the tap or the sandbox in a process forked from one with its modules loaded.

Loading them takes most of a short run's time. What is forked is a process like any other, with its
own memory, streams, signals and exit status. Tests of what is around its streams, of the
installation and of Meltano start it cold.
"""

import atexit
import fcntl
import importlib.metadata
import multiprocessing
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

COMMAND: Final = Path(sys.executable).with_name("tap-jobo")
ARCHIVE_COMMAND: Final = COMMAND.with_name("tap-jobo-archive")
importlib.metadata.version("singer-sdk")  # which looks into each folder of packages, once
_MODULES: Final = (
    "jobo_sandbox.contract.command",
    "jobo_sandbox.postgres",
    "jobo_sandbox.warehouse",
    "tap_jobo.cli",
    "tap_jobo.archive_cli",
    "tap_jobo.archive.bucket",
    __name__,
)


def warm_arguments(command: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """Return the program and its arguments, or nothing if it needs an interpreter of its own."""
    if any(name.startswith("PYTHON") for name in env):
        return []
    if command[0] in {str(COMMAND), str(ARCHIVE_COMMAND)}:
        return list(command)
    if command[0] != sys.executable:
        return []
    if command[1] == "-c":
        return list(command[1:])
    return list(command[2:]) if command[1] in {"-m", "-P"} else []


class WarmProcess(subprocess.Popen[str]):
    """A program that runs, with pipes for its output."""

    def __init__(
        self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path | None, pipe_size: int
    ) -> None:
        self.args, self.stdin, self.returncode = [*arguments], None, None
        self.universal_newlines = True
        self._communication_started, self._input = False, None  # which `communicate` looks at
        pipes = [os.pipe(), os.pipe()]
        if pipe_size > 0:
            fcntl.fcntl(pipes[0][0], fcntl.F_SETPIPE_SZ, pipe_size)
        self._process = _fork(arguments, env, cwd, [writing for _, writing in pipes])
        for _, writing in pipes:
            os.close(writing)
        self.stdout, self.stderr = (os.fdopen(reading) for reading, _ in pipes)
        self.pid = self._process.pid

    def poll(self) -> int | None:
        code: int | None = self._process.exitcode
        self.returncode = code
        return code

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code


def _fork(
    arguments: Sequence[str], env: Mapping[str, str], cwd: Path | None, streams: Sequence[int]
) -> Any:
    """Start a program with these file descriptors for its output and its log."""
    reading, begun = multiprocessing.Pipe(duplex=False)
    connections = [Connection(os.dup(stream), readable=False) for stream in streams]
    given = (list(arguments), dict(env), str(cwd or Path.cwd()), connections, begun)
    process = _fork_server().Process(target=_become, args=given, daemon=True)
    process.start()
    for connection in (*connections, begun):
        connection.close()
    reading.poll(None)  # until it has begun: at first, it ignores SIGINT, as the server does
    return process


@cache
def _fork_server() -> Any:
    """Return the server that has the modules loaded; there is one in each process of pytest.

    This module is one of them, so that each fork knows the installed packages.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_MODULES])
    return context


def _become(
    arguments: list[str],
    env: dict[str, str],
    cwd: str,
    streams: list[Connection],
    begun: Connection,
) -> None:
    """Take over streams, folder, environment and arguments, and run the program."""
    begun.close()
    for number, stream in enumerate(streams, start=1):
        os.dup2(stream.fileno(), number)
        stream.close()
    os.fsync = lambda _: None  # type: ignore[assignment]  # a kill loses nothing that was written
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv[:] = arguments
    program = arguments[0]
    try:
        if program == "-c":
            exec(sys.argv.pop(1), {"__name__": "__main__"})
        elif Path(program).is_absolute():
            runpy.run_path(program, run_name="__main__")
        else:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out
