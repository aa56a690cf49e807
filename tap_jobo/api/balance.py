"""The account's balance at Jobo, as reported during a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from tap_jobo.wording import CREDITS_PER_DOLLAR, dollars, plural

if TYPE_CHECKING:
    import logging

__all__ = ["CREDITS_PER_DOLLAR", "Balance", "dollars"]


class _Reading(NamedTuple):
    """A balance, with the credits that the run had been charged by then."""

    balance: int
    certain: int
    perhaps: int


class Balance:
    """The balances that a run sees.

    Args:
        alert_threshold: Balance below which a WARNING is logged, once per run; None for never.
        logger: Where the warning is logged.
    """

    def __init__(self, alert_threshold: int | None, logger: logging.Logger) -> None:
        self._alert_threshold = alert_threshold
        self._logger = logger
        self._first: _Reading | None = None
        self._last: _Reading | None = None
        self._has_risen = False

    @property
    def first(self) -> int | None:
        """The first balance that the API reported, None if it reported none."""
        return self._first and self._first.balance

    def note(self, balance: int, *, certain: int, perhaps: int, price: float) -> None:
        """Record a balance.

        Args:
            balance: The credits left.
            certain: The credits of all complete answers so far.
            perhaps: The credits charged for incomplete ones so far.
            price: Credits per row, to say how many rows the balance covers.
        """
        self._has_risen |= self._last is not None and balance > self._last.balance
        self._last = _Reading(balance, certain, perhaps)
        self._first = self._first or self._last
        if self._alert_threshold is not None and balance < self._alert_threshold:
            self._logger.warning(
                "The balance of %s credits (%s) is below credits_alert_threshold %s: it still "
                "covers %s.",
                f"{balance:,}",
                dollars(balance),
                f"{self._alert_threshold:,}",
                plural(math.floor(balance / price), "row") if price else "any number of rows",
            )
            self._alert_threshold = None  # once per run

    def settle(self, perhaps: int) -> int | None:
        """Return how many of the credits charged for incomplete responses were billed.

        Those between two known balances are settled by the difference; the others count in full.
        None if no balance is known, or if it rose because the account was topped up.
        """
        if not perhaps:
            return 0
        first, last = self._first, self._last
        if first is None or last is None or self._has_risen:
            return None
        between = last.perhaps - first.perhaps
        unexplained = (first.balance - last.balance) - (last.certain - first.certain)
        return perhaps - between + min(max(unexplained, 0), between)
