"""What the settings ask of a feed, as far as it decides what is bought."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Self

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.model import Filters
from tap_jobo.streams.feed_spec import FeedSpec


@dataclass(frozen=True, kw_only=True)
class SyncSettings:
    """What a pipeline wants of a feed.

    Attributes:
        spec: The feed.
        filters: Those that are set, normalized.
        start_date: ISO 8601 UTC, None for all rows.
        on_filter_change: The setting.
        lookback: How long before the last read a sync of changes starts.
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
