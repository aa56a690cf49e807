"""Fetches the pages of a feed: one request per page, charged to the budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.clock import format_timestamp
from tap_jobo.streams.feed_spec import Continuation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from requests import PreparedRequest

    from tap_jobo.api.api_clock import ApiClock
    from tap_jobo.api.budget import FeedCost
    from tap_jobo.api.client import Client
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


class FeedReader:
    """Fetches pages.

    Args:
        spec: The feed.
        client: Sends the requests.
        prepare: Builds a request from its parameters.
        filters: The filters of every sync.
        cost: Where the cost of each page is counted.
        clock: The API's clock.
    """

    def __init__(  # noqa: PLR0913 - each is a separate dependency
        self,
        *,
        spec: FeedSpec,
        client: Client,
        prepare: Callable[[dict[str, Any]], PreparedRequest],
        filters: Filters,
        cost: FeedCost,
        clock: ApiClock,
    ) -> None:
        self._spec = spec
        self._client = client
        self._prepare = prepare
        self._filters = filters
        self._cost = cost
        self._clock = clock

    def fetch_page(self, sync: Sync) -> RawPage:
        """Fetch and charge a sync's next page.

        Raises:
            TapJoboError: As for `Client.fetch`.
        """
        started_at = format_timestamp(self._clock.earlier())
        response = self._client.fetch(
            self._prepare(request_parameters(self._spec, sync, self._filters)),
            rows=sync.batch_size,
            cost=None if self._spec.is_free else self._cost,
            envelope=(self._spec.item_key, "has_more", "next_cursor"),
            forbidden=self._spec.forbidden,
        )
        return RawPage(
            body=response.body,
            cost=self._cost.charge(response.headers, sync.batch_size),
            headers=response.headers,
            started_at=started_at,
            received_at=self._clock.now(),
            has_more=_BOOLEANS.get(response.headers.get("X-Has-More", "").lower()),
        )

    def reconcile(self, page: RawPage, rows: int, requested: int) -> str:
        """Correct the charge of a page, as `FeedCost.reconcile` does."""
        return self._cost.reconcile(page.cost, page.headers, rows, requested)
