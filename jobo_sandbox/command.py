"""Run the command: its environment, its signals, its exit code."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Self

from jobo_sandbox.folder import Folder

NOT_FOUND = 127
NOT_EXECUTABLE = 126
BY_SIGNAL = 128


def environment(folder: Folder, api_url: str, api_key: str) -> dict[str, str]:
    """What the command finds set, so that it meets the sandbox and nothing real.

    Args:
        folder: Where Meltano's state and the tap's journal go.
        api_url: The stand-in's base URL.
        api_key: The key that it lets in.
    """
    settings = {
        "TAP_JOBO_API_URL": api_url,
        "TAP_JOBO_API_KEY": api_key,
        "TAP_JOBO_JOURNAL_DIR": str(folder.journal),
        "MELTANO_ENVIRONMENT": "sandbox",
        "MELTANO_DATABASE_URI": f"sqlite:///{folder.meltano}",
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    for name in ("NO_PROXY", "no_proxy"):
        others = os.environ.get(name)
        settings[name] = f"{others},127.0.0.1" if others else "127.0.0.1"
    return settings


def run(command: Sequence[str], settings: Mapping[str, str]) -> int:
    """Run a command to its end, with these settings on top of the environment.

    SIGINT and SIGTERM are passed on to it.

    Returns:
        Its exit code as a shell would tell it: 128 and the signal's number for a signal, 127 if
        it is not found, 126 if it cannot be run.
    """
    with _Relay() as relay:
        try:
            process = subprocess.Popen(command, env=os.environ | settings)  # noqa: S603
        except FileNotFoundError:
            sys.stderr.write(f"{command[0]}: not found\n")
            return NOT_FOUND
        except PermissionError:
            sys.stderr.write(f"{command[0]}: cannot be run\n")
            return NOT_EXECUTABLE
        relay.to(process)
        code = process.wait()
    return code if code >= 0 else BY_SIGNAL - code


class _Relay:
    """Pass SIGINT and SIGTERM on to a process, those too that come before it is there."""

    _signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def __enter__(self) -> Self:
        for number in self._signals:
            signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        # What is left to do after the command is brief, and must be done.
        for number in self._signals:
            signal.signal(number, signal.SIG_IGN)

    def to(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and _in_the_foreground():
            return
        if self._process is None:
            self._early.append(number)
        else:
            self._process.send_signal(number)


def _in_the_foreground() -> bool:
    """Whether Ctrl-C reaches the command by itself, as all in the terminal's foreground."""
    try:
        terminal = os.open(os.ctermid(), os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)
