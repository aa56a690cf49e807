"""Converters of values, built from JSON schemas. They define how a value is emitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tap_jobo.records.problems import Problem
from tap_jobo.records.values import PARSERS, kind_of

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from tap_jobo.records.values import Parser

Convert = Callable[[Any, str, list[Problem]], Any]
"""Takes a value, its path in the row, and a list of problems to extend. Returns the value as it is
emitted: null if its type is wrong, which is a problem, or if it is null."""


def field_converter(definition: Mapping[str, Any]) -> Convert:
    """Return the converter of a field with this JSON schema."""
    kind = kind_of(definition)
    if kind == "object":
        return object_converter(definition["properties"])
    if kind != "array":
        return _scalar_converter(PARSERS[kind])
    return _list_converter(field_converter(definition["items"]))


def object_converter(
    properties: Mapping[str, Any], emitted: Container[str] | None = None
) -> Convert:
    """Return the converter of an object, or of a whole row, whose path is empty.

    Args:
        properties: The JSON schema of each of its fields.
        emitted: The fields to emit; all of them if None.
    """
    known = frozenset(properties)
    converters = {
        name: field_converter(definition)
        for name, definition in properties.items()
        if emitted is None or name in emitted
    }

    def convert(value: Any, path: str, problems: list[Problem]) -> Any:
        if not isinstance(value, dict):
            return _refuse(value, path, problems)
        prefix = f"{path}." if path else ""
        if not known.issuperset(value):
            problems += [
                Problem(prefix + name, member, is_unknown=True)
                for name, member in value.items()
                if name not in known
            ]
        return {
            name: convert_member(value.get(name), prefix + name, problems)
            for name, convert_member in converters.items()
        }

    return convert


def _list_converter(convert_item: Convert) -> Convert:
    def convert(value: Any, path: str, problems: list[Problem]) -> Any:
        if not isinstance(value, list):
            return _refuse(value, path, problems)
        return [
            convert_item(item, f"{path}[{number}]", problems) for number, item in enumerate(value)
        ]

    return convert


def _scalar_converter(parse: Parser) -> Convert:
    def convert(value: Any, path: str, problems: list[Problem]) -> Any:
        parsed = parse(value)
        return _refuse(value, path, problems) if parsed is None else parsed

    return convert


def _refuse(value: object, path: str, problems: list[Problem]) -> None:
    if value is not None:
        problems.append(Problem(path, value))
