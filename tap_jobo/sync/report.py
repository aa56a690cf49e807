"""What a sync reports: its progress, an estimate of its cost, a summary, and METRIC lines."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tap_jobo.api.budget import FeedCost
from tap_jobo.api.profiles import Profiles
from tap_jobo.clock import to_minute
from tap_jobo.model import EntryHeader
from tap_jobo.sync.filters import describe
from tap_jobo.sync.plan import Request
from tap_jobo.wording import completeness, dollars, plural

_INTERVAL: Final = 60.0  # seconds between two log lines
_UNLIMITED: Final = "max_credits is not set"


@dataclass
class Contents:
    """What pages of an archive have, and what they have cost.

    A dropped page has nothing: what it cost may not even be known.
    """

    pages: int = 0
    rows: int = 0
    credits: int = 0

    def note(self, header: EntryHeader, rows: int) -> None:
        """Take up a page, with the number of its rows."""
        if header.dropped:
            return
        self.pages += 1
        self.rows += rows
        self.credits += header.cost(rows)


@dataclass(kw_only=True)
class Report:
    """Counts the pages and rows of a sync."""

    cost: FeedCost
    logger: logging.Logger
    is_complete: bool = False  #: whether everything was read that the settings ask for
    profiles: Profiles | None = None

    def __post_init__(self) -> None:
        self._stream = self.cost.spec.name
        self.show_progress = Progress(self._stream, self._progress, self.logger).update
        self._pages = self._skipped = self._bought = self._loaded = self._loaded_pages = 0

    def announce(self, request: Request) -> None:
        """Log what the run is about to buy, and what it may still spend."""
        parts = [describe_request(request)]
        if self.profiles:
            parts.append("with company profiles, free")
        limits = self._describe_limits() if self.cost.price else []
        off = [] if self.cost.archive else ["the archive is off"]
        self.logger.info("%s: %s", self._stream, "; ".join([*parts, *limits, *off]))

    def _describe_limits(self) -> list[str]:
        limits = [
            f"{plural(limit.left, 'credit')} ({dollars(limit.left)}) left for {limit.month}"
            if limit.month
            else f"at most {plural(limit.left, 'credit')} ({dollars(limit.left)})"
            for limit in self.cost.limits
        ]
        return limits or [_UNLIMITED]

    def estimate(self, rows: int) -> None:
        """Log what a sync will cost, after its first page."""
        price, count = self.cost.highest_price, plural(rows, "row")
        cost = dollars(rows * price)
        self.logger.info("This sync has about %s: %s at %g credits per row.", count, cost, price)

    def count_page(self, skipped: int, *, is_loaded: bool = False) -> None:
        """Count a page that is delivered, with the rows of it that are skipped."""
        if is_loaded:
            self._loaded_pages += 1
        else:
            self._pages += 1
        self._skipped += skipped

    def count_loaded(self, rows: int) -> None:
        """Count rows from the archive that were written."""
        self._loaded += rows

    def count_bought(self, rows: int) -> None:
        """Count rows from Jobo that were written, or only archived."""
        self._bought += rows

    def finish(self) -> dict[str, int | None]:
        """Log the summary, and return the figures for METRIC lines."""
        balance = self.cost.budget.balance
        self.logger.info(
            "Summary: %s: %s; %s.%s",
            self._stream,
            self._figures(),
            completeness(is_complete=self.is_complete),
            "" if balance is None else f" Balance {dollars(balance)}.",
        )
        return {
            "jobo_sync_complete": int(self.is_complete),
            "jobo_rows_loaded": self._loaded or None,
            "jobo_rows_skipped": self._skipped or None,
            "jobo_credits": self.cost.credits or None,
            "jobo_credits_unconfirmed": self.cost.possibly_billed or None,
            "jobo_credits_balance": balance,
        }

    def _progress(self) -> str:
        profiles = f"{self.profiles.done:,} profiles, " if self.profiles else ""
        rows = plural(self._bought + self._loaded, "row")
        loaded = f", {self._loaded:,} from the archive" if self._loaded else ""
        return f"{profiles}{rows}{loaded}, {dollars(self.cost.credits)}"

    def _describe_rows(self) -> Iterator[str]:
        if self._loaded_pages:
            pages = plural(self._loaded_pages, "page")
            yield f"{plural(self._loaded, 'row')} in {pages} from the archive"
        if self._pages:
            from_jobo = " from Jobo" if self._loaded_pages else ""
            yield f"{plural(self._bought, 'row')} in {plural(self._pages, 'page')}{from_jobo}"

    def _figures(self) -> str:
        cost, unconfirmed = self.cost.credits, self.cost.possibly_billed
        parts = [
            *self._describe_rows(),
            *([f"{self._skipped:,} skipped"] if self._skipped else []),
            f"{plural(cost, 'credit')} ({dollars(cost)})",
            *([f"{dollars(unconfirmed)} of it possibly billed"] if unconfirmed else []),
        ]
        return ", ".join(parts)


def describe_request(request: Request) -> str:
    """Return which rows a sync is about to read, given its next page."""
    sync = request.sync
    chosen = describe(sync.reads)
    filters = f"filters {chosen}; " if chosen else ""
    rows = "all rows"
    if sync.reads != sync.filters:
        rows = "all rows of the added values"
    elif sync.since:
        rows = f"changes since {to_minute(sync.since)}"
    if request.page > 1:
        rows = f"resumes the sync of {rows} after {plural(request.rows, 'row')}"
    return f"{filters}{rows}"


class Progress:
    """Logs every minute how far a stream is."""

    def __init__(self, stream: str, describe: Callable[[], str], logger: logging.Logger) -> None:
        self._stream = stream
        self._describe = describe
        self._logger = logger
        self._next_line = time.monotonic() + _INTERVAL

    def update(self) -> None:
        """Log a line if the last one is a minute old."""
        if (now := time.monotonic()) >= self._next_line:
            self._next_line = now + _INTERVAL
            self._logger.info("Progress: %s: %s.", self._stream, self._describe())
