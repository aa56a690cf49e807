"""Checks for wrong clocks, and for a bookmark that lies in the future."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from tap_jobo.api.feed_reader import DATE_RESOLUTION, MAX_SKEW
from tap_jobo.clock import format_timestamp
from tap_jobo.errors import ClockError, StateError

if TYPE_CHECKING:
    import logging


_TOLERATED_SKEW: Final = timedelta(minutes=5)


def judge_clocks(
    api_time: datetime | None, local: datetime, *, trusts_local: bool, logger: logging.Logger
) -> datetime | None:
    """Check that the API's clock is known and near the local one; warn if it is not quite.

    The bookmark follows the earlier of the two, so a clock that is wrong by days would either lose
    rows or bill them all again.

    Args:
        api_time: The API's clock at an instant, None if no answer of the run shows it.
        local: The local clock at the same instant.
        trusts_local: Whether the user vouches for the local clock.
        logger: Where a small difference is reported.

    Returns:
        The API's clock; None if the local one counts instead.

    Raises:
        ClockError: It is not known, or more than a day apart.
    """
    said = "is not known" if api_time is None else f"says {format_timestamp(api_time)}"
    if api_time is None or abs(api_time - local) > MAX_SKEW:
        if trusts_local:
            return None
        raise ClockError(
            f"The API's clock {said} (the Date header of its answers), and the local clock says "
            f"{format_timestamp(local)}. A bookmark set by a wrong clock would lose rows, or bill "
            "them again, so the run ends; what was paid for is in the journal. Set the local "
            "clock, or look for a proxy that changes the header."
        )
    if abs(api_time - local) > _TOLERATED_SKEW:
        is_behind = api_time > local
        logger.warning(
            "The local clock is %.0f minutes %s the API's. %s Set the local clock.",
            abs(api_time - local).total_seconds() / 60,
            "behind" if is_behind else "ahead of",
            "The bookmark follows it, so every run bills the rows that changed in between again."
            if is_behind
            else "The bookmark follows the API's clock, so nothing is lost.",
        )
    return api_time


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
