"""What a run wants of a feed, as far as it decides what is bought."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Literal, Self

from tap_jobo.clock import before, format_timestamp, parse_timestamp
from tap_jobo.model import ALL, Filters, Lookback
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.filters import FilterRules

MARGIN: Final = timedelta(hours=6)
"""Between the rows that a free feed lists and those that the tap requests.

A sync goes on whose window begins up to two hours earlier (`plan.HOUR`), and a run takes its time.
"""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a run wants of a feed. It is fixed when the run begins."""

    filters: Filters  #: those that are set, normalized
    start: str  #: the start date, empty for all rows
    #: what happens where rows are wanted that were never read
    choice: Literal["error", "resync", "keep"]
    lookback: timedelta  #: how long before the last read a sync of changes starts
    warehouse: str = ""  #: the id of the warehouse, empty for `--buy`
    overlap: timedelta = timedelta(0)  #: the longest lookback of others that load its rows
    batch_size: int  #: rows per page of a new sync
    is_free: bool  #: whether its rows cost nothing. Then it never asks.
    rules: FilterRules  #: how its filters compare

    @classmethod
    def of(cls, spec: FeedSpec, config: Mapping[str, Any], now: str) -> Self:
        """Return what a configuration asks of a feed in a run that begins now.

        The API of a free feed lists rows for some days only. So its start date moves, and each
        window reaches back as far as it can. It moves in whole seconds, as its clock does: a run
        that begins in the second of an earlier one never wants more than that.
        """
        date = config.get("start_date")
        start = format_timestamp(parse_timestamp(date)) if date else ALL
        if lists := spec.longest_lookback:
            second = parse_timestamp(now).replace(microsecond=0)
            start = max(start, format_timestamp(second - lists + MARGIN))
        return cls(
            filters=spec.filters_of(config),
            start=start,
            choice="resync" if spec.is_free else config["on_filter_change"],
            lookback=timedelta(minutes=config["lookback_minutes"]),
            batch_size=spec.page_size(config),
            is_free=spec.is_free,
            rules=FilterRules(spec.filters),
        )

    def since(self, instant: str) -> str:
        """Return where a window starts that reads what changed since an instant."""
        return max(before(instant, max(self.lookback, self.overlap)), self.start)

    def beside(self, lookbacks: Iterable[Lookback]) -> Self:
        """Return the same beside other warehouses, of which each has a lookback.

        They load the rows of this one, and then read only what changed since it read. So it reads
        as far back as each of them would: no row is lost that becomes visible late.
        """
        others = [each.minutes for each in lookbacks if each.warehouse != self.warehouse]
        return replace(self, overlap=timedelta(minutes=max(others, default=0)))

    def lookback_at(self, now: str) -> Lookback:
        """Return the lookback of a sync that begins now."""
        minutes = self.lookback // timedelta(minutes=1)
        return Lookback(warehouse=self.warehouse, minutes=minutes, last=now)

    def is_honored(self, lookbacks: Iterable[Lookback]) -> bool:
        """Return whether others know the lookback, by those of an archive."""
        own = self.lookback_at("")
        known = [each.minutes for each in lookbacks if each.warehouse == own.warehouse]
        return own.minutes <= max(known, default=0)
