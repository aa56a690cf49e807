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


class RowCheck:
    """Converts rows that need no change to records.

    Args:
        properties: The JSON schema of each field to emit; a row may have others.
    """

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._type = _struct(properties, forbid_unknown_fields=False)

    def record(self, row: object) -> dict[str, Any] | None:
        """Return the record of a row, with every field of the schema, or None to refuse it.

        Args:
            row: The row, without NUL characters, lone surrogates, infinities and NaN.
        """
        try:
            record: dict[str, Any] = msgspec.to_builtins(msgspec.convert(row, self._type))
        except (msgspec.ValidationError, RecursionError):
            return None
        return record


def _struct(properties: Mapping[str, Any], *, forbid_unknown_fields: bool) -> Any:
    """Return the type of an object; missing fields become null."""
    names = {f"field_{number}": name for number, name in enumerate(properties)}
    fields: list[Any] = []
    for attribute, name in names.items():
        default = [None] if "null" in properties[name]["type"] else []
        fields.append((attribute, _type(properties[name]), *default))
    return msgspec.defstruct(
        "Object",
        fields,
        rename=names,
        kw_only=True,
        gc=False,
        forbid_unknown_fields=forbid_unknown_fields,
    )


def _type(definition: Mapping[str, Any]) -> Any:
    kind = kind_of(definition)
    if kind == "array":
        found: Any = list[_type(definition["items"])]  # type: ignore[misc]
    elif kind == "object" and definition.get("properties"):
        found = _struct(definition["properties"], forbid_unknown_fields=True)
    else:
        found = dict[str, Any] if kind == "object" else _SCALARS[kind]
    return found | None if "null" in definition["type"] else found
