"""The endpoints of the API: from a request in the ledger to a reply. No HTTP."""

import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from jobo_sandbox import vocabulary as words
from jobo_sandbox.company_data import Json, make_profile
from jobo_sandbox.core import Core
from jobo_sandbox.faults import Fault
from jobo_sandbox.feed import Feed
from jobo_sandbox.feeds import FEEDS
from jobo_sandbox.ledger import Entry
from jobo_sandbox.pricing import Price
from jobo_sandbox.queries import Cursor, read_cursor, write_cursor
from jobo_sandbox.wire import Reply, error, invalid_cursor


def answer(core: Core, entry: Entry, fault: Fault | None) -> Reply | None:
    """Answer a request, bill it and complete its ledger entry.

    Returns:
        The reply, or None if the client gets none.
    """
    reply = _reply(core, entry, fault)
    if reply is not None:
        entry.status, entry.sent = reply.status, reply.headers
    return reply


def _reply(core: Core, entry: Entry, fault: Fault | None) -> Reply | None:
    if fault is None:
        return _usual(core, entry)
    entry.fault = fault
    instead = fault.instead(core.error_shape)
    if instead is not None:
        return instead
    if fault.silent:
        if fault.billed:
            _usual(core, entry)
        return None
    return fault.spoil(_usual(core, entry))


def _usual(core: Core, entry: Entry) -> Reply:
    """Reply as a healthy API does: check the key and the rate limit, then call the endpoint."""
    is_public = core.public_profiles and entry.endpoint in {"profile", "clock"}
    if entry.headers.get("x-api-key") != core.api_key and not is_public:
        return error(401, "The API key is missing, wrong or revoked.", core.error_shape)
    endpoint = _OTHERS.get(entry.endpoint, _page)
    if entry.endpoint in FEEDS:
        meter, limits = core.feed_meter, core.rate_limits
    else:
        meter, limits = core.profile_meter, core.profile_rate_limits
    if limits is None:
        return endpoint(core, entry)
    wait = math.ceil(meter.wait(limits))
    if wait > 0:
        reply = error(429, "Too many requests.", core.error_shape, retry_after_seconds=wait)
        reply.headers["Retry-After"] = str(wait)
    else:
        meter.count()
        reply = endpoint(core, entry)
    if not core.omit_rate_headers:
        reply.headers |= meter.headers(limits, core.clock_offset)
    return reply


def _profile(core: Core, entry: Entry) -> Reply:
    """Return a company's profile, which is free."""
    key = entry.company_id or ""
    with suppress(ValueError):
        key = str(UUID(key))  # which may have no dashes
    company = core.world.company(key)
    if company is None or key in core.gone:
        return error(404, "Company not found.", core.error_shape)
    return Reply(200, make_profile(core.seed, company))


def _filters(core: Core, _: Entry) -> Reply:
    """Return the values that the filters of the jobs feed take."""
    with core.world.still():
        sources = Counter(job.row["source"] for _, job in core.world.board.active())
    enums = {
        "work_models": list(words.WORK_MODELS),
        "employment_types": list(words.EMPLOYMENT_TYPES),
        "experience_levels": list(words.EXPERIENCE_LEVELS),
    }
    counts = [{"key": key, "count": count} for key, count in sources.most_common()]
    return Reply(200, {"enums": enums, "sources": counts})


def _page(core: Core, entry: Entry) -> Reply:
    """Return a page of a feed, unless the request is bad or the balance too low."""
    feed = FEEDS[entry.endpoint]
    if refusal := feed.refusal(core, core.world):
        return error(403, refusal, core.error_shape)
    cursor = _start(core, entry, feed)
    if isinstance(cursor, Reply):
        return cursor
    # Read now: the hook may change the price of the next page.
    price = feed.price_now(core)
    required = price.of(cursor.query.batch_size)
    if required > core.balance:
        reply = error(
            402,
            f"This request requires {required} credits; the balance is {core.balance}.",
            core.error_shape,
            credits_required=required,
            credits_balance=core.balance,
        )
        return _with_money(core, price, reply, required, None)
    if core.before_page is not None:
        core.before_page(entry)
    page = _read_page(core, cursor, feed)
    entry.row_ids, entry.credits = page.ids, core.charge(price, len(page.ids))
    more = page.following is not None
    body: Json = {
        feed.item_key: page.rows,
        "next_cursor": page.following and write_cursor(page.following, core.secret),
        "has_more": more,
    }
    if feed.estimates and cursor.pages == 0:
        with core.world.still():
            body["estimated_total"] = sum(1 for _ in feed.positions(core.world, cursor))
    reply = Reply(200, body, {"X-Has-More": str(more).lower()})
    return _with_money(core, price, reply, required, entry.credits)


def _start(core: Core, entry: Entry, feed: Feed) -> Cursor | Reply:
    """Return where the page starts, or the error if the request is bad."""
    body = {} if entry.body is None else entry.body
    if not isinstance(body, dict):
        return error(400, "The body must be a JSON object.", core.error_shape)
    body = {name: value for name, value in body.items() if name not in core.ignored}
    text = body.get("cursor")
    if text is None:
        try:
            query = core.with_overlap(feed.read(body, core.micros()), feed.since_parameter)
        except ValueError as refusal:
            return error(400, str(refusal), core.error_shape)
        return Cursor(entry.endpoint, query, core.order, None, 0)
    try:
        cursor = read_cursor(str(text), core.secret)
    except ValueError:
        return invalid_cursor(core.error_shape)
    if cursor.endpoint != entry.endpoint:
        return invalid_cursor(core.error_shape)
    return _continued(core, body, cursor, feed)


def _continued(core: Core, body: Json, cursor: Cursor, feed: Feed) -> Cursor | Reply:
    """Return a cursor with what it does not carry itself, but the body beside it has."""
    if core.cursor_carries == "everything":
        return cursor
    try:
        query = core.with_overlap(feed.read(body, core.micros()), feed.since_parameter)
    except ValueError as refusal:
        return error(400, str(refusal), core.error_shape)
    return replace(cursor, query=replace(cursor.query, batch_size=query.batch_size))


def _with_money(
    core: Core, price: Price, reply: Reply, required: int, deducted: int | None
) -> Reply:
    if not core.omit_credit_headers:
        reply.headers |= core.money_headers(price.plan, required=required, deducted=deducted)
    return reply


class _Page(NamedTuple):
    """Rows, their ids, and where the next page starts (None after the last page)."""

    rows: list[Any]
    ids: list[str]
    following: Cursor | None


def _read_page(core: Core, cursor: Cursor, feed: Feed) -> _Page:
    """Read the page that starts at a cursor."""
    again = replace(cursor, pages=cursor.pages + 1)
    every = core.empty_every
    if every > 0 and again.pages % every == 0:
        return _Page([], [], again)
    size = cursor.query.batch_size
    with core.world.still():
        # One row more than requested tells whether there is a next page.
        positions = list(islice(feed.positions(core.world, cursor), size + 1))
        ids = [key for _, key in positions[:size]]
        rows = [feed.row(core.world, key) for key in ids]
    if core.wraps_after > 0 and again.pages % core.wraps_after == 0:
        return _Page(rows, ids, replace(again, after=None))
    if len(positions) <= size:
        return _Page(rows, ids, None)
    return _Page(rows, ids, replace(again, after=positions[size - 1]))


_OTHERS: dict[str, Callable[[Core, Entry], Reply]] = {
    "profile": _profile,
    "clock": _profile,
    "filters": _filters,
    "other": lambda core, _: error(404, "There is no such endpoint.", core.error_shape),
}
