"""`max_credits_per_month`: what all runs of a journal may be billed in a calendar month (UTC).

A request counts in the `spent.json` of its journal key before it is sent, at what it may cost, and
those of the other keys are read after that. So a kill leaves at most a page too much, and of two
runs side by side, at least one sees the request of the other.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tap_jobo.errors import BudgetReachedError, TapJoboError
from tap_jobo.journal import layout
from tap_jobo.journal.contents import Contents, JournalKey, Spent, encode
from tap_jobo.journal.store import Store
from tap_jobo.wording import dollars

_MARGIN: Final = timedelta(minutes=1)  # before a month, when a request counts in both months


@dataclass
class MonthlyLimit:
    """The limit, which the journal keys of one address and kind of key share.

    In the methods, `billed` is what the key was billed in this run so far.
    """

    store: Store
    key: JournalKey
    limit: int
    now: Callable[[], datetime]  # by the API's clock
    check: Callable[[], None]  # raises if another run may write the file of the key

    def __post_init__(self) -> None:
        self._owner = self.key.address, self.key.api_key
        spent = Contents(self.store).spent(self.key.name)
        self._credits = spent.credits if spent else {}
        self._billed = 0  # of this run, in these credits
        self._written = self._credits

    def reserve(self, billed: int, cost: int, what: str) -> None:
        """Count a request before it is sent, or raise `BudgetReachedError`."""
        months = self._count(billed)
        if not self._write(self._with(cost, months)):
            return  # another try, which counts already
        for month in months:
            used = self._used(month)
            if used + cost > self.limit:
                then = datetime.fromisoformat(f"{month}-01") + timedelta(days=31)
                raise BudgetReachedError(
                    f"max_credits_per_month reached: {used:,} of {self.limit:,} credits used in "
                    f"{month} ({dollars(used)}); {what}. Runs continue on {then:%Y-%m}-01 (UTC), "
                    "or once you raise the limit."
                )

    def settle(self, billed: int) -> None:
        """Count exactly what was billed. If that fails, a page too much counts."""
        self._count(billed)
        with suppress(TapJoboError):
            self._write(self._credits)

    def left(self, billed: int) -> tuple[int, str]:
        """Return the credits that are left, and the month."""
        month = self._count(billed)[0]
        return max(0, self.limit - self._used(month)), month

    def _count(self, billed: int) -> list[str]:
        """Count what was billed since the last call, and return the months that it counts in."""
        months = sorted({f"{self.now() + margin:%Y-%m}" for margin in (timedelta(), _MARGIN)})
        if billed != self._billed:
            self._credits = self._with(billed - self._billed, months)
            self._billed = billed
        return months

    def _with(self, cost: int, months: Sequence[str]) -> dict[str, int]:
        return self._credits | {month: self._credits.get(month, 0) + cost for month in months}

    def _write(self, credits_: dict[str, int]) -> bool:
        """Write the file, and return whether that changes it."""
        if credits_ == self._written:
            return False
        self.check()
        content = encode(Spent(*self._owner, credits_))
        self.store.replace(layout.SPENT.format(self.key.name), content)
        self._written = credits_
        return True

    def _used(self, month: str) -> int:
        contents = Contents(self.store)
        others = [contents.spent(key) for key in contents.counted - {self.key.name}]
        same = [each for each in others if each and (each.address, each.api_key) == self._owner]
        return self._credits.get(month, 0) + sum(each.credits.get(month, 0) for each in same)
