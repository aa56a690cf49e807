"""The last real price outlives the run, so only the page that showed it can pass a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tests.support import Tap, tap_of
from tests.support.crash import cut_in_request

pytestmark = pytest.mark.slow

LIMIT = 600
PRICE = 250
"""Five times the list price. A page of 10 rows costs 2,500 credits."""


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap in pages of 10, which fit the limit at list price."""
    sandbox.price = PRICE
    return Tap(sandbox, tmp_path, {"batch_size": 10, "max_credits": LIMIT})


def _assert_refused(tap: Tap, state: object) -> str:
    billed = tap.sandbox.credits_billed
    line = tap.run(state=state).complaint
    assert tap.sandbox.credits_billed == billed
    assert "cost 2,500" in line  # 10 rows
    return line


@pytest.mark.parametrize("setting", ["max_credits", "max_credits_per_month"])
def test_later_runs_end_before_they_pass_the_limit_again(tap: Tap, setting: str) -> None:
    tap.settings |= {"max_credits": None, setting: LIMIT}
    first = tap.succeed()
    assert tap.sandbox.credits_billed == 10 * PRICE
    lines = [_assert_refused(tap, first.state) for _ in range(2)]
    assert lines[0] == lines[1]
    assert "(250 per row)" in lines[0]
    assert f"{setting} (600)" in lines[0]
    assert f"Raise {setting}" in lines[0]
    assert ("this month" in lines[0]) == (setting != "max_credits")
    assert len(tap.succeed(state=first.state, **{setting: 10**6}).ids) == 110


def test_a_kill_does_not_hide_the_price(tap: Tap) -> None:
    cut_in_request(tap, 2, max_credits=10**6)
    run = tap.run()
    assert "cost 2,500" in run.complaint
    assert run.ids == []  # nothing is loaded before the user decides
    assert len(tap.succeed(max_credits=10**6).ids) == 120


def test_a_test_learns_the_price_again(tap: Tap) -> None:
    state = tap.succeed().state
    _assert_refused(tap, state)
    tap.succeed("--test")  # which shows the same price
    _assert_refused(tap, state)
    tap.sandbox.price = 50
    assert tap.run("--test", max_credits=PRICE - 1).returncode == 1
    tap.succeed("--test", max_credits=PRICE)
    assert len(tap.succeed(state=state).ids) == 10


def test_a_limit_of_the_month_counts_a_page_at_the_last_price(tap: Tap) -> None:
    """Though a page at list price would fit what the first run has left."""
    tap.settings |= {"max_credits": None, "max_credits_per_month": 10 * PRICE + 500}
    state = tap.succeed().state
    (line,) = tap.succeed(state=state).messages_of("WARNING", "limit-reached")
    assert "career_sites may cost 2,500" in line
    assert tap.sandbox.credits_billed == 10 * PRICE


def test_the_price_is_that_of_the_last_page(tap: Tap) -> None:
    """One at list price clears it."""
    first = tap.succeed()
    tap.sandbox.price = 300
    second = tap.succeed(state=first.state, max_credits=PRICE * 10)
    assert len(second.ids) == 10
    assert "cost 3,000" in tap.run(state=second.state).complaint
    tap.sandbox.price = 50
    third = tap.succeed(state=second.state, max_credits=3_000)
    assert len(third.ids) == 60
    assert len(tap.succeed(state=third.state).ids) == 10


def test_each_feed_has_its_own(tap: Tap) -> None:
    tap.succeed()
    jobs = tap_of(tap.sandbox, tap.folder, "jobs")
    jobs.settings |= {"jobs_batch_size": 20, "max_credits": LIMIT}
    assert len(jobs.succeed().of("jobs").rows) == 40
