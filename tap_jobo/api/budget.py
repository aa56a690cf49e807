"""What a run costs: one budget for the run, and within it the cost of each feed.

A page is reserved before its request, charged when its response is complete, and reconciled once
its number of rows is known.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from tap_jobo.api.headers import reported_credits
from tap_jobo.errors import BudgetReachedError, ConfigError
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.wording import dollars, plural

_PLAN_HEADERS: Final = ("X-Credits-Balance", "X-Quota-Limit", "X-Quota-Remaining")
"""If one of these is present, a missing `X-Credits-Deducted` may mean a free page."""


class CountOverRuns(Protocol):
    """Counts what a feed costs over several runs; `billed` is what it has cost in this one."""

    def reserve(self, billed: int, cost: int, what: str) -> None:
        """Count a request before it is sent, or raise `BudgetReachedError` if there is a limit."""

    def left(self, billed: int) -> tuple[float, str]:
        """Return the credits that a limit leaves, and the time that they are for."""


@dataclass(kw_only=True)
class Budget:
    """The credits of one run, shared by all its streams; the settings have their names."""

    logger: logging.Logger
    max_credits: int | None = None
    max_credits_per_month: int | None = None
    credits_alert_threshold: int | None = None
    credits: int = 0
    possibly_billed: int = 0
    balance: int | None = None

    @property
    def left(self) -> float:
        """The credits that `max_credits` leaves."""
        return math.inf if self.max_credits is None else self.max_credits - self.credits

    def note_balance(self, headers: Mapping[str, str]) -> None:
        """Record the balance that a response reports, and warn if it is low."""
        if (balance := reported_credits(headers, "X-Credits-Balance")) is None:
            return
        self.balance = balance
        threshold = self.credits_alert_threshold
        if threshold is not None and balance < threshold:
            self.logger.warning(
                "The balance of %s credits (%s) is below credits_alert_threshold %s. Top up.",
                f"{balance:,}",
                dollars(balance),
                f"{threshold:,}",
            )
            self.credits_alert_threshold = None  # once per run


class FeedCost:
    """What one feed costs, within the budget of the run."""

    def __init__(self, budget: Budget, spec: FeedSpec) -> None:
        self._budget = budget
        self._spec = spec
        self.price = spec.list_price
        self.credits = 0
        self.possibly_billed = 0
        self.month: CountOverRuns | None = None  # unless the journal is off
        self._is_assuming = False

    def check_page(self, rows: int) -> None:
        """Raise ConfigError if a limit does not cover a page at list price."""
        cost, setting = math.ceil(rows * self._spec.list_price), self._spec.page_size_setting
        smaller = f", or lower {setting.name} for a new sync" if setting else ""
        for name in ("max_credits", "max_credits_per_month"):
            limit = getattr(self._budget, name)
            if limit is not None and cost > limit:
                raise ConfigError(
                    f"Setting '{name}' ({limit:,}) is below the {cost:,} credits of one page of "
                    f"{plural(rows, 'row')} of {self._spec.name}, so no run could make progress. "
                    f"Set it to {cost:,} or more{smaller}. If your plan's rows are free, remove "
                    f"{name}."
                )

    def reserve(self, rows: int) -> None:
        """Check that a page fits into what is left of the budget; a free page always does."""
        # After a lost response, a free page may not stay free.
        price = self._highest_price if self.possibly_billed else self.price
        budget, cost = self._budget, math.ceil(rows * price)
        if not budget.credits:
            self.check_page(rows)
        page = f"the next page of {self._spec.name} may cost {cost:,} ({dollars(cost)})"
        if cost > max(0, budget.left):
            raise BudgetReachedError(
                f"max_credits reached: {budget.credits:,} of {budget.max_credits:,} credits used "
                f"({dollars(budget.credits)}); {page}. The next run resumes from here."
            )
        if self.month:
            self.month.reserve(self.credits, cost, page)

    def left_this_month(self) -> tuple[float, str]:
        """Return the credits that `max_credits_per_month` leaves, and the month, if it is set."""
        return self.month.left(self.credits) if self.month else (math.inf, "")

    def charge(self, headers: Mapping[str, str], rows: int) -> int:
        """Charge what a complete response deducted, else `rows` at the last price; return it."""
        deducted = self.deducted(headers)
        cost = math.ceil(rows * self.price) if deducted is None else deducted
        self._add(cost)
        return cost

    def reconcile(self, charged: int, headers: Mapping[str, str], rows: int, requested: int) -> str:
        """Correct what `charge` returned, learn the price, and return what is wrong, if so."""
        self._add(-charged)
        cost, deducted = self.charge(headers, rows), self.deducted(headers)
        dispute = self._dispute(deducted or 0, rows, requested)
        if dispute:  # so may the next page
            self.price = max(self.price, cost / requested)
        elif rows and deducted is not None:
            self.price = cost / rows
        if cost and deducted is None and not self._is_assuming:
            self._is_assuming = True
            self._budget.logger.warning(
                "Jobo's responses do not say what %s cost (X-Credits-Deducted is missing). The run "
                "assumes %g credits per row. If your plan includes these rows, remove max_credits: "
                "what is assumed counts against it.",
                self._spec.name,
                self.price,
            )
        self._budget.note_balance(headers)
        return dispute

    def charge_in_full(self, headers: Mapping[str, str], rows: int) -> int:
        """Charge a request for `rows` that may have been billed, but returned no page; return it.

        A page may cost its list price although those before it were free, or cheaper.
        """
        deducted = self.deducted(headers)
        if deducted is None:
            deducted = math.ceil(rows * self._highest_price)
            self.possibly_billed += deducted
            self._budget.possibly_billed += deducted
        self._add(deducted)
        return deducted

    def deducted(self, headers: Mapping[str, str]) -> int | None:
        """Return the credits that a response says were deducted; None if it does not say."""
        deducted = reported_credits(headers)
        if deducted is None and self._spec.missing_charge_means_free:
            return 0 if any(name in headers for name in _PLAN_HEADERS) else None
        return deducted

    @property
    def _highest_price(self) -> float:
        return max(self.price, self._spec.list_price)

    def _dispute(self, deducted: int, rows: int, requested: int) -> str:
        """Return what is wrong if far fewer rows came than were deducted, at the price so far.

        A price that rises with a short last page is no such case, unless it more than doubles.
        """
        price = self._highest_price
        if rows >= requested or deducted < min(requested, 2 * rows) * price or not deducted:
            return ""
        return (
            f"Jobo deducted {deducted:,} credits ({dollars(deducted)}) for "
            f"{plural(rows, 'row')} of {self._spec.name}. The price was {price:g} credits per row"
        )

    def _add(self, credits_: int) -> None:
        self.credits += credits_
        self._budget.credits += credits_
