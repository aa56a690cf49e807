"""The tap with the stream of company profiles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tests.support import Tap, tap_of
from tests.support.companies import Plain


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap with both streams selected."""
    return tap_of(sandbox, tmp_path, "career_sites", "companies")


@pytest.fixture
def alone(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap with nothing but companies selected."""
    return tap_of(sandbox, tmp_path, "companies")


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plain]:
    """A run over five pages."""
    with Sandbox(size=120, seed=2, order="updated_asc") as sandbox:
        tap = tap_of(sandbox, tmp_path_factory.mktemp("plain"), "career_sites", "companies")
        run = tap.succeed(batch_size=25)
        yield Plain(sandbox, run)
