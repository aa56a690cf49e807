"""What one feed costs, counted from the API's responses.

A page is reserved before its request, charged when its response is complete, and settled once its
number of rows is known. A request whose response was lost is charged at the worst case.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from tap_jobo.wording import plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_jobo.api.budget import Budget

_BALANCE: Final = "X-Credits-Balance"
_PLAN_HEADERS: Final = (_BALANCE, "X-Quota-Limit", "X-Quota-Remaining")
"""If one of these is present, a missing `X-Credits-Deducted` may mean a free page."""


class Account:
    """What one feed costs, within the budget of the run.

    Args:
        budget: The budget of the run.
        name: The stream, for messages.
        list_price: Credits per row as documented, until an answer says otherwise.
        silent_is_free: Whether an answer that names a balance or a quota but no deduction
            deducted nothing.
        page_size_setting: The setting that makes a page smaller, for messages; empty if there is
            none.

    Attributes:
        price: Credits per row at the price last seen, the list price before that.
        credits: Credits charged so far, worst cases included.
        perhaps: How many of these were charged for requests without a complete answer.
    """

    def __init__(
        self,
        budget: Budget,
        name: str,
        *,
        list_price: float,
        silent_is_free: bool = False,
        page_size_setting: str = "batch_size",
    ) -> None:
        self._budget = budget
        self._name = name
        self._list_price = list_price
        self._silent_is_free = silent_is_free
        self.page_size_setting = page_size_setting
        self.price = list_price
        self.credits = 0
        self.perhaps = 0

    def expect_page(self, rows: int) -> None:
        """Let the run's first `reserve` check that the budget also covers a page of this feed.

        Pages replayed from the journal come before that and cost nothing.
        """
        cost, page = math.ceil(rows * self._list_price), self._page(rows)
        check = self._budget.check_page
        self._budget.before_first_page(lambda: check(cost, page, self.page_size_setting))

    def reserve(self, rows: int) -> None:
        """Check that a page of `rows` rows fits into the budget, before it is requested.

        Raises:
            BudgetReachedError: It may exceed what is left.
            ConfigError: It exceeds the budget of any run.
        """
        # After a lost answer a free page may not stay free: the next one is reserved at list price.
        price = max(self.price, self._list_price) if self.perhaps else self.price
        cost = math.ceil(rows * price)
        self._budget.reserve(cost, self._page(rows), self.page_size_setting)

    def charge(self, headers: Mapping[str, str], rows: int) -> int:
        """Charge a complete response.

        Args:
            headers: Its headers; the deduction that they report takes precedence.
            rows: The rows to charge at the last price seen, if the headers report none.

        Returns:
            The credits charged.
        """
        cost = self._cost(headers, rows)
        self._add(cost)
        balance = _parse_credits(headers.get(_BALANCE))
        self._budget.balance = self._budget.balance if balance is None else balance
        return cost

    def settle(self, charged: int, headers: Mapping[str, str], rows: int) -> int:
        """Correct a charge and learn the price, once the page's number of rows is known.

        Args:
            charged: What `charge` returned.
            headers: The response headers.
            rows: The rows in the page.

        Returns:
            The cost of the page in credits.
        """
        cost, before = self._cost(headers, rows), self.price
        self._add(cost - charged)
        if rows and self._deducted(headers) is not None:
            self.price = cost / rows
        if self.price > before:
            self._budget.warn_if_exceeded(self._name, before, self.price)
        balance = _parse_credits(headers.get(_BALANCE))
        if balance is not None:
            self._budget.note_balance(balance, self.price)
        return cost

    def charge_worst_case(self, rows: int) -> None:
        """Count a request that was sent and whose answer did not come completely.

        A page may cost its list price although those before it were free, or cheaper.
        """
        cost = math.ceil(rows * max(self.price, self._list_price))
        self._add(cost, perhaps=True)
        self.perhaps += cost

    def _page(self, rows: int) -> str:
        return f"{plural(rows, 'row')} of {self._name}"

    def _cost(self, headers: Mapping[str, str], rows: int) -> int:
        deducted = self._deducted(headers)
        return math.ceil(rows * self.price) if deducted is None else deducted

    def _deducted(self, headers: Mapping[str, str]) -> int | None:
        """Return what a response deducted; None if its headers do not say."""
        deducted = deducted_credits(headers)
        if deducted is None and self._silent_is_free:
            return 0 if any(name in headers for name in _PLAN_HEADERS) else None
        return deducted

    def _add(self, credits_: int, *, perhaps: bool = False) -> None:
        self.credits += credits_
        self._budget.add(credits_, perhaps=perhaps)


def deducted_credits(headers: Mapping[str, str]) -> int | None:
    """Return the deduction that a response reports; None if it does not report one."""
    return _parse_credits(headers.get("X-Credits-Deducted"))


def _parse_credits(text: str | None) -> int | None:
    """Parse a number of credits in a header; None if it is missing or invalid."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return math.ceil(value) if 0 <= value < 1e15 else None  # noqa: PLR2004 - not infinity, not NaN
