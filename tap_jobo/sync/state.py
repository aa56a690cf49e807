"""The state of a feed: the bookmark, the filters that it applies to, and the sync in progress.

    {"replication_key": "updated_at", "replication_key_value": "2026-01-31T08:00:00.000000Z",
     "completed_sync": "5f0c…", "filters": {"industries": null, …}, "start_date": null,
     "sync": {"id": null, "started_at": null, "updated_after": null, "batch_size": null,
              "cursor": null, "rows": null, "pages": null, "restarts": null,
              "filters": {"industries": null, …}}}

Meltano merges states key by key: it never removes a key, and it fails if a key is an object in one
state and null in the other. So `filters` and `sync` are always objects with all their keys, and
only their leaves change. A sync is in progress if `started_at` is set; only then do the others
count. The filters of `sync` are set while it reads only the rows that new filters add: until that
is complete, `filters` and bookmark are the old ones.
Rows updated before `start_date` were not read; null if all were.
`completed_sync` is written if and only if `replication_key_value` is, so that a merged state keeps
the pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import StateError
from tap_jobo.model import Filters, Sync
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.start_date import StartDate

STATE_KEYS: Final = (
    "replication_key",
    "replication_key_value",
    "completed_sync",
    "filters",
    "start_date",
    "sync",
)
_T = TypeVar("_T")
_SyncId = Annotated[str, Meta(pattern=r"^[0-9a-z-]*\Z", max_length=64)]
_Count = Annotated[int, Meta(ge=0)]


class _SyncInState(msgspec.Struct):
    id: Annotated[_SyncId, Meta(min_length=1)]
    started_at: str
    batch_size: Annotated[int, Meta(ge=1)]
    cursor: Annotated[str, Meta(min_length=1)]
    rows: _Count
    pages: Annotated[int, Meta(ge=1)]
    restarts: _Count
    updated_after: str | None = None
    filters: dict[str, Any] | None = None


class _State(msgspec.Struct):
    replication_key_value: str | None = None
    completed_sync: _SyncId | None = None
    filters: dict[str, Any] | None = None
    start_date: str | UnsetType | None = UNSET
    sync: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class StreamState:
    """What the state records about a feed.

    Attributes:
        bookmark: The start of the last complete sync, None before the first one.
        completed: The id of that sync, empty before the first one.
        filters: The filters that the state was written with, None if it has none.
        covered_from: Rows updated before it were not read; None if a state does not say, because
            it was written by hand.
        pending: The sync in progress, if there is one.
        dropped: The sync in progress of a state that is not wanted any more.
    """

    bookmark: datetime | None = None
    completed: str = ""
    filters: Filters | None = None
    covered_from: StartDate | None = None
    pending: Sync | None = None
    dropped: Sync | None = None

    @property
    def has_begun(self) -> bool:
        """Whether any row has been delivered according to the state."""
        return self.bookmark is not None or self.pending is not None

    def rewound(self) -> StreamState:
        """Return the state with a bookmark no later than the start of a full sync in progress.

        A full refresh may resume the sync of an earlier one, and overwrite what runs in between
        have read. Meltano then merges its state into theirs, so that their bookmark stays. Rows
        must be read again from where that sync began.
        """
        start = self.pending.start if self.pending and self.pending.is_full else None
        if start and self.bookmark:
            return replace(self, bookmark=min(self.bookmark, start))
        return self

    def checkpoint(self, sync: Sync, filters: Filters) -> StreamState:
        """Return the state in which everything before `sync.cursor` is delivered."""
        return replace(self, pending=sync, filters=self.filters if sync.added else filters)

    def complete(self, sync: Sync, filters: Filters) -> StreamState:
        """Return the state after a complete sync: its start is the bookmark, if that is later.

        After the rows that new filters add, the bookmark stays: of other rows, it has read nothing.
        """
        if sync.added:
            since = StartDate.parse(sync.since)
            covered = since.later_of(self.covered_from or since)
            return StreamState(self.bookmark, sync.id, filters, covered)
        started_at = parse_timestamp(sync.started_at or "")
        bookmark = max(self.bookmark, started_at) if self.bookmark else started_at
        return StreamState(bookmark, sync.id, filters, self.covered_from)

    def as_raw(self, replication_key: str) -> dict[str, Any]:
        """Return the stream's part of the Singer state."""
        raw: dict[str, Any] = {"replication_key": replication_key}
        if self.bookmark:
            raw["replication_key_value"] = format_timestamp(self.bookmark)
            raw["completed_sync"] = self.completed
        raw["filters"] = dict(self.filters or {})
        raw["start_date"] = self.covered_from.text if self.covered_from else None
        names = {name: name for name in _SyncInState.__struct_fields__} | {
            "updated_after": "since",
            "filters": "added",
        }
        raw["sync"] = {key: getattr(self.pending, name, None) for key, name in names.items()}
        raw["sync"]["filters"] = raw["sync"]["filters"] or dict.fromkeys(self.filters or {})
        return raw


