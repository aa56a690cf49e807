"""The connection check of `--test`: one row of each selected feed, and one line about it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tap_jobo.api.balance import CREDITS_PER_DOLLAR, dollars
from tap_jobo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_jobo.api.budget import Budget
    from tap_jobo.singer.run import RunContext
    from tap_jobo.singer.stream import JoboStream


def streams_to_test(streams: Iterable[JoboStream]) -> list[JoboStream]:
    """Return the streams that a run would read.

    Raises:
        ConfigError: There are none, so a test would show nothing.
    """
    if found := [stream for stream in streams if stream.selected and not stream.is_mapped_out]:
        return found
    raise ConfigError(
        "There is nothing to test: the catalog selects no stream, or stream_maps removes all that "
        "it selects."
    )


def test_result(run: RunContext, streams: Iterable[JoboStream]) -> str:
    """Return the line about a test of these streams that has succeeded."""
    shown = [f"{urlsplit(run.url).hostname} answered in {run.elapsed:.1f} s"]
    if any(stream.needs_key for stream in streams):
        shown.append("the key is valid")
    if (balance := run.budget.balance) is not None:
        shown.append(f"balance {dollars(balance)}")
    return f"Connection OK: {', '.join(shown)}; this test {_cost(run.budget)}."


def _cost(budget: Budget) -> str:
    """Return what a test cost, to a tenth of a cent: a job costs three of them."""
    if not budget.credits:
        return "was free"
    is_whole = not math.fmod(budget.credits, CREDITS_PER_DOLLAR / 100)
    cost = dollars(budget.credits) if is_whole else f"${budget.credits / CREDITS_PER_DOLLAR:,.3f}"
    return f"cost {'up to ' if budget.possibly_billed else ''}{cost}"
