"""A scan: one pass of a sync over a feed, and how far it got.

A scan has fixed filters, a fixed window, and a fixed page size, and may span several runs. A random
id identifies it in the state and in the journal: this id alone shows which pages have arrived;
clocks are never compared.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_jobo.clock import parse_timestamp

if TYPE_CHECKING:
    from datetime import datetime

Filters = dict[str, object]
"""The filters of a scan by setting name; None for a filter that is not set."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One pass over a feed.

    Attributes:
        id: Random, and never reused.
        since: Start of its window (ISO 8601 UTC), None for all rows.
        batch_size: Rows per page, the same on every page.
        started_at: The instant before its first request, which becomes the bookmark; None until
            then.
        cursor: Where its next page starts, None for the first page.
        rows: Rows delivered so far.
        restarts: How often the sync was started over because the API rejected a cursor.
        base: Id of the completed scan that it continues from, empty for a full sync.
        replaces: Id of the scan that this one replaces because its cursor was rejected.
    """

    id: str
    since: str | None
    batch_size: int
    started_at: str | None = None
    cursor: str | None = None
    rows: int = 0
    restarts: int = 0
    base: str = ""
    replaces: str = ""

    @property
    def start(self) -> datetime | None:
        """The instant before its first request, None until then."""
        return parse_timestamp(self.started_at) if self.started_at else None


def new_id() -> str:
    """Return the random id of a new scan."""
    return secrets.token_hex(8)


def id_by_start(started_at: str) -> str:
    """Return an id, derived from its start, for a scan of a version that wrote no ids.

    Args:
        started_at: ISO 8601 UTC, as `format_timestamp` writes it.
    """
    return f"at-{re.sub('[^0-9]', '', started_at)}"
