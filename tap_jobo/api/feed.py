"""A feed: one request per page, charged to the budget, and what its response says."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from tap_jobo.api.api_clock import ApiClock
from tap_jobo.api.budget import FeedCost
from tap_jobo.api.client import Client
from tap_jobo.api.headers import reported_balance, reports_more
from tap_jobo.api.pages import PageParser
from tap_jobo.clock import before, format_timestamp
from tap_jobo.model import Receipt, Sync
from tap_jobo.streams.feed_spec import FeedSpec


@dataclass(kw_only=True)
class FeedReader(PageParser):
    """Fetches the pages of a feed, and parses them."""

    spec: FeedSpec
    client: Client
    cost: FeedCost
    clock: ApiClock
    row_type: type[msgspec.Struct]

    def __post_init__(self) -> None:
        super().__init__(self.spec, self.row_type)

    def fetch_page(self, sync: Sync, cursor: str | None) -> tuple[Receipt, bytes]:
        """Fetch and charge a page of a sync, or raise as `Client.fetch` does.

        Returns:
            What its headers say, and its body as received.
        """
        build = self.client.session.build
        response = self.client.fetch(
            build(self.spec.path, self._parameters(sync, cursor), self.spec.method),
            rows=sync.batch_size,
            cost=self.cost,
        )
        receipt = Receipt(
            charge=self.cost.charge(response.headers, sync.batch_size),
            balance=reported_balance(response.headers),
            received_at=format_timestamp(self.clock.now()),
            has_more=reports_more(response.headers),
            encoding=response.encoding,
        )
        return receipt, response.body

    def _parameters(self, sync: Sync, cursor: str | None) -> dict[str, Any]:
        """Return all that a sync asks for, on every page: a cursor may carry none of it."""
        names = self.spec.filter_parameters
        given = {names[name]: value for name, value in sync.reads.items()}
        margin = timedelta(milliseconds=0 if self.spec.since_is_inclusive else 1)
        given |= {
            self.spec.since_parameter: before(sync.since, margin),
            "batch_size": sync.batch_size,
            "cursor": cursor,
        }
        return {name: value for name, value in given.items() if value not in (None, "")}
