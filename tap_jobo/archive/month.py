"""What the runs of an archive are billed in each month (UTC), and `max_credits_per_month`.

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
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Final

from tap_jobo.archive import layout
from tap_jobo.archive.contents import ArchiveKey, Contents, Spent, encode, read_json
from tap_jobo.archive.store import DamagedFileError, Store
from tap_jobo.archive.way_out import archive_command
from tap_jobo.clock import format_timestamp
from tap_jobo.errors import ArchiveError, BudgetReachedError, FormatError, TapJoboError
from tap_jobo.model import LastPrice, PageHeader
from tap_jobo.wording import dollars

_MARGIN: Final = timedelta(minutes=1)  # before a month, when a request counts in both months


@dataclass(kw_only=True)
class MonthCount:
    """The count of one archive key; keys of one address and kind of API key share the limit.

    In the methods, `billed` is what the key was billed in this run so far.

    Attributes:
        store: The store of the archive.
        key: The archive key.
        run: The random id of this run.
        limit: The credits that a month may cost, None for no limit.
        now: Returns the time by the API's clock.
        check: Raises if another run may write the file of the key.
        logger: Where a damaged count is reported.

    Raises:
        DamagedFileError: There is a limit, and the count cannot be read.
    """

    store: Store
    key: ArchiveKey
    run: str
    limit: int | None
    now: Callable[[], datetime]
    check: Callable[[], None]
    logger: logging.Logger

    def __post_init__(self) -> None:
        self._name = layout.COUNT.format(self.key.name)
        self._billed = 0  # of this run, in the credits below
        self._safe = 0  # of that, what the file or the header of a page has
        self._asked_in: set[str] = set()  # the months in which the last request counts
        self._others: dict[str, dict[str, int]] = {}  # what the other keys had at the start
        self._is_damaged = False
        spent = self._read()
        self._credits, self._runs = dict(spent.credits), {*spent.runs}
        self.last_price = spent.last_price
        self._balance, self._balance_at = spent.balance, spent.balance_at
        self._written = (self._credits, self.last_price, self._balance)

    def _read(self) -> Spent:
        try:
            spent = read_json(self.store, self._name, Spent)
        except DamagedFileError as error:
            if self.limit is not None:
                raise
            self._is_damaged = True  # and stays as it is: the user may be able to mend it
            self.logger.warning(
                "The file %s in the archive %s counts what is billed in a month, and is damaged, "
                "so this run is not counted. Restore the file, or drop it with %s. "
                "[archive-damaged]",
                error.name,
                self.store.location,
                archive_command("drop", error.dropped, location=self.store.location),
            )
            spent = None
        return spent or Spent(self.key.address, self.key.api_key, {}, [])

    def include_killed_runs(self, contents: Contents) -> None:
        """Count the runs that were killed, before any of their pages is removed."""
        headers = contents.last_headers(self.key.name)
        self._credits = _with_killed_runs(self._credits, self._runs, headers)
        self._runs = {header.run for header in headers}  # which forgets those without pages
        self._write(self._credits)
        for name in contents.keys if self.limit is not None else ():
            if name != self.key.name and self._shares_limit(contents, name):
                spent = read_json(self.store, layout.COUNT.format(name), Spent)
                credits_, runs = (spent.credits, spent.runs) if spent else ({}, [])
                headers = contents.last_headers(name)
                self._others[name] = _with_killed_runs(credits_, runs, headers)

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
                raise BudgetReachedError(
                    f"max_credits_per_month reached: {used:,} of {self.limit:,} credits used in "
                    f"{month} ({dollars(used)}); {what}. Runs continue on {then:%Y-%m}-01 (UTC), "
                    "or once you raise the limit. [limit-reached]"
                )

    def with_page(self, cost: int) -> dict[str, int]:
        """Return the count up to a page that was just billed, for its header."""
        self._safe += cost
        counted = self._with(cost)
        return {month: counted[month] for month in sorted(counted)[-2:]}

    def settle(self, billed: int) -> None:
        """Count exactly what was billed. If that fails, the headers of the pages have it."""
        with suppress(TapJoboError):
            self._count(billed)
            self._runs.add(self.run)
            self._write(self._credits)

    def left(self, billed: int) -> tuple[float, str]:
        """Return the credits that the limit leaves, and the month, if there is a limit."""
        if self.limit is None:
            return math.inf, ""
        self._count(billed)
        month = min(self._months())
        return max(0, self.limit - self._used(month)), month

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
        credits_, _, _ = self._written
        with suppress(ArchiveError):
            self._write(credits_)

    def note_balance(self, balance: int | None) -> None:
        """Take up a balance, which is written with the next count."""
        if balance is not None and balance != self._balance:
            self._balance, self._balance_at = balance, format_timestamp(self.now())

    def newest_balance(self) -> int | None:
        """Return the balance that a run of any stream of the account has seen last."""
        seen = {self._balance_at: self._balance}
        for file in {*self.store.list(layout.COUNTS)} - {self._name}:
            with suppress(DamagedFileError):
                spent = read_json(self.store, file, Spent)
                if spent and self._is_of_owner(spent):
                    seen[spent.balance_at] = spent.balance
        return seen[max(seen)]

    def _write(self, credits_: dict[str, int]) -> bool:
        """Write the file, and return whether that changes it."""
        content = (credits_, self.last_price, self._balance)
        if self._is_damaged or content == self._written:
            return False
        self.check()
        spent = Spent(
            self.key.address,
            self.key.api_key,
            credits_,
            sorted(self._runs),
            self.last_price,
            self._balance,
            self._balance_at,
        )
        self.store.replace(self._name, encode(spent))
        self._written = content
        return True

    def _used(self, month: str) -> int:
        """Return what counts in a month, of all keys that share the limit."""
        used = {name: credits_.get(month, 0) for name, credits_ in self._others.items()}
        for file in {*self.store.list(layout.COUNTS)} - {self._name}:
            spent = read_json(self.store, file, Spent)
            if spent and self._is_of_owner(spent):
                name = PurePosixPath(file).stem
                used[name] = max(used.get(name, 0), spent.credits.get(month, 0))
        return self._credits.get(month, 0) + sum(used.values())

    def _shares_limit(self, contents: Contents, name: str) -> bool:
        try:
            return self._is_of_owner(contents.key(name))
        except DamagedFileError:
            return True  # which counts too much rather than too little

    def _is_of_owner(self, other: ArchiveKey | Spent) -> bool:
        return (other.address, other.api_key) == (self.key.address, self.key.api_key)


def count_killed_runs(contents: Contents, name: str, logger: logging.Logger) -> None:
    """Count the runs of an archive key that were killed, before a command removes their pages."""
    with suppress(FormatError):  # what is damaged is not counted either way
        count = MonthCount(
            store=contents.store,
            key=contents.key(name),
            run="",
            limit=None,
            now=lambda: datetime.now(UTC),
            check=lambda: None,
            logger=logger,
        )
        count.include_killed_runs(contents)


def _with_killed_runs(
    credits_: dict[str, int], runs: Collection[str], headers: Sequence[PageHeader]
) -> dict[str, int]:
    """Return a count with that of runs which it does not include yet.

    Args:
        credits_: The credits by month.
        runs: The runs that they include.
        headers: That of the last page of each sync.
    """
    for header in headers:
        if header.run not in runs:
            more = header.spent.items()
            credits_ = credits_ | {month: max(n, credits_.get(month, n)) for month, n in more}
    return credits_
