"""Instants as integer microseconds since 1970: exact to compare, cheap to sort."""

import re
from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
DAY = 86_400 * SECOND
LONG_AGO = "2000-01-01T00:00:00.000000Z"
FAR_FUTURE = "2999-01-01T00:00:00.123456Z"
"""No row was updated after it, so a page is empty and free. As exact as the tap's own instants."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", flags=re.ASCII
)


def to_micros(instant: datetime) -> int:
    """Convert an aware datetime to microseconds since 1970."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """Convert microseconds since 1970 to an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=micros)


def to_text(micros: int) -> str:
    """Format an instant as RFC 3339, with microseconds and `Z`."""
    return from_micros(micros).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse(text: str) -> int:
    """Parse an RFC 3339 date-time. The time zone is required.

    Raises:
        ValueError: If the text is anything else.
    """
    if not _RFC_3339.fullmatch(text):
        raise ValueError(f"not a date-time with a time zone: {text}")
    return to_micros(datetime.fromisoformat(text.upper()))
