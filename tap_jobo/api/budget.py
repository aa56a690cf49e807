"""What a run costs: counted from the answers, and kept within `max_credits`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from tap_jobo.errors import BudgetReachedError, ConfigError

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

CREDITS_A_ROW: Final = 50
"""Jobo's documented price, taken for granted until an answer says otherwise."""
CREDITS_A_DOLLAR: Final = 1_000


def dollars(credits_: float) -> str:
    """Write credits as US dollars, such as `$2.50`."""
    return f"${credits_ / CREDITS_A_DOLLAR:,.2f}"


class Budget:
    """The credits of one run.

    Attributes:
        credits: Credits spent so far, with what may have been paid for without an answer.
        balance: Credits left in the account as the API last said, None where it did not.
        price: Credits a row at the price last seen.
    """

    def __init__(
        self, *, max_credits: int | None, alert_threshold: int | None, logger: logging.Logger
    ) -> None:
        self._max_credits = max_credits
        self._alert_threshold = alert_threshold
        self._logger = logger
        self.credits = 0
        self.balance: int | None = None
        self.price: float = CREDITS_A_ROW

    def reserve(self, rows: int) -> None:
        """See that a page of `rows` rows fits into the budget, before it is asked for.

        Raises:
            BudgetReachedError: It may not fit any more.
            ConfigError: It would not fit into any run.
        """
        if self._max_credits is None:
            return
        cost = math.ceil(rows * self.price)
        if cost > self._max_credits and not self.credits:
            raise ConfigError(
                f"Setting 'max_credits' ({self._max_credits:,}) is below the {cost:,} credits of "
                f"one page of {rows} rows, so that no run could get on: set it to {cost:,} or "
                "more. A smaller batch_size helps a new scan; one under way keeps its page size."
            )
        if self.credits + cost > self._max_credits:
            raise BudgetReachedError(
                f"The budget is reached: another page may cost {cost:,} credits and "
                f"{self.credits:,} of max_credits {self._max_credits:,} are spent. "
                "The scan is kept: the next run goes on from here."
            )

    def charge(self, headers: Mapping[str, str], rows: int) -> None:
        """Count a page that arrived: what its answer says, else its rows at the last price."""
        deducted = _credits(headers.get("X-Credits-Deducted"))
        cost = math.ceil(rows * self.price) if deducted is None else deducted
        if rows and deducted:  # a page for nothing is no price for the next
            self.price = deducted / rows
        self.credits += cost
        self._note_balance(_credits(headers.get("X-Credits-Balance")))

    def charge_worst_case(self, rows: int) -> None:
        """Count a request whose answer broke off or never came: it may be paid for, all of it."""
        self.credits += math.ceil(rows * self.price)

    def _note_balance(self, balance: int | None) -> None:
        if balance is None:
            return
        threshold = self._alert_threshold
        if threshold is not None and balance < threshold:
            self._alert_threshold = None  # once a run
            self._logger.warning(
                "The balance of %s credits (%s) is below credits_alert_threshold %s: it still "
                "buys %s rows.",
                f"{balance:,}",
                dollars(balance),
                f"{threshold:,}",
                f"{math.floor(balance / self.price):,}" if self.price else "any number of",
            )
        self.balance = balance


def _credits(text: str | None) -> int | None:
    """Read a header's number of credits; None where it is missing or no such number."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return math.ceil(value) if 0 <= value < 1e15 else None  # noqa: PLR2004 - not infinity, not NaN
