"""The budget of a run over several feeds, answer by answer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tap_jobo.api.budget import Budget, FeedCost
from tap_jobo.errors import BudgetReachedError, ConfigError
from tap_jobo.wording import dollars

if TYPE_CHECKING:
    from collections.abc import Mapping


LOGGER = logging.getLogger("tests.cost")
PLAN_HEADERS = [
    {"X-Credits-Balance": "9000"},
    {"X-Quota-Limit": "1000"},
    {"X-Quota-Remaining": "0"},
]


def make_budget(max_credits: int | None = None, alert_threshold: int | None = None) -> Budget:
    return Budget(max_credits=max_credits, alert_threshold=alert_threshold, logger=LOGGER)


def sites(budget: Budget) -> FeedCost:
    return FeedCost(budget, "career_sites", list_price=50)


def jobs(budget: Budget) -> FeedCost:
    return FeedCost(
        budget,
        "jobs",
        list_price=3,
        missing_charge_means_free=True,
        page_size_setting="jobs_batch_size",
    )


def receive(cost: FeedCost, rows: int, headers: Mapping[str, str], requested: int = 50) -> int:
    """Let a page arrive and be read."""
    charged, before = cost.charge(headers, requested), cost.credits
    cost.reconcile(charged, headers, rows, requested)
    return cost.credits - before + charged


def deducted(credits_: int, balance: int | None = None) -> dict[str, str]:
    headers = {"X-Credits-Deducted": str(credits_)}
    return headers if balance is None else headers | {"X-Credits-Balance": str(balance)}


class TestCharge:
    def test_header_decides(self) -> None:
        cost = sites(budget := make_budget())
        assert cost.charge(deducted(120), 50) == 120
        cost.reconcile(120, deducted(120), 3, 3)
        assert cost.credits == budget.credits == 120
        assert cost.price == 40

    def test_without_header_a_page_is_reconciled_by_its_rows(self) -> None:
        cost = sites(budget := make_budget())
        assert cost.charge({}, 50) == 2_500
        cost.reconcile(2_500, {}, 20, 50)
        assert cost.credits == budget.credits == 1_000
        assert cost.price == 50

    @pytest.mark.parametrize("headers", PLAN_HEADERS, ids=lambda headers: next(iter(headers)))
    def test_missing_charge_of_a_plan_is_free_for_jobs_alone(self, headers: dict[str, str]) -> None:
        budget = make_budget()
        assert receive(jobs(budget), 20, headers) == 0
        assert receive(sites(budget), 20, headers) == 1_000

    def test_missing_charge_without_a_plan_costs_list_price(self) -> None:
        assert receive(jobs(make_budget()), 20, {}) == 60

    def test_feeds_have_prices_of_their_own_and_one_budget(self) -> None:
        budget = make_budget()
        first, second = sites(budget), jobs(budget)
        receive(first, 50, deducted(3_000))
        receive(second, 50, deducted(200))
        assert (first.price, second.price) == (60, 4)
        assert (first.credits, second.credits, budget.credits) == (3_000, 200, 3_200)

    def test_lost_response_is_charged_at_the_price_last_seen(self) -> None:
        cost = sites(budget := make_budget())
        cost.charge_in_full({}, 50)
        receive(cost, 50, deducted(3_000))
        cost.charge_in_full({}, 50)
        assert cost.possibly_billed == budget.possibly_billed == 2_500 + 3_000
        assert cost.credits == budget.credits == 2_500 + 3_000 + 3_000

    def test_dollars(self) -> None:
        assert dollars(2_500) == "$2.50"
        assert dollars(1_234_567.8) == "$1,234.57"


class TestFreePlan:
    def test_page_that_deducts_nothing_makes_the_feed_free(self) -> None:
        cost = sites(make_budget(max_credits=2_500))
        for _ in range(5):
            cost.reserve(50)
            receive(cost, 50, deducted(0))
        assert cost.credits == 0

    def test_lost_response_may_cost_the_list_price(self) -> None:
        cost = sites(make_budget(max_credits=2_500))
        cost.reserve(50)
        receive(cost, 50, deducted(0))
        cost.charge_in_full({}, 50)
        assert cost.credits == cost.possibly_billed == 2_500
        with pytest.raises(BudgetReachedError):
            cost.reserve(50)

    def test_missing_charge_makes_the_feed_free(self) -> None:
        cost = jobs(make_budget(max_credits=3_000))
        for _ in range(5):
            cost.reserve(1_000)
            receive(cost, 1_000, PLAN_HEADERS[0], 1_000)
        assert cost.price == 0

    def test_empty_page_is_no_price(self) -> None:
        cost = sites(make_budget())
        receive(cost, 0, deducted(0))
        assert cost.price == 50

    def test_free_feed_goes_on_when_another_used_the_budget(self) -> None:
        budget = make_budget(max_credits=2_500)
        free, paid = jobs(budget), sites(budget)
        receive(free, 50, deducted(0))
        receive(paid, 50, deducted(2_500))
        free.reserve(50)
        with pytest.raises(BudgetReachedError):
            paid.reserve(1)

    def test_price_after_the_allowance_is_reckoned_with(self) -> None:
        cost = jobs(make_budget(max_credits=3_000))
        receive(cost, 1_000, deducted(0), 1_000)
        cost.reserve(1_000)
        receive(cost, 1_000, deducted(3_000), 1_000)
        with pytest.raises(BudgetReachedError):
            cost.reserve(1)


class TestMaxCredits:
    def test_page_is_checked_at_list_price(self) -> None:
        jobs(make_budget(max_credits=3_000)).check_page(1_000)
        with pytest.raises(ConfigError) as error:
            jobs(make_budget(max_credits=2_999)).check_page(1_000)
        for part in ("max_credits", "2,999", "3,000", "jobs_batch_size", "free needs no"):
            assert part in str(error.value)

    def test_reserved_at_list_price_then_at_the_price_last_seen(self) -> None:
        cost = sites(make_budget(max_credits=5_000))
        cost.reserve(100)
        receive(cost, 50, deducted(1_000))
        cost.reserve(200)
        with pytest.raises(BudgetReachedError, match="max_credits 5,000"):
            cost.reserve(201)

    def test_worst_cases_never_pass_it(self) -> None:
        cost = sites(budget := make_budget(max_credits=5_000))
        for _ in range(2):
            cost.reserve(50)
            cost.charge_in_full({}, 50)
        with pytest.raises(BudgetReachedError):
            cost.reserve(50)
        assert budget.credits == 5_000

    def test_risen_price_passes_it_by_one_page_with_a_warning(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        cost = sites(make_budget(max_credits=5_000))
        receive(cost, 50, deducted(2_500))
        cost.reserve(50)
        receive(cost, 50, deducted(3_000))
        (warning,) = caplog.messages
        for part in ("career_sites", "from 50 to 60", "max_credits 5,000", "by 500 credits"):
            assert part in warning
        assert "No further page" in warning
        with pytest.raises(BudgetReachedError):
            cost.reserve(1)

    def test_risen_price_within_it_is_no_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        receive(sites(make_budget(max_credits=5_000)), 50, deducted(5_000))
        receive(sites(make_budget()), 50, deducted(9_000))
        assert caplog.messages == []


class TestBalance:
    def test_last_one_is_kept(self) -> None:
        cost = sites(budget := make_budget())
        assert budget.balance is None
        receive(cost, 50, deducted(2_500, 9_000))
        receive(cost, 50, deducted(2_500, 6_500))
        receive(cost, 50, deducted(2_500))
        assert budget.balance == 6_500

    def test_low_balance_of_a_free_feed_buys_any_number_of_rows(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        cost = jobs(make_budget(alert_threshold=100))
        receive(cost, 50, deducted(0, 99))
        receive(cost, 50, deducted(0, 98))
        (warning,) = caplog.messages
        assert "any number of rows" in warning


class TestDispute:
    """Credits that Jobo deducted for rows that did not come."""

    @pytest.mark.parametrize(
        ("credits_", "rows"), [(2_500, 0), (50, 0), (2_500, 20), (2_500, 49), (10_000, 49)]
    )
    def test_far_fewer_rows_than_were_deducted_are_reported(self, credits_: int, rows: int) -> None:
        cost = sites(make_budget())
        dispute = cost.reconcile(credits_, deducted(credits_), rows, 50)
        for part in (f"{credits_:,} credits", f"{rows} row", "career_sites", "50 credits per row"):
            assert part in dispute
        assert cost.price == 50

    @pytest.mark.parametrize(
        ("credits_", "rows"),
        [(0, 0), (0, 20), (1_000, 20), (1_600, 20), (1_999, 20), (2_500, 50), (9_000, 50)],
    )
    def test_price_that_rises_with_a_short_page_is_none(self, credits_: int, rows: int) -> None:
        cost = sites(make_budget())
        assert not cost.reconcile(credits_, deducted(credits_), rows, 50)
        assert cost.price == (credits_ / rows if rows else 50)

    def test_price_so_far_counts(self) -> None:
        cost = sites(make_budget())
        cost.reconcile(5_000, deducted(5_000), 50, 50)
        assert not cost.reconcile(2_500, deducted(2_500), 20, 50)
        assert cost.reconcile(5_000, deducted(5_000), 20, 50)

    def test_first_rows_after_the_allowance_are_none(self) -> None:
        cost = jobs(make_budget())
        cost.reconcile(0, deducted(0), 1_000, 1_000)
        assert not cost.reconcile(60, deducted(60), 20, 1_000)

    def test_missing_charge_is_none(self) -> None:
        assert not sites(make_budget()).reconcile(2_500, {}, 0, 50)


class TestChargeInFull:
    def test_deduction_that_is_reported_is_certain(self) -> None:
        cost = sites(budget := make_budget())
        cost.charge_in_full(deducted(1_000), 50)
        cost.charge_in_full({}, 50)
        assert cost.credits == budget.credits == 3_500
        assert cost.possibly_billed == budget.possibly_billed == 2_500
