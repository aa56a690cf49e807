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
from typing import Final

from tap_jobo.api.headers import has_plan, reported_balance, reported_credits
from tap_jobo.archive.month import Limit, MonthCount
from tap_jobo.errors import BudgetReachedError, ConfigError
from tap_jobo.messages import message
from tap_jobo.model import Charge
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.wording import Lines, Told, dollars, plural

_ABSURD: Final = 10
"""No price would rise to so many times the highest one so far."""


@dataclass(kw_only=True)
class Budget:
    """The credits of one run, shared by all its streams; the settings have their names.

    Attributes:
        balance: What the last response of the run says; None if none does.
        last_balance: The same, or before that, what an earlier run has seen; less what may have
            been billed since.
    """

    logger: logging.Logger
    max_credits: int | None = None
    max_credits_per_month: int | None = None
    credits: int = 0
    balance: int | None = None
    last_balance: int | None = None

    @property
    def buys_nothing(self) -> bool:
        """Whether the run only loads from the archive, and reads free streams."""
        return self.max_credits == 0

    def note_balance(self, headers: Mapping[str, str]) -> int:
        """Record the balance that a response reports, and return its fall."""
        if (balance := reported_balance(headers)) is None:
            return 0
        fall = 0 if self.last_balance is None else self.last_balance - balance
        self.balance = self.last_balance = balance
        return max(0, fall)

    def expect_fall(self, credits_: int) -> None:
        """Let the balance fall by credits that count already, or rise by those that do not."""
        if self.last_balance is not None:
            self.last_balance -= credits_


