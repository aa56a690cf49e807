"""From when on rows are read: an instant, or all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.streams.feed_spec import FeedSpec


@dataclass(frozen=True, slots=True)
class StartDate:
    """Rows last updated before it are not read.

    Attributes:
        instant: None if all rows are read.
    """

    instant: datetime | None = None

    @classmethod
    def parse(cls, text: str | None) -> StartDate:
        """Return the start date of a setting or a state. Raises `ValueError`."""
        return cls(parse_timestamp(text) if text else None)

    @property
    def text(self) -> str | None:
        """As ISO 8601 UTC, None if all rows are read."""
        return format_timestamp(self.instant) if self.instant else None

    def covers(self, other: StartDate) -> bool:
        """Return whether every row that the other one reads is read from this one on, too."""
        if self.instant is None or other.instant is None:
            return self.instant is None
        return self.instant <= other.instant

    def earlier_of(self, other: StartDate) -> StartDate:
        """Return the one that reads more."""
        return self if self.covers(other) else other

    def later_of(self, other: StartDate) -> StartDate:
        """Return the one that reads less."""
        return other if self.covers(other) else self

    def is_after(self, bookmark: datetime | None) -> bool:
        """Return whether rows updated since a bookmark are not read."""
        return bool(bookmark and self.instant and self.instant > bookmark)


def start_of(spec: FeedSpec, since: str | None) -> StartDate:
    """Return the start date of a window."""
    start = StartDate.parse(since)
    return StartDate(start.instant + spec.margin) if start.instant else start
