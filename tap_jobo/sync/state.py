"""The state of a feed: a place in an archive, and what the warehouse has read.

    {"replication_key": "updated_at", "replication_key_value": "2026-01-31T08:00:00.000000Z",
     "owner": "connect.jobo.world-live-1a2b3c4d", "offset": 42, "entry": "77d1…",
     "time": "2026-01-31T08:00:02.000000Z", "gap": null,
     "position": {"reads": […], "progress": […], "is_begun": true, "order": "",
                  "filter_sets": [{"industries": […]}]}}

`entry` is the id of the entry at `offset`, and `time` is when its page was received. `gap` is what
the user was told of last. The position names each set of filters by its place in `filter_sets`.
Beside a position, `replication_key_value` is for people: it decides nothing. Without one, it is the
bookmark of another tap, which is taken at its word.

Meltano merges states key by key: it never removes a key, and it fails if a key is an object in one
state and null in the other. So every key is always written, and only leaves and lists change.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.model import Position, Read, State
from tap_jobo.sharing import expand_filters, share_filters
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.wanted import Wanted

_OWN_KEYS: Final = ("owner", "offset", "entry", "time", "position", "gap", "warehouse")
_OTHER_KEYS: Final = {
    "replication_key",
    "replication_key_value",
    "replication_key_signpost",
    "starting_replication_value",
    "progress_markers",
}
"""Those of a bookmark of another tap that the SDK has written."""


def as_raw(state: State, spec: FeedSpec, bookmark: str | None) -> dict[str, Any]:
    """Return the stream's part of the Singer state.

    The bookmark is until when everything that the settings ask for was read, None if it was not.
    """
    return {
        "replication_key": spec.replication_key,
        "replication_key_value": bookmark,
        **msgspec.to_builtins(replace(state, position=Position())),
        "position": share_filters(state.position),
    }


def is_begun(raw: Mapping[str, Any]) -> bool:
    """Return whether the stream's part of a state says that anything was read."""
    position = raw.get("position")
    if position is None:
        return bool(raw.get("replication_key_value"))
    return isinstance(position, dict) and bool(position.get("is_begun"))


def edited_bookmark(raw: Mapping[str, Any], state: State) -> str | None:
    """Return the bookmark beside a position if it is of none of its reads: somebody has edited it.

    It decides nothing, because the position has what was read.
    """
    value = raw.get("replication_key_value")
    read = [read.until for read in state.position.reads]
    return None if state.is_adopted or value is None or value in read else str(value)


def read_state(raw: Mapping[str, Any], spec: FeedSpec, config: Mapping[str, Any]) -> State | None:
    """Read the stream's part of a Singer state, None if it says nothing.

    What an earlier version has left beside a position is ignored, since Meltano removes no key.

    Raises:
        ValueError: This version of the tap did not write it, nor did another tap. The text has no
            period.
    """
    position = raw.get("position")
    if position is None:  # of another tap, or of the SDK, which may have added other keys
        return _adopted(raw, spec, config) if "replication_key_value" in raw else None
    if not isinstance(position, dict):
        raise ValueError(f"{spec.name}: `position` must be an object")  # noqa: TRY004 - of a file
    try:
        own = {name: raw[name] for name in _OWN_KEYS if name in raw}
        read = msgspec.convert({**own, "position": {}}, State)
        read = replace(read, position=expand_filters(position, Position))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{spec.name}: {error}") from error
    return read if read.position.is_begun else None


def _adopted(raw: Mapping[str, Any], spec: FeedSpec, config: Mapping[str, Any]) -> State:
    """Return the state of a warehouse that another tap has filled up to a bookmark.

    It has read all that the settings ask for, and what it has is newer than the pages of an archive
    that were received before.
    """
    if spec.is_free or raw.keys() - _OTHER_KEYS:
        raise ValueError(f"`bookmarks.{spec.name}` lacks `position`")
    if raw.get("replication_key") != spec.replication_key:
        raise ValueError(f"{spec.name}: `replication_key` must be {spec.replication_key}")
    try:
        until = format_timestamp(parse_timestamp(raw["replication_key_value"]))
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{spec.name}: `replication_key_value` must be a time") from error
    wanted = Wanted.of(spec, config, "")
    read = Read(filters=wanted.filters, start=wanted.start, until=until)
    position = Position(reads=(read,), is_begun=True)
    return State(owner="", offset=0, entry=None, time=until, position=position)
