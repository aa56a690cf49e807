"""The state of a feed: the bookmark, the filters that it applies to, and the sync in progress.

    {"replication_key": "updated_at", "replication_key_value": "2026-01-31T08:00:00.000000Z",
     "completed_scan": "5f0c…", "filters": {"industries": null, …},
     "scan": {"id": null, "started_at": null, "updated_after": null, "batch_size": null,
              "cursor": null, "rows": null, "pages": null, "restarts": null}}

Meltano merges states key by key: it never removes a key, and it fails if a key is an object in one
state and null in the other. So `filters` and `scan` are always objects with all their keys, and
only their leaves change. A sync is in progress if `started_at` is set; only then do the others
count.
`completed_scan` is written if and only if `replication_key_value` is, so that a merged state keeps
the pair.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import StateError
from tap_jobo.sync_id import Sync

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tap_jobo.streams.feed_spec import FeedSpec
    from tap_jobo.sync_id import Filters

STATE_KEYS: Final = (
    "replication_key",
    "replication_key_value",
    "completed_scan",
    "filters",
    "scan",
)
_NO_SYNC: Final = dict.fromkeys(
    ("id", "started_at", "updated_after", "batch_size", "cursor", "rows", "pages", "restarts")
)
_ID: Final = re.compile(r"[0-9a-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class StreamState:
    """What the state records about a feed.

    Attributes:
        bookmark: The start of the last complete sync, None before the first one.
        completed: The id of that sync, empty before the first one.
        filters: The filters that the state was written with, None if it has none.
        pending: The sync in progress, if there is one.
    """

    bookmark: datetime | None = None
    completed: str = ""
    filters: Filters | None = None
    pending: Sync | None = None

    @property
    def has_begun(self) -> bool:
        """Whether any row has been delivered according to the state."""
        return self.bookmark is not None or self.pending is not None

    def checkpoint(self, sync: Sync, filters: Filters) -> StreamState:
        """Return the state in which everything before `sync.cursor` is delivered."""
        return replace(self, pending=sync, filters=filters)

    def complete(self, sync: Sync, filters: Filters) -> StreamState:
        """Return the state after a complete sync: its start is the bookmark, if that is later."""
        started_at = parse_timestamp(sync.started_at or "")
        bookmark = max(self.bookmark, started_at) if self.bookmark else started_at
        return StreamState(bookmark=bookmark, completed=sync.id, filters=filters)

    def as_raw(self, replication_key: str) -> dict[str, Any]:
        """Return the stream's part of the Singer state."""
        raw: dict[str, Any] = {"replication_key": replication_key}
        if self.bookmark:
            raw["replication_key_value"] = format_timestamp(self.bookmark)
            raw["completed_scan"] = self.completed
        raw["filters"] = dict(self.filters or {})
        raw["scan"] = dict(_NO_SYNC)
        if sync := self.pending:
            raw["scan"] |= {
                "id": sync.id,
                "started_at": sync.started_at,
                "updated_after": sync.since,
                "batch_size": sync.batch_size,
                "cursor": sync.cursor,
                "rows": sync.rows,
                "pages": sync.pages,
                "restarts": sync.restarts,
            }
        return raw


def read_state(raw: Mapping[str, Any], spec: FeedSpec) -> StreamState:
    """Read the stream's part of a Singer state.

    Raises:
        StateError: This tap did not write it. The message names the invalid member.
    """
    return _Reader(raw, spec).read()


class _Reader:
    """Reads one stream's part of the state, and names the stream in its errors."""

    def __init__(self, raw: Mapping[str, Any], spec: FeedSpec) -> None:
        self._raw = raw
        self._spec = spec

    def read(self) -> StreamState:
        bookmark = self._timestamp(self._raw, "replication_key_value")
        completed = self._identifier(self._raw, "completed_scan")
        if bookmark is None:
            completed = ""
        return StreamState(bookmark, completed, self._filters(), self._sync(completed))

    def _filters(self) -> Filters | None:
        filters = self._object("filters")
        known = {setting.name for setting in self._spec.filters}
        if unknown := sorted(name for name in filters.keys() - known if filters[name] is not None):
            raise StateError(
                f"The state of {self._spec.name} was written with the filter {unknown[0]}, which "
                "this version of tap-jobo does not know, so rows that it excluded would be "
                "missing. Install the version that wrote the state, or start without a state: "
                "each row is then billed."
            )
        try:
            return self._spec.filters_of(filters) if filters else None
        except (TypeError, ValueError):
            raise self._error("filters", "an object of strings and lists of strings") from None

    def _sync(self, completed: str) -> Sync | None:
        raw = self._object("scan")
        started_at = self._timestamp(raw, "started_at")
        since = self._timestamp(raw, "updated_after")
        if started_at is None:
            return None
        cursor = raw.get("cursor")
        if not isinstance(cursor, str) or not cursor:
            raise self._error("cursor", "a string")
        id_ = self._identifier(raw, "id")
        if not id_:
            raise self._error("id", "the id of a sync")
        return Sync(
            id=id_,
            since=format_timestamp(since) if since else None,
            batch_size=self._count(raw, "batch_size", 1, self._spec.page_cap),
            started_at=format_timestamp(started_at),
            cursor=cursor,
            rows=self._count(raw, "rows"),
            pages=self._count(raw, "pages", 1),
            restarts=self._count(raw, "restarts"),
            parent_id=completed,
            is_full=since is None,
        )

    def _object(self, name: str) -> dict[str, Any]:
        value = self._raw.get(name) or {}
        if not isinstance(value, dict):
            raise self._error(name, "an object")
        return value

    def _timestamp(self, raw: Mapping[str, Any], name: str) -> datetime | None:
        value = raw.get(name)
        if value is None:
            return None
        try:
            return parse_timestamp(value)
        except (TypeError, ValueError):
            raise self._error(name, "an ISO 8601 timestamp") from None

    def _identifier(self, raw: Mapping[str, Any], name: str) -> str:
        value = raw.get(name)
        if value in (None, ""):
            return ""
        if not isinstance(value, str) or not _ID.fullmatch(value):
            raise self._error(name, "the id of a sync, in lowercase letters and digits")
        return value

    def _count(
        self, raw: Mapping[str, Any], name: str, minimum: int = 0, maximum: float = math.inf
    ) -> int:
        value = raw.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            limit = f"{minimum} or more" if maximum == math.inf else f"from {minimum} to {maximum}"
            raise self._error(name, f"a whole number, {limit}")
        return value

    def _error(self, name: str, allowed: str) -> StateError:
        return StateError(
            f"The state is not from this tap: '{name}' of bookmarks.{self._spec.name} must be "
            f"{allowed}. Pass the state that the last run wrote, or none."
        )
