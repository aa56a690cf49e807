"""The summary of a run: one line over all its streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jobo.api.balance import dollars
from tap_jobo.wording import plural

if TYPE_CHECKING:
    import logging

    from tap_jobo.api.budget import Budget


class RunSummary:
    """Sums up the streams of a run.

    Args:
        budget: The budget of the run, which knows what it cost.
        logger: Where the line goes.
    """

    def __init__(self, budget: Budget, logger: logging.Logger) -> None:
        self._budget = budget
        self._logger = logger
        self._streams = self._rows = self._pages = self._profiles = 0
        self._is_complete = True
        self._is_logged = False

    def add(
        self, *, rows: int = 0, pages: int = 0, profiles: int = 0, is_complete: bool = True
    ) -> None:
        """Add a stream that is done, or ended early."""
        self._streams += 1
        self._rows += rows
        self._pages += pages
        self._profiles += profiles
        self._is_complete &= is_complete

    def log(self, *, is_complete: bool) -> None:
        """Log the line, once, unless it would repeat the one of the only stream.

        Args:
            is_complete: Whether the run reached its end. A stream may have ended early even so.
        """
        if self._streams <= 1 or self._is_logged:
            return
        self._is_logged = True
        spent, balance = self._budget.credits, self._budget.balance
        parts = [f"{plural(self._rows, 'row')} in {plural(self._pages, 'page')}"]
        parts += [plural(self._profiles, "profile")] if self._profiles else []
        self._logger.info(
            "Summary: run: %s, %s (%s); %s.%s",
            ", ".join(parts),
            plural(spent, "credit"),
            dollars(spent),
            "complete" if is_complete and self._is_complete else "not complete",
            "" if balance is None else f" Balance {dollars(balance)}.",
        )
