"""The wrapped command: its environment, signals and exit code."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

NOT_FOUND = 127
NOT_EXECUTABLE = 126
BY_SIGNAL = 128


def environment(folder: Path, api_url: str, api_key: str) -> dict[str, str]:
    """Return the variables that point the command at the sandbox instead of anything real.

    Args:
        folder: Where to keep Meltano's state and the tap's archive.
        api_url: Base URL of the mock API server.
        api_key: The key that it accepts.
    """
    settings = {
        "TAP_JOBO_API_URL": api_url,
        "TAP_JOBO_API_KEY": api_key,
        "TAP_JOBO_ARCHIVE_DIR": str(folder / "archive"),
        "MELTANO_ENVIRONMENT": "sandbox",
        "MELTANO_DATABASE_URI": f"sqlite:///{folder / 'meltano.db'}",
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


def run(command: Sequence[str], settings: Mapping[str, str]) -> int:
    """Run a command, with these settings added to the environment.

    SIGTERM is forwarded to it. Ctrl-C needs no forwarding: a terminal signals both processes.

    Returns:
        Its exit code as a shell reports it: 128 plus the signal number if a signal ended it, 127
        if it was not found, 126 if it is not executable.
    """
    try:
        process = subprocess.Popen(command, env=os.environ | settings)  # noqa: S603
    except FileNotFoundError:
        sys.stderr.write(f"jobo_sandbox: {command[0]}: not found\n")
        return NOT_FOUND
    except PermissionError:
        sys.stderr.write(f"jobo_sandbox: {command[0]}: not executable\n")
        return NOT_EXECUTABLE
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
    code = process.wait()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # The cleanup after the command is short.
    return code if code >= 0 else BY_SIGNAL - code
