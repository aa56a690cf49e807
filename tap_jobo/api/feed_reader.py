"""The feed of career sites: one request a page, and the instant at which a scan began."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.api.json_body import NotJsonError
from tap_jobo.api.page import read_page
from tap_jobo.clock import format_timestamp
from tap_jobo.errors import ApiError, StateError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from datetime import datetime

    from requests import PreparedRequest

    from tap_jobo.api.budget import Account
    from tap_jobo.api.client import Client
    from tap_jobo.api.page import Page
    from tap_jobo.api.responses import ApiResponse
    from tap_jobo.scan import Filters, Scan

PATH: Final = "/api/career-sites/feed"
_TOLERATED_SKEW: Final = timedelta(minutes=5)
_DATE_RESOLUTION: Final = timedelta(seconds=1)


def request_body(scan: Scan, filters: Filters) -> dict[str, Any]:
    """Return the body that asks for the scan's next page.

    Every page's body repeats the filters, `updated_after` and `batch_size` beside the cursor, as
    Jobo's own example does.
    """
    body = {
        **filters,
        "updated_after": scan.updated_after,
        "batch_size": scan.batch_size,
        "cursor": scan.cursor,
    }
    return {name: value for name, value in body.items() if value is not None}


class FeedReader:
    """Buys pages.

    Args:
        client: Sends the requests.
        prepare: Makes a request of a body.
        filters: The filters of every scan.
        account: Where the cost of each page is counted.
        logger: Where a clock that is off is reported.
    """

    def __init__(
        self,
        *,
        client: Client,
        prepare: Callable[[dict[str, Any]], PreparedRequest],
        filters: Filters,
        account: Account,
        logger: logging.Logger,
    ) -> None:
        self._client = client
        self._prepare = prepare
        self._filters = filters
        self._account = account
        self._logger = logger
        self._clocks_compared = False

    def fetch_page(self, scan: Scan, bookmark: datetime | None) -> Page:
        """Buy the scan's next page; the first one sets when the scan started.

        Args:
            scan: The scan; only its `started_at` is changed.
            bookmark: The bookmark that the scan goes on from.

        Raises:
            StateError: The bookmark lies in the future by the API's clock.
            TapJoboError: As `Client.fetch` and `read_page`.
        """
        answer = self._client.fetch(
            self._prepare(request_body(scan, self._filters)),
            rows=scan.batch_size,
            account=self._account,
        )
        charged = self._account.charge(answer.headers, scan.batch_size)
        try:
            page = read_page(answer.body, scan.cursor)
        except NotJsonError as error:
            raise ApiError("Jobo's answer is not JSON: the run stops here.") from error
        self._account.settle(charged, answer.headers, len(page.rows))
        self._compare_clocks(answer, bookmark)
        if scan.started_at is None:
            scan.started_at = format_timestamp(_started_at(answer))
        return page

    def _compare_clocks(self, answer: ApiResponse, bookmark: datetime | None) -> None:
        if self._clocks_compared:
            return
        self._clocks_compared = True
        if answer.date is None:
            self._logger.warning(
                "Jobo's answer has no readable Date header: the bookmark goes by the local clock "
                "alone, which must not be ahead."
            )
            return
        reject_future_bookmark(bookmark, answer.date)
        skew = answer.date - answer.sent_at - timedelta(seconds=answer.elapsed)
        if abs(skew) > _TOLERATED_SKEW:
            self._logger.warning(
                "The local clock is %.0f minutes %s the API's. %s Set the local clock.",
                abs(skew).total_seconds() / 60,
                "behind" if skew > timedelta(0) else "ahead of",
                "The bookmark goes by it, so that what changes in between is bought again by "
                "every run."
                if skew > timedelta(0)
                else "The bookmark goes by the API's clock, and nothing is lost.",
            )


def reject_future_bookmark(bookmark: datetime | None, api_time: datetime | None) -> None:
    """See that a bookmark does not lie in the future, so that a scan from it would leave rows out.

    Args:
        bookmark: The bookmark, if there is one.
        api_time: The API's clock, in whole seconds; None if it is not known.

    Raises:
        StateError: It does.
    """
    if bookmark and api_time and bookmark > api_time + _DATE_RESOLUTION:
        raise StateError(
            f"The bookmark {format_timestamp(bookmark)} lies in the future: the API's clock says "
            f"{format_timestamp(api_time)}. Rows would be left out, so the run stops and the "
            "state stays as it is: correct replication_key_value in the state, or run a full "
            "refresh."
        )


def _started_at(answer: ApiResponse) -> datetime:
    """Return the instant before the scan's first request, by the slower of the two clocks.

    A local clock that is ahead would move the bookmark past updates that come later. The API's
    clock is read from the `Date` of the answer, less the time that the answer took and a second
    for the header's resolution.
    """
    if answer.date is None:
        return answer.first_sent_at
    by_api = answer.date - timedelta(seconds=answer.elapsed) - _DATE_RESOLUTION
    return min(answer.first_sent_at, by_api)
