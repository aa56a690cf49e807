"""What the runs of a stream are billed in each month (UTC), and `max_credits_per_month`.

Every run counts, so a limit that is set later includes all of them.

With a limit, a request is in the file of its stream (`Pending`) before it is sent, at what it may
cost, and the counts of the other streams are read after that. So a kill leaves at most a page too
much, and of two runs side by side, at least one sees the request of the other. Without a limit, the
file is written when a run ends, after a response that was lost, and when the price changes.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from tap_jobo.archive import layout
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.archive.files import Pending, encode, read_pending
from tap_jobo.archive.key import key_of_name
from tap_jobo.commands import archive_command
from tap_jobo.errors import TapJoboError

_MARGIN: Final = timedelta(minutes=1)  # before a month, when a request counts in both months
_KEPT: Final = 2  # months


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A limit of what is spent, and what is used of it.

    Attributes:
        setting: The name of its setting.
        most: The credits that it allows.
        used: The credits that are used of it.
        month: The month that it limits, such as `2026-11`; empty for that of a run.
        known: What the ways out may name once it is reached.
    """

    setting: str
    most: int
    used: int = 0
    month: str = ""
    known: Mapping[str, str] = field(default_factory=dict)

    def allows(self, cost: int) -> bool:
        """Return whether a request may be sent that can cost so much; a free one always may."""
        return not cost or self.used + cost <= self.most

    @property
    def left(self) -> int:
        """The credits that it leaves."""
        return max(0, self.most - self.used)


@dataclass(kw_only=True)
class MonthCount:
    """The count of one archive key; keys of one address and kind of API key share the limit.

    Attributes:
        archive: The archive of the key. The run has its lock.
        limit: The credits that a month may cost, None for no limit.
        now: Returns the time by the API's clock.
        raise_if_lost: Raises if another run may write the file of the key.
        price: Credits of a row on the last page, 0 if that was not above the list price.

    Raises:
        FormatError: A count can't be read.
    """

    archive: StreamArchive
    limit: int | None
    now: Callable[[], datetime]
    raise_if_lost: Callable[[], None]
    price: float = field(init=False)

    def __post_init__(self) -> None:
        self._asked_in: set[str] = set()  # the months in which the last request counts
        self._others: dict[str, StreamArchive] = {}  # of the streams that share the limit
        self._spent_by_others: dict[str, Mapping[str, int]] = {}
        self._written = pending = read_pending(self.archive.store, self.archive.key.name)
        self._spent = dict(spent_so_far(pending, self.archive))
        self.price = pending.price if pending else 0
        if pending is None:  # by this file, the runs of other streams find the pages of this one
            self.settle()
        self._read_others()

    @property
    def spent(self) -> dict[str, int]:
        """The credits of the last two months, for the header of a page."""
        return {month: self._spent[month] for month in sorted(self._spent)[-_KEPT:]}

    @property
    def limits(self) -> list[Limit]:
        """The limit of each month in which a request counts now, none if it is not set."""
        if self.limit is None:
            return []
        limits = []
        for month in sorted(self._months()):
            then = datetime.fromisoformat(f"{month}-01") + timedelta(days=31)
            known = {
                "month_limit": "max_credits_per_month",
                "next_month": f"{then:%Y-%m}-01 (UTC)",
                "stream": self.archive.key.stream,
                "list": archive_command("list", location=self.archive.store.location),
            }
            used = self._spent.get(month, 0)
            used += sum(spent.get(month, 0) for spent in self._spent_by_others.values())
            limits.append(
                Limit(
                    setting="max_credits_per_month",
                    most=self.limit,
                    used=used,
                    month=month,
                    known=known,
                )
            )
        return limits

    def reserve(self, cost: int) -> None:
        """Count a request before it is sent, if there is a limit, and see those of other runs."""
        self._asked_in = self._months()
        if self.limit is None or not cost:
            return
        if self._write(self._with(cost)):  # otherwise, it is another try, which counts already
            self._read_others()

    def add(self, credits_: int) -> None:
        """Count what was just billed, or correct it, if below 0, in the same months."""
        if credits_ > 0:
            self._asked_in |= self._months()  # a slow request may count in two months
        self._spent = self._with(credits_)

    def settle(self) -> None:
        """Write the count. If that fails, a page too much may count."""
        with suppress(TapJoboError):
            self._write(self._spent)

    def newest_balance(self) -> int | None:
        """Return the balance of the account that the last page of any stream has shown."""
        headers = [each.last_header for each in (self.archive, *self._others.values())]
        receipts = [each.receipt for each in headers if each and each.receipt]
        known = [each for each in receipts if each.balance is not None]
        newest = max(known, key=lambda receipt: receipt.received_at, default=None)
        return newest.balance if newest else None

    def _with(self, cost: int) -> dict[str, int]:
        """Return the credits by month, with what the last request costs."""
        counts = {month: max(0, self._spent.get(month, 0) + cost) for month in self._asked_in}
        return self._spent | counts

    def _months(self) -> set[str]:
        """Return the months in which a request counts now."""
        now = self.now()
        return {f"{now:%Y-%m}", f"{now + _MARGIN:%Y-%m}"}

    def _write(self, spent: Mapping[str, int]) -> bool:
        """Write the file, and return whether that changes it."""
        key, head = self.archive.key, self.archive.head
        pending = Pending(
            address=key.address,
            api_key=key.api_key,
            offset=head,
            entry=self.archive.id_of(head),
            spent={month: spent[month] for month in sorted(spent)[-_KEPT:]},
            price=self.price,
        )
        if pending == self._written:
            return False
        self.raise_if_lost()
        self.archive.store.replace(layout.PENDING.format(key.name), encode(pending))
        self._written = pending
        return True

    def _read_others(self) -> None:
        """Read the counts of the other streams. Their pages are listed only once."""
        store, key = self.archive.store, self.archive.key
        for file in {*store.list(layout.PENDING_FOLDER)} - {layout.PENDING.format(key.name)}:
            name = layout.key_of_pending(file)
            pending = read_pending(store, name)
            if pending is None or not key.shares_limit_with(pending.address, pending.api_key):
                continue
            if name not in self._others:
                self._others[name] = StreamArchive(store, key_of_name(name), pending.offset)
            self._spent_by_others[name] = spent_so_far(pending, self._others[name])


def spent_so_far(pending: Pending | None, archive: StreamArchive) -> Mapping[str, int]:
    """Return what a stream was billed by month.

    If the archive lacks the page that the file names, it was restored from a backup. Then each of
    the two may have what the other one lacks.
    """
    last = archive.last_header
    in_pages = last.spent if last else {}
    if pending is None:
        return in_pages
    if not pending.offset or archive.id_of(pending.offset) == pending.entry:
        return pending.spent if pending.offset >= archive.head else in_pages
    months = {*in_pages, *pending.spent}
    return {each: max(in_pages.get(each, 0), pending.spent.get(each, 0)) for each in months}
