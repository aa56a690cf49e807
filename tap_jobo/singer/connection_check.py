"""The connection check of `--test`: one row of each selected feed, and one line about it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tap_jobo.api.balance import CREDITS_PER_DOLLAR, dollars
from tap_jobo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import requests

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


class ConnectionCheck:
    """Observes the responses of a test, and says what they show.

    Args:
        run: What the streams of the run share.
    """

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._seconds = 0.0
        run.is_test = True
        run.session.hooks["response"].append(self._note)

    def _note(self, response: requests.Response, **_: Any) -> None:
        self._seconds = response.elapsed.total_seconds()

    def result(self, streams: Iterable[JoboStream]) -> str:
        """Return the line about a test of these streams that has succeeded."""
        shown = [f"{urlsplit(self._run.url).hostname} answered in {self._seconds:.1f} s"]
        if any(stream.needs_key for stream in streams):
            shown.append("the key is valid")
        if (balance := self._run.budget.balance) is not None:
            shown.append(f"balance {dollars(balance)}")
        return f"Connection OK: {', '.join(shown)}; this test {_cost(self._run.budget)}."


def _cost(budget: Budget) -> str:
    """Return what a test cost, to a tenth of a cent: a job costs three of them."""
    if not budget.credits:
        return "was free"
    is_whole = not math.fmod(budget.credits, CREDITS_PER_DOLLAR / 100)
    cost = dollars(budget.credits) if is_whole else f"${budget.credits / CREDITS_PER_DOLLAR:,.3f}"
    return f"cost {'up to ' if budget.perhaps else ''}{cost}"
