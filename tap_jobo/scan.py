"""A scan: one pass of a sync over a feed, and how far it got.

A scan has fixed filters, a fixed window and a fixed page size, and may span several runs. It is
known by a random id, in the state and in the journal: what arrived is told by that id alone, never
by comparing clocks.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

Filters = dict[str, object]
"""The filters of a scan, by the names of their settings; None where one is not set."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One pass over a feed.

    Attributes:
        id: Random; never used for another scan.
        since: Where its window starts (ISO 8601 UTC), None for all rows.
        batch_size: Rows per page, the same on every page.
        started_at: The instant before its first request, the bookmark to come; None before that.
        cursor: Where its next page starts, None for the first page.
        rows: Rows delivered so far.
        restarts: How often the sync was started over because the API rejected a cursor.
        base: Id of the completed scan that it went on from, empty for a full read.
        replaces: Id of the scan whose cursor was rejected and which this one starts over.
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


def new_id() -> str:
    """Return the random id of a new scan."""
    return secrets.token_hex(8)


def id_by_start(started_at: str) -> str:
    """Return what stands for the id of a scan of a version that wrote none: its start.

    Args:
        started_at: ISO 8601 UTC, as `format_timestamp` writes it.
    """
    return f"at-{re.sub('[^0-9]', '', started_at)}"
