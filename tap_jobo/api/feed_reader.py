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
    from tap_jobo.streams.feed_spec import FeedSpec
    from tap_jobo.sync_id import Filters, Sync

DATE_RESOLUTION: Final = timedelta(seconds=1)
"""Of the `Date` header."""
MAX_SKEW: Final = timedelta(days=1)
"""How far the two clocks may be apart."""
_UNKNOWN_CLOCK_MARGIN: Final = timedelta(days=30)
"""How far ahead the local clock may be where no answer shows the API's."""


def request_parameters(spec: FeedSpec, scan: Sync, filters: Filters) -> dict[str, Any]:
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
        received_at: When it came, by the API's clock where that is known.
        local_time: The local clock at the same instant.
        api_time: The API's clock, in whole seconds, None where it is not known.
    """

    body: bytes
    cost: int
    headers: Mapping[str, str]
    started_at: str
    received_at: datetime
    local_time: datetime
    api_time: datetime | None


class FeedReader:
    """Fetches pages.

    Args:
        spec: The feed.
        client: Sends the requests.
        prepare: Builds a request from its parameters.
        filters: The filters of every scan.
        account: Where the cost of each page is counted.
        trusts_local: Whether the local clock counts where the API's is not known or far off.
    """

    def __init__(  # noqa: PLR0913 - each is a separate concern, handed in
        self,
        *,
        spec: FeedSpec,
        client: Client,
        prepare: Callable[[dict[str, Any]], PreparedRequest],
        filters: Filters,
        account: Account,
        trusts_local: bool = False,
    ) -> None:
        self._spec = spec
        self._trusts_local = trusts_local
        self._client = client
        self._prepare = prepare
        self._filters = filters
        self._account = account

    def fetch_page(self, scan: Sync) -> RawPage:
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
            started_at=format_timestamp(
                _started_at(response, api_time, trusts_local=self._trusts_local)
            ),
            received_at=api_time or response.sent_at,
            local_time=_local_time(response),
            api_time=api_time,
        )

    def settle(self, page: RawPage, rows: int) -> None:
        """Correct the charge, once the page's number of rows is known."""
        self._account.settle(page.cost, page.headers, rows)


def _local_time(response: ApiResponse) -> datetime:
    """Return the local clock at the instant at which the answer was dated."""
    return response.sent_at + timedelta(seconds=response.elapsed)


def _started_at(
    response: ApiResponse, api_time: datetime | None, *, trusts_local: bool
) -> datetime:
    """Return the instant before a scan's first request, by the earlier of the two clocks.

    A local clock that is ahead would move the bookmark past updates that come later. The API's
    clock is read from the `Date` of the answer, less the time that the answer took and a second
    for the header's resolution. Where it is not known, or too far off, the local clock counts if
    the user vouches for it; else the run ends, and the scan has a start that is early enough.
    """
    local = response.first_sent_at
    if api_time is None:
        return local if trusts_local else local - _UNKNOWN_CLOCK_MARGIN
    if trusts_local and abs(api_time - _local_time(response)) > MAX_SKEW:
        return local
    return min(local, api_time - timedelta(seconds=response.elapsed) - DATE_RESOLUTION)
