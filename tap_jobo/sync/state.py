"""The state of a feed: a place in its archive, and the position to go on from without it.

    {"replication_key": "updated_at", "replication_key_value": "2026-01-31T08:00:00.000000Z",
     "completed_sync": "5f0c…", "archive": "9f3a…-21bc…", "offset": 42, "entry": "77d1…",
     "bill_offset": null, "filters": {"industries": null, …}, "start_date": null, "gap": false,
     "sync": {"id": null, "kind": null, "first": null, "started_at": null, "updated_after": null,
              "start_date": null, "batch_size": null, "cursor": null, "rows": null, "pages": null,
              "restarts": null, "gap": null, "filters": {"industries": null, …},
              "reads": {"industries": null, …}}}

`entry` is the id of the entry at `offset`. `bill_offset` is the last entry whose row in
`billed_pages` was written, null if that stream was never selected.

Meltano merges states key by key: it never removes a key, and it fails if a key is an object in one
state and null in the other. So every key is always written, and only leaves change. A sync is in
progress if its `started_at` is set; only then do the other keys of `sync` count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import StateError
from tap_jobo.messages import message
from tap_jobo.model import Count, Filters, Id, Kind, Position, Progress, Sync
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.settings import SyncSettings

_WRONG_TYPE: Final = re.compile(r"Expected `(.*?)`, got `(.*?)` - at `\$(.*)`")
STATE_KEYS: Final = (
    "replication_key",
    "replication_key_value",
    "completed_sync",
    "archive",
    "offset",
    "entry",
    "bill_offset",
    "filters",
    "start_date",
    "gap",
    "sync",
)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class State:
    """What the state records about a feed.

    Attributes:
        archive: The id of the archive, None if there was none.
        offset: The number of the last entry that is loaded, 0 if there was no archive.
        entry: The id of that entry.
        position: How far the feed is read. Only a state without its archive goes on from it.
        bill_offset: The last entry whose bill is loaded, None if no bill was ever selected.
    """

    archive: str | None
    offset: int
    entry: str | None
    position: Position
    bill_offset: int | None = None

    def as_raw(self, spec: FeedSpec) -> dict[str, Any]:
        """Return the stream's part of the Singer state."""
        position, unset = self.position, dict.fromkeys(each.name for each in spec.filters)
        progress = position.progress
        sync = progress.sync if progress else None
        return {
            "replication_key": spec.replication_key,
            "replication_key_value": position.bookmark,
            "completed_sync": position.last,
            "archive": self.archive,
            "offset": self.offset,
            "entry": self.entry,
            "bill_offset": self.bill_offset,
            "filters": unset | position.filters,
            "start_date": position.start_date,
            "gap": position.gap,
            "sync": {
                "id": sync and sync.id,
                "kind": sync and sync.kind,
                "first": sync and sync.first,
                "started_at": sync and sync.started_at,
                "updated_after": sync and sync.since,
                "start_date": sync and sync.start_date,
                "batch_size": sync and sync.batch_size,
                "cursor": progress and progress.cursor,
                "rows": progress and progress.rows,
                "pages": progress and progress.pages,
                "restarts": sync and sync.restarts,
                "gap": sync and sync.gap,
                "filters": unset | (sync.filters if sync else {}),
                "reads": unset | (sync.reads if sync else {}),
            },
        }


class _SyncInState(msgspec.Struct):
    id: Id
    kind: Kind
    started_at: str
    batch_size: Annotated[int, Meta(ge=1)]
    cursor: Annotated[str, Meta(min_length=1)]
    rows: Count
    pages: Annotated[int, Meta(ge=1)]
    restarts: Count
    gap: bool
    filters: dict[str, Any]
    reads: dict[str, Any]
    first: Annotated[int, Meta(ge=1)] | None = None
    updated_after: str | None = None
    start_date: str | None = None


class _State(msgspec.Struct):
    # A state that any SDK tap or a person wrote has the first of these alone.
    replication_key_value: str | None = None
    completed_sync: Id | None = None
    archive: Id | None = None
    offset: Count = 0
    entry: Id | None = None
    bill_offset: Count | None = None
    filters: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    start_date: str | msgspec.UnsetType | None = msgspec.UNSET
    gap: bool = False
    sync: dict[str, Any] = msgspec.field(default_factory=dict)


def read_state(raw: Mapping[str, Any], settings: SyncSettings) -> State | None:
    """Read the stream's part of a Singer state, None if it says nothing.

    A state that was written by hand, or by another tap, need not have filters or a start date: then
    those of the settings apply.

    Raises:
        ValueError: This tap did not write it. The text has no period.
        StateError: It has a filter that only another version knows.
    """
    where = f"bookmarks.{settings.spec.name}"
    state = _convert(raw, _State, where)
    position = Position(
        bookmark=_timestamp(state.replication_key_value, f"{where}.replication_key_value"),
        filters=_filters(state.filters, settings.spec, settings.filters),
        start_date=settings.start_date
        if state.start_date is msgspec.UNSET
        else _timestamp(state.start_date, f"{where}.start_date"),
        last=state.completed_sync,
        gap=state.gap,
        progress=_read_progress(state.sync, settings.spec),
    )
    if not position.has_begun and state.archive is None:
        return None
    return State(state.archive, state.offset, state.entry, position, state.bill_offset)


def _convert(raw: Any, to: type[_T], where: str) -> _T:
    try:
        return msgspec.convert(raw, to)
    except msgspec.ValidationError as error:
        why = _WRONG_TYPE.sub(r"`$\3` must be of type \1, not \2", f"{error}")
        raise ValueError(why.replace("`$", f"`{where}")) from error


def _timestamp(text: str | None, where: str) -> str | None:
    try:
        return None if text is None else format_timestamp(parse_timestamp(text))
    except ValueError:
        raise ValueError(f"`{where}` is not an ISO 8601 timestamp") from None


def _filters(
    filters: dict[str, Any] | msgspec.UnsetType, spec: FeedSpec, default: Filters | None = None
) -> Filters:
    """Return filters without those that are not set."""
    if not isinstance(filters, dict):
        return dict(default or {})
    known = {setting.name for setting in spec.filters}
    if unknown := sorted(name for name in filters.keys() - known if filters[name] is not None):
        fact = (
            f"The state of {spec.name} has the filter {unknown[0]}, which this version lacks. Use "
            "the version that wrote it. Nothing was billed."
        )
        raise StateError(message("invalid-state", fact))
    try:
        normalized = spec.filters_of(filters)
    except (TypeError, ValueError):
        where = f"bookmarks.{spec.name}.filters"
        raise ValueError(f"`{where}` must hold strings and lists of strings") from None
    return {name: value for name, value in normalized.items() if value is not None}


def _read_progress(raw: dict[str, Any], spec: FeedSpec) -> Progress | None:
    if raw.get("started_at") is None:
        return None
    where = f"bookmarks.{spec.name}.sync"
    read = _convert(raw, _SyncInState, where)
    sync = Sync(
        id=read.id,
        kind=read.kind,
        since=_timestamp(read.updated_after, f"{where}.updated_after"),
        reads=_filters(read.reads, spec),
        filters=_filters(read.filters, spec),
        start_date=_timestamp(read.start_date, f"{where}.start_date"),
        batch_size=min(read.batch_size, spec.page_cap),
        started_at=_timestamp(read.started_at, f"{where}.started_at") or "",
        first=read.first,
        restarts=read.restarts,
        gap=read.gap,
    )
    return Progress(sync=sync, cursor=read.cursor, pages=read.pages, rows=read.rows)
