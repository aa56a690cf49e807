"""Reporting on a sync: its progress, and a summary and figures at its end."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from tap_jobo.api.balance import CREDITS_PER_DOLLAR, dollars
from tap_jobo.progress import Progress, Reading
from tap_jobo.wording import duration, plural

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tap_jobo.api.budget import Budget, FeedCost
    from tap_jobo.api.profiles import Profiles
    from tap_jobo.clock import Clock

PAGES_PER_MINUTE: Final = 120
"""The documented rate limit, shared by all feeds."""


class Metric(enum.StrEnum):
    """The figures of a feed's summary, by their names in Singer METRIC lines."""

    ROWS = "jobo_rows"
    PAGES = "jobo_pages"
    ROWS_REPLAYED = "jobo_rows_replayed"
    ROWS_SKIPPED = "jobo_rows_left_out"
    ROWS_QUARANTINED = "jobo_rows_quarantined"
    CREDITS = "jobo_credits"
    CREDITS_PERHAPS = "jobo_credits_perhaps"
    DOLLARS = "jobo_dollars"
    BALANCE = "jobo_credits_balance"
    ROWS_ESTIMATED = "jobo_rows_estimated"


class Report:
    """Counts the pages and rows of a sync.

    Args:
        stream: The stream.
        count_rows: Returns how many records were emitted. It is the count of `record_count`, so
            the two agree even if a page is written only in part.
        budget: The budget of the run, which knows the balance.
        cost: What the feed costs.
        clock: The clock to read.
        logger: Where the lines go.

    Attributes:
        is_complete: Whether the sync reached its end, with nothing pending.
        pages: Pages whose rows were written, or at least some of them.
        quarantined: Rows put into quarantine.
        profiles: The reader of profiles, if they are read along.
    """

    def __init__(  # noqa: PLR0913 - each is a separate dependency
        self,
        *,
        stream: str,
        count_rows: Callable[[], int],
        budget: Budget,
        cost: FeedCost,
        clock: Clock,
        logger: logging.Logger,
    ) -> None:
        self._stream = stream
        self._count_rows = count_rows
        self._budget = budget
        self._cost = cost
        self._logger = logger
        self._progress = Progress(stream, self._read, clock=clock, logger=logger)
        self._skipped = 0
        self._replayed = 0
        self._estimate: int | None = None
        self._total: int | None = None
        self._rows_before_page = 0
        self.pages = 0
        self.quarantined = 0
        self.profiles: Profiles | None = None
        self.is_complete = False

    @property
    def rows(self) -> int:
        """Records emitted so far."""
        return self._count_rows()

    def start(self) -> None:
        """Start to show progress."""
        self._progress.start()

    def show_progress(self) -> None:
        """Show progress from time to time."""
        self._progress.update()

    def estimate(self, rows: int, page_size: int) -> None:
        """Log an estimate of the sync's rows, cost, and duration, after its first page.

        Args:
            rows: The API's estimate.
            page_size: Rows per page.
        """
        self._estimate = rows
        self._total = self._rows_before_page + rows
        seconds = rows / page_size * 60 / PAGES_PER_MINUTE
        self._logger.info(
            "This sync has about %s (estimated): %s at the current price (%g credits per row), "
            "and at least %s at the rate limit of %s pages per minute.",
            plural(rows, "row"),
            dollars(rows * self._cost.price),
            self._cost.price,
            duration(seconds),
            PAGES_PER_MINUTE,
        )

    def page_started(self, rows: int, skipped: int, *, is_replayed: bool) -> None:
        """Count a page, before its rows are written."""
        self._rows_before_page = self.rows
        self.pages += 1
        self._skipped += skipped
        self._replayed += rows + skipped if is_replayed else 0

    def finish(self) -> None:
        """Remove the progress bar and log the summary, however the sync ended."""
        self._progress.close()
        balance = self._budget.balance
        self._logger.info(
            "Summary: %s: %s; sync %s.%s",
            self._stream,
            self._figures(),
            "complete" if self.is_complete else "not complete",
            "" if balance is None else f" Balance {dollars(balance)}.",
        )

    def metrics(self) -> dict[Metric, float]:
        """Return the figures for METRIC lines: those that are not zero, and the balance if known.

        There are none if nothing was delivered or charged.
        """
        counts = {
            Metric.ROWS: self.rows,
            Metric.PAGES: self.pages,
            Metric.ROWS_REPLAYED: self._replayed,
            Metric.ROWS_SKIPPED: self._skipped,
            Metric.ROWS_QUARANTINED: self.quarantined,
            Metric.CREDITS: self._cost.credits,
            Metric.CREDITS_PERHAPS: self._cost.possibly_billed,
            Metric.DOLLARS: self._cost.credits / CREDITS_PER_DOLLAR,
            Metric.ROWS_ESTIMATED: self._estimate,
        }
        figures: dict[Metric, float] = {metric: value for metric, value in counts.items() if value}
        if figures and self._budget.balance is not None:
            figures[Metric.BALANCE] = self._budget.balance
        return figures

    def _read(self) -> Reading:
        rows, cost, full = self.rows, dollars(self._cost.credits), self._figures()
        if not self.profiles:
            return Reading(rows, "rows", self._total, f"{plural(rows, 'row')}, {cost}", full)
        # The rate is that of the profiles, which take most of the time.
        profiles = plural(self.profiles.count, "profile")
        brief = f"{plural(rows, 'row')}, {profiles}, {cost}"
        return Reading(self.profiles.done, "profiles", None, brief, f"{full}, {profiles}")

    def _figures(self) -> str:
        spent = self._cost.credits
        others = {
            "replayed": self._replayed,
            "skipped": self._skipped,
            "quarantined": self.quarantined,
        }
        parts = [
            f"{plural(self.rows, 'row')} in {plural(self.pages, 'page')}",
            *(f"{count:,} {what}" for what, count in others.items() if count),
            f"{plural(spent, 'credit')} ({dollars(spent)})",
        ]
        if self._cost.possibly_billed:
            parts.append(f"{dollars(self._cost.possibly_billed)} of it possibly billed")
        return ", ".join(parts)
