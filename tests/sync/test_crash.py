"""Crashes at many points: no row is missing, and what was paid for is not bought again."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from jobo_sandbox import Entry, Sandbox
from tests.support import Tap
from tests.support.crash import kill_until_full, pages_billed_twice, rows_billed_twice
from tests.support.target import Message, Target

PAGE = 20
WAYS = pytest.mark.parametrize("journal", [True, False], ids=["journal", "no_journal"])


@WAYS
def test_36_kills_lose_no_row_and_cost_at_most_a_page_each(
    tmp_path: Path, *, journal: bool
) -> None:
    with Sandbox(size=1_500, seed=2) as sandbox:
        tap, target = Tap(sandbox, tmp_path, {"journal": journal, "batch_size": PAGE}), Target()
        killed = kill_until_full(tap, target, kills=36, page=PAGE)
        assert target.rows.keys() == sandbox.world.rows().keys()
        # SIGTERM and SIGINT cost nothing: the page in flight still goes out.
        assert rows_billed_twice(sandbox) <= killed * PAGE


@WAYS
@pytest.mark.parametrize("order", ["updated_asc", "updated_desc"])
def test_rows_changed_between_crashes_arrive_as_they_are_now(
    tmp_path: Path, order: Any, *, journal: bool
) -> None:
    rng = Random(f"{order} {journal}")

    def change(entry: Entry) -> None:
        keys = list(sandbox.world.rows())
        sandbox.world.touch(rng.choice(keys), name=f"changed before page {entry.number}")
        if entry.number % 3 == 0:
            sandbox.world.add(name=f"new before page {entry.number}")

    with Sandbox(size=300, seed=3, order=order, before_page=change) as sandbox:
        settings = {"journal": journal, "lookback_minutes": 0, "batch_size": PAGE}
        tap, target = Tap(sandbox, tmp_path, settings), Target()
        killed = kill_until_full(tap, target, kills=6, page=PAGE)
        assert pages_billed_twice(sandbox) <= killed
        sandbox.before_page = None
        target.receive(tap.run(state=target.state).messages)
        stored = {key: row["name"] for key, row in target.rows.items()}
        assert stored == {key: row["name"] for key, row in sandbox.world.rows().items()}
        assert any("changed" in name for name in stored.values())


@pytest.mark.parametrize("share", [0, 1], ids=["loses_everything", "drains_late"])
def test_a_target_that_stores_little_costs_the_pages_in_flight(tmp_path: Path, share: int) -> None:
    rng = Random(10)

    def receive_some(target: Target, messages: list[Message]) -> None:
        states = sum(message["type"] == "STATE" for message in messages)
        target.receive(messages, states_lost=rng.randint(0, states) if share else states)

    with Sandbox(size=300 + share * 100, seed=4 + share) as sandbox:
        tap, target = Tap(sandbox, tmp_path, {"batch_size": PAGE}), Target()
        killed = kill_until_full(tap, target, kills=8, page=PAGE, receive=receive_some)
        assert target.rows.keys() == sandbox.world.rows().keys()
        assert rows_billed_twice(sandbox) <= killed * PAGE
