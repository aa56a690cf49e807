from collections.abc import Iterator

import pytest

from jobo_sandbox import Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=120, seed=7) as running:
        yield running
