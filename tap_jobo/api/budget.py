"""What a run costs: one budget for the run, and within it the cost of each feed, also by month.

A page is reserved before its request, charged when its response is complete, and reconciled once
its number of rows is known. What a page cost is what Jobo deducted for it; where a page with rows
reports no deduction, it is what the balance fell, so that spending has a bound whatever else the
responses say.

Every run counts what its feeds are billed in each month (UTC), so a limit that is set later
includes all of them. With a limit, a request is in the file of its stream (`Pending`) before it is
sent, at what it may cost, and the counts of the other streams are read after that. So a kill leaves
at most a page too much, and of two runs side by side, at least one sees the request of the other.
Without a limit, the file is written when a run ends, after a response that was lost, and when the
price changes.
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from tap_jobo.api.headers import has_plan, reported_balance, reported_credits
from tap_jobo.archive import layout
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.archive.files import Pending, encode, read_pending
from tap_jobo.archive.month import MonthBill
from tap_jobo.clock import Clock
from tap_jobo.commands import archive_command
from tap_jobo.errors import BudgetReachedError, LimitTooLowError, TapJoboError
from tap_jobo.messages import message
from tap_jobo.model import Charge
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.wording import dollars, plural

_MARGIN: Final = timedelta(minutes=1)  # before a month, when a request counts in both months
_KEPT: Final = 2  # months


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A limit of what is spent, and what is used of it."""

    setting: str  #: the name of its setting
    most: int  #: the credits that it allows
    used: int = 0  #: the credits that are used of it
    month: str = ""  #: the month that it limits, such as `2026-11`; empty for that of a run
    #: what the ways out may name once it is reached
    known: Mapping[str, str] = field(default_factory=dict)

    def allows(self, cost: int) -> bool:
        """Return whether a request may be sent that can cost so much; a free one always may."""
        return not cost or self.used + cost <= self.most

    @property
    def left(self) -> int:
        """The credits that it leaves."""
        return max(0, self.most - self.used)


