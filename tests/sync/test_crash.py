"""Crashes at many points: no row is missing, and what was paid for is not bought again."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from jobo_sandbox import Sandbox
from tests.support import Tap
from tests.support.crash import kill_until_full, rows_billed_twice
from tests.support.target import Message, Target

PAGE = 20


@pytest.mark.parametrize(
    "archive",
    [
        pytest.param(True, id="archive"),
        pytest.param(False, id="no_archive", marks=pytest.mark.exhaustive),
    ],
)
def test_36_kills_lose_no_row_and_cost_at_most_a_page_each(
    tmp_path: Path, *, archive: bool
) -> None:
    with Sandbox(size=1_500, seed=2) as sandbox:
        tap, target = Tap(sandbox, tmp_path, {"archive": archive, "batch_size": PAGE}), Target()
        killed = kill_until_full(tap, target, kills=36, page=PAGE)
        assert target.rows.keys() == sandbox.world.rows().keys()
        # SIGTERM and SIGINT cost nothing: the page in flight still goes out.
        assert rows_billed_twice(sandbox) <= killed * PAGE


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
