"""The state of a feed: a place in an archive, and what the warehouse has read.

    {"replication_key": "updated_at", "replication_key_value": "2026-01-31T08:00:00.000000Z",
     "owner": "connect.jobo.world-live-1a2b3c4d", "offset": 42, "entry": "77d1…",
     "time": "2026-01-31T08:00:02.000000Z", "gap": null,
     "position": {"reads": […], "progress": […], "is_begun": true, "order": "",
                  "filter_sets": [{"industries": […]}]}}

`entry` is the id of the entry at `offset`, and `time` is when its page was received. `gap` is what
the user was told of last. The position names each set of filters by its place in `filter_sets`.
`replication_key_value` is for people: it decides nothing.

Meltano merges states key by key: it never removes a key, and it fails if a key is an object in one
state and null in the other. So every key is always written, and only leaves and lists change.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from tap_jobo.model import Position, State
from tap_jobo.sharing import expand_filters, share_filters
from tap_jobo.streams.feed_spec import FeedSpec

_OWN_KEYS: Final = ("owner", "offset", "entry", "time", "position", "gap")


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
    return isinstance(position, dict) and bool(position.get("is_begun"))


def read_state(raw: Mapping[str, Any], spec: FeedSpec) -> State | None:
    """Read the stream's part of a Singer state, None if it says nothing.

    What an earlier version has left beside a position is ignored, since Meltano removes no key.

    Raises:
        ValueError: This version of the tap did not write it. The text has no period.
    """
    position = raw.get("position")
    if position is None:  # of the SDK, which may have added other keys
        return None
    if not isinstance(position, dict):
        raise ValueError(f"{spec.name}: `position` must be an object")  # noqa: TRY004 - of a file
    try:
        own = {name: raw[name] for name in _OWN_KEYS if name in raw}
        read = msgspec.convert({**own, "position": {}}, State)
        read = replace(read, position=expand_filters(position, Position))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{spec.name}: {error}") from error
    return read if read.position.is_begun else None
