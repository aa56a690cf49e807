from collections.abc import Iterator

import pytest

from jobo_sandbox import Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=120, seed=7) as running:
        yield running


@pytest.fixture
def hiring() -> Iterator[Sandbox]:
    """A still world of 20 companies with 90 jobs."""
    with Sandbox(size=20, jobs=90, seed=7) as running:
        yield running
