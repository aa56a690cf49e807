"""What the runs of a stream are billed in each month (UTC), and `max_credits_per_month`.

One file counts each stream. Every run counts, so a limit that is set later includes all of them.

Without a limit, a run writes its count when it ends, and the header of each page has the count up
to that page. So a page costs no write besides its own, and if a run is killed, the next one reads
its count from the last header: all but the request in flight.

The file also has what the next run must know of the account: the price of the last page, if it was
above the list price, and the balance.

With a limit, a request counts before it is sent, at what it may cost, and the counts of the other
streams are read after that. So a kill leaves at most a page too much, and of two runs side by side,
at least one sees the request of the other.
"""

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tap_jobo.archive import files, layout
from tap_jobo.archive.entries import DamagedEntryError, read_header
from tap_jobo.archive.files import DamagedFileError
from tap_jobo.archive.key import ArchiveKey
from tap_jobo.archive.store import Store
from tap_jobo.clock import format_timestamp
from tap_jobo.commands import archive_command
from tap_jobo.errors import ArchiveError, BudgetReachedError, TapJoboError
from tap_jobo.messages import message
from tap_jobo.model import Count, EntryHeader, Id, LastPrice

_MARGIN: Final = timedelta(minutes=1)  # before a month, when a request counts in both months
_Month = Annotated[str, Meta(pattern=r"^\d{4}-(0[1-9]|1[0-2])\Z")]


