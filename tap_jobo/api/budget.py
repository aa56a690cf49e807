"""What a run costs: one budget for the run, and within it the cost of each feed.

A page is reserved before its request, charged when its response is complete, and reconciled once
its number of rows is known. What a page cost is what Jobo deducted for it; where a page with rows
reports no deduction, it is what the balance fell, so that spending has a bound whatever else the
responses say.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tap_jobo.api.headers import has_plan, reported_balance, reported_credits
from tap_jobo.clock import to_minute
from tap_jobo.errors import BudgetReachedError, ConfigError
from tap_jobo.messages import message
from tap_jobo.model import Charge, LastPrice, Receipt
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.wording import Lines, dollars, plural

_LIMITS: Final = ("max_credits", "max_credits_per_month")
"""The settings that limit what is spent."""
_ABSURD: Final = 10
"""No price would rise to so many times the highest one so far."""


class CountOverRuns(Protocol):
    """Counts what a feed costs over several runs; `billed` is what it has cost in this one."""

    def reserve(self, billed: int, cost: int, what: str) -> None:
        """Count a request before it is sent, or raise `BudgetReachedError` if there is a limit."""

    def left(self, billed: int) -> tuple[float, str]:
        """Return the credits that a limit leaves, which can be below 0, and the time of it."""

    def settle(self, billed: int) -> None:
        """Count exactly what was billed."""

    @property
    def last_price(self) -> LastPrice | None:
        """The price of the last page of any run, if it was above the list price."""

    def note_price(self, price: LastPrice | None) -> None:
        """Keep that price for later runs."""

    def newest_balance(self) -> int | None:
        """Return the balance that the last response of any run showed."""

    def note_balance(self, balance: int | None) -> None:
        """Keep that balance for later runs, once the count is written again."""


@dataclass(kw_only=True)
class Budget:
    """The credits of one run, shared by all its streams; the settings have their names.

    Attributes:
        balance: What the last response of the run says; None if none does.
        last_balance: The same, or before that, what an earlier run has seen.
    """

    logger: logging.Logger
    max_credits: int | None = None
    max_credits_per_month: int | None = None
    credits: int = 0
    possibly_billed: int = 0
    balance: int | None = None
    last_balance: int | None = None
    has_reported_fall: bool = False
    _expected: int = 0  # what was possibly billed up to the last balance

    @property
    def left(self) -> float:
        """The credits that `max_credits` leaves."""
        return math.inf if self.max_credits is None else self.max_credits - self.credits

    @property
    def limits(self) -> str | None:
        """The settings that limit what is spent, None if none does."""
        return " and ".join(name for name in _LIMITS if getattr(self, name) is not None) or None

    @property
    def is_limited(self) -> bool:
        """Whether a setting limits what is spent."""
        return self.limits is not None

    def note_balance(self, headers: Mapping[str, str]) -> int:
        """Record the balance that a response reports, and return its fall.

        What the run has counted as possibly billed in the meantime explains a part of the fall.
        """
        if (balance := reported_balance(headers)) is None:
            return 0
        fall = 0
        if self.last_balance is not None:
            fall = self.last_balance - balance - (self.possibly_billed - self._expected)
        self.balance = self.last_balance = balance
        self._expected = self.possibly_billed
        return max(0, fall)

    def return_fall(self, fall: int) -> None:
        """Leave the fall of the balance with a page without rows to the next page with rows."""
        if self.last_balance is not None:
            self.last_balance += fall

    def note_possibly_billed(self, credits_: int, *, is_in_balance: bool) -> None:
        """Count what may have been billed, and whether the last balance has fallen by it."""
        self.possibly_billed += credits_
        self._expected += credits_ if is_in_balance else 0


class FeedCost:
    """What one feed costs, within the budget of the run.

    Attributes:
        price: Credits that the next row may cost.
        last_price: The price of the last page, if it is above the list price.
    """

    def __init__(self, budget: Budget, spec: FeedSpec) -> None:
        self._budget = budget
        self._spec = spec
        self.price = spec.list_price
        self.last_price: LastPrice | None = None
        self.credits = 0
        self.possibly_billed = 0
        self.month: CountOverRuns | None = None  # unless the archive is off
        self._has_price = False  # of a page of this run
        self._reported: set[str] = set()

    def count_in(self, month: CountOverRuns | None, *, is_test: bool) -> None:
        """Go on with the count of earlier runs, with the price and the balance that they saw.

        A test reserves its row at list price, because it learns the price again.
        """
        self.month = month
        if month is None:
            return
        self.last_price = month.last_price
        self._has_price = is_test
        if self.last_price and not is_test:
            self.price = max(self.price, self.last_price.credits)
        if self._budget.last_balance is None:
            self._budget.last_balance = month.newest_balance()

    @property
    def page_size_setting(self) -> str | None:
        """The name of the setting for fewer rows per page, None if there is none."""
        return self._spec.page_size_setting.name if self._spec.page_size_setting else None

    def settle(self) -> None:
        """Leave what the feed has cost to later runs."""
        if self.month:
            self.month.note_balance(self._budget.last_balance)
            self.month.settle(self.credits)

    def check_page(self, rows: int) -> None:
        """Raise ConfigError if a limit does not cover a page of so many rows at list price."""
        cost = math.ceil(rows * self._spec.list_price)
        if names := self._limits_below(cost):
            fact = f"{self._spec.name} stopped: {self._exceeds(names, cost)}"
            raise ConfigError(self._too_low(fact, names))

    def _check_last_price(self, rows: int) -> None:
        """Raise ConfigError if no page fits a limit at the price that an earlier run has seen."""
        if self.last_price is None or self._has_price:
            return
        cost = math.ceil(rows * self.last_price.credits)
        if names := self._limits_below(cost):
            since = to_minute(self.last_price.since)
            fact = f"{self._spec.name} stopped: since {since}, {self._exceeds(names, cost)}"
            can_test = min(self._budget.left, self.left_this_month()[0]) >= self.last_price.credits
            row_price = dollars(self.last_price.credits) if can_test else None
            raise ConfigError(self._too_low(fact, names, row_price))

    def _exceeds(self, names: Sequence[str], cost: int) -> str:
        """Return that a page costs more than a limit, and a period."""
        limit = f"{names[0]} ({self._limit(names[0]):,})"
        return f"a page costs {cost:,} credits, more than {limit}."

    def _too_low(self, fact: str, names: Sequence[str], row_price: str | None = None) -> Lines:
        """Return the message about limits that do not cover a page.

        Args:
            fact: What happened.
            names: The settings.
            row_price: What a test costs that may learn a lower price, None if it can't help.
        """
        left, month = self.month.left(self.credits) if self.month else (math.inf, "")
        limits = f"{' and '.join(names)} to cover a page"
        used = self._limit("max_credits_per_month") - left
        if month and used and "max_credits_per_month" in names:
            limits += f", beside the {dollars(used)} used in {month}"
        fits_a_row = min(left, *map(self._limit, names)) >= self._highest_price
        return message(
            "limit-too-low",
            fact,
            limits=limits,
            page_size=self.page_size_setting if fits_a_row else None,
            row_price=row_price,
        )

    def _limits_below(self, cost: int) -> list[str]:
        """Return the settings that do not allow a page of this cost."""
        return [name for name in _LIMITS if cost > self._limit(name)]

    def _limit(self, name: str) -> float:
        limit: int | None = getattr(self._budget, name)
        return math.inf if limit is None else limit

    def reserve(self, rows: int) -> None:
        """Check that a page fits into what is left of the budget; a free page always does."""
        # After a lost response, a free page may not stay free.
        price = self._highest_price if self.possibly_billed else self.price
        budget, cost = self._budget, math.ceil(rows * price)
        if not budget.credits:
            self.check_page(rows)
        self._check_last_price(rows)
        page = f"A page of {self._spec.name} may cost {cost:,}."
        if names := self._limits_below(cost):  # no later run could buy the page, either
            fact = f"{self._spec.name} stopped: {self._exceeds(names, cost)}"
            raise BudgetReachedError(self._too_low(fact, names))
        if cost and cost > budget.left:
            used = f"{budget.credits:,} of {budget.max_credits:,} used"
            fact = f"max_credits: {used}. {page}"
            raise BudgetReachedError(message("limit-reached", fact, run_limit="max_credits"))
        if self.month:
            self.month.note_balance(budget.last_balance)
            self.month.reserve(self.credits, cost, page)

    def left_this_month(self) -> tuple[float, str]:
        """Return the credits that `max_credits_per_month` leaves, and the month, if it is set."""
        left, month = self.month.left(self.credits) if self.month else (math.inf, "")
        return max(0, left), month

    def charge(self, headers: Mapping[str, str], rows: int) -> Charge:
        """Charge what a complete response deducted, else what `rows` may have cost; return it."""
        deducted, fall = self.deducted(headers), self._budget.note_balance(headers)
        if deducted or self._spec.is_free:
            fall = 0
        if fall:
            credits_ = min(fall, math.ceil(rows * self._highest_price))
        else:
            credits_ = math.ceil(rows * self.price) if deducted is None else deducted
        self._add(credits_)
        return Charge(credits=credits_, deducted=deducted, fall=fall)

    def reconcile(self, page: Receipt, rows: int, requested: int) -> None:
        """Correct what `charge` returned, learn the price, and report what was not expected."""
        charge = page.charge
        cost = charge.of_rows(rows, requested)
        self._add(cost - charge.credits)
        is_disputed = self._is_disputed(charge.deducted or 0, rows, requested)
        self._report(charge, cost, rows, requested, is_disputed=is_disputed)
        if is_disputed and rows < requested:  # no price for its rows, but the next may cost as much
            self.price = max(self.price, cost / requested)
        elif rows and (charge.deducted or (charge.deducted == 0 and not cost)):
            known = self.last_price
            self._learn(cost / min(rows, requested), page.received_at)
            is_told = is_disputed or rows > requested
            if self.last_price and self.last_price != known and not is_told:
                self._warn_of_price(self.last_price.credits)
        elif cost:  # of which the response says nothing: never a price of zero
            self.price = max(self._highest_price, cost / requested)
        elif not rows:
            self._budget.return_fall(charge.fall)

    def _learn(self, price: float, now: str) -> None:
        self.price, self._has_price = price, True
        known = self.last_price
        if price <= self._spec.list_price:
            self.last_price = None
        elif known is None or known.credits != price:
            self.last_price = LastPrice(credits=price, since=now)
        if self.month and self.last_price != known:
            self.month.note_price(self.last_price)

    def _warn_of_price(self, price: float) -> None:
        fact = (
            f"A row of {self._spec.name} now costs {price:g} credits (list price: "
            f"{self._spec.list_price:g})."
        )
        self._budget.logger.warning("%s", message("unexpected-bill", fact))

    def _report(
        self, charge: Charge, cost: int, rows: int, requested: int, *, is_disputed: bool
    ) -> None:
        """Log what a page has cost, if that was not to be expected."""
        logger, name = self._budget.logger, self._spec.name
        if is_disputed and self._is_first("deduction"):
            fact = (
                f"Jobo deducted {dollars(cost)} for {plural(rows, 'row')} of {name}, at a price of "
                f"{self._highest_price:g} credits per row."
            )
            logger.error("%s", message("unexpected-bill", fact))
        if rows > requested and self._is_first("size"):
            fact = f"Jobo returned and billed {rows:,} rows of {name} for a page of {requested:,}."
            logger.warning("%s", message("unexpected-bill", fact))
        if not cost or charge.deducted:
            return
        if charge.fall:
            if not self._budget.has_reported_fall:
                self._budget.has_reported_fall = True
                fact = (
                    f"Jobo's response shows no price for {name}, but the balance fell by "
                    f"{dollars(charge.fall)}: {dollars(cost)} counts."
                )
                logger.warning("%s", message("unexpected-bill", fact))
        elif self._is_first("price"):
            fact = (
                f"Jobo's responses show no price for {name}, so the run counts {self.price:g} "
                "credits per row."
            )
            logger.warning("%s", message("no-price", fact, limits=self._budget.limits))

    def _is_first(self, what: str) -> bool:
        is_first = what not in self._reported
        self._reported.add(what)
        return is_first

    def charge_in_full(self, headers: Mapping[str, str], rows: int) -> int:
        """Charge a request for `rows` that may have been billed, but returned no page; return it.

        A page may cost its list price although those before it were free, or cheaper.
        """
        deducted, fall = self.deducted(headers), self._budget.note_balance(headers)
        if not deducted:
            most = math.ceil(rows * self._highest_price)
            deducted = min(fall, most) if fall or deducted == 0 else most
            self.possibly_billed += deducted
            self._budget.note_possibly_billed(deducted, is_in_balance=fall > 0)
        self._add(deducted)
        return deducted

    def deducted(self, headers: Mapping[str, str]) -> int | None:
        """Return the credits that a response says were deducted; None if it does not say."""
        deducted = reported_credits(headers)
        if deducted is None and self._spec.missing_charge_means_free:
            return 0 if has_plan(headers) else None
        return deducted

    @property
    def _highest_price(self) -> float:
        return max(self.price, self._spec.list_price)

    def _is_disputed(self, deducted: int, rows: int, requested: int) -> bool:
        """Return whether far more was deducted than the rows of a page cost at the price so far.

        The price may have risen, but not to the double with a short page, nor beyond all measure
        with a full one.
        """
        price = self._highest_price
        if rows >= requested:
            most = rows * max(price, 1)  # a free feed may begin to cost something
            return deducted > _ABSURD * most
        return deducted > 0 and deducted >= min(2 * rows, requested) * price

    def _add(self, credits_: int) -> None:
        self.credits += credits_
        self._budget.credits += credits_
