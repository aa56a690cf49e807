"""What is bought, and how far a feed is read: reads, syncs, positions, entries of an archive.

Everything here is stored, in the header of a page, in `archive.json` or in a state, for good: a
later version has to read it. So each member is always written, and an unknown one is an error.

Times are ISO 8601 UTC, all in the one form of `format_timestamp`, so that they compare as text. The
empty text is before all times, so a window that starts there has all rows. None never stands for a
time: a gap that is None is no gap.
"""

import math
import secrets
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

Filters = dict[str, Any]
"""Filters by the name of their setting, without those that are not set."""
Id = Annotated[str, Meta(pattern=r"^[0-9a-z-]+\Z", max_length=64)]
Count = Annotated[int, Meta(ge=0)]
Number = Annotated[int, Meta(ge=1)]
Month = Annotated[str, Meta(pattern=r"^\d{4}-(0[1-9]|1[0-2])\Z")]
"""Such as `2026-11`."""


class _Stored(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a file."""


ALL: Final = ""
"""The start of a window that has all rows."""
Dropped = Literal["head", "behind"]
"""Where a page was when it was dropped: at the head of the archive, or behind it."""


class Read(_Stored, frozen=True):
    """What a complete sync says of the rows that match its filters.

    Every version that was last updated in [start, until), and that is still the current one, was
    read. But perhaps not those that were updated since the gap.
    """

    filters: Filters  #: the rows
    start: str  #: where the window starts
    until: str  #: where it ends: the start of the sync
    gap: str | None = None  #: since when rows may be missing, None if none are


class Lookback(_Stored, frozen=True):
    """How long before its last read a warehouse reads changes again."""

    warehouse: str  #: its random id, empty for `--buy`
    minutes: Count
    last: str  #: when its last sync began


class Sync(_Stored, frozen=True):
    """One reading of a feed, with all that was decided when its first page was bought."""

    id: Id  #: random, and never used again
    reads: Filters  #: the filters of its requests
    filters: Filters  #: the filters of the settings, which its requests may narrow
    since: str  #: the start of its window. A row of exactly this time belongs to it.
    started: str  #: before its first request, by the earlier clock
    #: the start date of settings whose older rows the user decided not to buy, None otherwise
    kept: str | None
    order: str | None  #: the time of the order that it carries out, None without one
    replaces: Id | None  #: the id of the sync that it begins over
    restarts: Count  #: how often it began over because the API rejected its cursor
    batch_size: Number  #: rows per page, the same on every page
    lookback: Lookback  #: that of its buyer

    @property
    def start(self) -> str:
        """The start date that it is for."""
        return self.since if self.kept is None else self.kept


class Progress(_Stored, frozen=True):
    """How far a sync is: where its next page starts, and the pages and rows before that."""

    sync: Sync
    pages: Number  #: the number of its last page
    rows: Count  #: the rows of the pages that were loaded
    cursor: Annotated[str, Meta(min_length=1)]  #: where the next page starts
    has_gap: bool  #: whether pages are missing


class Position(_Stored, frozen=True):
    """What a warehouse has read."""

    reads: tuple[Read, ...] = ()  #: the newest first
    progress: tuple[Progress, ...] = ()  #: the syncs in progress
    is_begun: bool = False  #: whether any page came before
    order: str = ""  #: the time of the last order that was begun, empty before the first
    lookbacks: tuple[Lookback, ...] = ()  #: of the buyers of the last month

    def of(self, sync_id: str | None) -> Progress | None:
        """Return how far a sync is that is in progress."""
        return next((each for each in self.progress if each.sync.id == sync_id), None)


NOTHING: Final = Position()
"""The position before the first page."""


class Order(_Stored, frozen=True):
    """What `restart` ordered: to read rows again that were read before."""

    time: str  #: when it was given. It is later than that of every earlier order.
    filters: Filters  #: of the pipelines that carry it out
    start: str  #: the start date of these
    since: str | None = None  #: read what changed since then, None for everything
    over: Id | None = None  #: the id of the sync in progress that begins over, None otherwise


class DroppedPage(_Stored, frozen=True):
    """A page that was dropped behind the head, as `archive.json` lists it."""

    number: Number  #: the number of its entry
    since: str  #: the start of the window of the sync, empty if that is not known
    #: the last entry whose header does not show the gap, although it is there. Later ones were
    #: written after the drop, or after a sync that read the rows again.
    last: Number


class State(_Stored, frozen=True):
    """What a Singer state records of a feed: a place in an archive, and what the warehouse has."""

    #: the address, the kind of key, and for some feeds the account. Empty if another tap wrote it.
    owner: str
    offset: Count  #: the number of the last entry that is loaded
    entry: Id | None  #: its id, None if no later run finds it
    time: str  #: when its page was received, by the API's clock, empty before the first
    position: Position  #: the position of the warehouse
    #: since when rows may be missing, as the user was told; None if none was
    gap: str | None = None
    warehouse: str = ""  #: the random id of the warehouse, empty if the tap did not write it

    @property
    def is_adopted(self) -> bool:
        """Whether another tap wrote it."""
        return not self.owner


class Charge(_Stored, frozen=True):
    """What is known of the cost of a page when its response came."""

    requested: Number  #: the rows that were requested
    #: credits that a row may have cost: the price so far, or the list price if that is higher
    price: Annotated[float, Meta(ge=0)]
    deducted: Count | None  #: credits that its response says were deducted, None if it does not say
    fall: Count  #: credits by which the balance fell, which count if nothing was deducted

    @property
    def full(self) -> int:
        """The credits of the page before its rows are counted."""
        return self.of_rows(self.requested)

    def of_rows(self, rows: int) -> int:
        """Return the credits of the page, once its number of rows is known.

        The run's sum, the month, and `billed_pages` all count this.
        """
        if self.deducted:
            return self.deducted
        if rows and self.fall:  # other programs may spend from the balance, so there is a bound
            return min(self.fall, math.ceil(max(rows, self.requested) * self.price))
        return math.ceil(rows * self.price) if self.deducted is None else 0

    def price_of(self, rows: int) -> float | None:
        """Return what a row has cost, None if the response does not show that.

        It does not if far fewer rows came than were deducted: the price may have risen, but not to
        the double with a short page.
        """
        if self.deducted is None or not rows or (self.fall and not self.deducted):
            return None
        most = min(2 * rows, self.requested) * self.price
        if rows < self.requested and self.deducted and self.deducted >= most:
            return None
        return self.deducted / min(rows, self.requested)


class Receipt(_Stored, frozen=True):
    """What the response headers of a page say."""

    charge: Charge
    balance: int | None  # of the account, None if they do not say
    received_at: str  # by the API's clock
    has_more: bool | None  # the response header X-Has-More
    encoding: str  # of the body, empty if it is decoded: others are kept as they came


class Previous(_Stored, frozen=True):
    """What the header of an entry says of the entry before it, once that was parsed."""

    id: Id
    rows: Count  #: the rows of its page
    cursor: str | None  #: where the next page starts, None after the last page of a sync
    #: where it was when it was dropped before this entry came, None if it was not
    dropped: Dropped | None = None


class EntryHeader(_Stored, frozen=True):
    """What is known of an entry without parsing its body."""

    id: Id  #: random: with the number, it tells an entry from any other one
    previous: Previous | None  #: the entry before it, None for the first one
    before: Position  #: the position before it, of one who loads everything
    own: Position | None  #: the position of its buyer, None if it is the same
    #: the sync of the page. None if it is not known, as it may be of a dropped page.
    sync: Sync | None
    page: Number  #: the number of the page in its sync, from 1
    #: when the page was received, by the API's clock, never earlier than the entry before
    time: str
    receipt: Receipt | None  #: what it cost. None for a dropped page without a header.
    #: credits that the stream's runs have cost so far, by month, with this page as if it were full:
    #: it is not parsed before it is in the archive
    spent: dict[Month, Count]
    #: where it was when `tap-jobo-archive drop` replaced it by one without rows
    dropped: Dropped | None

    @property
    def live_sync(self) -> Sync | None:
        """Its sync, None if it was dropped."""
        return None if self.dropped else self.sync

    @property
    def buyer(self) -> Position:
        """The position of its buyer before it."""
        return self.own or self.before

    @property
    def _progress(self) -> Progress | None:
        """How far its sync was before it."""
        return self.buyer.of(self.sync.id) if self.sync else None

    @property
    def cursor(self) -> str | None:
        """The cursor that the page was requested with, None for the first page of a sync."""
        progress = self._progress
        return progress.cursor if progress else None

    @property
    def rows_before(self) -> int:
        """The rows of the sync before this page."""
        progress = self._progress
        return progress.rows if progress else 0

    @property
    def credits(self) -> int:
        """What the page was charged when it came."""
        return self.receipt.charge.full if self.receipt else 0

    def cost(self, rows: int) -> int:
        """Return the credits that the page has cost, once its number of rows is known."""
        if self.receipt is None or self.dropped:
            return self.credits
        return self.receipt.charge.of_rows(rows)


class Entry(msgspec.Struct, frozen=True):
    """A page as it was billed: its number in the archive, its header, its body."""

    number: int
    header: EntryHeader
    body: bytes


class ArchiveFile(_Stored, frozen=True):
    """What commands leave for the runs. It is not written when a page is bought."""

    order: Order | None  #: what `restart` ordered last, None if nothing was
    dropped: tuple[DroppedPage, ...]  #: the pages that were dropped behind the head


def new_id() -> str:
    """Return a random id."""
    return secrets.token_hex(8)
