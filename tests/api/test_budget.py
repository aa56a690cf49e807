"""What a run costs: counted as Jobo bills it, never past the budget, and told to the user."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.api.budget import Budget, FeedCost
from tap_jobo.errors import BudgetReachedError
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.streams.jobs import EXPIRED_JOBS, JOBS
from tests.archive.helpers import archive_command
from tests.support import Tap, tap_of
from tests.support.crash import cut_in_request
from tests.support.loggers import LOGGER


class Feed(FeedCost):
    """What a feed costs in a run of its own."""

    is_told: bool  #: whether the bill of the last page that was read is told as unexpected

    def __init__(self, spec: FeedSpec = CAREER_SITES, **known: Any) -> None:
        super().__init__(Budget(logger=LOGGER, **known), spec)

    def receive(self, rows: int, headers: Mapping[str, str], requested: int = 50) -> int:
        """Let a page arrive and be read; return what it costs."""
        before = self.credits
        charge = self.charge(headers, requested)
        with patch.object(LOGGER, "warning") as log:
            self.reconcile(charge, rows)
        self.is_told = any("[unexpected-bill]" in f"{call.args[1]}" for call in log.call_args_list)
        return self.credits - before


def deducted(credits_: int, balance: int | None = None) -> dict[str, str]:
    headers = {"X-Credits-Deducted": str(credits_)}
    return headers if balance is None else headers | {"X-Credits-Balance": str(balance)}


class TestCharge:
    @pytest.mark.parametrize(
        ("said", "cost"),
        [("0.2", 1), ("3", 3), ("-0.5", 150), ("1e15", 150), ("nan", 150), ("", 150)],
    )
    def test_credits_are_whole_and_within_limits(self, said: str, cost: int) -> None:
        assert Feed().charge({"X-Credits-Deducted": said}, 3).full == cost

    @pytest.mark.parametrize(
        ("before", "after", "cost"),
        [
            ("10000", "9940", 60),
            ("-60", "-120", 60),
            ("10000", "8000", 60),  # another program spends, too
            ("10000", "10,000,000", 60),  # which cannot be read, and is no sign of a free page
            ("10000", "$9985.00", 60),
            ("10000", "unlimited", 60),
        ],
    )
    def test_page_costs_what_the_balance_fell_up_to_the_list_price(
        self, before: str, after: str, cost: int
    ) -> None:
        feed = Feed(JOBS)
        feed.receive(20, {"X-Credits-Balance": before}, 20)
        assert feed.receive(20, {"X-Credits-Balance": after}, 20) == cost

    def test_fall_of_the_balance_sets_no_price_below_the_list_price(self) -> None:
        cost = Feed(JOBS, last_balance=10_000)
        assert cost.receive(20, deducted(0, balance=10_000)) == cost.price == 0
        assert cost.receive(20, deducted(0, balance=9_970)) == 30
        assert cost.price == 3

    @pytest.mark.parametrize("name", ["X-Credits-Balance", "X-Quota-Limit", "X-Quota-Remaining"])
    def test_missing_charge_of_a_plan_is_free_for_jobs_alone(self, name: str) -> None:
        headers = {name: "0"}
        assert Feed(JOBS).receive(20, headers) == 0
        assert Feed(JOBS).receive(20, {}) == 60
        assert Feed().receive(20, headers) == 1_000

    @pytest.mark.parametrize(
        ("headers", "credits_", "next_fall"),
        [
            ({}, 2_500, 500),
            (deducted(0), 0, 3_000),
            ({"X-Credits-Balance": "10000"}, 2_500, 500),
            ({"X-Credits-Balance": "9999"}, 1, 2_999),
            (deducted(0, balance=9_000), 1_000, 2_000),
            ({"X-Credits-Balance": "7400"}, 2_500, 400),
            (deducted(700, balance=9_000), 700, 2_000),
        ],
    )
    def test_lost_page_counts_what_was_deducted_or_what_the_balance_fell(
        self, headers: dict[str, str], credits_: int, next_fall: int
    ) -> None:
        """What has not fallen yet may fall with the next page."""
        cost = Feed()
        cost.receive(50, deducted(2_500, balance=10_000))
        assert cost.charge_in_full(headers, 50) == credits_
        assert cost.receive(100, deducted(0, balance=7_000), 100) == next_fall

    def test_fall_with_an_empty_page_counts_with_the_next_rows(self) -> None:
        cost = Feed(JOBS, last_balance=10_000)
        assert cost.receive(0, deducted(0, balance=9_940)) == 0
        assert cost.receive(20, deducted(0, balance=9_940)) == 60


class TestReserve:
    def test_lost_response_may_cost_the_list_price(self) -> None:
        cost = Feed(max_credits=2_500)
        cost.reserve(50)
        cost.receive(50, deducted(0))
        cost.charge_in_full({}, 50)
        assert cost.credits == cost.possibly_billed == 2_500
        with pytest.raises(BudgetReachedError):
            cost.reserve(50)

    def test_reserved_at_list_price_then_at_the_price_last_seen(self) -> None:
        cost = Feed(max_credits=5_000)
        cost.reserve(100)
        cost.receive(50, deducted(1_000))
        cost.reserve(200)
        cost.budget.max_credits = 4_999
        with pytest.raises(BudgetReachedError, match=r"1,000 of 4,999 used\. .*4,000"):
            cost.reserve(200)


class TestDispute:
    """Credits that Jobo deducted for rows that did not come, or that no price explains."""

    @pytest.mark.parametrize(
        ("credits_", "rows", "price"),
        [
            (50, 0, 50),
            (5_000, 0, 100),
            (2_000, 20, 50),
            (2_500, 49, 50),
            (0, 0, 50),
            (0, 20, 0),
            (1_999, 20, 99.95),  # which may have risen
            (9_000, 50, 180),
        ],
    )
    def test_more_than_the_rows_cost_is_told_but_sets_no_price_of_rows_that_did_not_come(
        self, credits_: int, rows: int, price: float
    ) -> None:
        cost = Feed()
        assert cost.receive(rows, deducted(credits_)) == credits_
        assert cost.is_told == (credits_ > rows * 50)
        assert cost.price == price

    @pytest.mark.parametrize("spec", [CAREER_SITES, EXPIRED_JOBS])
    def test_each_deduction_above_the_price_so_far_is_told(self, spec: FeedSpec) -> None:
        cost = Feed(spec)
        usual = math.ceil(50 * spec.list_price)
        bills = [(usual, 50), (3_000, 50), (3_000, 50), (1_200, 20), (10**6, 50)]
        told = []
        for credits_, rows in bills:
            assert cost.receive(rows, deducted(credits_)) == credits_
            told.append(cost.is_told)
        assert told == [False, True, False, False, True]
        assert cost.budget.credits == sum(credits_ for credits_, _ in bills)

    def test_an_absurd_price_is_reserved_until_a_page_shows_another(self) -> None:
        cost = Feed(max_credits=2 * 10**6)
        cost.receive(50, deducted(10**6 + 50))
        assert cost.price == 20_001
        with pytest.raises(BudgetReachedError):
            cost.reserve(50)
        cost.reserve(1)
        cost.receive(1, deducted(50))
        cost.reserve(50)


# In a run


def test_a_run_whose_budget_is_used_still_loads(tap: Tap) -> None:
    cut_in_request(tap, 3, billed=False)
    tap.sandbox.price = 60
    tap.sandbox.faults.add(Fault(drop=True), on=4)  # which may cost the whole budget
    run = tap.fail(code="api-unavailable", max_credits=2_500)
    assert "max_credits: 2,500 of 2,500 used" in run.complaint
    assert len(run.ids) == 100
    assert tap.sandbox.rows_billed == 100
    assert run.progress["rows"] == 100


# What the balance fell, in a run


PAGE = 60
"""Credits of 20 jobs."""


@pytest.fixture
def jobs_tap(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with jobs in pages of 20, and what each page cost."""
    tap = tap_of(hiring, tmp_path, "jobs", "billed_pages")
    tap.settings["jobs_batch_size"] = 20
    return tap


