"""The scan, and the state that it lives in between two runs.

A scan is one pass over the feed with fixed filters, `updated_after` and page size; it may span
several runs. The state of the stream holds the bookmark, the filters it was reached with, and the
scan under way:

    {"replication_key": "updated_at", "replication_key_value": "2026-01-31T08:00:00.000Z",
     "filters": {"industries": null, ...},
     "scan": {"started_at": null, "updated_after": null, "batch_size": null, "cursor": null,
              "rows": null, "restarts": null}}

Meltano merges states key by key: it never removes a key, and it fails where a key is an object in
one state and null in the other. So `filters` and `scan` are always objects with all their keys,
and only their leaves change. A scan is pending if `started_at` is set.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import StateError
from tap_jobo.streams.career_sites import FILTERS

if TYPE_CHECKING:
    from collections.abc import Mapping

STATE_KEYS: Final = ("replication_key", "replication_key_value", "filters", "scan")
REPLICATION_KEY: Final = "updated_at"
Filters = dict[str, Any]


@dataclass(slots=True)
class Scan:
    """One pass over the feed, and how far it got.

    Attributes:
        updated_after: Only rows updated after this instant (ISO 8601 UTC), None for all.
        batch_size: Rows a page, the same on every page.
        started_at: The instant before its first request, the bookmark to come; None before that.
        cursor: Where its next page starts, None for the first page.
        rows: Rows delivered so far.
        restarts: How often the pass was begun again since the API rejected a cursor.
    """

    updated_after: str | None
    batch_size: int
    started_at: str | None = None
    cursor: str | None = None
    rows: int = 0
    restarts: int = 0


_NO_SCAN: Final = dict.fromkeys(field.name for field in fields(Scan))


def filters_of(settings: Mapping[str, Any]) -> Filters:
    """Return the filters that the settings ask for, in one order whatever order they came in."""
    return {setting.name: setting.normalize(settings.get(setting.name)) for setting in FILTERS}


def window(
    bookmark: datetime | None, start_date: datetime | None, lookback_minutes: int
) -> str | None:
    """Return the `updated_after` of a new scan, None for everything.

    The API returns rows updated strictly after it. From a bookmark the scan looks back, as Jobo's
    documentation asks; from a start date it does not, but a row updated exactly at it belongs in.
    A start date later than the bookmark wins.
    """
    try:
        if start_date and (bookmark is None or start_date > bookmark):
            return format_timestamp(start_date - timedelta(milliseconds=1))
        if bookmark is None:
            return None
        return format_timestamp(bookmark - timedelta(minutes=lookback_minutes))
    except OverflowError:  # before the year 1
        return None


class StreamState:
    """The bookmark, the filters and the pending scan of a stream, within the SDK's state.

    Args:
        raw: The stream's part of the state; changes are written into it.

    Raises:
        StateError: It is not what this tap wrote. The text names the member at fault.
    """

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw
        self.bookmark = _timestamp(raw, "replication_key_value")
        self.filters = self._read_filters()
        self.pending = self._read_scan()

    def checkpoint(self, scan: Scan, filters: Filters) -> None:
        """Note how far a scan got: all before `scan.cursor` is delivered."""
        self._write(asdict(scan), filters)

    def complete(self, scan: Scan, filters: Filters) -> None:
        """Note that a scan is over: the bookmark becomes its start, and never moves back."""
        started_at = parse_timestamp(scan.started_at or "")
        self.bookmark = max(self.bookmark, started_at) if self.bookmark else started_at
        self._write(_NO_SCAN, filters)

    def _write(self, scan: Mapping[str, Any], filters: Filters) -> None:
        self._raw["replication_key"] = REPLICATION_KEY
        if self.bookmark:
            self._raw["replication_key_value"] = format_timestamp(self.bookmark)
        self._raw["filters"] = dict(filters)
        self._raw["scan"] = dict(scan)

    def _read_filters(self) -> Filters | None:
        try:
            return filters_of(filters) if (filters := _object(self._raw, "filters")) else None
        except TypeError:
            raise _not_a_state("filters", "an object of texts and lists of texts") from None

    def _read_scan(self) -> Scan | None:
        scan = _object(self._raw, "scan")
        started_at, updated_after = (
            _timestamp(scan, "started_at"),
            _timestamp(scan, "updated_after"),
        )
        if started_at is None:
            return None
        cursor = scan.get("cursor")
        if not isinstance(cursor, str) or not cursor:
            raise _not_a_state("cursor", "a text")
        return Scan(
            started_at=format_timestamp(started_at),
            updated_after=format_timestamp(updated_after) if updated_after else None,
            cursor=cursor,
            batch_size=_count(scan, "batch_size", 1, 50),
            rows=_count(scan, "rows"),
            restarts=_count(scan, "restarts"),
        )


def _object(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = raw.get(name) or {}
    if not isinstance(value, dict):
        raise _not_a_state(name, "an object")
    return value


def _timestamp(raw: Mapping[str, Any], name: str) -> datetime | None:
    value = raw.get(name)
    if value is None:
        return None
    try:
        return parse_timestamp(value)
    except (TypeError, ValueError):
        raise _not_a_state(name, "an ISO 8601 timestamp") from None


def _count(scan: Mapping[str, Any], name: str, minimum: int = 0, maximum: float = math.inf) -> int:
    value = scan.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
        raise _not_a_state(name, f"a whole number from {minimum} to {maximum}")
    return value


def _not_a_state(name: str, allowed: str) -> StateError:
    return StateError(
        f"The state is not one of this tap: '{name}' of bookmarks.career_sites must be {allowed}. "
        "Give it the state that its last run wrote, or none."
    )
