"""A sync: its identity, how far it got, and its pages as they are billed."""

import hashlib
import math
import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Self

from msgspec import Meta

from tap_jobo.clock import parse_timestamp

Filters = dict[str, object]
"""The filters of a sync by setting name; None for a filter that is not set."""


@dataclass(frozen=True, slots=True)
class Sync:
    """One pass over a feed with fixed filters, window, and page size; it may span several runs."""

    id: Annotated[str, Meta(min_length=1)]  # random, and never reused
    since: str | None  # the start of its window (ISO 8601 UTC), None for all rows
    batch_size: int  # rows per page, the same on every page
    started_at: str | None = None  # before its first request; becomes the bookmark
    cursor: str | None = None  # where its next page starts, None for the first page
    rows: int = 0  # delivered so far
    pages: int = 0  # delivered so far
    restarts: int = 0  # how often it was started over because the API rejected a cursor
    parent_id: str = ""  # of the completed sync that it continues from
    replaces: str = ""  # id of the sync that it replaces because its cursor was rejected
    is_full: bool = False  # whether it reads everything, and not what changed since its parent
    selected: Filters = field(default_factory=dict)  # the filters that it was begun with
    added: Filters | None = None  # what it reads instead, if that is only what a change adds
    number: int = 0  # in the archive, 0 if it has none yet

    @property
    def reads(self) -> Filters:
        """The filters of its requests, without those that are not set."""
        filters = self.selected if self.added is None else self.added
        return {name: value for name, value in filters.items() if value is not None}

    @property
    def reads_changes(self) -> bool:
        """Whether it reads what has changed since a bookmark."""
        return not (self.is_full or self.added)

    @property
    def from_start(self) -> Self:
        """The sync before its first request."""
        return replace(self, started_at=None, cursor=None, rows=0, pages=0)

    def reads_like(self, other: Self) -> bool:
        """Return whether it reads the same rows as another sync, but for the window."""
        mine = (self.is_full, self.added, self.selected)
        return mine == (other.is_full, other.added, other.selected)

    def page_id(self, number: int) -> str:
        """Return what messages and the command call a page."""
        return f"{self.id}.{number}"

    @property
    def start(self) -> datetime | None:
        """The instant before its first request, None until then."""
        return parse_timestamp(self.started_at) if self.started_at else None


@dataclass(frozen=True, slots=True)
class Charge:
    """What a page was charged when it came, and what that is based on."""

    credits: int  # as if it were full, unless its response reports its cost
    deducted: int | None = None  # credits, by its headers
    fall: int = 0  # credits by which the balance fell, which count if nothing was deducted

    def of_rows(self, rows: int, requested: int, price: float) -> int:
        """Return the credits of the page, once its number of rows is known."""
        if self.deducted:
            return self.deducted
        if rows and self.fall:  # other programs may spend from the balance, so there is a bound
            return min(self.fall, math.ceil(self.credits * max(rows, requested) / requested))
        return math.ceil(rows * price) if self.deducted is None else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PageHeader:
    """What is known of a page without parsing its body. Times are ISO 8601 UTC."""

    cursor: str  # hash of the cursor that it was requested with, empty for a first page
    started_at: str  # before the first request of its sync, by the earlier clock
    received_at: str  # when it came, by the API's clock
    charge: Charge
    has_more: bool | None = None  # the response header X-Has-More
    # What the archive adds:
    run: str = ""  # random id of the run that was billed for it
    total_credits: int = 0  # what its sync has cost so far, this page included
    spent: dict[str, int] = field(default_factory=dict)  # of the stream's runs so far, by month


@dataclass(frozen=True, slots=True)
class BilledPage:
    """A page before anything parses it: as it was received, and as the archive holds it."""

    header: PageHeader
    body: bytes


@dataclass(frozen=True, slots=True)
class LastPrice:
    """A price above the list price, which a page has shown."""

    credits: float  # per requested row
    since: str  # when a page showed it first (ISO 8601 UTC)


def hash_cursor(cursor: str | None) -> str:
    """Return the hash of a cursor, which may be long; empty for a first page."""
    return hashlib.sha256(cursor.encode(errors="surrogatepass")).hexdigest()[:24] if cursor else ""


def new_id() -> str:
    """Return the random id of a new sync."""
    return secrets.token_hex(8)
