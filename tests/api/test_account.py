"""The budget of a run over several feeds, answer by answer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tap_jobo.api.account import Account
from tap_jobo.api.balance import dollars
from tap_jobo.api.budget import Budget
from tap_jobo.errors import BudgetReachedError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


LOGGER = logging.getLogger("tests.account")
PLAN_HEADERS = [
    {"X-Credits-Balance": "9000"},
    {"X-Quota-Limit": "1000"},
    {"X-Quota-Remaining": "0"},
]


def make_budget(max_credits: int | None = None, alert_threshold: int | None = None) -> Budget:
    return Budget(max_credits=max_credits, alert_threshold=alert_threshold, logger=LOGGER)


def sites(budget: Budget) -> Account:
    return Account(budget, "career_sites", list_price=50)


def jobs(budget: Budget) -> Account:
    return Account(
        budget, "jobs", list_price=3, silent_is_free=True, page_size_setting="jobs_batch_size"
    )


def receive(account: Account, rows: int, headers: Mapping[str, str], requested: int = 50) -> int:
    """Let a page arrive and be read."""
    return account.settle(account.charge(headers, requested), headers, rows)


def deducted(credits_: int, balance: int | None = None) -> dict[str, str]:
    headers = {"X-Credits-Deducted": str(credits_)}
    return headers if balance is None else headers | {"X-Credits-Balance": str(balance)}


class TestCharge:
    def test_header_decides(self) -> None:
        account = sites(budget := make_budget())
        assert account.charge(deducted(120), 50) == 120
        assert account.settle(120, deducted(120), 3) == 120
        assert account.credits == budget.credits == 120
        assert account.price == 40

    def test_without_header_a_page_is_settled_by_its_rows(self) -> None:
        account = sites(budget := make_budget())
        assert account.charge({}, 50) == 2_500
        assert account.settle(2_500, {}, 20) == 1_000
        assert account.credits == budget.credits == 1_000
        assert account.price == 50

    @pytest.mark.parametrize("headers", PLAN_HEADERS, ids=lambda headers: next(iter(headers)))
    def test_silent_answer_of_a_plan_is_free_for_jobs_alone(self, headers: dict[str, str]) -> None:
        budget = make_budget()
        assert receive(jobs(budget), 20, headers) == 0
        assert receive(sites(budget), 20, headers) == 1_000

    def test_silent_answer_without_a_plan_costs_list_price(self) -> None:
        assert receive(jobs(make_budget()), 20, {}) == 60

    def test_feeds_have_prices_of_their_own_and_one_budget(self) -> None:
        budget = make_budget()
        first, second = sites(budget), jobs(budget)
        receive(first, 50, deducted(3_000))
        receive(second, 50, deducted(200))
        assert (first.price, second.price) == (60, 4)
        assert (first.credits, second.credits, budget.credits) == (3_000, 200, 3_200)

    def test_lost_answer_is_charged_at_the_price_last_seen(self) -> None:
        account = sites(budget := make_budget())
        account.charge_worst_case(50)
        receive(account, 50, deducted(3_000))
        account.charge_worst_case(50)
        assert account.perhaps == budget.perhaps == 2_500 + 3_000
        assert account.credits == budget.credits == 2_500 + 3_000 + 3_000

    def test_dollars(self) -> None:
        assert dollars(2_500) == "$2.50"
        assert dollars(1_234_567.8) == "$1,234.57"


class TestFreePlan:
    def test_page_that_deducts_nothing_makes_the_feed_free(self) -> None:
        account = sites(make_budget(max_credits=2_500))
        for _ in range(5):
            account.reserve(50)
            receive(account, 50, deducted(0))
        assert account.credits == 0

    def test_lost_response_may_cost_the_list_price(self) -> None:
        account = sites(make_budget(max_credits=2_500))
        account.reserve(50)
        receive(account, 50, deducted(0))
        account.charge_worst_case(50)
        assert account.credits == account.perhaps == 2_500
        with pytest.raises(BudgetReachedError):
            account.reserve(50)

    def test_silent_plan_makes_the_feed_free(self) -> None:
        account = jobs(make_budget(max_credits=3_000))
        for _ in range(5):
            account.reserve(1_000)
            receive(account, 1_000, PLAN_HEADERS[0], 1_000)
        assert account.price == 0

    def test_empty_page_is_no_price(self) -> None:
        account = sites(make_budget())
        receive(account, 0, deducted(0))
        assert account.price == 50

    def test_free_feed_goes_on_when_another_used_the_budget(self) -> None:
        budget = make_budget(max_credits=2_500)
        free, paid = jobs(budget), sites(budget)
        receive(free, 50, deducted(0))
        receive(paid, 50, deducted(2_500))
        free.reserve(50)
        with pytest.raises(BudgetReachedError):
            paid.reserve(1)

    def test_price_after_the_allowance_is_reckoned_with(self) -> None:
        account = jobs(make_budget(max_credits=3_000))
        receive(account, 1_000, deducted(0), 1_000)
        account.reserve(1_000)
        receive(account, 1_000, deducted(3_000), 1_000)
        with pytest.raises(BudgetReachedError):
            account.reserve(1)


class TestMaxCredits:
    def test_first_page_is_checked_at_list_price(self) -> None:
        account = jobs(make_budget(max_credits=3_000))
        account.expect_page(1_000)
        account.reserve(1_000)
        account = jobs(make_budget(max_credits=2_999))
        account.expect_page(1_000)
        with pytest.raises(ConfigError) as error:
            account.reserve(1)
        for part in ("max_credits", "2,999", "3,000", "jobs_batch_size", "free needs no"):
            assert part in str(error.value)

    def test_page_of_a_later_feed_is_checked_before_the_first(self) -> None:
        budget = make_budget(max_credits=2_999)
        first, later = sites(budget), jobs(budget)
        first.expect_page(50)
        later.expect_page(1_000)
        with pytest.raises(ConfigError, match="1,000 rows of jobs"):
            first.reserve(50)

    def test_first_page_is_checked_whatever_the_run_has_used(self) -> None:
        budget = make_budget(max_credits=2_999)
        receive(sites(budget), 1, deducted(50))
        jobs(budget).expect_page(999)
        jobs(budget).reserve(1)
        jobs(budget).expect_page(1_000)
        with pytest.raises(ConfigError):
            jobs(budget).reserve(1)

    def test_reserved_at_list_price_then_at_the_price_last_seen(self) -> None:
        account = sites(make_budget(max_credits=5_000))
        account.reserve(100)
        receive(account, 50, deducted(1_000))
        account.reserve(200)
        with pytest.raises(BudgetReachedError, match="max_credits 5,000"):
            account.reserve(201)

    def test_worst_cases_never_pass_it(self) -> None:
        account = sites(budget := make_budget(max_credits=5_000))
        for _ in range(2):
            account.reserve(50)
            account.charge_worst_case(50)
        with pytest.raises(BudgetReachedError):
            account.reserve(50)
        assert budget.credits == 5_000

    def test_risen_price_passes_it_by_one_page_with_a_warning(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        account = sites(make_budget(max_credits=5_000))
        receive(account, 50, deducted(2_500))
        account.reserve(50)
        receive(account, 50, deducted(3_000))
        (warning,) = caplog.messages
        for part in ("career_sites", "from 50 to 60", "max_credits 5,000", "by 500 credits"):
            assert part in warning
        assert "No further page" in warning
        with pytest.raises(BudgetReachedError):
            account.reserve(1)

    def test_risen_price_within_it_is_no_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        receive(sites(make_budget(max_credits=5_000)), 50, deducted(5_000))
        receive(sites(make_budget()), 50, deducted(9_000))
        assert caplog.messages == []


class TestBalance:
    def test_first_and_last_are_kept(self) -> None:
        account = sites(budget := make_budget())
        assert (budget.first_balance, budget.balance) == (None, None)
        receive(account, 50, deducted(2_500, 9_000))
        receive(account, 50, deducted(2_500, 6_500))
        receive(account, 50, deducted(2_500))
        assert (budget.first_balance, budget.balance) == (9_000, 6_500)

    @pytest.mark.parametrize(
        ("balance", "billed"), [(6_500, 0), (4_000, 2_500), (5_500, 1_000), (1_000, 2_500)]
    )
    def test_lost_answer_is_settled_by_the_balances(self, balance: int, billed: int) -> None:
        account = sites(budget := make_budget())
        receive(account, 50, deducted(2_500, 9_000))
        account.charge_worst_case(50)
        receive(account, 50, deducted(2_500, balance))
        assert budget.settled_perhaps() == billed
        assert budget.perhaps == 2_500

    def test_balances_settle_what_rows_without_a_header_cost(self) -> None:
        account = sites(budget := make_budget())
        receive(account, 20, {"X-Credits-Balance": "9000"})
        account.charge_worst_case(50)
        receive(account, 20, {"X-Credits-Balance": "8000"})
        assert budget.settled_perhaps() == 0

    @pytest.mark.parametrize("is_first", [True, False])
    def test_lost_answer_outside_of_the_balances_counts(self, *, is_first: bool) -> None:
        account = sites(budget := make_budget())
        if is_first:
            account.charge_worst_case(50)
        receive(account, 50, deducted(2_500, 9_000))
        receive(account, 50, deducted(2_500, 6_500))
        if not is_first:
            account.charge_worst_case(50)
        assert budget.settled_perhaps() == 2_500

    def test_nothing_is_settled_without_balances(self) -> None:
        account = sites(budget := make_budget())
        account.charge_worst_case(50)
        receive(account, 50, deducted(2_500))
        assert budget.settled_perhaps() is None

    def test_nothing_is_settled_where_the_balance_rose(self) -> None:
        account = sites(budget := make_budget())
        receive(account, 50, deducted(2_500, 9_000))
        account.charge_worst_case(50)
        receive(account, 50, deducted(2_500, 20_000))
        receive(account, 50, deducted(2_500, 5_000))
        assert budget.settled_perhaps() is None

    def test_nothing_lost_is_nothing_to_settle(self) -> None:
        budget = make_budget()
        receive(sites(budget), 50, deducted(2_500))
        assert budget.settled_perhaps() == 0

    def test_low_balance_of_a_free_feed_buys_any_number_of_rows(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        account = jobs(make_budget(alert_threshold=100))
        receive(account, 50, deducted(0, 99))
        receive(account, 50, deducted(0, 98))
        (warning,) = caplog.messages
        assert "any number of rows" in warning
