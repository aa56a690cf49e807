"""What a sync reports: its progress, an estimate of its cost, a summary, and METRIC lines."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tap_jobo.api.budget import Budget, FeedCost
from tap_jobo.api.profiles import Profiles
from tap_jobo.progress import Progress, Reading
from tap_jobo.wording import dollars, duration, plural

PAGES_PER_MINUTE: Final = 120
"""The documented rate limit, shared by all feeds."""


class Metric(enum.StrEnum):
    """The figures that the SDK does not count, by their names in METRIC lines."""

    ROWS_REPLAYED = "jobo_rows_replayed"
    ROWS_SKIPPED = "jobo_rows_skipped"
    CREDITS = "jobo_credits"
    CREDITS_UNCONFIRMED = "jobo_credits_unconfirmed"
    BALANCE = "jobo_credits_balance"


@dataclass(kw_only=True)
class Report:
    """Counts the pages and rows of a sync."""

    stream: str
    count_rows: Callable[[], int]
    budget: Budget
    cost: FeedCost
    logger: logging.Logger
    is_complete: bool = False
    quarantined: int = 0
    profiles: Profiles | None = None

    def __post_init__(self) -> None:
        self._progress = Progress(self.stream, self._read, self.logger)
        self._pages = self._skipped = self._replayed = self._before = self._counted = 0
        self._total: int | None = None
        self.start = self._progress.start
        self.show_progress = self._progress.update

    @property
    def price(self) -> float:
        """Credits per row at the price last seen."""
        return self.cost.price

    def estimate(self, rows: int, page_size: int) -> None:
        """Log what a sync will cost and take, after its first page."""
        self._total = self._before + rows
        self.logger.info(
            "This sync has about %s (estimated): %s at the current price (%g credits per row), "
            "and at least %s at the rate limit of %s pages per minute.",
            plural(rows, "row"),
            dollars(rows * self.cost.price),
            self.cost.price,
            duration(rows / page_size * 60 / PAGES_PER_MINUTE),
            PAGES_PER_MINUTE,
        )

    def count_page(self, rows: int, skipped: int, *, is_replayed: bool) -> None:
        """Count a page that is delivered, and show progress."""
        self._before, self._counted = self._counted, self.count_rows()
        self._pages += 1
        self._skipped += skipped
        self._replayed += rows if is_replayed else 0
        self.show_progress()

    def finish(self) -> dict[Metric, int]:
        """Remove the progress bar and log the summary, however the sync ended."""
        self._progress.close()
        balance = self.budget.balance
        self.logger.info(
            "Summary: %s: %s; sync %s.%s",
            self.stream,
            self._figures(),
            "complete" if self.is_complete else "not complete",
            "" if balance is None else f" Balance {dollars(balance)}.",
        )
        figures = {
            Metric.ROWS_REPLAYED: self._replayed,
            Metric.ROWS_SKIPPED: self._skipped,
            Metric.CREDITS: self.cost.credits,
            Metric.CREDITS_UNCONFIRMED: self.cost.possibly_billed,
        }
        known = {} if balance is None else {Metric.BALANCE: balance}
        return {metric: value for metric, value in figures.items() if value} | known

    def _read(self) -> Reading:
        rows, cost = self.count_rows(), dollars(self.cost.credits)
        if not self.profiles:
            return Reading(rows, "rows", self._total, cost)
        # The rate is that of the profiles, which take most of the time.
        return Reading(self.profiles.done, "profiles", None, f"{plural(rows, 'row')}, {cost}")

    def _figures(self) -> str:
        cost, unconfirmed = self.cost.credits, self.cost.possibly_billed
        others = {
            f"{self._replayed:,} replayed": self._replayed,
            f"{self._skipped:,} skipped": self._skipped,
            f"{self.quarantined:,} quarantined": self.quarantined,
        }
        parts = [
            f"{plural(self.count_rows(), 'row')} in {plural(self._pages, 'page')}",
            *(part for part, count in others.items() if count),
            f"{plural(cost, 'credit')} ({dollars(cost)})",
            *([f"{dollars(unconfirmed)} of it possibly billed"] if unconfirmed else []),
        ]
        return ", ".join(parts)
