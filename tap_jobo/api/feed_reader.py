"""Fetches the pages of a feed: one request per page, charged to the budget."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.clock import format_timestamp
from tap_jobo.streams.feed_spec import Continuation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests import PreparedRequest

    from tap_jobo.api.account import Account
    from tap_jobo.api.client import Client
    from tap_jobo.api.responses import ApiResponse
    from tap_jobo.scan import Filters, Scan
    from tap_jobo.streams.feed_spec import FeedSpec

DATE_RESOLUTION: Final = timedelta(seconds=1)
"""Resolution of the `Date` header."""
UNKNOWN_CLOCK_MARGIN: Final = timedelta(days=1)
"""How far ahead the local clock may be if no response gives the API's time."""


def request_parameters(spec: FeedSpec, scan: Scan, filters: Filters) -> dict[str, Any]:
    """Return the request parameters for a scan's next page."""
    if spec.continuation is Continuation.CURSOR_ALONE and scan.cursor:
        return {"cursor": scan.cursor}
    parameters = {each.request_parameter: filters[each.name] for each in spec.filters}
    parameters |= {spec.since: scan.since, "batch_size": scan.batch_size, "cursor": scan.cursor}
    return {name: value for name, value in parameters.items() if value is not None}


@dataclass(frozen=True, slots=True)
class RawPage:
    """A page as received, before anything parses it.

    Attributes:
        body: The decoded body, without the key.
        cost: Credits charged for it so far.
        headers: The response headers, with case-insensitive names.
        started_at: The instant before the request by the slower clock (ISO 8601 UTC).
        received_at: When it arrived, by the API's clock if known.
        skew: How far the API's clock is ahead of the local one, None if unknown.
        api_time: The API's clock, in whole seconds, None if unknown.
    """

    body: bytes
    cost: int
    headers: Mapping[str, str]
    started_at: str
    received_at: datetime
    skew: timedelta | None
    api_time: datetime | None


class FeedReader:
    """Fetches pages.

    Args:
        spec: The feed.
        client: Sends the requests.
        prepare: Builds a request from its parameters.
        filters: The filters of every scan.
        account: Where the cost of each page is counted.
    """

    def __init__(
        self,
        *,
        spec: FeedSpec,
        client: Client,
        prepare: Callable[[dict[str, Any]], PreparedRequest],
        filters: Filters,
        account: Account,
    ) -> None:
        self._spec = spec
        self._client = client
        self._prepare = prepare
        self._filters = filters
        self._account = account

    def fetch_page(self, scan: Scan) -> RawPage:
        """Fetch and charge a scan's next page.

        Raises:
            TapJoboError: As for `Client.fetch`.
        """
        response = self._client.fetch(
            self._prepare(request_parameters(self._spec, scan, self._filters)),
            rows=scan.batch_size,
            account=None if self._spec.is_free else self._account,
            forbidden=self._spec.forbidden,
        )
        api_time = response.date or self._client.api_now()
        return RawPage(
            body=response.body,
            cost=self._account.charge(response.headers, scan.batch_size),
            headers=response.headers,
            started_at=format_timestamp(_started_at(response, api_time)),
            received_at=api_time or response.sent_at,
            skew=_skew(response),
            api_time=api_time,
        )

    def settle(self, page: RawPage, rows: int) -> None:
        """Correct the charge, once the page's number of rows is known."""
        self._account.settle(page.cost, page.headers, rows)


def _skew(response: ApiResponse) -> timedelta | None:
    if response.date is None:
        return None
    return response.date - response.sent_at - timedelta(seconds=response.elapsed)


def _started_at(response: ApiResponse, api_time: datetime | None) -> datetime:
    """Return the instant before a scan's first request, by the slower of the two clocks.

    A local clock that is ahead would move the bookmark past later updates. The API's clock is the
    `Date` of the response, minus the response time and a second for the header's resolution. If
    no response of the run has a `Date`, the local clock is used, minus a day in case it is ahead.
    """
    if api_time is None:
        return response.first_sent_at - UNKNOWN_CLOCK_MARGIN
    by_api = api_time - timedelta(seconds=response.elapsed) - DATE_RESOLUTION
    return min(response.first_sent_at, by_api)
