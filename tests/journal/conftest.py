"""What the tests of the journal share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support import Tap


@pytest.fixture
def path(tap: Tap) -> Path:
    """The journal's file."""
    return tap.folder / "journal" / "journal.sqlite3"
