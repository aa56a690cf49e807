"""A feed: one request per page, charged to the budget, and its response, validated strictly."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from tap_jobo.api.api_clock import ApiClock
from tap_jobo.api.budget import FeedCost
from tap_jobo.api.client import Client, Prepare
from tap_jobo.api.responses import parse_json
from tap_jobo.clock import format_timestamp
from tap_jobo.errors import ApiError
from tap_jobo.records.values import sanitize_text
from tap_jobo.streams.feed_spec import Continuation, FeedSpec
from tap_jobo.sync_id import Filters, RawPage, Sync, hash_cursor

PageDecoder = msgspec.json.Decoder[Any]

_BOOLEANS: Final = {"true": True, "false": False}
_MAX_ESTIMATE: Final = 10**12


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
        self._decoder = page_decoder(self.spec, self.row_type)
        self._sync_id = ""
        self._used_cursors: set[str] = set()

    def fetch_page(self, sync: Sync) -> RawPage:
        """Fetch and charge a sync's next page, or raise as `Client.fetch` does."""
        started_at = format_timestamp(self.clock.earlier())
        response = self.client.fetch(
            self.prepare(
                self.spec.path, _parameters(self.spec, sync, self.filters), self.spec.method
            ),
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
        """Parse the next page of a sync, and correct its charge if it is not replayed."""
        page = read_page(body, self.spec, self._decoder)
        if raw:
            rows = len(page.items)
            dispute = self.cost.reconcile(raw.cost, raw.headers, rows, sync.batch_size)
            page = replace(page, dispute=dispute)
        if has_more not in (None, page.has_more):
            why = f"contradicts itself: 'has_more' is {page.has_more}, X-Has-More is {has_more}"
            raise _broken(why)
        self._note_cursor(sync, hash_cursor(sync.cursor))
        if page.has_more and hash_cursor(page.next_cursor) in self._used_cursors:
            raise _broken("has a 'next_cursor' that was used before: the pages would repeat")
        return page

    def revisit(self, sync: Sync, cursor_hash: str, body: bytes) -> Page | None:
        """Parse a page that an earlier run has delivered, if possible, and note its cursor."""
        self._note_cursor(sync, cursor_hash)
        with suppress(ApiError):  # an earlier version may have accepted more
            return read_page(body, self.spec)
        return None

    def _note_cursor(self, sync: Sync, cursor_hash: str) -> None:
        if sync.id != self._sync_id:
            self._sync_id, self._used_cursors = sync.id, set()
        self._used_cursors.add(cursor_hash)


def _parameters(spec: FeedSpec, sync: Sync, filters: Filters) -> dict[str, Any]:
    if spec.continuation is Continuation.CURSOR_ALONE and sync.cursor:
        return {"cursor": sync.cursor}
    parameters = {each.request_parameter: filters[each.name] for each in spec.filters}
    parameters |= {spec.since: sync.since, "batch_size": sync.batch_size, "cursor": sync.cursor}
    return {name: value for name, value in parameters.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Page:
    """What one request to a feed returns.

    Attributes:
        next_cursor: Where the next page starts; a string whenever `has_more`.
        estimated_total: Estimated items in the whole sync, if the response has it.
        are_rows_checked: Whether the items match the decoder's row type. Otherwise, each is checked
            when it is converted to a record.
        dispute: What is wrong with the credits that Jobo deducted; empty if nothing is.
    """

    items: list[Any]
    next_cursor: str | None
    has_more: bool
    estimated_total: int | None = None
    are_rows_checked: bool = False
    dispute: str = ""


def page_decoder(spec: FeedSpec, row_type: type[msgspec.Struct]) -> PageDecoder | None:
    """Return a decoder for pages whose rows all match a type, None if the items are not rows."""
    if not spec.items_are_rows:
        return None
    members: list[Any] = [
        (spec.item_key, list[row_type]),  # type: ignore[valid-type]
        ("has_more", bool),
        ("next_cursor", Any, None),
        ("estimated_total", Any, None),
    ]
    return msgspec.json.Decoder(msgspec.defstruct("Envelope", members))


def read_page(body: bytes, spec: FeedSpec, decoder: PageDecoder | None = None) -> Page:
    """Parse the body of a page, at once if the decoder can."""
    try:
        data, are_rows_checked = _parse(body, decoder)
    except ValueError:
        raise _broken("is not valid JSON") from None
    if not isinstance(data, dict):
        raise _broken("is not a JSON object")
    items, has_more = data.get(spec.item_key), data.get("has_more")
    if not isinstance(items, list):
        raise _broken(f"has no list '{spec.item_key}'")
    if not isinstance(has_more, bool):
        raise _broken("has no boolean 'has_more'")
    estimate = data.get("estimated_total")
    is_plausible = isinstance(estimate, int) and 0 <= estimate < _MAX_ESTIMATE
    return Page(
        items=items,
        next_cursor=_next_cursor(data.get("next_cursor"), has_more=has_more),
        has_more=has_more,
        estimated_total=estimate if is_plausible else None,
        are_rows_checked=are_rows_checked,
    )


def _parse(body: bytes, decoder: PageDecoder | None) -> tuple[object, bool]:
    if decoder and b"\\u0000" not in body:
        with suppress(msgspec.DecodeError, ValueError, RecursionError):
            return msgspec.to_builtins(decoder.decode(body)), True
    return parse_json(body), False


def _next_cursor(cursor: object, *, has_more: bool) -> str | None:
    if not isinstance(cursor, str | None):
        raise _broken("has a 'next_cursor' that is not a string")
    if cursor and sanitize_text(cursor) != cursor:
        raise _broken("has a 'next_cursor' that cannot be sent back")
    if has_more and not cursor:
        raise _broken("has 'has_more' without a 'next_cursor'")
    return cursor


def _broken(what: str) -> ApiError:
    return ApiError(f"Jobo's response {what}, which its documentation rules out")
