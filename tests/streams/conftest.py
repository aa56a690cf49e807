"""A sandbox that hires, and the tap with the stream of jobs alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tests.support import Tap
from tests.support.jobs import tap_of


@pytest.fixture
def hiring() -> Iterator[Sandbox]:
    """A still world of 20 companies with 90 jobs, of which 4 more have expired."""
    with Sandbox(size=20, jobs=90, seed=7) as sandbox:
        yield sandbox


@pytest.fixture
def jobs_tap(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with jobs alone, in pages of 40."""
    tap = tap_of(hiring, tmp_path, "jobs")
    tap.settings["jobs_batch_size"] = 40
    return tap
