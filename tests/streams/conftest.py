"""The tap with the stream of jobs alone."""

from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tests.support import Tap, tap_of


@pytest.fixture
def jobs_tap(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with jobs alone, in pages of 40."""
    tap = tap_of(hiring, tmp_path, "jobs")
    tap.settings["jobs_batch_size"] = 40
    return tap
