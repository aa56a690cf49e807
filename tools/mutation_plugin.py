"""Lets pytest say as soon as it can whether a test fails, which is all that mutation.py asks."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from hypothesis import Phase, settings

if TYPE_CHECKING:
    import pytest

# A changed tap may write forever to a test that keeps all of it.
resource.setrlimit(resource.RLIMIT_AS, (4 * 1024**3, 4 * 1024**3))
# The shortest way to a failure is not needed, and takes minutes to find.
settings.register_profile("mutation", phases=[Phase.generate])
settings.load_profile("mutation")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that start no process first."""
    items.sort(key=lambda item: "tap" in getattr(item, "fixturenames", ()))
