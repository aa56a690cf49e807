"""What is bought, and how far a feed is read: syncs, positions, entries of an archive.

Everything here is stored, in the header of a page or in `archive.json`, for good: a later version
has to read it. So each member is always written, and an unknown or missing one is an error. Times
are ISO 8601 UTC, all in the same form, so that they compare as text.
"""

import hashlib
import math
import secrets
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

Filters = dict[str, Any]
"""Filters by the name of their setting, without those that are not set."""
Kind = Literal["full", "changes", "added"]
Id = Annotated[str, Meta(pattern=r"^[0-9a-z-]+\Z", max_length=64)]
Count = Annotated[int, Meta(ge=0)]


class _Stored(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a file."""


class Sync(_Stored, frozen=True):
    """One reading of a feed, with all that was decided when its first page was bought.

    A load from the archive decides nothing, so it needs no settings.

    Attributes:
        id: Random, and never used again.
        kind: `full` reads everything since the start date, `changes` what changed since the
            bookmark, `added` only the rows with values that a filter gained.
        since: The start of its window, None for all rows.
        reads: The filters of its requests.
        filters: The filters of the position once it is complete.
        start_date: The start date of the position once it is complete, None for all rows.
        batch_size: Rows per page, the same on every page.
        started_at: Before its first request, by the earlier clock. It becomes the bookmark.
        first: The number of the entry that holds its page 1, None if the archive does not.
        restarts: How often it began over because the API rejected its cursor.
        gap: Whether rows are missing that the user decided not to buy.
    """

    id: Id
    kind: Kind
    since: str | None
    reads: Filters
    filters: Filters
    start_date: str | None
    batch_size: Annotated[int, Meta(ge=1)]
    started_at: str
    first: Annotated[int, Meta(ge=1)] | None
    restarts: Count
    gap: bool


class Progress(_Stored, frozen=True):
    """How far a sync is: where its next page starts, and the pages and rows before that."""

    sync: Sync
    cursor: Annotated[str, Meta(min_length=1)]
    pages: Annotated[int, Meta(ge=1)]
    rows: Count


class Position(_Stored, frozen=True):
    """What a warehouse has that got everything so far, and where to go on without the archive.

    Attributes:
        bookmark: The start of the last complete sync, None before the first one.
        filters: The filters that apply up to the bookmark.
        start_date: Rows last updated before it were not read, None if all were.
        last: The id of the sync that moved the bookmark, None if it is not known.
        gap: Whether rows are missing that the user decided not to buy.
        progress: The sync in progress, which may have other filters.
    """

    bookmark: str | None
    filters: Filters
    start_date: str | None
    last: Id | None
    gap: bool
    progress: Progress | None

    @property
    def has_begun(self) -> bool:
        """Whether any page was read."""
        return self.bookmark is not None or self.progress is not None

    @property
    def current(self) -> "Position | Sync":
        """What says which filters and start date apply: the sync in progress, if there is one."""
        return self.progress.sync if self.progress else self


NOTHING: Final = Position(
    bookmark=None, filters={}, start_date=None, last=None, gap=False, progress=None
)
"""The position before the first page."""


class Charge(_Stored, frozen=True):
    """What a page was charged when it came, and what that is based on."""

    credits: Count  # as if it were full, unless its response reports its cost
    deducted: Count | None  # credits, by its headers
    fall: Count  # credits by which the balance fell, which count if nothing was deducted

    def of_rows(self, rows: int, requested: int) -> int:
        """Return the credits of the page, once its number of rows is known.

        The run's sum, the month, and `billed_pages` all count this.
        """
        if self.deducted:
            return self.deducted
        if rows and self.fall:  # other programs may spend from the balance, so there is a bound
            return min(self.fall, math.ceil(self.credits * max(rows, requested) / requested))
        return math.ceil(rows * self.credits / requested) if self.deducted is None else 0


class Receipt(_Stored, frozen=True):
    """What the response headers of a page say."""

    charge: Charge
    received_at: str  # by the API's clock
    has_more: bool | None  # the response header X-Has-More
    encoding: str  # of the body, empty if it is decoded: others are kept as they came


class EntryHeader(_Stored, frozen=True):
    """What is known of an entry without parsing its body.

    Attributes:
        id: Random: with the number, it tells an entry from any other one.
        previous: The id of the entry before it, None for the first one.
        before: The position before it.
        base: Page 1 of the last complete full sync before it, None if there was none.
        sync: The sync of the page. None if it is not known, as it may be of a dropped page.
        page: The number of the page in its sync, from 1.
        receipt: What it cost, and when it came. None for a dropped page without a header.
        total: Credits that the archive has cost so far, and this page, as if it were full: it is
            not parsed before it is in the archive, so the header of the next page corrects that.
        run: Random id of the run that was billed for it.
        spent: Credits that the stream's runs have cost so far, by month.
        is_dropped: Whether `tap-jobo-archive drop` has replaced it: it has no rows.
    """

    id: Id
    previous: Id | None
    before: Position
    base: Annotated[int, Meta(ge=1)] | None
    sync: Sync | None
    page: Count
    receipt: Receipt | None
    total: Count
    run: Id
    spent: dict[str, Count]
    is_dropped: bool

    @property
    def cursor(self) -> str | None:
        """The cursor that the page was requested with, None for the first page of a sync."""
        progress = self.before.progress
        is_next = progress and self.sync and progress.sync.id == self.sync.id
        return progress.cursor if progress and is_next else None

    @property
    def rows_before(self) -> int:
        """The rows of the sync before this page."""
        return self.before.progress.rows if self.cursor and self.before.progress else 0

    @property
    def credits(self) -> int:
        """What the page was charged when it came."""
        return self.receipt.charge.credits if self.receipt else 0

    def cost(self, rows: int) -> int:
        """Return the credits that the page has cost, once its number of rows is known."""
        if self.sync is None or self.receipt is None or self.is_dropped:
            return self.credits
        return self.receipt.charge.of_rows(rows, self.sync.batch_size)


class Entry(msgspec.Struct, frozen=True):
    """A page as it was billed: its number in the archive (0 without one), its header, its body."""

    number: int
    header: EntryHeader
    body: bytes


def entry_outside(sync: Sync, receipt: Receipt, body: bytes) -> Entry:
    """Return the first page of a sync that no archive gets, as that of a test."""
    header = EntryHeader(
        id=new_id(),
        previous=None,
        before=NOTHING,
        base=None,
        sync=sync,
        page=1,
        receipt=receipt,
        total=receipt.charge.credits,
        run=new_id(),
        spent={},
        is_dropped=False,
    )
    return Entry(0, header, body)


class Origin(_Stored, frozen=True):
    """What came before the first entry: the state that an archive was adopted from."""

    position: Position
    entry: Id | None


class Again(_Stored, frozen=True):
    """What `restart` ordered: to buy everything, or what changed since a time.

    It holds only as long as the head is this entry.
    """

    since: str | None
    head: Id | None


class ArchiveFile(_Stored, frozen=True):
    """What is known of an archive besides its entries. It is not written when a page is bought.

    Attributes:
        id: Begins with a hash of the archive's key.
        first: The number of its first entry. Entries below it are no part of the archive.
        origin: What came before that, None if nothing did.
        again: What `restart` ordered.
    """

    id: Id
    first: Annotated[int, Meta(ge=1)]
    origin: Origin | None
    again: Again | None


class LastPrice(_Stored, frozen=True):
    """A price above the list price, which a page has shown."""

    credits: float  # per requested row
    since: str  # when a page showed it first


def hash_cursor(cursor: str | None) -> str:
    """Return the hash of a cursor, which may be long; empty for a first page."""
    return hashlib.sha256(cursor.encode(errors="surrogatepass")).hexdigest()[:24] if cursor else ""


def new_id() -> str:
    """Return a random id."""
    return secrets.token_hex(8)