def read_state(raw: Mapping[str, Any], spec: FeedSpec) -> StreamState:
    """Read the stream's part of a Singer state."""
    where = f"bookmarks.{spec.name}"
    try:
        state = _convert(raw, _State, where)
        bookmark = _timestamp(state.replication_key_value, f"{where}.replication_key_value")
        completed = (state.completed_sync or "") if bookmark else ""
        covered = None
        if state.start_date is not UNSET:
            covered = StartDate(_timestamp(state.start_date, f"{where}.start_date"))
        return StreamState(
            bookmark=bookmark,
            completed=completed,
            filters=_read_filters(state.filters or {}, spec),
            covered_from=covered,
            pending=_read_sync(state.sync or {}, completed, spec),
        )
    except ValueError as error:
        raise StateError(
            f"The state is not from this tap: {error}. Pass the state that the last run wrote, or "
            "none. [invalid-state]"
        ) from None


def _convert(raw: Any, to: type[_T], where: str) -> _T:
    try:
        return msgspec.convert(raw, to)
    except msgspec.ValidationError as error:
        raise ValueError(f"{error}".replace("`$", f"`{where}")) from error


def _timestamp(text: str | None, where: str) -> datetime | None:
    try:
        return None if text is None else parse_timestamp(text)
    except ValueError:
        raise ValueError(f"`{where}` is not an ISO 8601 timestamp") from None


def _read_filters(filters: dict[str, Any], spec: FeedSpec) -> Filters | None:
    known = {setting.name for setting in spec.filters}
    if unknown := sorted(name for name in filters.keys() - known if filters[name] is not None):
        raise StateError(
            f"The state of {spec.name} was written with the filter {unknown[0]}, which this "
            "version of tap-jobo does not have, so rows could be missing. Nothing was billed. Use "
            "the version that wrote the state, or start without a state: each row is then billed. "
            "[invalid-state]"
        )
    try:
        return spec.filters_of(filters) if filters else None
    except (TypeError, ValueError):
        where = f"bookmarks.{spec.name}.filters"
        raise ValueError(f"`{where}` must hold strings and lists of strings") from None


def _read_sync(raw: dict[str, Any], completed: str, spec: FeedSpec) -> Sync | None:
    if raw.get("started_at") is None:
        return None
    where = f"bookmarks.{spec.name}.sync"
    read = _convert(raw, _SyncInState, where)
    added = _read_filters(read.filters or {}, spec)
    if added and all(value is None for value in added.values()):
        added = None
    since = _timestamp(read.updated_after, f"{where}.updated_after")
    started_at = _timestamp(read.started_at, f"{where}.started_at")
    return Sync(
        id=read.id,
        since=format_timestamp(since) if since else None,
        batch_size=min(read.batch_size, spec.page_cap),
        started_at=format_timestamp(started_at) if started_at else None,
        cursor=read.cursor,
        rows=read.rows,
        pages=read.pages,
        restarts=read.restarts,
        parent_id=completed,
        added=added,
    )
