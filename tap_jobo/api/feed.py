"""A feed: one request per page, charged to the budget, and what its response says."""

from dataclasses import dataclass
from typing import Any

import msgspec

from tap_jobo.api.api_clock import ApiClock
from tap_jobo.api.budget import FeedCost
from tap_jobo.api.client import Client, Prepare
from tap_jobo.api.headers import reports_more
from tap_jobo.api.pages import PageParser, ParsedPage
from tap_jobo.clock import format_timestamp
from tap_jobo.model import BilledPage, PageHeader, Sync, hash_cursor
from tap_jobo.streams.feed_spec import FeedSpec


@dataclass(kw_only=True)
class FeedReader:
    """Fetches the pages of a feed, and parses them."""

    spec: FeedSpec
    client: Client
    prepare: Prepare
    cost: FeedCost
    clock: ApiClock
    row_type: type[msgspec.Struct]

    def __post_init__(self) -> None:
        self._parser = PageParser(self.spec, self.row_type)

    def fetch_page(self, sync: Sync) -> BilledPage:
        """Fetch and charge a sync's next page, or raise as `Client.fetch` does."""
        now = format_timestamp(self.clock.earlier())
        response = self.client.fetch(
            self.prepare(self.spec.path, self._parameters(sync), self.spec.method),
            rows=sync.batch_size,
            cost=self.cost if self.cost.price or not self.spec.is_free else None,
            feed=self.spec,
        )
        header = PageHeader(
            cursor=hash_cursor(sync.cursor),
            started_at=sync.started_at or now,
            charge=self.cost.charge(response.headers, sync.batch_size),
            received_at=format_timestamp(self.clock.now()),
            has_more=reports_more(response.headers),
        )
        return BilledPage(header, response.body)

    def _parameters(self, sync: Sync) -> dict[str, Any]:
        """Return all that a sync asks for, on every page: a cursor may carry none of it."""
        names = self.spec.filter_parameters
        given = {names[name]: value for name, value in sync.reads.items()}
        given |= {self.spec.since: sync.since, "batch_size": sync.batch_size, "cursor": sync.cursor}
        return {name: value for name, value in given.items() if value is not None}

    def parse_page(self, page: BilledPage) -> ParsedPage:
        """Return what a page says. Raises `ApiError` if it is not as documented."""
        return self._parser.parse(page.body, is_billed=bool(page.header.charge.deducted))
