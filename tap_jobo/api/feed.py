"""A feed: one request per page, charged to the budget, and what its response says."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from tap_jobo.api.api_clock import ApiClock
from tap_jobo.api.budget import FeedCost
from tap_jobo.api.client import Client
from tap_jobo.api.headers import reported_balance, reports_more
from tap_jobo.api.pages import PageParser, ParsedPage
from tap_jobo.api.session import MOST_BYTES
from tap_jobo.clock import earlier, format_timestamp
from tap_jobo.errors import ApiError
from tap_jobo.model import Entry, Receipt, Sync
from tap_jobo.records.values import parse_uuid
from tap_jobo.streams.feed_spec import FeedSpec


@dataclass(kw_only=True)
class FeedReader:
    """Fetches the pages of a feed, and parses them.

    `clock` returns the API's clock: its first call in a run sends a free request.
    """

    spec: FeedSpec
    client: Client
    cost: FeedCost
    clock: Callable[[], ApiClock]
    row_type: type[msgspec.Struct]

    def __post_init__(self) -> None:
        self._parser = PageParser(self.spec, self.row_type)

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
            received_at=format_timestamp(self.clock().now()),
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
            self.spec.since_parameter: sync.since and earlier(sync.since, margin),
            "batch_size": sync.batch_size,
            "cursor": cursor,
        }
        return {name: value for name, value in given.items() if value not in (None, "")}

    def parse_page(self, entry: Entry) -> ParsedPage:
        """Return what a page says. Raises `ApiError` if it is not as documented."""
        check_encoding(entry)
        receipt = entry.header.receipt
        return self._parser.parse(entry.body, is_billed=bool(receipt and receipt.charge.deducted))

    def parse_loaded(self, entry: Entry) -> ParsedPage:
        """Return what a page says that was checked when it was bought.

        A stricter check of a later version does not keep it from being loaded again.
        """
        try:
            return self.parse_page(entry)
        except ApiError:
            return self._parser.parse_items(entry.body)

    def rows(self, entry: Entry, page: ParsedPage) -> list[Any]:
        """Return the rows of a page as received."""
        sync = entry.header.sync
        return self.spec.rows(page.items, sync.started if sync else "")

    def count_rows(self, entry: Entry) -> int:
        """Return the number of rows of a page."""
        return self._parser.count_items(entry.body)

    def read_ids(self, entry: Entry) -> list[str]:
        """Return the usable ids of a page, without parsing the rest of rows as documented."""
        ids = self._parser.read_ids(entry.body)
        if ids is None:
            rows = self.rows(entry, self.parse_loaded(entry))
            ids = [row.get("id") for row in rows if isinstance(row, dict)]
        return [*filter(None, map(parse_uuid, ids))]


def check_encoding(entry: Entry) -> None:
    """Raise `ApiError` if a page is kept as it came, because it is too large decoded."""
    receipt = entry.header.receipt
    if receipt and receipt.encoding:
        most = f"{MOST_BYTES // 10**6} MB"
        raise ApiError(f"{receipt.encoding} can't be decompressed within {most}")
