"""Bulk check of a page's rows: msgspec compares them with a type while it parses the page, in C.

The type accepts only rows that the converters in `fields` would leave as they are, so both ways
have the same result. This one takes half the time of the other for a page of jobs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from tap_jobo.records.values import CANONICAL_TIMESTAMP, CANONICAL_UUID, kind_of

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

_SCALARS: Final[Mapping[str, Any]] = {
    "string": str,
    "uuid": Annotated[str, msgspec.Meta(pattern=rf"^{CANONICAL_UUID}\Z")],
    "date-time": Annotated[str, msgspec.Meta(pattern=rf"^{CANONICAL_TIMESTAMP}\Z")],
    "integer": int,
    "number": int | float,
    "boolean": bool,
}
"""The type of each kind of value, as `kind_of` names it."""


def row_type(
    properties: Mapping[str, Any], checked: Container[str], required: Container[str]
) -> type[msgspec.Struct]:
    """Return the type of a row that has no unknown field and needs no change.

    Args:
        properties: The JSON schema of each field.
        checked: The fields that must match it; any value is accepted for the others.
        required: The fields that must be there and must not be null.
    """
    types = {name: _type(each) if name in checked else Any for name, each in properties.items()}
    return _struct(types, required)


def _struct(types: Mapping[str, Any], required: Container[str] = ()) -> type[msgspec.Struct]:
    names = {f"field_{number}": name for number, name in enumerate(types)}
    fields: list[Any] = [
        (attribute, types[name]) if name in required else (attribute, types[name] | None, None)
        for attribute, name in names.items()
    ]
    return msgspec.defstruct(
        "Object", fields, rename=names, kw_only=True, gc=False, forbid_unknown_fields=True
    )


def _type(definition: Mapping[str, Any]) -> Any:
    kind = kind_of(definition)
    if kind == "array":
        return list[_type(definition["items"]) | None]  # type: ignore[misc]
    if kind == "object":
        return _struct({name: _type(each) for name, each in definition["properties"].items()})
    return _SCALARS[kind]