class FeedCost:
    """What one feed costs, within the budget of the run.

    Attributes:
        budget: That of the run.
        spec: The feed.
        price: Credits that the next row may cost.
        month: The count of the month, None until it is open, and if the archive is off.
    """

    def __init__(self, budget: Budget, spec: FeedSpec) -> None:
        self.budget = budget
        self.spec = spec
        self._raised = 0.0  # the price of the last page, if that was above the list price
        self._told = Told()
        self.price = spec.list_price
        self.credits = 0
        self.possibly_billed = 0
        self.month: MonthCount | None = None

    def expect_price(self, last: float) -> None:
        """Take up the price that the last page of an earlier run has shown, 0 if it is usual."""
        self._raised = last
        self.price = max(last, self.spec.list_price)

    def count_in(self, month: MonthCount) -> None:
        """Go on with the count of earlier runs, and with the balance that they saw."""
        self.month = month
        if self.budget.last_balance is None:
            self.budget.last_balance = month.newest_balance()

    @property
    def spent(self) -> dict[str, int]:
        """The credits of the last months, for the header of a page."""
        return self.month.spent if self.month else {}

    def settle(self) -> None:
        """Leave to later runs what no page has."""
        if self.month:
            self.month.settle()

    # Before a request

    @property
    def limits(self) -> list[Limit]:
        """The limits that are set, that of the month first, because the next run has it, too."""
        budget, limits = self.budget, list[Limit]()
        if self.month:
            limits += self.month.limits
        elif (most := budget.max_credits_per_month) is not None:
            limits.append(Limit(setting="max_credits_per_month", most=most))
        if (most := budget.max_credits) is not None:
            known = {"run_limit": "max_credits"}
            limits.append(Limit(setting="max_credits", most=most, used=budget.credits, known=known))
        return limits

    def check_page(self, rows: int, *, begins_sync: bool) -> None:
        """Raise ConfigError if a limit does not cover a page, even if nothing of it was used.

        Args:
            rows: The rows of the page.
            begins_sync: Whether it is the first one of a sync. A later one has the same page size.
        """
        cost = math.ceil(rows * self.price)
        if below := [limit for limit in self.limits if cost > limit.most]:
            page_size = self.spec.page_size_name if begins_sync else None
            raise ConfigError(self._too_low(below, cost, page_size))

    def reserve(self, rows: int) -> None:
        """Check that a page fits into what is left of the limits; a free page always does.

        Raises:
            BudgetReachedError: It does not.
        """
        # After a lost response, a free page may not stay free.
        cost = math.ceil(rows * (self._most if self.possibly_billed else self.price))
        self._check(cost)
        if self.month:
            self.month.reserve(cost)
            self._check(cost)  # again, with what other runs have reserved

    def _check(self, cost: int) -> None:
        for limit in self.limits:
            if limit.allows(cost):
                continue
            if cost > limit.most:  # no later run could buy the page, either
                raise BudgetReachedError(self._too_low([limit], cost, None))
            month = f" in {limit.month}" if limit.month else ""
            fact = (
                f"{limit.setting}: {limit.used:,} of {limit.most:,} used{month}. A page of "
                f"{self.spec.name} may cost {cost:,}."
            )
            raise BudgetReachedError(message("limit-reached", fact, **limit.known))

    def _too_low(self, below: Sequence[Limit], cost: int, page_size: str | None) -> Lines:
        """Return the message about limits that do not cover a page.

        Args:
            below: The limits.
            cost: The credits of the page.
            page_size: The setting for fewer rows on it, None if that does not help.
        """
        names, first = " and ".join(limit.setting for limit in below), below[0]
        per_row = f" ({self.price:g} per row)" if self.price > self.spec.list_price else ""
        fact = (
            f"{self.spec.name}: a page may cost {cost:,} credits{per_row}, more than "
            f"{first.setting} ({first.most:,})."
        )
        beside = ", beside what this month has cost" if "per_month" in names else ""
        fits_a_row = all(limit.left >= self.price for limit in self.limits)
        return message(
            "limit-too-low",
            fact,
            limits=f"{names} to cover a page{beside}",
            page_size=page_size if fits_a_row else None,
        )

    # After a response

    def charge(self, headers: Mapping[str, str], rows: int) -> Charge:
        """Charge what a complete response deducted, else what `rows` may have cost; return it."""
        deducted, fall = reported_credits(headers), self.budget.note_balance(headers)
        if deducted is None and self.spec.missing_charge_means_free and has_plan(headers):
            deducted = 0
        if deducted or self.spec.is_free:
            fall = 0
        charge = Charge(requested=rows, price=self._most, deducted=deducted, fall=fall)
        self._add(charge.full)
        return charge

    def charge_in_full(self, headers: Mapping[str, str], rows: int) -> int:
        """Charge a request for `rows` that may have been billed, but returned no page; return it.

        A page may cost its list price although those before it were free, or cheaper.
        """
        charge = self.charge(headers, rows)
        if not charge.deducted:
            self.possibly_billed += charge.full
            if not charge.fall:
                self.budget.expect_fall(charge.full)
        self.settle()  # because no page will have it
        return charge.full

    def reconcile(self, charge: Charge, rows: int) -> None:
        """Correct what `charge` returned, learn the price, and report what was not expected."""
        cost, price = charge.of_rows(rows), charge.price_of(rows)
        self._add(cost - charge.full)
        is_disputed = _is_disputed(charge, rows)
        self._report(charge, cost, rows, is_disputed=is_disputed)
        if price is not None:
            self._learn(price, is_clear=not is_disputed and rows <= charge.requested)
        elif cost:  # so may the next page; never a price of zero
            self.price = max(charge.price, cost / charge.requested)
        elif not rows:  # the next page with rows has cost what the balance fell
            self.budget.expect_fall(-charge.fall)

    def _learn(self, price: float, *, is_clear: bool) -> None:
        """Note what a row has cost, and tell later runs at once if it is above the list price."""
        self.price, before = price, self._raised
        self._raised = price if price > self.spec.list_price else 0.0
        if self._raised == before:
            return
        if self.month:
            self.month.price = self._raised
            self.month.settle()
        if is_clear and self._raised:
            fact = (
                f"A row of {self.spec.name} now costs {price:g} credits (list price: "
                f"{self.spec.list_price:g})."
            )
            self.budget.logger.warning("%s", message("unexpected-bill", fact))

    def _report(self, charge: Charge, cost: int, rows: int, *, is_disputed: bool) -> None:
        """Log what a page has cost, if that was not to be expected."""
        logger, name = self.budget.logger, self.spec.name
        if is_disputed and self._told.is_first("deduction"):
            fact = (
                f"Jobo deducted {dollars(cost)} for {plural(rows, 'row')} of {name}, at a price of "
                f"{charge.price:g} credits per row."
            )
            logger.error("%s", message("unexpected-bill", fact))
        if not cost or charge.deducted or not self._told.is_first("price"):
            return
        if charge.fall:
            fact = (
                f"Jobo's response shows no price for {name}. The balance fell by "
                f"{dollars(charge.fall)}, and {dollars(cost)} counts."
            )
            logger.warning("%s", message("unexpected-bill", fact))
            return
        fact = (
            f"Jobo's responses show no price for {name}, so the run counts {charge.price:g} "
            "credits per row."
        )
        limits = " and ".join(limit.setting for limit in self.limits) or None
        logger.warning("%s", message("no-price", fact, limits=limits))

    @property
    def _most(self) -> float:
        """What a row may cost: a price below the list price may not last."""
        return max(self.price, self.spec.list_price)

    def _add(self, credits_: int) -> None:
        self.credits += credits_
        self.budget.credits += credits_
        if self.month:
            self.month.add(credits_)


def _is_disputed(charge: Charge, rows: int) -> bool:
    """Return whether far more was deducted than the rows of a page cost at the price so far.

    The price may have risen, but not beyond all measure.
    """
    most = rows * max(charge.price, 1)  # a free feed may begin to cost something
    is_absurd = (charge.deducted or 0) > _ABSURD * most
    return bool(charge.deducted) and (is_absurd or charge.price_of(rows) is None)
