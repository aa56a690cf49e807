"""Checks of what a run is given: the catalog and the state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jobo.errors import ConfigError, StateError
from tap_jobo.sync.state import STATE_KEYS, read_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tap_jobo.singer.stream import JoboStream
    from tap_jobo.streams.feed_spec import FeedSpec


def check_catalog(catalog: dict[str, Any]) -> None:
    """Check that a catalog has the shape that the SDK assumes.

    Raises:
        ConfigError: It does not.
    """
    streams = catalog.get("streams")
    if not isinstance(streams, list) or not all(map(_is_catalog_entry, streams)):
        raise ConfigError(
            "The catalog is not a Singer catalog: 'streams' must be a list of objects with "
            "'tap_stream_id', 'schema' and 'metadata'. Make one with --discover and change only "
            "the selection and the replication method in it."
        )


def _is_catalog_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("tap_stream_id"), str)
        and entry.get("stream", entry["tap_stream_id"]) == entry["tap_stream_id"]
        and isinstance(entry.get("schema"), dict)
        and isinstance(entry["schema"].get("properties", {}), dict)
        and isinstance(entry.get("metadata", []), list)
        and all(
            isinstance(item, dict) and "breadcrumb" in item for item in entry.get("metadata", [])
        )
    )


def check_selection(streams: Iterable[JoboStream]) -> Iterator[str]:
    """Yield a warning for each selection that is legal, and hardly what the user wants."""
    selected = [stream for stream in streams if stream.selected]
    if not selected:
        yield (
            "The catalog selects no stream, so nothing is read. Select one, such as career_sites "
            "(with Meltano: `meltano select tap-jobo career_sites '*'`)."
        )
    for stream in selected:
        keys = {"id", stream.replication_key}
        if keys >= {*stream.emitted_fields} != {*stream.schema["properties"]}:
            yield (
                f"Only the keys of {stream.name} are selected ({', '.join(stream.emitted_fields)})"
                ": its rows arrive without any other field, and cost as much as with them."
            )


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
