"""Checks of the catalog that a run is given, and of what it selects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL

from tap_jobo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tap_jobo.singer.stream import JoboStream

_METHODS: Final = (REPLICATION_INCREMENTAL, REPLICATION_FULL_TABLE)
_ALLOWED: Final[Mapping[str, tuple[object, ...]]] = {
    "selected": (True, False),  # the SDK would take the text "false" for true, and bill the stream
    "replication_method": _METHODS,
    "replication-method": _METHODS,
    "forced-replication-method": _METHODS,
}


def check_catalog(catalog: dict[str, Any]) -> None:
    """Check that a catalog has the shape that the SDK assumes, and values that it knows.

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
    for entry in streams:
        _check_values(entry)


def _is_catalog_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("tap_stream_id"), str)
        and entry.get("stream", entry["tap_stream_id"]) == entry["tap_stream_id"]
        and isinstance(entry.get("schema"), dict)
        and _holds_objects(entry["schema"].get("properties", {}))
        and isinstance(entry.get("metadata", []), list)
        and all(map(_is_metadata, entry.get("metadata", [])))
        and _is_list_of_text(entry.get("key_properties") or [])
    )


def _holds_objects(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, dict) for each in value.values())


def _is_list_of_text(value: object) -> bool:
    # Within the process, the SDK makes catalogs with tuples.
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


def _is_metadata(item: object) -> bool:
    return (
        isinstance(item, dict)
        and _is_list_of_text(item.get("breadcrumb"))
        and isinstance(item.get("metadata", {}), dict)
    )


def _check_values(entry: dict[str, Any]) -> None:
    """Check what an entry says, where the SDK would silently take something else for it.

    Raises:
        ConfigError: A value is not one that Singer allows.
    """
    for part in (entry, *(item.get("metadata", {}) for item in entry.get("metadata", []))):
        for member, allowed in _ALLOWED.items():
            value = part.get(member)
            if value not in (None, "", *allowed):
                raise ConfigError(
                    f"The catalog is invalid: '{member}' of {entry['tap_stream_id']} must be "
                    f"{' or '.join(map(json.dumps, allowed))}, not {json.dumps(value)}."
                )


def check_selection(streams: Iterable[JoboStream]) -> Iterator[str]:
    """Yield a warning for each selection that is legal, and hardly what the user wants."""
    streams = [*streams]
    selected = [stream for stream in streams if stream.selected]
    if not selected:
        usual = next(stream.name for stream in streams if stream.selected_by_default)
        yield (
            f"The catalog selects no stream, so nothing is read. Select one, such as {usual} "
            f"(with Meltano: `meltano select tap-jobo {usual} '*'`)."
        )
    for stream in selected:
        keys, fields = {"id", stream.replication_key}, {*stream.emitted_fields}
        if "id" in fields <= keys and fields != {*stream.schema["properties"]}:
            yield (
                f"Only the keys of {stream.name} are selected ({', '.join(stream.emitted_fields)})"
                ": its rows arrive without any other field, and cost as much as with them."
            )
