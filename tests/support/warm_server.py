"""Forks a process per command, with the tap's modules loaded: run by `tests.support.warm`.

It listens on the socket whose number is its argument. A request is JSON (the arguments, the
environment, the folder), and with it come the standard streams and a socket for the answers: the
process's id, then its exit status.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import socket
import sys
import time
from typing import Any

# Loaded for the processes.
import jobo_sandbox.contract.command
import jobo_sandbox.postgres
import jobo_sandbox.warehouse  # noqa: F401
import tap_jobo.cli
import tap_jobo.journal.journal  # noqa: F401
from tap_jobo.cli import run

MAX_REQUEST = 1 << 20


def serve(requests: socket.socket) -> None:
    """Fork for each request, until the tests end."""
    while True:
        request, descriptors, *_ = socket.recv_fds(requests, MAX_REQUEST, 4)
        if not request:
            return
        if os.fork() == 0:
            requests.close()
            _supervise(json.loads(request), descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        _reap()


def _reap() -> None:
    """Collect the children that have ended, so that their time counts as ours."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _supervise(request: dict[str, Any], descriptors: list[int]) -> None:
    """Fork the process itself, and report its id and its end."""
    *streams, answers = descriptors
    process = os.fork()
    if process == 0:
        os.close(answers)
        _become(request, streams)
        return
    for descriptor in streams:
        os.close(descriptor)
    with socket.socket(fileno=answers) as answer:
        answer.sendall(b"%d\n" % process)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        answer.sendall(b"%d\n" % status)
    os._exit(0)  # without the end of an interpreter, which takes longer than the rest


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Take over the request's streams, folder, environment and arguments, and run its program."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.argv[:] = request["arguments"]
    program = sys.argv[0]
    if program == "tap-jobo":
        run()
    elif program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    gc.freeze()  # collections in the forked processes would copy the modules' memory
    with socket.socket(fileno=int(sys.argv[1])) as told:
        serve(told)
