"""What the settings ask of a feed, as far as it decides what is bought."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Self

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.model import Filters, Position
from tap_jobo.streams.feed_spec import FeedSpec


@dataclass(frozen=True, kw_only=True)
class SyncSettings:
    """What a pipeline wants of a feed.

    Attributes:
        spec: The feed.
        filters: Those that are set, normalized.
        start_date: ISO 8601 UTC, None for all rows.
        on_filter_change: The setting.
        lookback: How long before the bookmark a sync of changes starts.
        batch_size: Rows per page of a new sync.
    """

    spec: FeedSpec
    filters: Filters
    start_date: str | None
    on_filter_change: Literal["error", "resync", "keep"]
    lookback: timedelta
    batch_size: int

    @classmethod
    def of(cls, spec: FeedSpec, config: Mapping[str, Any]) -> Self:
        """Return what a configuration asks of a feed."""
        start = config.get("start_date")
        filters = spec.filters_of(config)
        return cls(
            spec=spec,
            filters={name: value for name, value in filters.items() if value is not None},
            start_date=format_timestamp(parse_timestamp(start)) if start else None,
            on_filter_change=config["on_filter_change"],
            lookback=timedelta(minutes=config["lookback_minutes"]),
            batch_size=spec.page_size(config),
        )

    def filter_as(self, position: Position) -> bool:
        """Return whether a position, or its sync in progress, has these filters."""
        return position.current.filters == self.filters

    def fit(self, position: Position) -> bool:
        """Return whether going on from a position lacks no row, and needs no question."""
        return self.filter_as(position) and starts_by(position.current.start_date, self.start_date)

    def narrow(self, old: Filters) -> bool:
        """Return whether every row that matches these filters matches the old ones."""
        return not self._wider(old)

    def added_to(self, old: Filters) -> Filters | None:
        """Return filters of only the rows that these add to the old ones.

        None if no filters select these: only one list may have gained values.
        """
        wider = self._wider(old)
        if len(wider) != 1:
            return None
        (setting,) = (each for each in self.spec.filters if each.name == wider[0])
        added = setting.added(old.get(setting.name), self.filters.get(setting.name))
        return {**self.filters, setting.name: added} if added else None

    def _wider(self, old: Filters) -> list[str]:
        """Return the names of the filters that match more than the old ones."""
        return [
            each.name
            for each in self.spec.filters
            if not each.narrows(old.get(each.name), self.filters.get(each.name))
        ]

    @property
    def first_since(self) -> str | None:
        """Where the window of a full sync starts: it returns all rows from the start date on."""
        if self.start_date is None:
            return None
        return earlier(self.start_date, self.spec.margin)

    def since_bookmark(self, bookmark: str) -> str | None:
        """Return where the window of a sync of changes starts."""
        return earlier(bookmark, self.lookback)


def starts_by(start_date: str | None, other: str | None) -> bool:
    """Return whether a start date is no later than another one; None is before all."""
    return (start_date or "") <= (other or "")


def earlier(instant: str, by: timedelta) -> str | None:
    """Return an instant that lies earlier, None if that is before the year 1."""
    with suppress(OverflowError):
        return format_timestamp(parse_timestamp(instant) - by)
    return None
