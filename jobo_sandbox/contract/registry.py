"""The checks by name, each with its expectation and where that comes from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from tap_jobo.streams import FEEDS
from tap_jobo.streams.feed_spec import FeedSpec

DOCS, CLIENT, TAP = "documentation", "Jobo's own client", "the tap needs it"
"""Where an expectation comes from. After a run against Jobo's API, also "observed on DAY"."""
BILLED: Final = sorted(
    (feed for feed in FEEDS if not feed.is_free and not feed.is_account_bound),
    key=lambda feed: feed.list_price,
)
"""The feeds that are checked in the same ways: any account may use them, and their rows cost. The
cheapest comes first, in case that not all can be checked."""
Run = Callable[..., str | None]
"""Checks an API. Returns a remark, if any, or raises `Differs` or `NotTestable`."""


@dataclass(frozen=True)
class Check:
    """What is assumed, on what grounds, what the tap does about a difference, and the check."""

    assumption: str
    source: str
    tap_does: str
    run: Run


CHECKS: Final[dict[str, Check]] = {}
LAST_CHECKS: Final[dict[str, Check]] = {}
"""Those of all responses together."""


def check(
    source: str, tap_does: str, *feeds: FeedSpec, to: dict[str, Check] = CHECKS
) -> Callable[[Run], Run]:
    """Register a check, or one for each of some feeds. Its docstring is the assumption."""

    def add(run: Run) -> Run:
        for feed in feeds:
            assumed = Check(str(run.__doc__), source, tap_does, partial(run, feed=feed))
            to[f"{feed.name}_{run.__name__}"] = assumed
        if not feeds:
            to[run.__name__] = Check(str(run.__doc__), source, tap_does, run)
        return run

    return add
