"""Checks for wrong clocks, and for a bookmark that lies in the future."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from tap_jobo.api.feed_reader import DATE_RESOLUTION
from tap_jobo.clock import format_timestamp
from tap_jobo.errors import StateError

if TYPE_CHECKING:
    import logging

    from tap_jobo.api.feed_reader import RawPage

_TOLERATED_SKEW: Final = timedelta(minutes=5)


def report_clocks(page: RawPage, logger: logging.Logger) -> None:
    """Warn if the API's clock is not known, or far from the local one."""
    if page.api_time is None:
        logger.warning(
            "Jobo's responses have no readable Date header. The bookmark is set a day before the "
            "local clock, in case the clock is ahead; rows that change within that day are billed "
            "again. Look for a proxy that strips the header."
        )
    elif page.skew is not None and abs(page.skew) > _TOLERATED_SKEW:
        is_behind = page.skew > timedelta(0)
        logger.warning(
            "The local clock is %.0f minutes %s the API's. %s Set the local clock.",
            abs(page.skew).total_seconds() / 60,
            "behind" if is_behind else "ahead of",
            "The bookmark follows it, so every run bills the rows that changed in between again."
            if is_behind
            else "The bookmark follows the API's clock, so nothing is lost.",
        )


def reject_future_bookmark(bookmark: datetime | None, api_time: datetime | None) -> None:
    """Check that a bookmark does not lie in the future, which would skip rows.

    Args:
        bookmark: The bookmark or the start of the pending scan, if there is one.
        api_time: The API's clock, in whole seconds; None if it is not known.

    Raises:
        StateError: It does.
    """
    if bookmark and api_time and bookmark > api_time + DATE_RESOLUTION:
        raise StateError(
            f"The bookmark {format_timestamp(bookmark)} lies in the future: the API's clock says "
            f"{format_timestamp(api_time)}. Rows would be skipped, so the run stops and the state "
            "is left unchanged. Correct replication_key_value (or started_at of the pending scan) "
            "in the state, or run a full refresh."
        )
