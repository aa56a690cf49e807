"""A feed: one request per page, charged to the budget, and its response, validated strictly."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import msgspec

from tap_jobo.api.api_clock import ApiClock
from tap_jobo.api.budget import FeedCost
from tap_jobo.api.client import Client, Prepare
from tap_jobo.api.responses import parse_json
from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import ApiError
from tap_jobo.model import Filters, RawPage, Sync, hash_cursor
from tap_jobo.records.values import PARSERS, sanitize_text
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.wording import plural

_TOLERANCE: Final = timedelta(hours=1)  # the API may widen the window a little
PageDecoder = msgspec.json.Decoder[Any]


@dataclass(frozen=True, slots=True)
class Page:
    """What one request to a feed returns."""

    items: list[Any]
    next_cursor: str | None  # set if `has_more`
    has_more: bool
    estimated_total: int | None = None  # items in the whole sync
    are_rows_checked: bool = False  # otherwise, each is when it is converted to a record
    dispute: str = ""  # what is wrong with the credits that Jobo deducted


@dataclass(kw_only=True)
class FeedReader:
    """Fetches the pages of a feed, and parses them."""

    spec: FeedSpec
    client: Client
    prepare: Prepare
    filters: Filters
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
            cost=None if self.spec.is_free else self.cost,
            envelope=(self.spec.item_key, "has_more", "next_cursor"),
        )
        more = response.headers.get("X-Has-More", "").lower()
        return RawPage(
            body=response.body,
            cost=self.cost.charge(response.headers, sync.batch_size),
            deducted=self.cost.deducted(response.headers),
            headers=response.headers,
            started_at=started_at,
            received_at=self.clock.now(),
            has_more={"true": True, "false": False}.get(more),
        )

    def _parameters(self, sync: Sync) -> dict[str, Any]:
        if self.spec.is_cursor_alone and sync.cursor:
            return {"cursor": sync.cursor}
        filters = sync.filters or self.filters
        given = {each.request_parameter: filters[each.name] for each in self.spec.filters}
        given |= {self.spec.since: sync.since, "batch_size": sync.batch_size, "cursor": sync.cursor}
        return {name: value for name, value in given.items() if value is not None}

    def parse_page(
        self, sync: Sync, body: bytes, *, has_more: bool | None, raw: RawPage | None
    ) -> Page:
        """Parse the next page of a sync, and correct its charge if it is not replayed."""
        page = read_page(body, self.spec, self._decoder)
        self._note(sync, hash_cursor(sync.cursor), page)
        rows = len(page.items)
        if raw:
            dispute = self.cost.reconcile(raw.cost, raw.headers, rows, sync.batch_size)
            page = replace(page, dispute=dispute)
        if has_more and not page.has_more:
            raise _broken("'has_more' is False, but X-Has-More is True")
        if page.has_more and not page.next_cursor:
            missing = self.estimate - sync.rows - rows
            if rows >= sync.batch_size or missing > sync.batch_size:
                raise _broken("it has 'has_more' without a 'next_cursor'")
            self.client.logger.warning(
                "Jobo's last page of %s has 'has_more' without a 'next_cursor'. The sync ends "
                "there, because the page has fewer rows than requested. If rows are missing, run "
                "a full refresh and contact Jobo.",
                self.spec.name,
            )
            page = replace(page, has_more=False)
        if page.has_more and hash_cursor(page.next_cursor) in self._used_cursors:
            raise _broken("its 'next_cursor' was used before, so the pages would repeat")
        self._check_window(sync, page.items)
        return page

    def _check_window(self, sync: Sync, items: list[Any]) -> None:
        """Warn once of rows that changed long before the start of the window."""
        if self._is_window_ignored or not sync.since:
            return
        start, parse = parse_timestamp(max(sync.since, "0002-01-01")), PARSERS["date-time"]
        limit, key = format_timestamp(start - _TOLERANCE), self.spec.replication_key
        times = [parse(row.get(key)) for row in items if isinstance(row, dict)]
        if count := sum(each < limit for each in times if each):
            self._is_window_ignored = True
            self.client.logger.warning(
                "A page has %s of %s that last changed more than an hour before the requested "
                "%s. If Jobo ignores this, every run is billed for every row. Set max_credits to "
                "limit what a run spends, and contact Jobo.",
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


def page_type(spec: FeedSpec, row_type: Any) -> Any:
    """Return the msgspec type of pages whose rows all match a type."""
    members: list[Any] = [
        ("items", list[row_type]),
        ("has_more", bool),
        ("next_cursor", str | None, None),
        ("estimated_total", Any, None),
    ]
    return msgspec.defstruct("Envelope", members, rename={"items": spec.item_key})


def read_page(body: bytes, spec: FeedSpec, decoder: PageDecoder | None = None) -> Page:
    """Parse the body of a page, at once if the decoder can."""
    checked: Any = None
    if decoder and b"\\u0000" not in body:
        with suppress(msgspec.DecodeError, ValueError, RecursionError):
            checked = decoder.decode(body)
    try:
        page = checked or msgspec.convert(_known(parse_json(body), spec), page_type(spec, Any))
    except (msgspec.DecodeError, ValueError) as error:
        raise _broken(str(error)) from None
    if page.next_cursor and sanitize_text(page.next_cursor) != page.next_cursor:
        raise _broken("its 'next_cursor' cannot be sent back")
    estimate = page.estimated_total
    return Page(
        items=msgspec.to_builtins(page.items) if checked else page.items,
        next_cursor=page.next_cursor,
        has_more=page.has_more,
        estimated_total=estimate if isinstance(estimate, int) and 0 <= estimate < 10**12 else None,
        are_rows_checked=checked is not None,
    )


def _known(data: object, spec: FeedSpec) -> object:
    """Leave out unknown members: msgspec refuses a name with a lone surrogate."""
    known = (spec.item_key, "has_more", "next_cursor", "estimated_total")
    return {name: data[name] for name in known if name in data} if isinstance(data, dict) else data


def _broken(why: str) -> ApiError:
    return ApiError(f"Jobo's response is not as documented: {why}")
