"""Checks of the state that a run is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jobo.errors import StateError
from tap_jobo.sync.state import STATE_KEYS, read_state

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_jobo.streams.feed_spec import FeedSpec


def check_state(state: dict[str, Any], feeds: Iterable[FeedSpec]) -> dict[str, Any]:
    """Check a state, and return it with only this tap's members for each feed.

    Raises:
        StateError: It is not a state of this tap.
    """
    bookmarks = state.get("bookmarks", None if state else {})
    if not isinstance(bookmarks, dict) or not all(
        isinstance(bookmark, dict) for bookmark in bookmarks.values()
    ):
        raise StateError(
            "The state is not a Singer state: 'bookmarks' must be an object with an object "
            "for each stream. Pass the state that the last run wrote, or none."
        )
    known = {spec.name: _known_part(bookmarks[spec.name], spec) for spec in feeds
             if bookmarks.get(spec.name)}  # fmt: skip
    return {"bookmarks": {**bookmarks, **known}}


def _known_part(part: dict[str, Any], spec: FeedSpec) -> dict[str, Any]:
    """Return the part of a feed, without members that only the SDK would read."""
    known: dict[str, Any] = {name: part[name] for name in STATE_KEYS if name in part}
    if not known and "progress_markers" not in part and "starting_replication_value" not in part:
        raise StateError(
            f"The state is not from this tap: bookmarks.{spec.name} has none of "
            f"{', '.join(STATE_KEYS)}. Pass the state that the last run wrote, or none."
        )
    read_state(known, spec)
    return known