def say(sandbox: Sandbox, deducted: str) -> None:
    """Let responses report this deduction; an empty text is as good as none."""
    headers = {"X-Credits-Deducted": deducted}
    sandbox.faults.add(Fault(headers=headers, times=None), endpoint="jobs")


def test_what_other_streams_were_billed_is_no_fall(hiring: Sandbox, tmp_path: Path) -> None:
    sites = tap_of(hiring, tmp_path, "career_sites")
    state = sites.succeed().state
    hiring.clock_offset = 60  # the dates of responses have whole seconds
    tap_of(hiring, tmp_path, "jobs").succeed()
    hiring.world.touch(next(iter(hiring.world.rows())), name="changed")
    headers = {"X-Credits-Deducted": "0", "X-Credits-Balance": f"{hiring.balance:.0f}"}
    hiring.faults.add(Fault(headers=headers), endpoint="career_sites")
    run = sites.succeed(state=state)
    assert (len(run.ids), run.codes("WARNING")) == (1, [])
    assert "1 row in 1 page, 0 credits" in run.summaries["career_sites"]


@pytest.mark.parametrize("deducted", ["0", ""])
def test_a_limit_holds_by_the_balance_but_for_the_first_page(
    jobs_tap: Tap, hiring: Sandbox, deducted: str
) -> None:
    say(hiring, deducted)
    run = jobs_tap.succeed(max_credits=130)
    assert hiring.credits_billed == 3 * PAGE  # no earlier balance shows what the first page cost
    assert run.of("jobs").metrics["jobo_credits"] == 2 * PAGE
    bill = [(row["credits"], row["is_confirmed"]) for row in run.of("billed_pages").records]
    assert bill == [(0, True), (PAGE, False), (PAGE, False)]
    assert run.codes("WARNING") == ["no-price", "limit-reached"]


def test_a_fall_has_nothing_of_what_a_killed_run_was_billed(jobs_tap: Tap, hiring: Sandbox) -> None:
    jobs_tap.settings["lookback_minutes"] = 0
    state = jobs_tap.succeed().state
    for key in hiring.world.jobs():
        hiring.world.touch_job(key)
    cut_in_request(jobs_tap, 5, billed=False, state=state)  # before the last page, of 10 rows
    before = hiring.credits_billed
    say(hiring, "")
    run = jobs_tap.succeed(state=state)
    assert run.of("jobs").metrics["jobo_credits"] == hiring.credits_billed - before
    assert (
        f": ${hiring.credits_billed / 1_000:.2f} billed" in archive_command(jobs_tap, "list").stdout
    )
