"""What only some systems have: elsewhere, a test that needs it is skipped, and says why."""

import fcntl
from pathlib import Path
from typing import Any, Final

import pytest

_SYSTEM: Final[Any] = fcntl  # which lacks the size of a pipe on macOS

needs_full_device = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs Linux, where /dev/full is a disk that is full"
)


def need_sizes() -> None:
    """Skip the test where the size of a pipe cannot be chosen. Called before a process starts."""
    if not hasattr(_SYSTEM, "F_SETPIPE_SZ"):
        pytest.skip("needs Linux, where the size of a pipe can be chosen")


def size_of(pipe: int) -> int:
    """Return how many bytes a pipe holds."""
    size: int = _SYSTEM.fcntl(pipe, _SYSTEM.F_GETPIPE_SZ)
    return size


def resize(pipe: int, size: int) -> None:
    """Let a pipe hold so many bytes."""
    _SYSTEM.fcntl(pipe, _SYSTEM.F_SETPIPE_SZ, size)
