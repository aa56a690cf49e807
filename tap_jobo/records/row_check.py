"""A fast path for rows that match their schema: one check of a whole row, in C.

The schema becomes a msgspec type that accepts only what `fields` would emit unchanged. `fields`
converts any other row, value by value. Checking all rows of a page in one call is no faster, and
one bad row would reject them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from tap_jobo.records.scalars import kind_of
from tap_jobo.records.uuids import CANONICAL_UUID

if TYPE_CHECKING:
    from collections.abc import Mapping

_DAY: Final = (
    "(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    "|(?:0[13-9]|1[0-2])-(?:29|30)"
    "|(?:0[13578]|1[02])-31)"
)
"""The days of every year; `fields` handles February 29."""
_TIME: Final = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
# Years 1000 to 2999, which no UTC offset can take out of Python's range.
_TIMESTAMP: Final = rf"^[12][0-9]{{3}}-{_DAY}T{_TIME}:[0-5][0-9](?:[.][0-9]+)?(?:Z|[+-]{_TIME})\Z"

_SCALARS: Final[Mapping[str, Any]] = {
    "string": str,
    "uuid": Annotated[str, msgspec.Meta(pattern=rf"^{CANONICAL_UUID}\Z")],
    "date-time": Annotated[str, msgspec.Meta(pattern=_TIMESTAMP)],
    "integer": int,
    "number": int | float,
    "boolean": bool,
}
"""The type of each kind of value, as `kind_of` names it."""
_FLAT: Final[Any] = str | int | float | bool | None


class RowCheck:
    """Converts rows that need no change to records.

    Where the objects within a row have all their members, they are emitted as they are, in the
    order in which their members came. Otherwise the row is built anew, which takes twice as long.

    Args:
        properties: The JSON schema of each field to emit; a row may have others.
    """

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._names = [*properties]
        self._complete = _struct(properties, is_row=True, has_all_members=True)
        self._sparse = _struct(properties, is_row=True, has_all_members=False)

    def record(self, row: Any) -> dict[str, Any] | None:
        """Return the record of a row, with every field of the schema, or None to refuse it.

        Args:
            row: The row, without NUL characters, lone surrogates, infinities and NaN.
        """
        try:
            msgspec.convert(row, self._complete)
        except (msgspec.ValidationError, RecursionError):
            return self._completed(row)
        return {name: row.get(name) for name in self._names}

    def _completed(self, row: Any) -> dict[str, Any] | None:
        """Return the record of a row, whose objects have null for members that are missing."""
        try:
            record: dict[str, Any] = msgspec.to_builtins(msgspec.convert(row, self._sparse))
        except (msgspec.ValidationError, RecursionError):
            return None
        return record


def _struct(properties: Mapping[str, Any], *, is_row: bool, has_all_members: bool) -> Any:
    """Return the type of a row, or of an object within it.

    Args:
        properties: The JSON schema of each of its fields.
        is_row: Whether it is a row, which may lack fields and have others.
        has_all_members: Whether objects within the row must have all their members; otherwise
            those that are missing become null.
    """
    names = {f"field_{number}": name for number, name in enumerate(properties)}
    fields: list[Any] = []
    for attribute, name in names.items():
        may_lack = "null" in properties[name]["type"] and (is_row or not has_all_members)
        kind = _type(properties[name], has_all_members=has_all_members)
        fields.append((attribute, kind, *([None] if may_lack else [])))
    return msgspec.defstruct(
        "Object", fields, rename=names, kw_only=True, gc=False, forbid_unknown_fields=not is_row
    )


def _type(definition: Mapping[str, Any], *, has_all_members: bool) -> Any:
    kind = kind_of(definition)
    if kind == "array":
        items = _type(definition["items"], has_all_members=has_all_members)
        found: Any = list[items]  # type: ignore[valid-type]
    elif kind == "object" and definition.get("properties"):
        found = _struct(definition["properties"], is_row=False, has_all_members=has_all_members)
    elif kind == "object":  # of any members, whose depth `to_builtins` alone limits
        found = dict[str, _FLAT] if has_all_members else dict[str, Any]
    else:
        found = _SCALARS[kind]
    return found | None if "null" in definition["type"] else found
