"""Values as records hold them: text, UUIDs, date-times, numbers, and booleans."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.clock import format_timestamp, parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

Parser = Callable[[object], Any]
"""Returns a value as it is emitted, or None if it has the wrong type."""

CANONICAL_UUID: Final = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The pattern of UUIDs that are emitted as received."""
_DAY: Final = (
    "(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    "|(?:0[13-9]|1[0-2])-(?:29|30)"
    "|(?:0[13578]|1[02])-31)"
)
"""The days of every year; the parser handles February 29."""
CANONICAL_TIMESTAMP: Final = (
    rf"[12][0-9]{{3}}-{_DAY}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]+)?Z"
)
"""The pattern of date-times that are emitted as received."""

_UUID: Final = re.compile(
    r"(?:urn:uuid:)?(\{)?"
    r"([0-9a-f]{8})(-?)([0-9a-f]{4})\3([0-9a-f]{4})\3([0-9a-f]{4})\3([0-9a-f]{12})"
    r"(?(1)\})",
    re.ASCII | re.IGNORECASE,
)
_TIMESTAMP: Final = re.compile(CANONICAL_TIMESTAMP)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def kind_of(definition: Mapping[str, Any]) -> str:
    """Return the format of a value by its JSON schema, or its type if it has no format."""
    kind = next(kind for kind in definition["type"] if kind != "null")
    return str(definition.get("format", kind))


def sanitize_text(text: str) -> str:
    """Remove NUL characters, which Postgres refuses, and replace lone surrogates with U+FFFD."""
    if "\0" in text:
        text = text.replace("\0", "")
    if not text.isascii() and _SURROGATE.search(text):
        text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    return text


def parse_uuid(value: object) -> str | None:
    """Return a UUID in lowercase with dashes, or None if the value is not a UUID.

    The dashes are optional, as are braces and the prefix `urn:uuid:`.
    """
    found = _UUID.fullmatch(value) if isinstance(value, str) else None
    return "-".join(found.group(2, 4, 5, 6, 7)).lower() if found else None


def _parse_text(value: object) -> str | None:
    return sanitize_text(value) if isinstance(value, str) else None


def _parse_timestamp(value: object) -> str | None:
    """Return a date-time in UTC, where a date is midnight, and UTC is the default time zone."""
    if not isinstance(value, str):
        return None
    if _TIMESTAMP.fullmatch(value):
        return value
    try:
        return format_timestamp(parse_timestamp(value))
    except ValueError:
        return None


def _parse_integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _parse_number(value: object) -> float | None:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _parse_integer(value)


def _parse_boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


PARSERS: Final[Mapping[str, Parser]] = {
    "string": _parse_text,
    "uuid": parse_uuid,
    "date-time": _parse_timestamp,
    "integer": _parse_integer,
    "number": _parse_number,
    "boolean": _parse_boolean,
}
"""The parser of each kind of value, as `kind_of` names it."""
