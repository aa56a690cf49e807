"""Reads the files of `--config`, `--catalog`, and `--state`, and refuses what is wrong in them.

An error shows nothing of a file. A field that a misspelled name was to remove would be loaded, and
a misspelled stream billed or not read. So names in the catalog and in stream maps that do not exist
are errors before the first request.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatch
from typing import Any, Final

import click
from singer_sdk import mapper
from singer_sdk.singerlib import Catalog
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL

from tap_jobo.errors import ConfigError, StateError
from tap_jobo.messages import Known, message
from tap_jobo.redaction import without_key
from tap_jobo.settings.reading import read_object
from tap_jobo.streams import FEEDS
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.state import read_state

_OPTIONS: Final = [value for name, value in vars(mapper).items() if name.startswith("MAPPER_")]


def read_input_file(
    _ctx: click.Context, param: click.Parameter, path: str | None
) -> dict[str, Any] | None:
    """Return what is in the file of an option; a state may be as `meltano state get` prints it."""
    if path is None:
        return None
    found = read_object(path, f"--{param.name}")
    wrapped = found.get("singer_state")
    if param.name == "state" and len(found) == 1 and isinstance(wrapped, dict):
        found = wrapped
    return found


def check_names(
    fields: Mapping[str, Collection[str]], catalog: Catalog | None, maps: Mapping[str, Any]
) -> None:
    """Check that the streams and fields exist that a catalog and stream maps name."""
    facts = _unknown_in_catalog(catalog, fields)
    lines = [message("invalid-catalog", fact) for fact in facts]
    lines += [message("invalid-setting", fact) for fact in _unknown_in_maps(maps, fields)]
    if lines:
        raise ConfigError(*lines)


def _unknown_in_catalog(
    catalog: Catalog | None, fields: Mapping[str, Collection[str]]
) -> Iterator[str]:
    for stream, entry in (catalog or Catalog()).items():
        if stream not in fields:
            yield f"Invalid catalog: {_no_stream(stream, fields)}"
            continue
        named = {path[1] for path in entry.metadata if path} | {*(entry.schema.properties or ())}
        for field in sorted(named - {*fields[stream]}):
            yield f"Invalid catalog: in {stream}, field {field!a} does not exist."


def _unknown_in_maps(
    maps: Mapping[str, Any], fields: Mapping[str, Collection[str]]
) -> Iterator[str]:
    for key, definition in maps.items():
        members = definition if isinstance(definition, dict) else {}
        source = members.get(mapper.MAPPER_SOURCE_OPTION, key)
        known = {field for name in fields if fnmatch(name, source) for field in fields[name]}
        where = f"Setting 'stream_maps': in {key}, "
        if not known and key != mapper.MAPPER_ELSE_OPTION:
            yield f"Setting 'stream_maps': {_no_stream(source, fields)}"
            continue
        for name in sorted(members.keys() - known - {*_OPTIONS}):
            if name.startswith("__"):
                yield f"{where}option {name!a} does not exist."
            elif members[name] in (None, mapper.NULL_STRING):
                yield f"{where}field {name!a} does not exist."


def _no_stream(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name.lower(), known, 1)
    return f"stream {name!a} does not exist{f': did you mean {near[0]}?' if near else '.'}"


def read_catalog(catalog: dict[str, Any]) -> Catalog:
    """Parse a catalog, with the metadata `replication-method`, which the SDK ignores."""
    try:
        parsed = Catalog.from_dict(catalog)
        selected = {item.selected for entry in parsed.streams for item in entry.metadata.values()}
        for stream in catalog["streams"]:
            entry = parsed[stream["tap_stream_id"]]
            "".join([entry.tap_stream_id, *(path[1] for path in entry.metadata if path)])  # texts
            for item in stream.get("metadata", ()):
                method = item["metadata"].get("replication-method")
                if method and not item["breadcrumb"]:
                    entry.replication_method = method
        methods = {entry.replication_method for entry in parsed.streams}
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        fact = "Invalid catalog: 'streams' must be a list of entries as --discover writes them."
        raise ConfigError(message("invalid-catalog", fact)) from error
    wrong: list[tuple[str, object]] = [
        ("selected", each) for each in selected - {None, True, False}
    ]
    known = {None, REPLICATION_INCREMENTAL, REPLICATION_FULL_TABLE}
    wrong += [("replication-method", each) for each in methods - known]
    for name, value in wrong[:1]:
        fact = f"Invalid catalog: {value!a} is no value of '{name}'."
        raise ConfigError(message("invalid-catalog", fact))
    return parsed


def check_environment(state: Mapping[str, Any], environment: str | None) -> None:
    """Check that a state is one of this Meltano environment, if both say which one they have.

    Meltano passes the state in one file for all environments of a project's folder. If two runs
    start at once, one can get the state of the other, and would miss the rows that lie between.
    """
    own = state.get("environment")
    if own and environment and own != environment:
        fact = (
            f"The state belongs to the environment {without_key(str(own))[:50]}, but this run is "
            f"in {environment}. Nothing was billed."
        )
        raise StateError(message("other-environment", fact))


def _unusable(why: str, known: Known, price: str | None = None) -> StateError:
    """Return the error for a state that this tap did not write, or not so."""
    fact = f"Invalid state: {why}. Nothing was billed."
    return StateError(message("invalid-state", fact, price=price, **known))


def _find_wrong(bookmark: Mapping[str, Any], spec: FeedSpec, config: Mapping[str, Any]) -> str:
    """Return why the part of a feed in a state can't be used, empty if it can."""
    if bookmark and not (bookmark.get("position") or "replication_key_value" in bookmark):
        return f"`bookmarks.{spec.name}` lacks `position`"
    try:
        read_state(bookmark, spec, config)
    except ValueError as error:
        return str(error)
    return ""


def check_state(
    state: Mapping[str, Any],
    config: Mapping[str, Any],
    known: Known,
    describe_price: Callable[[FeedSpec], str],
) -> None:
    """Check a state. Other streams in it are ignored: Meltano never removes one."""
    bookmarks: Any = state.get("bookmarks")
    is_valid = isinstance(bookmarks, dict)
    if not (is_valid and all(isinstance(each, dict) for each in bookmarks.values())):
        raise _unusable("'bookmarks' must be an object with an object for each stream", known)
    for spec in FEEDS:
        if why := _find_wrong(bookmarks.get(spec.name, {}), spec, config):
            priced = [each for each in FEEDS if each.name in bookmarks and not each.is_free]
            # Only now: the archive shows what rows cost, and has to be read for that.
            prices = [f"{describe_price(each)} of {each.name}" for each in priced]
            raise _unusable(why, known, ", ".join(prices))
