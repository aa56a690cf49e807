"""The wrapped command: its environment, signals and exit code."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Self

from jobo_sandbox.error_log import ErrorLog
from jobo_sandbox.folder import Folder

NOT_FOUND = 127
NOT_EXECUTABLE = 126
BY_SIGNAL = 128


def environment(folder: Folder, api_url: str, api_key: str) -> dict[str, str]:
    """Return the variables that point the command at the sandbox instead of anything real.

    Args:
        folder: Where to keep Meltano's state and the tap's journal.
        api_url: Base URL of the mock API server.
        api_key: The key that it accepts.
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


def database_settings(port: int) -> dict[str, str]:
    """Return the variables that point the loader, and dbt, at the Postgres on this port."""
    return {
        # With SQLAlchemy's name for the loader's driver.
        "TARGET_POSTGRES_SQLALCHEMY_URL": f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres",
        "DBT_POSTGRES_HOST": "127.0.0.1",
        "DBT_POSTGRES_PORT": str(port),
        "DBT_POSTGRES_USER": "postgres",
        "DBT_POSTGRES_DBNAME": "postgres",
    }


def run(command: Sequence[str], settings: Mapping[str, str]) -> tuple[int, str]:
    """Run a command, with these settings added to the environment.

    SIGINT and SIGTERM are forwarded to it.

    Returns:
        Its exit code as a shell reports it: 128 plus the signal number if a signal ended it, 127
        if it was not found, 126 if it is not executable. And its last line about an error.
    """
    with _Relay() as relay, ErrorLog() as log:
        try:
            process = subprocess.Popen(  # noqa: S603
                command, env=os.environ | settings, stderr=log.descriptor
            )
        except FileNotFoundError:
            return NOT_FOUND, f"{command[0]}: not found"
        except PermissionError:
            return NOT_EXECUTABLE, f"{command[0]}: not executable"
        relay.to(process)
        code = process.wait()
    return (code if code >= 0 else BY_SIGNAL - code), log.last_error()


class _Relay:
    """Forwards SIGINT and SIGTERM to a process, including those that arrive before it starts."""

    _signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def __enter__(self) -> Self:
        for number in self._signals:
            signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        # The cleanup after the command is short and must not be interrupted.
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
    """Whether the terminal sends Ctrl-C to the command itself, as part of the foreground group."""
    try:
        terminal = os.open(os.ctermid(), os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)
