"""Fetches the pages of a feed: one request per page, charged to the budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.api.page import check_has_more, page_decoder, read_page
from tap_jobo.clock import format_timestamp
from tap_jobo.streams.feed_spec import Continuation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from msgspec import Struct
    from requests import PreparedRequest

    from tap_jobo.api.api_clock import ApiClock
    from tap_jobo.api.budget import FeedCost
    from tap_jobo.api.client import Client
    from tap_jobo.api.page import Page
    from tap_jobo.streams.feed_spec import FeedSpec
    from tap_jobo.sync_id import Filters, Sync

_BOOLEANS: Final = {"true": True, "false": False}


def request_parameters(spec: FeedSpec, sync: Sync, filters: Filters) -> dict[str, Any]:
    """Return the request parameters for a sync's next page."""
    if spec.continuation is Continuation.CURSOR_ALONE and sync.cursor:
        return {"cursor": sync.cursor}
    parameters = {each.request_parameter: filters[each.name] for each in spec.filters}
    parameters |= {spec.since: sync.since, "batch_size": sync.batch_size, "cursor": sync.cursor}
    return {name: value for name, value in parameters.items() if value is not None}


@dataclass(frozen=True, slots=True)
class RawPage:
    """A page as received, before anything parses it.

    Attributes:
        body: The decoded body, without the key.
        cost: Credits charged for it so far.
        headers: The response headers, with case-insensitive names.
        started_at: The instant before the request by the earlier clock (ISO 8601 UTC).
        received_at: When it came, by the API's clock.
        has_more: What its header `X-Has-More` says, None if it is missing.
    """

    body: bytes
    cost: int
    headers: Mapping[str, str]
    started_at: str
    received_at: datetime
    has_more: bool | None = None


@dataclass(kw_only=True)
class FeedReader:
    """Fetches pages, and parses them.

    Attributes:
        prepare: Builds a request from its parameters.
        row_type: The msgspec type of rows that need no conversion.
    """

    spec: FeedSpec
    client: Client
    prepare: Callable[[dict[str, Any]], PreparedRequest]
    filters: Filters
    cost: FeedCost
    clock: ApiClock
    row_type: type[Struct]

    def __post_init__(self) -> None:
        self._decoder = page_decoder(self.spec, self.row_type)

    def fetch_page(self, sync: Sync) -> RawPage:
        """Fetch and charge a sync's next page.

        Raises:
            TapJoboError: As for `Client.fetch`.
        """
        started_at = format_timestamp(self.clock.earlier())
        response = self.client.fetch(
            self.prepare(request_parameters(self.spec, sync, self.filters)),
            rows=sync.batch_size,
            cost=None if self.spec.is_free else self.cost,
            envelope=(self.spec.item_key, "has_more", "next_cursor"),
            forbidden=self.spec.forbidden,
        )
        return RawPage(
            body=response.body,
            cost=self.cost.charge(response.headers, sync.batch_size),
            headers=response.headers,
            started_at=started_at,
            received_at=self.clock.now(),
            has_more=_BOOLEANS.get(response.headers.get("X-Has-More", "").lower()),
        )

    def parse_page(
        self, sync: Sync, body: bytes, *, has_more: bool | None, raw: RawPage | None
    ) -> Page:
        """Parse a page, and correct its charge if it was billed in this run.

        Args:
            sync: The sync, with the cursor that the page was requested with.
            body: The page.
            has_more: What its header `X-Has-More` said, None if it was missing.
            raw: The page as received, None if it is replayed.

        Raises:
            ApiError: The page is not the documented envelope.
        """
        page = read_page(body, self.spec, sync.cursor, self._decoder)
        if raw:
            rows = len(page.items)
            dispute = self.cost.reconcile(raw.cost, raw.headers, rows, sync.batch_size)
            page = replace(page, dispute=dispute)
        check_has_more(page, has_more)
        return page
