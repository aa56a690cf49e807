"""Values as records hold them: text, UUIDs, date-times, numbers, and booleans."""

import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from tap_jobo.clock import format_timestamp, parse_timestamp

# Patterns of what is emitted as received.
CANONICAL_UUID: Final = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# The days of every year; the parser handles February 29.
_DAY: Final = "(?!02-29|02-3|(?:0[469]|11)-31)(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
CANONICAL_TIMESTAMP: Final = (
    rf"[12][0-9]{{3}}-{_DAY}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]+)?Z"
)

ERASED: Final = {"_erased": True}
"""What an archived page has in place of an erased row, so that later rows keep their numbers."""

_UUID: Final = re.compile(CANONICAL_UUID, re.ASCII | re.IGNORECASE)
_UUID_WITHOUT_DASHES: Final = re.compile("[0-9a-f]{32}", re.ASCII | re.IGNORECASE)
_TIMESTAMP: Final = re.compile(CANONICAL_TIMESTAMP)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def sanitize_text(text: str) -> str:
    """Remove NUL characters, which Postgres refuses, and replace lone surrogates with U+FFFD."""
    text = text.replace("\0", "")
    return text if text.isascii() else _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def fold_name(name: str) -> str:
    """Return the name of a field without case and underscores: `listing_url` as `listingurl`."""
    return name.replace("_", "").lower()


def parse_uuid(value: object) -> str | None:
    """Return a UUID in lowercase and with dashes; None for any other value."""
    if not isinstance(value, str):
        return None
    if _UUID.fullmatch(value):
        return value.lower()
    return str(UUID(value)) if _UUID_WITHOUT_DASHES.fullmatch(value) else None


def _parse_timestamp(value: object) -> str | None:
    if isinstance(value, str):
        if _TIMESTAMP.fullmatch(value):
            return value
        with suppress(ValueError):
            return format_timestamp(parse_timestamp(value))
    return None


def _parse_number(value: Any) -> float | None:
    return value if type(value) in (int, float) and abs(value) < math.inf else None


PARSERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "string": lambda value: sanitize_text(value) if isinstance(value, str) else None,
    "uuid": parse_uuid,
    "date-time": _parse_timestamp,
    "integer": lambda value: value if type(value) is int else None,  # True is no number
    "number": _parse_number,
    "boolean": lambda value: value if isinstance(value, bool) else None,
}
"""By the format of a value in its JSON schema, or by its type. Each returns a value as it is
emitted, or None if it has the wrong type."""
