"""What a run wants of a feed, as far as it decides what is bought."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, Self

from tap_jobo.clock import earlier, format_timestamp, parse_timestamp
from tap_jobo.model import ALL, Filters
from tap_jobo.sync.filter_rules import FilterRules
from tap_jobo.sync.settings import SyncSettings

MARGIN: Final = timedelta(hours=6)
"""Between the rows that a free feed lists and those that the tap requests.

A sync goes on whose window begins up to an hour earlier (`plan.HOUR`), and a run takes its time.
"""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a run wants of a feed. It is fixed when the run begins.

    Attributes:
        filters: Those that are set, normalized.
        start: The start date, empty for all rows.
        choice: What happens where rows are wanted that were never read.
        lookback: How long before the last read a sync of changes starts.
        batch_size: Rows per page of a new sync.
        is_free: Whether its rows cost nothing. Then it never asks.
        rules: How its filters compare.
    """

    filters: Filters
    start: str
    choice: Literal["error", "resync", "keep"]
    lookback: timedelta
    batch_size: int
    is_free: bool
    rules: FilterRules

    @classmethod
    def of(cls, settings: SyncSettings, now: str) -> Self:
        """Return what settings ask for in a run that begins now.

        The API of a free feed lists rows for some days only. So its start date moves, and each
        window reaches back as far as it can.
        """
        start = settings.start_date or ALL
        if lists := settings.spec.longest_lookback:
            start = max(start, format_timestamp(parse_timestamp(now) - lists + MARGIN))
        return cls(
            filters=settings.filters,
            start=start,
            choice="resync" if settings.spec.is_free else settings.on_filter_change,
            lookback=settings.lookback,
            batch_size=settings.batch_size,
            is_free=settings.spec.is_free,
            rules=FilterRules(settings.spec.filters),
        )

    def since(self, instant: str) -> str:
        """Return where a window starts that reads what changed since an instant."""
        return max(before(instant, self.lookback), self.start)


def before(instant: str, by: timedelta) -> str:
    """Return an instant that lies earlier, empty if that is before the year 1."""
    return (earlier(instant, by) or ALL) if instant else ALL
