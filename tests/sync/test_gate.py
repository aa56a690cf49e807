"""The gate over several runs: one bad row is no change of format, five different ones are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jobo_sandbox import Fault
from tests.support import complaint

if TYPE_CHECKING:
    from tests.support import Tap


def damage(field: str) -> Fault:
    """Let a field of every row of every page have a wrong type."""

    def replace(body: dict[str, Any]) -> dict[str, Any]:
        for row in body["career_sites"]:
            row[field] = int(row["id"][:6], 16) if field == "id" else {}
        return body

    return Fault(replace=replace, times=None)


@pytest.fixture
def state(tap: Tap) -> Any:
    """The state after a complete run."""
    return tap.run().state


@pytest.mark.parametrize("field", ["id", "name"])
def test_one_bad_row_read_again_and_again_is_no_error(tap: Tap, state: Any, field: str) -> None:
    tap.sandbox.world.touch(next(iter(tap.sandbox.world.rows())))
    tap.sandbox.faults.add(damage(field))
    for _ in range(7):
        run = tap.run(state=state)  # it lies within the lookback
        assert run.returncode == 0, run.stderr
        state = run.state
    assert tap.sandbox.rows_billed == 120 + 7


@pytest.mark.parametrize("field", ["id", "name"])
def test_bad_rows_of_small_syncs_add_up_to_an_error(tap: Tap, state: Any, field: str) -> None:
    tap.settings["lookback_minutes"] = 0
    tap.sandbox.faults.add(damage(field))
    for number, key in enumerate(sorted(tap.sandbox.world.rows())[:5]):
        tap.sandbox.world.touch(key)
        run = tap.run(state=state)
        if number < 4:
            assert run.returncode == 0, run.stderr
            state = run.state
    assert "None of the last 5 rows" in complaint(run)
    assert f"usable '{field}'" in complaint(run)
    assert run.records == []