class Spent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the runs of a stream were billed, by month, such as `2026-11`.

    Attributes:
        address: The address of the API.
        api_key: The kind of API key. Streams that share both share the limit.
        credits: What each month has cost.
        offset: The number of the last entry that they include, 0 if they include none.
        entry: The id of that entry.
        last_price: The price of the last page, None if it was the list price.
        balance: The balance of the account in the last response, None if none said it.
        balance_at: When that was seen first (ISO 8601 UTC), empty if it never was.
    """

    address: str
    api_key: str
    credits: dict[_Month, Count]
    offset: Count
    entry: Id | None
    last_price: LastPrice | None
    balance: int | None
    balance_at: str


def read_spent(store: Store, name: str) -> Spent | None:
    """Return the count of an archive key. Raises `DamagedFileError`."""
    file = layout.MONTH.format(name)
    return files.read(store, file, Spent, lambda: {"month_file": file})


@dataclass(kw_only=True)
class MonthCount:
    """The count of one archive key; keys of one address and kind of API key share the limit.

    In the methods, `billed` is what the key was billed in this run so far.

    Attributes:
        store: The store of the archive.
        key: The archive key.
        limit: The credits that a month may cost, None for no limit.
        now: Returns the time by the API's clock.
        raise_if_lost: Raises if another run may write the file of the key.
        logger: Where a damaged count is reported.

    Raises:
        DamagedFileError: There is a limit, and the count cannot be read.
    """

    store: Store
    key: ArchiveKey
    limit: int | None
    now: Callable[[], datetime]
    raise_if_lost: Callable[[], None]
    logger: logging.Logger

    def __post_init__(self) -> None:
        self._name = layout.MONTH.format(self.key.name)
        self._billed = 0  # of this run, in the credits below
        self._safe = 0  # of that, what the file or the header of a page has
        self._asked_in: set[str] = set()  # the months in which the last request counts
        self._others: dict[str, dict[str, int]] = {}  # what the other keys had at the start
        self._is_damaged = False
        spent = self._read()
        self._credits, self._last = dict(spent.credits), (spent.offset, spent.entry)
        self.last_price = spent.last_price
        self._balance, self._balance_at = spent.balance, spent.balance_at
        content = (self._credits, self.last_price, self._balance)
        # A first run writes its file at once: the runs of other streams find its pages by that.
        self._written = content if self._has_file else None
        self._written_last = self._last

    def _read(self) -> Spent:
        self._has_file = True
        try:
            spent = read_spent(self.store, self.key.name)
            self._has_file = spent is not None
        except DamagedFileError as error:
            if self.limit is not None:
                raise
            self._is_damaged = True  # and stays as it is: the user may be able to mend it
            fact = (
                f"The file {error.name} of the archive counts what a month costs, and is damaged, "
                "so this run is not counted."
            )
            self.logger.warning(
                "%s", message("archive-damaged", fact, file=error.name, month_file=error.name)
            )
            spent = None
        return spent or Spent(
            address=self.key.address,
            api_key=self.key.api_key,
            credits={},
            offset=0,
            entry=None,
            last_price=None,
            balance=None,
            balance_at="",
        )

    def include_killed_run(self, head: int, last: EntryHeader | None) -> None:
        """Count the run of the last entry, if it was killed before it could write its count.

        With a limit, those of the other streams count, too.
        """
        counted = sum(self._credits.values())
        self._credits = _with_killed_run(self._credits, self._last[1], last)
        if last:
            self._last = head, last.id
            self._lower_balance(sum(self._credits.values()) - counted, last)
        self._write(self._credits)
        if self.limit is not None:
            self._include_others()

    def _lower_balance(self, credits_: int, last: EntryHeader) -> None:
        """Take what a killed run was billed from the balance, which that run could not write.

        Otherwise, the next page whose response reports no deduction would count it once more.
        """
        at = last.receipt.received_at if last.receipt else ""
        if credits_ and self._balance is not None:
            # The clocks of two runs may differ by a second, but its pages came after the balance.
            self._balance, self._balance_at = self._balance - credits_, max(at, self._balance_at)

    def _include_others(self) -> None:
        for file in {*self.store.list(layout.MONTHS)} - {self._name}:
            name = PurePosixPath(file).stem
            if (spent := read_spent(self.store, name)) and self._is_of_owner(spent):
                last = _last_header(self.store, name, spent.offset)
                self._others[name] = _with_killed_run(spent.credits, spent.entry, last)

    def reserve(self, billed: int, cost: int, what: str) -> None:
        """Count a request before it is sent, or raise `BudgetReachedError`."""
        self._count(billed)
        self._asked_in = self._months()
        if self.limit is None:
            if billed > self._safe:  # for a response that was lost, which no page counts
                self._write(self._credits)
                self._safe = billed
            return
        if not (cost and self._write(self._with(cost))):
            return  # free, or another try, which counts already
        for month in sorted(self._asked_in):
            used = self._used(month)
            if used + cost > self.limit:
                then = datetime.fromisoformat(f"{month}-01") + timedelta(days=31)
                fact = f"max_credits_per_month: {used:,} of {self.limit:,} used in {month}. {what}"
                known = {
                    "month_limit": "max_credits_per_month",
                    "next_month": f"{then:%Y-%m}-01 (UTC)",
                    "stream": self.key.stream,
                    "list": archive_command("list", location=self.store.location),
                }
                raise BudgetReachedError(message("limit-reached", fact, **known))

    def with_page(self, cost: int, entry: str, number: int) -> dict[str, int]:
        """Return the count up to a page that was just billed, for the header of its entry."""
        self._safe += cost
        self._last = number, entry
        counted = self._with(cost)
        return {month: counted[month] for month in sorted(counted)[-2:]}

    def settle(self, billed: int) -> None:
        """Count exactly what was billed. If that fails, the headers of the pages have it."""
        with suppress(TapJoboError):
            self._count(billed)
            self._write(self._credits)

    def left(self, billed: int) -> tuple[float, str]:
        """Return the credits that the limit leaves, below 0 if it was lowered, and the month."""
        if self.limit is None:
            return math.inf, ""
        self._count(billed)
        month = min(self._months())
        return self.limit - self._used(month), month

    def _count(self, billed: int) -> None:
        """Count what was billed since the last call."""
        if billed != self._billed:
            self._credits = self._with(billed - self._billed)
            self._billed = billed

    def _with(self, cost: int) -> dict[str, int]:
        """Return the credits with what a request costs; a slow one may count in two months."""
        months = self._asked_in | self._months()
        counts = {month: self._credits.get(month, 0) + cost for month in months}
        return self._credits | {month: max(0, count) for month, count in counts.items()}

    def _months(self) -> set[str]:
        """Return the months in which a request counts now."""
        now = self.now()
        return {f"{now:%Y-%m}", f"{now + _MARGIN:%Y-%m}"}

    def note_price(self, price: LastPrice | None) -> None:
        """Write the price of the last page at once, since it changes rarely.

        The credits stay as they are in the file: with a limit, a request in flight counts there. If
        the store refuses it, or the lock was lost, the page is delivered first, and the price is
        written with the next count.
        """
        self.last_price = price
        credits_ = self._written[0] if self._written else {}
        with suppress(ArchiveError):  # nor does the file name an entry that it does not count
            self._write(credits_, self._written_last)

    def note_balance(self, balance: int | None) -> None:
        """Take up a balance, which is written with the next count."""
        if balance is not None and balance != self._balance:
            self._balance, self._balance_at = balance, format_timestamp(self.now())

    def newest_balance(self) -> int | None:
        """Return the balance that a run of any stream of the account has seen last."""
        seen = {self._balance_at: self._balance}
        for file in {*self.store.list(layout.MONTHS)} - {self._name}:
            with suppress(DamagedFileError):
                spent = read_spent(self.store, PurePosixPath(file).stem)
                if spent and self._is_of_owner(spent):
                    seen[spent.balance_at] = spent.balance
        return seen[max(seen)]

    def _write(self, credits_: dict[str, int], last: tuple[int, str | None] | None = None) -> bool:
        """Write the file, and return whether that changes it."""
        content = (credits_, self.last_price, self._balance)
        if self._is_damaged or content == self._written:
            return False
        self.raise_if_lost()
        self._written_last = offset, entry = last or self._last
        spent = Spent(
            address=self.key.address,
            api_key=self.key.api_key,
            credits=credits_,
            offset=offset,
            entry=entry,
            last_price=self.last_price,
            balance=self._balance,
            balance_at=self._balance_at,
        )
        self.store.replace(self._name, files.encode(spent))
        self._written = content
        return True

    def _used(self, month: str) -> int:
        """Return what counts in a month, of all keys that share the limit."""
        used = {name: credits_.get(month, 0) for name, credits_ in self._others.items()}
        for file in {*self.store.list(layout.MONTHS)} - {self._name}:
            name = PurePosixPath(file).stem
            if (spent := read_spent(self.store, name)) and self._is_of_owner(spent):
                used[name] = max(used.get(name, 0), spent.credits.get(month, 0))
        return self._credits.get(month, 0) + sum(used.values())

    def _is_of_owner(self, spent: Spent) -> bool:
        return self.key.shares_limit_with(spent.address, spent.api_key)


def _last_header(store: Store, name: str, offset: int) -> EntryHeader | None:
    """Return the header of the last entry of an archive from an offset on, None if it has none."""
    after = layout.page_name(name, offset - 1) if offset else ""
    found = map(layout.PAGE.fullmatch, store.list(f"{layout.TOP}/{name}", after))
    numbers = [int(match["number"]) for match in found if match]
    with suppress(DamagedEntryError):
        return read_header(store, name, max(numbers)) if numbers else None
    return None


def _with_killed_run(
    credits_: dict[str, int], entry: str | None, last: EntryHeader | None
) -> dict[str, int]:
    """Return a count with that in the header of the last entry, if it does not include it yet."""
    if last is None or last.id == entry:
        return credits_
    more = last.spent.items()
    return credits_ | {month: max(count, credits_.get(month, count)) for month, count in more}
