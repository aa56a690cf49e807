"""What a run tells of itself: progress on the way, a summary and metrics at its end."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, cast

from singer_sdk import metrics

from tap_jobo.api.budget import CREDITS_PER_DOLLAR, dollars

if TYPE_CHECKING:
    import logging

    from tap_jobo.api.budget import Budget
    from tap_jobo.api.profiles import Profiles
    from tap_jobo.clock import Clock
    from tap_jobo.records.converter import RecordConverter

_PROGRESS_INTERVAL: Final = 10.0
"""Seconds between two lines of progress, at least."""


class Metric(enum.StrEnum):
    """The figures of the summary, as Singer METRIC lines name them."""

    ROWS = "jobo_rows"
    PAGES = "jobo_pages"
    ROWS_REPLAYED = "jobo_rows_replayed"
    ROWS_SKIPPED = "jobo_rows_left_out"
    CREDITS = "jobo_credits"
    DOLLARS = "jobo_dollars"
    BALANCE = "jobo_credits_balance"
    PROFILES = "jobo_profiles"
    PROFILES_GONE = "jobo_profiles_gone"
    PROFILES_SKIPPED = "jobo_profiles_skipped"


class Report:
    """Counts the pages and rows of a run.

    Attributes:
        is_complete: Whether the run reached the end of a scan, with nothing pending.
    """

    def __init__(  # noqa: PLR0913 - each is a separate concern, handed in
        self,
        *,
        stream: str,
        budget: Budget,
        cleaner: RecordConverter,
        clock: Clock,
        logger: logging.Logger,
        metrics_logger: logging.Logger,
    ) -> None:
        self._stream = stream
        self._budget = budget
        self._cleaner = cleaner
        self._clock = clock
        self._logger = logger
        self._metrics_logger = metrics_logger
        self._started = self._last_line = clock.monotonic()
        self._pages = 0
        self._rows = 0
        self._skipped = 0
        self._rows_replayed = 0
        self.is_complete = False

    def page_delivered(self, rows: int, *, is_replayed: bool) -> None:
        """Count a page whose rows and state are out, and show progress now and then."""
        self._pages += 1
        self._rows += rows - (self._cleaner.skipped - self._skipped)
        self._skipped = self._cleaner.skipped
        self._rows_replayed += rows if is_replayed else 0
        now = self._clock.monotonic()
        if now - self._last_line >= _PROGRESS_INTERVAL:
            self._last_line = now
            self._logger.info("Progress: %s; %.0f rows a second.", self._figures(), self._rate(now))

    def finish(self, profiles: Profiles | None) -> None:
        """Write the summary and the metrics, however the run ended.

        Args:
            profiles: The reader of profiles, if they are wanted.
        """
        self._logger.info(
            "Summary: %s%s; the scan is %scomplete.",
            self._figures(),
            f"; {profiles.figures()}" if profiles else "",
            "" if self.is_complete else "not ",
        )
        spent = self._budget
        figures: dict[Metric, float | None] = {
            Metric.ROWS: self._rows,
            Metric.PAGES: self._pages,
            Metric.ROWS_REPLAYED: self._rows_replayed,
            Metric.ROWS_SKIPPED: self._cleaner.skipped,
            Metric.CREDITS: spent.credits,
            Metric.DOLLARS: spent.credits / CREDITS_PER_DOLLAR,
            Metric.BALANCE: spent.balance,
        }
        if profiles:
            figures |= {
                Metric.PROFILES: profiles.count,
                Metric.PROFILES_GONE: profiles.gone,
                Metric.PROFILES_SKIPPED: profiles.skipped,
            }
        for metric, value in figures.items():
            if value is not None:
                tags = {metrics.Tag.STREAM.value: self._stream}
                # Point wants a metric of the SDK's own list, but only ever takes its value.
                point = metrics.Point("counter", cast("metrics.Metric", metric), value, tags)
                metrics.log(self._metrics_logger, point)

    def _rate(self, now: float) -> float:
        return self._rows / max(now - self._started, 1e-9)

    def _figures(self) -> str:
        spent = self._budget
        balance = "unknown" if spent.balance is None else f"{spent.balance:,}"
        return (
            f"{self._rows:,} rows in {self._pages:,} pages, {self._rows_replayed:,} of them "
            f"replayed, {self._cleaner.skipped:,} left out; {spent.credits:,} credits "
            f"({dollars(spent.credits)}), balance {balance}"
        )
