"""The budget of a run, shared by all its streams: it never exceeds `max_credits`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tap_jobo.api.balance import Balance
from tap_jobo.errors import BudgetReachedError, ConfigError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable


class Budget:
    """The credits of one run, shared by all streams.

    Args:
        max_credits: Maximum credits per run; None for no limit.
        alert_threshold: Balance below which a WARNING is logged, once per run; None for never.
        logger: Where warnings are logged.

    Attributes:
        credits: Credits charged so far, including worst cases.
        perhaps: How many of these were charged for requests without a complete response.
        balance: Credits left at Jobo as last reported, None if not reported.
    """

    def __init__(
        self, *, max_credits: int | None, alert_threshold: int | None, logger: logging.Logger
    ) -> None:
        self._max_credits = math.inf if max_credits is None else max_credits
        self._logger = logger
        self._balances = Balance(alert_threshold, logger)
        self._first_pages: list[Callable[[], None]] = []
        self.credits = 0
        self.perhaps = 0
        self.balance: int | None = None

    @property
    def first_balance(self) -> int | None:
        """The first balance that the API reported in this run, None if it reported none."""
        return self._balances.first

    def settled_perhaps(self) -> int | None:
        """Return how many `perhaps` credits were billed, if the balances show it."""
        return self._balances.settle(self.perhaps)

    # What follows is for accounts.

    def before_first_page(self, check: Callable[[], None]) -> None:
        """Register a check to run before the first page of any feed is requested."""
        self._first_pages.append(check)

    def check_page(self, cost: int, page: str, page_size_setting: str) -> None:
        """Check that a page fits into the budget of a run at all.

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
        """Check that a page fits into what is left; a free page always does.

        Raises:
            BudgetReachedError: It may exceed what is left.
            ConfigError: It exceeds the budget of any run.
        """
        while self._first_pages:
            self._first_pages.pop(0)()
        if not self.credits:
            self.check_page(cost, page, page_size_setting)
        if cost and self.credits + cost > self._max_credits:
            raise BudgetReachedError(
                f"The budget is reached: another page of {page} may cost {cost:,} credits, and "
                f"{self.credits:,} of max_credits {self._max_credits:,} are used. The next run "
                "resumes from here."
            )

    def add(self, credits_: int, *, perhaps: bool = False) -> None:
        """Add credits; a negative number refunds an overcharge."""
        self.credits += credits_
        self.perhaps += credits_ if perhaps else 0

    def note_balance(self, balance: int, price: float) -> None:
        """Record a balance; call this after the charges that it includes."""
        certain = self.credits - self.perhaps
        self._balances.note(balance, certain=certain, perhaps=self.perhaps, price=price)

    def warn_if_exceeded(self, name: str, before: float, price: float) -> None:
        """Warn that a price increase has exceeded `max_credits`."""
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
