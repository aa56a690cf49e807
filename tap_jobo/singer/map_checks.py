"""Checks of names in stream maps: a misspelled one must not turn off a hash or a filter."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any, Final

from singer_sdk.mapper import (
    MAPPER_ALIAS_OPTION,
    MAPPER_ELSE_OPTION,
    MAPPER_FILTER_OPTION,
    MAPPER_KEY_PROPERTIES_OPTION,
    MAPPER_SOURCE_OPTION,
    NULL_STRING,
    CustomStreamMap,
)

from tap_jobo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from singer_sdk.mapper import PluginMapper

    from tap_jobo.singer.stream import JoboStream

_OPTIONS: Final = (
    MAPPER_ALIAS_OPTION,
    MAPPER_ELSE_OPTION,
    MAPPER_FILTER_OPTION,
    MAPPER_KEY_PROPERTIES_OPTION,
    MAPPER_SOURCE_OPTION,
)
_RECORD: Final = frozenset({"_", "record"})
"""What expressions call the whole record."""
_NAMES: Final = _RECORD | {"config", "__stream_name__", "__original_stream_name__"}
_MISSPELLED: Final = 0.75
"""Similarity from which the name of a new column counts as a misspelled field."""


@dataclass(frozen=True)
class _Mapped:
    """What maps can refer to in a stream.

    Attributes:
        fields: All its fields, those that flattening makes included.
        readable: The fields that expressions can read: those that the catalog selects.
        is_selected: Whether it is read in this run.
    """

    fields: Collection[str]
    readable: Collection[str]
    is_selected: bool


def check_names(
    maps: Mapping[str, Any], streams: Iterable[JoboStream], mapper: PluginMapper
) -> Iterator[str]:
    """Yield a warning for each name that has no effect, such as a misspelled stream or field.

    Args:
        maps: The setting `stream_maps`.
        streams: All streams.
        mapper: The SDK's mapper, set up with these maps.

    Raises:
        ConfigError: An expression cannot work: it would fail at the first row, which is billed.
    """
    mapped = {stream.name: _mapped(stream, mapper) for stream in streams}
    functions = _functions(mapper)
    for key, definition in maps.items():
        if key == MAPPER_ELSE_OPTION:
            continue
        members = definition if isinstance(definition, dict) else {}
        source = members.get(MAPPER_SOURCE_OPTION, key)
        matched = {name: each for name, each in mapped.items() if fnmatch(name, source)}
        if matched:
            yield from _Map(key, members, matched, functions, mapper.map_config).warnings()
        else:
            yield (
                f"Setting 'stream_maps': there is no stream {source!a}, so this map has no effect"
                f"{_did_you_mean(source, mapped)}"
            )


def _mapped(stream: JoboStream, mapper: PluginMapper) -> _Mapped:
    maps = mapper.stream_maps.get(stream.name, [])
    schemas = [stream.schema, *(each.flatten_schema(stream.schema) for each in maps[:1])]
    fields = {name for schema in schemas for name in schema["properties"]}
    return _Mapped(fields, stream.emitted_fields, stream.selected)


def _functions(mapper: PluginMapper) -> set[str]:
    """Return what expressions can refer to besides fields."""
    maps = [each for maps in mapper.stream_maps.values() for each in maps]
    custom = [each for each in maps if isinstance(each, CustomStreamMap)]
    faker = {"fake"} if any(each.fake for each in custom) else set()
    return {name for each in custom for name in each.functions} | faker


class _Map:
    """One map, and the streams that it applies to."""

    def __init__(
        self,
        key: str,
        members: Mapping[str, Any],
        streams: Mapping[str, _Mapped],
        functions: Collection[str],
        config: Collection[str],
    ) -> None:
        self._key = key
        self._config = config
        self._members = members
        self._streams = streams
        self._functions = functions
        self._fields = {field for stream in streams.values() for field in stream.fields}

    def warnings(self) -> Iterator[str]:
        for name, value in self._members.items():
            if name in _OPTIONS:
                if name == MAPPER_FILTER_OPTION and value:
                    self._check_expression(name, value)
            elif name.startswith("__") and name.endswith("__"):
                yield (
                    f"{self._where(name)} is not an option of stream maps, so it becomes a column"
                    f"{_did_you_mean(name, _OPTIONS)}"
                )
            elif value in (None, NULL_STRING):
                yield from self._removal(name)
            else:
                self._check_expression(name, value)
                yield from self._new_column(name)

    def _removal(self, name: str) -> Iterator[str]:
        if name not in self._fields:
            yield (
                f"{self._where(name)} removes nothing, since there is no such field"
                f"{_did_you_mean(name, self._fields)}"
            )

    def _new_column(self, name: str) -> Iterator[str]:
        """Warn about a column that may be meant to replace a field."""
        is_rest_removed = MAPPER_ELSE_OPTION in self._members
        field = None if name in self._fields else _misspelled(name, self._fields)
        if field and field not in self._members and not is_rest_removed:
            yield (
                f"{self._where(name)} is a new column, and the field {field} stays as it is: did "
                f"you mean {field}?"
            )

    def _check_expression(self, name: str, expression: str) -> None:
        """Check that an expression refers only to what there is in each selected stream.

        Raises:
            ConfigError: It does not, or is not one expression.
        """
        statements = ast.parse(expression).body
        if len(statements) != 1 or not isinstance(statements[0], ast.Expr):
            raise ConfigError(
                f"{self._where(name)} must be one expression, and {expression!a} is not: values "
                "are compared with ==."
            )
        for member in sorted(_members(statements[0], {"config"}) - {*self._config}):
            raise ConfigError(
                f"{self._where(name)} refers to config[{member!a}], which the setting "
                f"'stream_map_config' does not have{_did_you_mean(member, self._config)}"
            )
        mentioned = _mentioned(statements[0]) - _NAMES - {*self._functions}
        for stream_name, stream in self._streams.items():
            if stream.is_selected:
                own = {"self"} if name in stream.readable else set()
                for unknown in sorted(mentioned - {*stream.readable} - own):
                    raise ConfigError(self._unknown(name, unknown, stream_name, stream))

    def _unknown(self, name: str, unknown: str, stream_name: str, stream: _Mapped) -> str:
        if unknown in stream.fields:
            return (
                f"{self._where(name)} refers to the field {unknown} of {stream_name}, which the "
                "catalog deselects: select it, and remove it in the map if it must not arrive."
            )
        wanted = name if unknown == "self" else unknown
        known = [*stream.readable, *self._functions]
        return (
            f"{self._where(name)} refers to {unknown!a}, which is neither a field of {stream_name} "
            f"nor a function{_did_you_mean(wanted, known)}"
        )

    def _where(self, name: str) -> str:
        return f"Setting 'stream_maps': {f'{self._key}.{name}'!a}"


def _mentioned(expression: ast.Expr) -> set[str]:
    """Return the fields and functions that an expression refers to."""
    names = [node for node in ast.walk(expression) if isinstance(node, ast.Name)]
    bound = {each.id for each in names if isinstance(each.ctx, ast.Store)}  # in comprehensions
    return {each.id for each in names} - bound | _members(expression, _RECORD)


def _members(expression: ast.Expr, names: Collection[str]) -> set[str]:
    """Return the members of objects with these names that an expression reads: `record['id']`."""
    return {
        node.slice.value
        for node in ast.walk(expression)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id in names
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    }


def _misspelled(name: str, fields: Iterable[str]) -> str | None:
    """Return the field that a name may be a misspelling of: as long, give or take a letter."""
    alike = {
        field: SequenceMatcher(None, name.lower(), field).ratio()
        for field in fields
        if abs(len(field) - len(name)) <= 1
    }
    best = max(alike, key=lambda field: alike[field], default=None)
    return best if best and alike[best] >= _MISSPELLED else None


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name.lower(), list(known), 1)
    return f": did you mean {close[0]}?" if close else "."
