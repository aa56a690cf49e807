"""The tap's client for the feed, in this process and on the clock of tests."""

import logging
from dataclasses import dataclass, field
from typing import Any

from tap_jobo.api.budget import Budget, FeedCost
from tap_jobo.api.client import Client
from tap_jobo.api.pages import PageParser, ParsedPage
from tap_jobo.api.session import ApiSession
from tap_jobo.signals import ShutdownSignal
from tap_jobo.streams.career_sites import CAREER_SITES
from tests.support.clock import FakeClock

LOGGER = logging.getLogger("tests.client")
GARBAGE = ["", "soon", "-5", "nan", "inf", "-inf", "1e999", "1e15", "0x10", "١٢"]
"""Texts that are no number of seconds."""


def make_client(session: ApiSession, clock: FakeClock, **options: float) -> Client:
    """The tap's client with a clock of the test's."""
    shutdown = ShutdownSignal(clock)
    more: Any = options
    return Client(session=session, shutdown=shutdown, clock=clock, logger=LOGGER, **more)


@dataclass
class FeedClient:
    """The tap's client for the feed, with a clock of the test's."""

    session: ApiSession  #: builds the requests, and sends them
    clock: FakeClock = field(default_factory=FakeClock)
    #: what it has cost, but for pages that arrived: their reader counts them
    budget: Budget = field(default_factory=lambda: Budget(logger=LOGGER))

    def __post_init__(self) -> None:
        self.cost = FeedCost(self.budget, CAREER_SITES)  #: the part of the feed
        self.client = make_client(self.session, self.clock)

    def page(self, cursor: str | None = None) -> ParsedPage:
        """Fetch a page of 50 rows; `TapJoboError` if the client gives up."""
        parameters = {"batch_size": 50, "cursor": cursor}
        request = self.session.build(CAREER_SITES.path, parameters, "POST")
        response = self.client.fetch(request, rows=50, cost=self.cost)
        return PageParser(CAREER_SITES).parse(response.body)

    def waited(self) -> float:
        """Fetch a page and return the seconds that it took."""
        before = self.clock.passed
        assert len(self.page().rows) == 50
        return self.clock.passed - before
