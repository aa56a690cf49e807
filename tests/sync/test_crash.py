"""Crashes at many points: no row is missing, and what was paid for is not bought again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jobo_sandbox import Entry, Sandbox
from tests.support import Tap
from tests.support.crash import (
    cut_after,
    cut_in_request,
    pages_billed_twice,
    parse,
    rows_billed_twice,
    some_signal,
    wait_until_quiet,
)
from tests.support.target import Message, Target

PAGE = 20


def crash_until_full(
    tap: Tap,
    target: Target,
    *,
    kills: int,
    receive: Callable[[Target, list[Message]], None] = Target.receive,
    **settings: Any,
) -> int:
    """Kill so many runs, then run to the end; return how many of the kills were SIGKILLs.

    `receive` is given what a killed run wrote, and lets the target have some of it.
    """
    rng = Random(kills)
    killed = 0
    for _ in range(kills):
        signum = some_signal(rng)
        # Some before the first page, most in the middle of one.
        lines = rng.choice([0, 1, *range(2, 3 * PAGE)])
        run, read = cut_after(tap, lines, signum, state=target.state, batch_size=PAGE, **settings)
        assert run.returncode != 0, run.stderr
        killed += signum == signal.SIGKILL
        receive(target, parse(read))
        wait_until_quiet(tap.sandbox)
    last = tap.run(state=target.state, batch_size=PAGE, **settings)
    assert last.returncode == 0, last.stderr
    target.receive(last.messages)
    return killed


@pytest.mark.parametrize("journal", [True, False], ids=["journal", "no_journal"])
def test_36_kills_lose_no_row_and_cost_at_most_a_page_each(
    tmp_path: Path, *, journal: bool
) -> None:
    with Sandbox(size=1_500, seed=2) as sandbox:
        target = Target()
        killed = crash_until_full(Tap(sandbox, tmp_path), target, kills=36, journal=journal)
        assert target.rows.keys() == sandbox.world.rows().keys()
        # SIGTERM and SIGINT cost nothing: the page in flight still goes out.
        assert rows_billed_twice(sandbox) <= killed * PAGE


@pytest.mark.parametrize("journal", [True, False], ids=["journal", "no_journal"])
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
        tap, target = Tap(sandbox, tmp_path, {"journal": journal, "lookback_minutes": 0}), Target()
        killed = crash_until_full(tap, target, kills=6)
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
        target = Target()
        killed = crash_until_full(Tap(sandbox, tmp_path), target, kills=8, receive=receive_some)
        assert target.rows.keys() == sandbox.world.rows().keys()
        assert rows_billed_twice(sandbox) <= killed * PAGE


def test_kill_without_a_billed_request_costs_nothing(tap: Tap) -> None:
    run = cut_in_request(tap, 3, billed=False)
    assert len(run.ids) == 100
    again = tap.run()
    assert set(again.ids) == tap.sandbox.world.rows().keys()
    assert rows_billed_twice(tap.sandbox) == 0


def test_kill_while_a_page_is_billed_costs_that_page(tap: Tap) -> None:
    run = cut_in_request(tap, 2)
    again = tap.run(state=run.state)
    assert len(run.ids + again.ids) == 120
    assert rows_billed_twice(tap.sandbox) == 50


def test_lost_state_without_a_journal_fetches_all_again(tap: Tap) -> None:
    cut_in_request(tap, 3, billed=False, journal=False)
    assert len(tap.run(journal=False).ids) == 120
    assert rows_billed_twice(tap.sandbox) == 100
