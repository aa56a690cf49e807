from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support import Tap


def test_full_sync(tap: Tap) -> None:
    run = tap.run()
    assert run.returncode == 0, run.stderr
    assert len(run.ids) == 120
