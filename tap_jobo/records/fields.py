"""Field converters, built from JSON schemas: they convert each value and record every problem.

They define how a value is emitted. `row_check` is a faster path to the same result for rows
without problems.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tap_jobo.records.scalars import SCALARS, kind_of
from tap_jobo.records.text import sanitize_json

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from tap_jobo.records.scalars import Parser


@dataclass(frozen=True, slots=True)
class Problem:
    """A value that is not emitted as received.

    Attributes:
        path: Where it is in the row, such as `funding_rounds[0].raised_amount`.
        value: The value as received.
        is_unknown: Whether the schema does not have the field; otherwise its type is wrong.
    """

    path: str
    value: object
    is_unknown: bool = False


FieldConverter = Callable[[Any, list[Problem]], Any]
"""Returns a value as it is emitted, null if its type is wrong, and adds to the problems."""


def field_converter(definition: Mapping[str, Any], path: str) -> FieldConverter:
    """Return the converter of a field.

    Args:
        definition: The field's JSON schema.
        path: The field's path, relative to the row or to the list item.
    """
    kind = kind_of(definition)
    if kind == "array":
        return _list_converter(definition["items"], path)
    if kind == "object" and definition.get("properties"):
        return object_converter(definition["properties"], path)
    return _value_converter(_parse_object if kind == "object" else SCALARS[kind], path)


def object_converter(
    properties: Mapping[str, Any], path: str, emitted: Container[str] | None = None
) -> FieldConverter:
    """Return the converter of an object, or of a whole row.

    Args:
        properties: The JSON schema of each of its fields.
        path: Where the object is; empty for a row.
        emitted: The fields to emit; all of them if None.
    """
    prefix = f"{path}." if path else ""
    known = frozenset(properties)
    converters = {
        name: field_converter(definition, prefix + name)
        for name, definition in properties.items()
        if emitted is None or name in emitted
    }

    def convert(value: Any, problems: list[Problem]) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict):
            return problems.append(Problem(path, value))
        if not known.issuperset(value):
            problems += unknown_fields(value, known, prefix)
        return {name: convert(value.get(name), problems) for name, convert in converters.items()}

    return convert


def unknown_fields(value: Mapping[str, Any], known: Container[str], prefix: str) -> list[Problem]:
    """Return a problem for each field of an object that is not among the known ones."""
    return [
        Problem(prefix + name, member, is_unknown=True)
        for name, member in value.items()
        if name not in known
    ]


def _list_converter(items: Mapping[str, Any], path: str) -> FieldConverter:
    convert_item = field_converter(items, "")
    is_text = kind_of(items) == "string"

    def convert(value: Any, problems: list[Problem]) -> Any:
        if value is None:
            return None
        # A list of strings is valid or invalid as a whole; in other lists, each item is judged.
        if not isinstance(value, list) or (
            is_text and not all(item is None or isinstance(item, str) for item in value)
        ):
            return problems.append(Problem(path, value))
        return [convert_at(number, item, problems) for number, item in enumerate(value)]

    def convert_at(number: int, item: Any, problems: list[Problem]) -> Any:
        found: list[Problem] = []
        converted = convert_item(item, found)
        if found:
            problems += [replace(each, path=_join(f"{path}[{number}]", each)) for each in found]
        return converted

    return convert


def _join(start: str, problem: Problem) -> str:
    """Return the path of a problem in an item of a list."""
    separator = "" if problem.path.startswith("[") or not problem.path else "."
    return f"{start}{separator}{problem.path}"


def _value_converter(parse: Parser, path: str) -> FieldConverter:
    def convert(value: Any, problems: list[Problem]) -> Any:
        if value is None:
            return None
        parsed = parse(value)
        if parsed is None:
            problems.append(Problem(path, value))
        return parsed

    return convert


def _parse_object(value: object) -> dict[str, Any] | None:
    """Return an object whose fields the schema does not declare."""
    try:
        return sanitize_json(value) if isinstance(value, dict) else None
    except RecursionError:
        return None
