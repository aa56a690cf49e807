"""What a run reports: the progress and a summary of each stream, and a summary of the run."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from tap_jobo.progress import Progress, Reading
from tap_jobo.wording import dollars, duration, plural

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tap_jobo.api.budget import Budget, FeedCost
    from tap_jobo.api.profiles import Profiles

PAGES_PER_MINUTE: Final = 120
"""The documented rate limit, shared by all feeds."""


class Metric(enum.StrEnum):
    """The figures that the SDK does not count, by their names in METRIC lines."""

    ROWS_REPLAYED = "jobo_rows_replayed"
    ROWS_SKIPPED = "jobo_rows_skipped"
    CREDITS = "jobo_credits"
    CREDITS_UNCONFIRMED = "jobo_credits_unconfirmed"
    BALANCE = "jobo_credits_balance"


class Report:
    """Counts the pages and rows of a sync.

    Args:
        stream: The stream.
        count_rows: Returns the SDK's count of emitted records, its METRIC `record_count`.
        budget: The budget of the run, which knows the balance.
        cost: What the feed costs.
        logger: Where the lines go.

    Attributes:
        is_complete: Whether the sync reached its end.
        pages: Pages whose rows were written, or at least some of them.
        quarantined: Rows put into quarantine; they count as skipped, too.
        profiles: The reader of profiles, if they are read along.
    """

    def __init__(
        self,
        *,
        stream: str,
        count_rows: Callable[[], int],
        budget: Budget,
        cost: FeedCost,
        logger: logging.Logger,
    ) -> None:
        self._stream = stream
        self._count_rows = count_rows
        self._budget = budget
        self._cost = cost
        self._logger = logger
        self._progress = Progress(stream, self._read, logger)
        self._skipped = self._replayed = self._rows_before_page = 0
        self._total: int | None = None
        self.pages = self.quarantined = 0
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
        """Log an estimate of the sync's rows, cost and duration, after its first page.

        Args:
            rows: The API's estimate.
            page_size: Rows per page.
        """
        self._total = self._rows_before_page + rows
        self._logger.info(
            "This sync has about %s (estimated): %s at the current price (%g credits per row), "
            "and at least %s at the rate limit of %s pages per minute.",
            plural(rows, "row"),
            dollars(rows * self._cost.price),
            self._cost.price,
            duration(rows / page_size * 60 / PAGES_PER_MINUTE),
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
        self._logger.info(
            "Summary: %s: %s; sync %s.%s",
            self._stream,
            self._figures(),
            "complete" if self.is_complete else "not complete",
            _balance(self._budget),
        )

    def metrics(self) -> dict[Metric, int]:
        """Return the figures for METRIC lines: those that are not zero, and the balance."""
        figures = {
            Metric.ROWS_REPLAYED: self._replayed,
            Metric.ROWS_SKIPPED: self._skipped,
            Metric.CREDITS: self._cost.credits,
            Metric.CREDITS_UNCONFIRMED: self._cost.possibly_billed,
        }
        found = {metric: value for metric, value in figures.items() if value}
        if self._budget.balance is not None:
            found[Metric.BALANCE] = self._budget.balance
        return found

    def _read(self) -> Reading:
        cost = dollars(self._cost.credits)
        if not self.profiles:
            return Reading(self.rows, "rows", self._total, cost)
        # The rate is that of the profiles, which take most of the time.
        more = f"{plural(self.rows, 'row')}, {cost}"
        return Reading(self.profiles.done, "profiles", None, more)

    def _figures(self) -> str:
        others = {
            "replayed": self._replayed,
            "skipped": self._skipped,
            "quarantined": self.quarantined,
        }
        parts = [
            f"{plural(self.rows, 'row')} in {plural(self.pages, 'page')}",
            *(f"{count:,} {what}" for what, count in others.items() if count),
            _spent(self._cost.credits),
        ]
        if unconfirmed := self._cost.possibly_billed:
            parts.append(f"{dollars(unconfirmed)} of it possibly billed")
        return ", ".join(parts)


class RunSummary:
    """Sums up the streams of a run."""

    def __init__(self, budget: Budget, logger: logging.Logger) -> None:
        self._budget = budget
        self._logger = logger
        self._streams = self._rows = self._pages = self._profiles = 0
        self._is_complete = True

    def add(self, *, is_complete: bool, rows: int = 0, pages: int = 0, profiles: int = 0) -> None:
        """Add a stream that has ended."""
        self._streams += 1
        self._rows += rows
        self._pages += pages
        self._profiles += profiles
        self._is_complete &= is_complete

    def log(self, *, is_complete: bool) -> None:
        """Log the summary once, unless it would repeat that of the only stream.

        Args:
            is_complete: Whether the run reached its end. A stream may have ended early even so.
        """
        streams, self._streams = self._streams, 0
        if streams > 1:
            profiles = f", {plural(self._profiles, 'profile')}" if self._profiles else ""
            self._logger.info(
                "Summary: run: %s in %s%s, %s; %s.%s",
                plural(self._rows, "row"),
                plural(self._pages, "page"),
                profiles,
                _spent(self._budget.credits),
                "complete" if is_complete and self._is_complete else "not complete",
                _balance(self._budget),
            )


def _spent(credits_: int) -> str:
    """Format credits, such as `2,500 credits ($2.50)`."""
    return f"{plural(credits_, 'credit')} ({dollars(credits_)})"


def _balance(budget: Budget) -> str:
    """Return the sentence about the balance, empty if it is not known."""
    return "" if budget.balance is None else f" Balance {dollars(budget.balance)}."
