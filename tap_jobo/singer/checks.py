"""Checks of a run's input files: `--config`, `--state`, `--catalog`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tap_jobo.errors import ConfigError, StateError, TapJoboError
from tap_jobo.sync.state import STATE_KEYS, read_state

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import IO

    from tap_jobo.streams.feed_spec import FeedSpec


def read_object(path: str, option: str, error_class: type[TapJoboError]) -> IO[str]:
    """Return the text of a file that holds a JSON object.

    Raises:
        TapJoboError: It cannot be read, or holds something else.
    """
    try:
        text = Path(path).read_text("utf-8")
        is_object = isinstance(json.loads(text, parse_constant=_refuse), dict)
    except (OSError, ValueError, RecursionError):
        is_object = False
    if not is_object:
        # The user may have passed the settings themselves, or the key, by mistake.
        shown = "" if "{" in path or "jbe_" in path else f", and {path} is not"
        raise error_class(
            f"Option {option} must be the path of a file that holds a JSON object{shown}."
        )
    return io.StringIO(text)


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and infinities, which Python's JSON reads and the SDK's does not."""
    raise ValueError(constant)


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
