"""What a sync reports: its progress, an estimate of its cost, a summary, and METRIC lines."""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tap_jobo.api.budget import Budget, FeedCost
from tap_jobo.api.profiles import Profiles
from tap_jobo.clock import parse_timestamp
from tap_jobo.model import Filters, Sync
from tap_jobo.sync.filters import show
from tap_jobo.wording import dollars, duration, plural

if TYPE_CHECKING:
    from tqdm import tqdm

PAGES_PER_MINUTE: Final = 120
"""The documented rate limit, shared by all feeds."""
_INTERVAL: Final = 60.0  # seconds between two log lines
_MOST: Final = 5  # values of a filter in a log line

Reading = tuple[int, str, int | None, str]
"""How far a stream is: a count, its unit, an estimated total, and what else the bar shows."""


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

    def announce(self, sync: Sync, filters: Filters, *, is_replay: bool) -> None:
        """Log what a sync is about to read, and what the run may still spend."""
        chosen = " and ".join(f"{name}={show(value, _MOST)}" for name, value in filters.items())
        limit, is_billed = self.budget.max_credits - self.budget.credits, bool(self.cost.price)
        left, month = self.cost.left_this_month()
        is_unlimited, since = is_billed and math.isinf(min(limit, left)), ""
        if sync.since:  # a millisecond before start_date
            since = f"{parse_timestamp(sync.since) + timedelta(milliseconds=1):%Y-%m-%dT%H:%MZ}"
        parts = {
            f"filters {chosen}": chosen,
            f"continues a sync after {plural(sync.rows, 'row')}": sync.cursor,
            f"changes since {since}": since and not sync.cursor,
            "everything": not (sync.since or sync.cursor),
            "pages in the journal first, free": is_replay,
            "with company profiles, free": self.profiles,
            f"at most {limit:,} credits ({dollars(limit)})": is_billed and not math.isinf(limit),
            f"{left:,} credits ({dollars(left)}) left for {month}": is_billed and month,
            "max_credits is not set": is_unlimited,
        }
        self.logger.info("%s: %s", self.stream, "; ".join(part for part in parts if parts[part]))
        is_first = not (sync.since or sync.cursor or sync.parent_id or is_replay)
        if is_first and is_unlimited and not chosen:
            self.logger.warning(
                "First sync of %s without a filter or max_credits: every row is read and billed, "
                "%s per 1,000 rows at list price. Set max_credits to limit what a run spends.",
                self.stream,
                dollars(self.cost.price * 1_000),
            )

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
        (left, month), rest = self.cost.left_this_month(), rows - self._counted + self._before
        if rest * self.cost.price > left and not self._replayed:  # which are not billed again
            self.logger.warning(
                "The rest of this sync costs about %s, but %s of max_credits_per_month are left "
                "for %s. The sync then waits for the next month. If Jobo rejects its cursor by "
                "then, it starts over, and its rows are billed again. Raise max_credits_per_month "
                "for this sync, or narrow the filters.",
                dollars(rest * self.cost.price),
                dollars(left),
                month,
            )

    def count_page(self, rows: int, skipped: int, *, is_replayed: bool) -> None:
        """Count a page that is delivered, and show progress."""
        self._before, self._counted = self._counted, self.count_rows()
        self._pages += 1
        self._skipped += skipped
        self._replayed += rows if is_replayed else 0
        self.show_progress()

    def finish(self, *, has_failed: bool) -> dict[str, int | None]:
        """Remove the progress bar, log the summary, and return the figures for METRIC lines.

        A sync that failed before anything was read or billed has none.
        """
        self._progress.close()
        if has_failed and not (self._pages or self.cost.credits):
            return {}
        balance = self.budget.balance
        self.logger.info(
            "Summary: %s: %s; sync %s.%s",
            self.stream,
            self._figures(),
            "complete" if self.is_complete else "not complete",
            "" if balance is None else f" Balance {dollars(balance)}.",
        )
        return {
            "jobo_rows_replayed": self._replayed or None,
            "jobo_rows_skipped": self._skipped or None,
            "jobo_credits": self.cost.credits or None,
            "jobo_credits_unconfirmed": self.cost.possibly_billed or None,
            "jobo_credits_balance": balance,
        }

    def _read(self) -> Reading:
        rows, cost = self.count_rows(), dollars(self.cost.credits)
        if not self.profiles:
            return rows, "rows", self._total, cost
        # The rate is that of the profiles, which take most of the time.
        return self.profiles.done, "profiles", None, f"{plural(rows, 'row')}, {cost}"

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


class Progress:
    """Shows how far a stream is, from `start` to `close`, unless the logger drops INFO lines."""

    def __init__(self, stream: str, read: Callable[[], Reading], logger: logging.Logger) -> None:
        self._stream = stream
        self._read = read
        self._logger = logger
        self._bar: tqdm[None] | None = None
        self._exit = ExitStack()
        self._next_line = time.monotonic() + _INTERVAL

    def start(self) -> None:
        """Show the bar."""
        if not (self._logger.isEnabledFor(logging.INFO) and _is_watched()):
            return
        from tqdm import tqdm  # noqa: PLC0415 - only where a bar is shown
        from tqdm.contrib.logging import tqdm_logging_redirect  # noqa: PLC0415 - the same

        tqdm.monitor_interval = 0  # no thread that redraws: `update` does
        tqdm.set_lock(threading.RLock())  # by default it also needs a semaphore between processes
        done, unit, _, _ = self._read()
        text = {"desc": self._stream, "unit": f" {unit}", "initial": done}
        bar = tqdm_logging_redirect(**text, dynamic_ncols=True, leave=False, miniters=1)
        self._bar = self._exit.enter_context(bar)

    def update(self) -> None:
        """Show how far the stream is: in the bar, or in a log line every minute."""
        (done, unit, total, more), now = self._read(), time.monotonic()
        if self._bar is not None:
            self._bar.total, self._bar.unit = total, f" {unit}"
            self._bar.set_postfix_str(more, refresh=False)
            self._bar.update(done - self._bar.n)
        elif now >= self._next_line:
            self._next_line = now + _INTERVAL
            self._logger.info("Progress: %s: %s %s, %s.", self._stream, f"{done:,}", unit, more)

    def close(self) -> None:
        """Remove the bar."""
        self._exit.close()
        self._bar = None


def _is_watched() -> bool:
    """Return whether a person watches standard error, and no message there would tear a bar."""
    try:
        is_terminal = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):  # closed, or no terminal
        return False
    has_messages = sys.stdout is not None and sys.stdout.isatty()
    is_quiet = os.environ.get("TERM") == "dumb" or bool(os.environ.get("CI"))
    return is_terminal and not has_messages and not is_quiet
