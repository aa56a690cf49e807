"""Scalar values: strings, UUIDs, date-times, numbers, and booleans.

A parser returns the value to emit, or None if the value has the wrong type.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.records.text import sanitize_text
from tap_jobo.records.uuids import parse_uuid

if TYPE_CHECKING:
    from collections.abc import Mapping

Parser = Callable[[object], Any]

_RFC_3339: Final = re.compile(
    "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def kind_of(definition: Mapping[str, Any]) -> str:
    """Return the format of a value by its JSON schema, or its type if it has no format."""
    kind = next(kind for kind in definition["type"] if kind != "null")
    return str(definition.get("format", kind))


def _parse_text(value: object) -> str | None:
    return sanitize_text(value) if isinstance(value, str) else None


def _parse_timestamp(value: object) -> str | None:
    """Return a date-time unchanged if it has a time zone, in UTC if it has none."""
    if not isinstance(value, str) or ":" not in value:
        return None
    try:
        instant = parse_timestamp(value)
    except ValueError:
        return None
    return value if _RFC_3339.fullmatch(value) else format_timestamp(instant)


def _parse_integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _parse_number(value: object) -> float | None:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _parse_integer(value)


def _parse_boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


SCALARS: Final[Mapping[str, Parser]] = {
    "string": _parse_text,
    "uuid": parse_uuid,
    "date-time": _parse_timestamp,
    "integer": _parse_integer,
    "number": _parse_number,
    "boolean": _parse_boolean,
}
"""The parser of each kind of value, as `kind_of` names it."""
