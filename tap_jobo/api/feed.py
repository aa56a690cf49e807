"""A feed: one request per page, charged to the budget, and its response, validated strictly."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import msgspec

from tap_jobo.api.api_clock import ApiClock
from tap_jobo.api.budget import FeedCost
from tap_jobo.api.client import Client, Prepare
from tap_jobo.api.pages import Page, broken, page_type, read_page
from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import ApiError
from tap_jobo.model import RawPage, Sync, hash_cursor
from tap_jobo.records.values import PARSERS
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.wording import plural

_NEVER: Final = "2000"  # earlier times, such as 0001-01-01, stand for none
_TOLERANCE: Final = timedelta(hours=1)  # the API may widen the window a little


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
        rows_checked = page_type(self.spec, self.row_type)
        self._decoder = None if self.spec.to_row else msgspec.json.Decoder(rows_checked)
        self.estimate = 0  # the rows of the whole sync, if its first page says
        self._sync_id, self._is_window_ignored = "", False
        self._used_cursors: set[str] = set()

    def fetch_page(self, sync: Sync) -> RawPage:
        """Fetch and charge a sync's next page, or raise as `Client.fetch` does."""
        started_at = format_timestamp(self.clock.earlier())
        response = self.client.fetch(
            self.prepare(self.spec.path, self._parameters(sync), self.spec.method),
            rows=sync.batch_size,
            cost=self.cost if self.cost.price or not self.spec.is_free else None,
            feed=self.spec,
        )
        more = response.headers.get("X-Has-More", "").lower()
        charge = self.cost.charge(response.headers, sync.batch_size)
        return RawPage(
            body=response.body,
            cost=charge.credits,
            deducted=charge.deducted,
            fall=charge.fall,
            started_at=started_at,
            received_at=self.clock.now(),
            has_more={"true": True, "false": False}.get(more),
        )

    def _parameters(self, sync: Sync) -> dict[str, Any]:
        """Return all that a sync asks for, on every page: a cursor may carry none of it."""
        names = {each.name: each.request_parameter for each in self.spec.filters}
        given = {names[name]: value for name, value in sync.reads.items()}
        given |= {self.spec.since: sync.since, "batch_size": sync.batch_size, "cursor": sync.cursor}
        return {name: value for name, value in given.items() if value is not None}

    def parse_page(
        self,
        sync: Sync,
        body: bytes,
        *,
        has_more: bool | None,
        deducted: int | None,
        raw: RawPage | None,
    ) -> Page:
        """Parse the next page of a sync, and correct its charge if it is not replayed."""
        page = read_page(body, self.spec, self._decoder, is_billed=bool(deducted))
        self._note(sync, hash_cursor(sync.cursor), page)
        rows = len(page.items)
        if raw:
            page = replace(page, dispute=self.cost.reconcile(raw, rows, sync.batch_size))
        page = self._check_end(sync, page, has_more=has_more)
        self._check_window(sync, page.items)
        return page

    def _check_end(self, sync: Sync, page: Page, *, has_more: bool | None) -> Page:
        """Return the page, whose body and headers must agree on whether it is the last one."""
        rows = len(page.items)
        is_full = rows >= sync.batch_size
        if has_more and not page.has_more:
            raise broken("'has_more' is False, but X-Has-More is True")
        if page.has_more and not page.next_cursor:
            if is_full:
                raise broken("it has 'has_more' without a 'next_cursor'")
            read = sync.rows + rows
            estimate = ""
            if self.estimate > read:
                estimate = f" It has {plural(read, 'row')}, but Jobo estimated {self.estimate:,}."
            self.client.logger.warning(
                "Jobo's last page of %s has 'has_more' without a 'next_cursor'. The sync ends "
                "there, because the page has fewer rows than requested.%s If rows are missing, run "
                "a full refresh and contact Jobo. [missing-rows]",
                self.spec.name,
                estimate,
            )
            return replace(page, has_more=False)
        if page.has_more and hash_cursor(page.next_cursor) in self._used_cursors:
            raise broken("its 'next_cursor' was used before, so the pages would repeat")
        if page.next_cursor and not page.has_more and is_full:
            self.client.logger.warning(
                "Jobo's last page of %s is full and has a 'next_cursor', but its 'has_more' is "
                "False, so the sync ends there. Rows may be missing. To find out, run the contract "
                "check, or contact Jobo. [missing-rows]",
                self.spec.name,
            )
        return page

    def _check_window(self, sync: Sync, items: list[Any]) -> None:
        """Warn once of rows that changed long before the start of the window."""
        if self._is_window_ignored or not sync.since:
            return
        start, parse = parse_timestamp(max(sync.since, "0002-01-01")), PARSERS["date-time"]
        limit, key = format_timestamp(start - _TOLERANCE), self.spec.replication_key
        times = [parse(row.get(key)) for row in items if isinstance(row, dict)]
        if count := sum(_NEVER < each < limit for each in times if each):
            self._is_window_ignored = True
            self.client.logger.warning(
                "A page has %s of %s that last changed more than an hour before the requested "
                "%s. If Jobo ignores this, every run is billed for every row. Set max_credits to "
                "limit what a run spends, and contact Jobo. [unexpected-bill]",
                plural(count, "row"),
                self.spec.name,
                f"{self.spec.since} {sync.since}",
            )

    def revisit(self, sync: Sync, cursor_hash: str, body: bytes) -> Page | None:
        """Parse a page that an earlier run has delivered, if possible, and note what it says."""
        page = None
        with suppress(ApiError):  # an earlier version may have accepted more
            page = read_page(body, self.spec)
        self._note(sync, cursor_hash, page)
        return page

    def _note(self, sync: Sync, cursor_hash: str, page: Page | None) -> None:
        if sync.id != self._sync_id:
            self._sync_id, self._used_cursors, self.estimate = sync.id, set(), 0
        self._used_cursors.add(cursor_hash)
        if page and not cursor_hash:
            self.estimate = page.estimated_total or 0
