"""The tap with the stream of company profiles."""

from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tests.support import Tap, tap_of


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap with both streams selected."""
    return tap_of(sandbox, tmp_path, "career_sites", "companies")


@pytest.fixture
def alone(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap with nothing but companies selected."""
    return tap_of(sandbox, tmp_path, "companies")
