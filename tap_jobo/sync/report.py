"""Reporting: progress during a sync, and a summary and metrics at its end."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, cast

from singer_sdk import metrics

from tap_jobo.api.balance import CREDITS_PER_DOLLAR, dollars

if TYPE_CHECKING:
    import logging

    from tap_jobo.api.account import Account
    from tap_jobo.api.budget import Budget
    from tap_jobo.api.profiles import Profiles
    from tap_jobo.clock import Clock

_PROGRESS_INTERVAL: Final = 10.0
"""Minimum seconds between two progress lines."""
PAGES_PER_MINUTE: Final = 120
"""The documented rate limit, shared by all feeds."""


class Metric(enum.StrEnum):
    """The figures of the summary, by their names in Singer METRIC lines."""

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
    PROFILES = "jobo_profiles"
    PROFILES_NOT_FOUND = "jobo_profiles_gone"
    PROFILES_SKIPPED = "jobo_profiles_skipped"


def plural(count: int, noun: str) -> str:
    """Format a count with its noun, such as `1 page` or `1,200 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{max(seconds, 1):.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"  # noqa: PLR2004


class Report:
    """Counts the pages and rows of a sync.

    Attributes:
        is_complete: Whether the sync reached its end, with nothing pending.
        quarantined: Rows put into quarantine.
    """

    def __init__(  # noqa: PLR0913 - each is a separate dependency
        self,
        *,
        stream: str,
        budget: Budget,
        account: Account,
        clock: Clock,
        logger: logging.Logger,
        metrics_logger: logging.Logger,
    ) -> None:
        self._stream = stream
        self._budget = budget
        self._account = account
        self._clock = clock
        self._logger = logger
        self._metrics_logger = metrics_logger
        self._started = self._last_line = clock.monotonic()
        self._pages = 0
        self._rows = 0
        self._skipped = 0
        self._replayed = 0
        self._estimate: int | None = None
        self.quarantined = 0
        self.is_complete = False

    def estimate(self, rows: int, page_size: int) -> None:
        """Log an estimate of the sync's rows, cost, and duration.

        Args:
            rows: The API's estimate.
            page_size: Rows per page.
        """
        self._estimate = rows
        seconds = rows / page_size * 60 / PAGES_PER_MINUTE
        self._logger.info(
            "This sync has about %s rows (estimated): %s at the current price (%g credits per "
            "row), and at least %s at the rate limit of %s pages per minute.",
            f"{rows:,}",
            dollars(rows * self._account.price),
            self._account.price,
            _duration(seconds),
            PAGES_PER_MINUTE,
        )

    def page_delivered(self, rows: int, skipped: int, *, is_replayed: bool) -> None:
        """Count a page whose rows and state are written, and log progress from time to time."""
        self._pages += 1
        self._rows += rows
        self._skipped += skipped
        self._replayed += rows + skipped if is_replayed else 0
        now = self._clock.monotonic()
        if now - self._last_line >= _PROGRESS_INTERVAL:
            self._last_line = now
            rate = self._rows / max(now - self._started, 1e-9)
            self._logger.info(
                "Progress: %s: %s; %.0f rows per second%s.",
                self._stream,
                self._figures(),
                rate,
                self._left(rate),
            )

    def finish(self, profiles: Profiles | None) -> None:
        """Write the summary and the metrics, however the sync ended.

        Args:
            profiles: The reader of profiles, if they are wanted.
        """
        balance = self._budget.balance
        self._logger.info(
            "Summary: %s: %s%s; sync %s.%s",
            self._stream,
            self._figures(),
            f"; {profiles.figures()}" if profiles else "",
            "complete" if self.is_complete else "not complete",
            "" if balance is None else f" Balance {dollars(balance)}.",
        )
        for metric, value in self._metrics(profiles).items():
            tags = {metrics.Tag.STREAM.value: self._stream}
            # Point expects one of the SDK's own metrics, but uses only its value.
            point = metrics.Point("counter", cast("metrics.Metric", metric), value, tags)
            metrics.log(self._metrics_logger, point)

    def _left(self, rate: float) -> str:
        if not self._estimate or not rate:
            return ""
        share = min(self._rows / self._estimate, 0.99)
        left = _duration(max(self._estimate - self._rows, 0) / rate)
        return f"; {share:.0%}, about {left} left"

    def _metrics(self, profiles: Profiles | None) -> dict[Metric, float]:
        figures: dict[Metric, float | None] = {
            Metric.ROWS: self._rows,
            Metric.PAGES: self._pages,
            Metric.ROWS_REPLAYED: self._replayed,
            Metric.ROWS_SKIPPED: self._skipped,
            Metric.ROWS_QUARANTINED: self.quarantined,
            Metric.CREDITS: self._account.credits,
            Metric.CREDITS_PERHAPS: self._account.perhaps,
            Metric.DOLLARS: self._account.credits / CREDITS_PER_DOLLAR,
            Metric.BALANCE: self._budget.balance,
            Metric.ROWS_ESTIMATED: self._estimate,
        }
        if profiles:
            figures |= {
                Metric.PROFILES: profiles.count,
                Metric.PROFILES_NOT_FOUND: profiles.not_found,
                Metric.PROFILES_SKIPPED: profiles.skipped,
            }
        return {metric: value for metric, value in figures.items() if value is not None}

    def _figures(self) -> str:
        spent = self._account.credits
        others = {
            "replayed": self._replayed,
            "skipped": self._skipped,
            "quarantined": self.quarantined,
        }
        parts = [
            f"{plural(self._rows, 'row')} in {plural(self._pages, 'page')}",
            *(f"{count:,} {what}" for what, count in others.items() if count),
            f"{plural(spent, 'credit')} ({dollars(spent)})",
        ]
        if self._account.perhaps:
            parts.append(self._perhaps())
        return ", ".join(parts)

    def _perhaps(self) -> str:
        """Return what was charged for lost responses, and how much of it was billed if known."""
        settled = self._budget.settled_perhaps()
        known = "" if settled is None else f" (by the balances, {dollars(settled)} was)"
        return f"{dollars(self._account.perhaps)} of it perhaps billed{known}"
