"""What the tests share: a sandbox of the API, and the tap against it."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tests.support import Tap
from tests.support.process import SETTINGS

# What a shell has for other programs stays out of the tests: settings of plugins, the SDK, Meltano,
# and AWS, and a proxy, which does not reach the sandbox. With PYTHONDONTWRITEBYTECODE, each process
# would compile its modules again: pytest's workers, too.
OTHERS = (*SETTINGS, "TARGET_", "AWS_", "HTTP_PROXY", "VIRTUAL_ENV")
for name in [name for name in os.environ if name.upper().startswith(OTHERS)]:
    del os.environ[name]

# A shell starts what it runs in the background with SIGINT ignored, `nohup` with SIGHUP, and so
# would all processes be. No process inherits the handler with which pytest ignores SIGHUP further.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders whose tests take longest, so that none of them is the last one."""
    first = ["project", "sync"]
    items.sort(key=lambda item: [item.path.parent.name != folder for folder in first])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A still world of 120 companies, in three pages of which the last is not full, and 40 jobs."""
    with Sandbox(size=120, seed=1, jobs=40) as sandbox:
        yield sandbox


@pytest.fixture
def hiring() -> Iterator[Sandbox]:
    """A still world of 20 companies with 90 jobs, of which 4 more have expired."""
    with Sandbox(size=20, jobs=90, seed=7) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder for Postgres, which runs as a user of its own where the tests run as root.

    Every session of pytest closes pytest's own folders to other users.
    """
    with tempfile.TemporaryDirectory(prefix="tap-jobo-") as folder:
        yield Path(folder)


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap with the sandbox's key and URL."""
    return Tap(sandbox, tmp_path)
