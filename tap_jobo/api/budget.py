"""What a run costs: counted from the answers, and kept within `max_credits`.

One `Budget` covers the run over all streams; each feed has its `Account`, because prices differ.
A page is reserved before its request, charged when its answer is complete, and settled once its
number of rows is known. A request whose answer was lost is charged at worst case.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from tap_jobo.api.balance import CREDITS_PER_DOLLAR, Balance, dollars
from tap_jobo.errors import BudgetReachedError, ConfigError

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

__all__ = ["CREDITS_PER_DOLLAR", "Account", "Budget", "deducted_credits", "dollars"]

_BALANCE: Final = "X-Credits-Balance"
_PLAN_HEADERS: Final = (_BALANCE, "X-Quota-Limit", "X-Quota-Remaining")
"""Where one of these is present, a missing `X-Credits-Deducted` may mean a free page."""


class Budget:
    """The credits of one run, over all streams.

    Args:
        max_credits: Maximum credits per run; None for no limit.
        alert_threshold: Balance below which a WARNING is logged, once a run; None for never.
        logger: Where warnings go.

    Attributes:
        credits: Credits charged so far, worst cases included.
        perhaps: How many of these were charged for requests without a complete answer.
        balance: Credits left at Jobo as the API last said, None where it did not.
    """

    def __init__(
        self, *, max_credits: int | None, alert_threshold: int | None, logger: logging.Logger
    ) -> None:
        self._max_credits = math.inf if max_credits is None else max_credits
        self._logger = logger
        self._balances = Balance(alert_threshold, logger)
        self.credits = 0
        self.perhaps = 0
        self.balance: int | None = None

    @property
    def first_balance(self) -> int | None:
        """The balance that the API reported first in this run, None where it did not."""
        return self._balances.first

    def settled_perhaps(self) -> int | None:
        """Return how many of the `perhaps` credits the balances show to be billed, if they do."""
        return self._balances.settle(self.perhaps)

    def account(
        self,
        name: str,
        *,
        list_price: float,
        silent_is_free: bool = False,
        page_size_setting: str = "batch_size",
    ) -> Account:
        """Open the account of a feed.

        Args:
            name: The stream, for messages.
            list_price: Credits per row as documented, until an answer says otherwise.
            silent_is_free: Whether an answer that names a balance or a quota but no deduction
                deducted nothing.
            page_size_setting: The setting that makes a page smaller, for messages; empty if
                there is none.
        """
        return Account(self, name, list_price, page_size_setting, silent_is_free=silent_is_free)

    # What follows is for accounts.

    def check_page(self, cost: int, page: str, page_size_setting: str) -> None:
        """See that a page fits into a run at all.

        Raises:
            ConfigError: It does not.
        """
        if cost > self._max_credits:
            smaller = (
                f", or lower {page_size_setting} (a sync under way keeps its page size)"
                if page_size_setting
                else ""
            )
            raise ConfigError(
                f"Setting 'max_credits' ({self._max_credits:,}) is below the {cost:,} credits of "
                f"one page of {page}, so no run could make progress: set it to {cost:,} or more"
                f"{smaller}. A plan whose rows are free needs no max_credits."
            )

    def reserve(self, cost: int, page: str, page_size_setting: str) -> None:
        """See that a page fits into what is left; a free page always does.

        Raises:
            BudgetReachedError: It may not fit any more.
            ConfigError: It would not fit into any run.
        """
        if not self.credits:
            self.check_page(cost, page, page_size_setting)
        if cost and self.credits + cost > self._max_credits:
            raise BudgetReachedError(
                f"The budget is reached: another page of {page} may cost {cost:,} credits, and "
                f"{self.credits:,} of max_credits {self._max_credits:,} are used. The next run "
                "resumes from here."
            )

    def add(self, credits_: int, *, perhaps: bool = False) -> None:
        """Count credits; a negative number takes back what was charged too much."""
        self.credits += credits_
        self.perhaps += credits_ if perhaps else 0

    def note_balance(self, balance: int, price: float) -> None:
        """Take note of a balance; what was charged before it is counted."""
        certain = self.credits - self.perhaps
        self._balances.note(balance, certain=certain, perhaps=self.perhaps, price=price)

    def warn_if_exceeded(self, name: str, before: float, price: float) -> None:
        """Say that a price which rose has led past `max_credits`."""
        if self.credits > self._max_credits:
            self._logger.warning(
                "The price of %s rose from %g to %g credits per row: its last page exceeds "
                "max_credits %s by %s credits. No further page is requested at this price.",
                name,
                before,
                price,
                f"{self._max_credits:,}",
                f"{self.credits - self._max_credits:,}",
            )


class Account:
    """What one feed costs, within the budget of the run.

    Attributes:
        price: Credits per row at the price last seen, the list price before that.
        credits: Credits charged so far, worst cases included.
        perhaps: How many of these were charged for requests without a complete answer.
        page_size_setting: The setting that makes a page smaller.
    """

    def __init__(
        self,
        budget: Budget,
        name: str,
        list_price: float,
        page_size_setting: str,
        *,
        silent_is_free: bool,
    ) -> None:
        self._budget = budget
        self._name = name
        self._list_price = list_price
        self._silent_is_free = silent_is_free
        self.page_size_setting = page_size_setting
        self.price = list_price
        self.credits = 0
        self.perhaps = 0

    def check_first_page(self, rows: int) -> None:
        """See that the budget covers a page at list price, before the run's first request.

        Raises:
            ConfigError: It does not.
        """
        cost = math.ceil(rows * self._list_price)
        self._budget.check_page(cost, self._page(rows), self.page_size_setting)

    def reserve(self, rows: int) -> None:
        """See that a page of `rows` rows fits into the budget, before it is requested.

        Raises:
            BudgetReachedError: It may not fit any more.
            ConfigError: It would not fit into any run.
        """
        cost = math.ceil(rows * self.price)
        self._budget.reserve(cost, self._page(rows), self.page_size_setting)

    def charge(self, headers: Mapping[str, str], rows: int) -> int:
        """Count a complete answer.

        Args:
            headers: Its headers; what they say was deducted decides.
            rows: The rows to count where they do not say, at the price last seen.

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
            headers: The answer's headers.
            rows: The rows that it has.

        Returns:
            The credits that the page cost.
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
        """Count a request that was sent and whose answer did not come completely."""
        cost = math.ceil(rows * self.price)
        self._add(cost, perhaps=True)
        self.perhaps += cost

    def _page(self, rows: int) -> str:
        return f"{rows:,} rows of {self._name}"

    def _cost(self, headers: Mapping[str, str], rows: int) -> int:
        deducted = self._deducted(headers)
        return math.ceil(rows * self.price) if deducted is None else deducted

    def _deducted(self, headers: Mapping[str, str]) -> int | None:
        """Return what an answer deducted; None where its headers do not tell."""
        deducted = deducted_credits(headers)
        if deducted is None and self._silent_is_free:
            return 0 if any(name in headers for name in _PLAN_HEADERS) else None
        return deducted

    def _add(self, credits_: int, *, perhaps: bool = False) -> None:
        self.credits += credits_
        self._budget.add(credits_, perhaps=perhaps)


def deducted_credits(headers: Mapping[str, str]) -> int | None:
    """Return what an answer says that it deducted; None where it does not say."""
    return _parse_credits(headers.get("X-Credits-Deducted"))


def _parse_credits(text: str | None) -> int | None:
    """Read a header's number of credits; None where it is missing or no such number."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return math.ceil(value) if 0 <= value < 1e15 else None  # noqa: PLR2004 - not infinity, not NaN
