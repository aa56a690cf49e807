"""A sync: its identity, and how far it got."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tap_jobo.clock import parse_timestamp

Filters = dict[str, object]
"""The filters of a sync by setting name; None for a filter that is not set."""


@dataclass(frozen=True, slots=True)
class Sync:
    """One pass over a feed with fixed filters, window, and page size; it may span several runs.

    Attributes:
        id: Random, and never reused.
        since: Start of its window (ISO 8601 UTC), None for all rows.
        batch_size: Rows per page, the same on every page.
        started_at: The instant before its first request, which becomes the bookmark; None until
            its first page is known.
        cursor: Where its next page starts, None for the first page.
        rows: Rows delivered so far.
        pages: Pages delivered so far.
        restarts: How often the sync was started over because the API rejected a cursor.
        parent_id: Id of the completed sync that it continues from, empty for none.
        replaces: Id of the sync that this one replaces because its cursor was rejected.
        is_full: Whether it reads everything, and not what changed since its parent.
        number: Its number in the journal, 0 if it has none yet.
    """

    id: str
    since: str | None
    batch_size: int
    started_at: str | None = None
    cursor: str | None = None
    rows: int = 0
    pages: int = 0
    restarts: int = 0
    parent_id: str = ""
    replaces: str = ""
    is_full: bool = False
    number: int = 0

    @property
    def start(self) -> datetime | None:
        """The instant before its first request, None until then."""
        return parse_timestamp(self.started_at) if self.started_at else None


@dataclass(frozen=True, slots=True)
class RawPage:
    """A page as received, before anything parses it.

    Attributes:
        cost: Credits charged for it so far.
        started_at: The instant before the request by the earlier clock (ISO 8601 UTC).
        received_at: When it came, by the API's clock.
        has_more: What its header `X-Has-More` says, None if it is missing.
    """

    body: bytes
    cost: int
    headers: Mapping[str, str]
    started_at: str
    received_at: datetime
    has_more: bool | None = None


def hash_cursor(cursor: str | None) -> str:
    """Return the hash of a cursor, which may be long; empty for a first page."""
    return hashlib.sha256(cursor.encode(errors="surrogatepass")).hexdigest()[:24] if cursor else ""


def new_id() -> str:
    """Return the random id of a new sync."""
    return secrets.token_hex(8)
