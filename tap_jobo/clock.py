"""Time: reading clocks, waiting, and parsing and formatting timestamps."""

import re
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)?)?", re.ASCII
)


class Clock:
    """The machine's clocks and its sleep, in one object so that tests can replace them."""

    def now(self) -> datetime:
        """Return the local wall clock, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds on a clock that is never adjusted."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`."""
        time.sleep(seconds)


def parse_timestamp(text: str) -> datetime:
    """Parse an ISO 8601 date or date-time, by default in UTC. Raises `ValueError`."""
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError(f"{text!a} is not an ISO 8601 timestamp")
    try:
        return _in_utc(datetime.fromisoformat(text.upper()))
    except OverflowError as error:  # year 1 or 9999 with an offset
        raise ValueError(text) from error


def _in_utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def format_timestamp(instant: datetime) -> str:
    """Format an instant as ISO 8601 UTC, such as `2026-01-31T08:00:00.000000Z`."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def before(instant: str, by: timedelta) -> str:
    """Return an instant that lies earlier, empty if that is before the year 1, or if it is."""
    if not instant:
        return ""
    with suppress(OverflowError):
        return format_timestamp(parse_timestamp(instant) - by)
    return ""


def to_minute(timestamp: str) -> str:
    """Shorten a timestamp for a message, such as `2026-01-31T08:00Z`."""
    return f"{parse_timestamp(timestamp):%Y-%m-%dT%H:%MZ}"


def parse_http_date(text: str | None) -> datetime | None:
    """Parse an HTTP date (the `Date` or `Retry-After` header); None if it is not one."""
    try:
        return _in_utc(parsedate_to_datetime(text or ""))
    except (ValueError, OverflowError):
        return None