@dataclass(kw_only=True)
class Budget:
    """The credits of one run, shared by all its streams; the settings have their names."""

    logger: logging.Logger
    now: Callable[[], datetime] = Clock().now  #: returns the time by the API's clock
    max_credits: int | None = None
    max_credits_per_month: int | None = None
    credits: int = 0
    balance: int | None = None  #: what the last response of the run says; None if none does
    #: the same, or before that, what an earlier run has seen; less what may have been billed since
    last_balance: int | None = None
    bill: MonthBill = field(default_factory=MonthBill)  #: of all that share the limit of a month

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

    Archive keys of one address and kind of API key share the limit of a month.
    """

    def __init__(self, budget: Budget, spec: FeedSpec) -> None:
        self.budget = budget
        self.spec = spec
        self.price = spec.list_price  #: credits that the next row may cost
        self.credits = 0
        self.possibly_billed = 0
        self.archive: StreamArchive | None = None  #: None until it is open, and if it is off
        self._raised = 0.0  # the price of the last page, if that was above the list price
        self._is_told = False  # that the responses show no price
        self._raise_if_lost: Callable[[], None] = lambda: None
        self._written: Pending | None = None
        self._asked_in: set[str] = set()  # the months in which the last request counts

    def count_in(self, archive: StreamArchive, raise_if_lost: Callable[[], None]) -> None:
        """Go on with the count of earlier runs, and with the balance that they saw.

        Args:
            archive: The archive of the feed. The run has its lock. If it is off, nothing goes on.
            raise_if_lost: Raises if another run may write the file of the feed.

        Raises:
            FormatError: A count can't be read.
        """
        if not archive.store.lasts:
            return
        self._written = pending = read_pending(archive.store, archive.key.name)
        self.archive, self._raise_if_lost = archive, raise_if_lost
        name, bill = archive.key.name, self.budget.bill
        bill.archives[name], bill.spent[name] = archive, archive.spent_so_far(pending)
        self._raised = pending.price if pending else 0
        self.price = max(self._raised, self.spec.list_price)
        if pending is None:  # by this file, the runs of other streams find the pages of this one
            self.settle()
        bill.read(archive.store, archive.key, counted=name)
        if self.budget.last_balance is None:
            self.budget.last_balance = _newest_balance(bill)

    def settle(self) -> None:
        """Leave to later runs what no page has. If that fails, a page too much may count."""
        with suppress(TapJoboError):
            self._write(self.spent)

    # Before a request

    @property
    def limits(self) -> list[Limit]:
        """The limits that are set, that of the month first, because the next run has it, too."""
        budget, limits = self.budget, list[Limit]()
        if (most := budget.max_credits_per_month) is not None:
            limits += self._limits_of_months(most)
        if (most := budget.max_credits) is not None:
            known = {"run_limit": "max_credits"}
            limits.append(Limit(setting="max_credits", most=most, used=budget.credits, known=known))
        return limits

    def _limits_of_months(self, most: int) -> Iterator[Limit]:
        """Yield the limit of each month in which a request counts now."""
        if self.archive is None:
            yield Limit(setting="max_credits_per_month", most=most)
            return
        for month in sorted(self._months()):
            then = datetime.fromisoformat(f"{month}-01") + timedelta(days=31)
            known = {
                "month_limit": "max_credits_per_month",
                "next_month": f"{then:%Y-%m}-01 (UTC)",
                "list": archive_command("list", location=self.archive.store.location),
            }
            yield Limit(
                setting="max_credits_per_month",
                most=most,
                used=self.budget.bill.credits_in(month),
                month=month,
                known=known,
            )

    def reserve(self, rows: int) -> None:
        """Check that a page fits into what is left of the limits; a free page always does.

        With a limit of the month, other runs then see the request, and this one sees theirs.

        Raises:
            BudgetReachedError: It does not.
            LimitTooLowError: It never will, so no later run could buy it, either.
        """
        # After a lost response, a free page may not stay free.
        price = self.highest_price if self.possibly_billed else self.price
        cost = math.ceil(rows * price)
        self._check(cost, price)
        self._asked_in = self._months()
        archive = self.archive
        if archive is None or self.budget.max_credits_per_month is None or not cost:
            return
        if self._write(self._with(cost)):  # otherwise, it is another try, which counts already
            self.budget.bill.read(archive.store, archive.key, counted=archive.key.name)
            self._check(cost, price)

    def _check(self, cost: int, price: float) -> None:
        page = f"A page of {self.spec.name} may cost {cost:,}"
        for limit in self.limits:
            if cost > limit.most:
                fact = f"{limit.setting} is {limit.most:,}. {page} ({price:g} per row)."
                raise LimitTooLowError(message("limit-too-low", fact, **limit.known))
            if not limit.allows(cost):
                month = f" in {limit.month}" if limit.month else ""
                fact = f"{limit.setting}: {limit.used:,} of {limit.most:,} used{month}. {page}."
                raise BudgetReachedError(message("limit-reached", fact, **limit.known))

    # After a response

    def charge(self, headers: Mapping[str, str], rows: int) -> Charge:
        """Charge what a complete response deducted, else what `rows` may have cost; return it."""
        deducted, fall = reported_credits(headers), self.budget.note_balance(headers)
        if deducted is None and self.spec.missing_charge_means_free and has_plan(headers):
            deducted = 0
        if deducted or self.spec.is_free:
            fall = 0
        charge = Charge(requested=rows, price=self.highest_price, deducted=deducted, fall=fall)
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
        self._report(charge, cost, rows)
        if price is not None:
            self._learn(price)
        elif cost:  # so may the next page; never a price of zero
            self.price = max(charge.price, cost / charge.requested)
        elif not rows:  # the next page with rows has cost what the balance fell
            self.budget.expect_fall(-charge.fall)

    def _learn(self, price: float) -> None:
        """Note what a row has cost, and tell later runs at once if it is above the list price."""
        self.price, before = price, self._raised
        self._raised = price if price > self.spec.list_price else 0.0
        if self._raised != before:
            self.settle()

    def _report(self, charge: Charge, cost: int, rows: int) -> None:
        """Log what a page has cost, if that was not to be expected."""
        logger, name = self.budget.logger, self.spec.name
        if (charge.deducted or 0) > math.ceil(rows * charge.price):
            fact = (
                f"Jobo deducted {dollars(cost)} for {plural(rows, 'row')} of {name}, at a price of "
                f"{charge.price:g} credits per row."
            )
            logger.warning("%s", message("unexpected-bill", fact))
        if not cost or charge.deducted or self._is_told:
            return
        self._is_told = True
        fact = (
            f"Jobo's responses show no price for {name}, so the run counts {cost / rows:g} "
            "credits per row."
        )
        # If the balance fell, rows are not free.
        limits = [] if charge.fall else [limit.setting for limit in self.limits]
        logger.warning("%s", message("no-price", fact, limits=" and ".join(limits) or None))

    @property
    def highest_price(self) -> float:
        """What a row may cost: a price below the list price may not last."""
        return max(self.price, self.spec.list_price)

    def _add(self, credits_: int) -> None:
        """Count what was just billed, or correct it, if below 0, in the same months."""
        self.credits += credits_
        self.budget.credits += credits_
        if credits_ > 0:
            self._asked_in |= self._months()  # a slow request may count in two months
        if self.archive:
            self.budget.bill.spent[self.archive.key.name] = self._with(credits_)

    # The months

    @property
    def spent(self) -> dict[str, int]:
        """The credits of the last two months, for a page's header; empty if the archive is off."""
        return {**self.budget.bill.spent[self.archive.key.name]} if self.archive else {}

    def _months(self) -> set[str]:
        """Return the months in which a request counts now, none if the archive is off."""
        if self.archive is None:
            return set()
        now = self.budget.now()
        return {f"{now:%Y-%m}", f"{now + _MARGIN:%Y-%m}"}

    def _with(self, cost: int) -> dict[str, int]:
        """Return the credits of the last months, with what the last request costs."""
        counts = {month: max(0, self.spent.get(month, 0) + cost) for month in self._asked_in}
        spent = self.spent | counts
        kept = {*sorted(spent)[-_KEPT:], *counts}
        return {month: spent[month] for month in sorted(kept)}

    def _write(self, spent: dict[str, int]) -> bool:
        """Write the file, and return whether that changes it."""
        archive = self.archive
        if archive is None:
            return False
        pending = Pending(
            address=archive.key.address,
            api_key=archive.key.api_key,
            offset=archive.head,
            entry=archive.id_of(archive.head),
            spent=spent,
            price=self._raised,
        )
        if pending == self._written:
            return False
        self._raise_if_lost()
        archive.store.replace(layout.PENDING.format(archive.key.name), encode(pending))
        self._written = pending
        return True


def _newest_balance(bill: MonthBill) -> int | None:
    """Return the balance of the account that the last page of any stream has shown."""
    headers = [each.last_header for each in bill.archives.values()]
    receipts = [each.receipt for each in headers if each and each.receipt]
    known = [each for each in receipts if each.balance is not None]
    newest = max(known, key=lambda receipt: receipt.received_at, default=None)
    return newest.balance if newest else None
