"""The endpoints of the API: from a request in the ledger to a reply. No HTTP."""

import math
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from jobo_sandbox.company_data import Json, make_profile
from jobo_sandbox.core import Core
from jobo_sandbox.faults import Fault
from jobo_sandbox.instants import SECOND
from jobo_sandbox.ledger import Entry
from jobo_sandbox.queries import Cursor, read_cursor, read_query, write_cursor
from jobo_sandbox.wire import Reply, error, invalid_cursor
from jobo_sandbox.world import World


def answer(core: Core, entry: Entry, fault: Fault | None) -> Reply | None:
    """Answer a request, bill it and complete its ledger entry.

    Returns:
        The reply, or None if the client gets none.
    """
    reply = _reply(core, entry, fault)
    entry.status = None if reply is None else reply.status
    return reply


def _reply(core: Core, entry: Entry, fault: Fault | None) -> Reply | None:
    if fault is None:
        return _usual(core, entry)
    entry.fault = fault.name
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
    if entry.headers.get("x-api-key") != core.api_key:
        return error(401, "The API key is missing, wrong or revoked.", core.error_shape)
    if entry.endpoint == "feed":
        meter, limits, endpoint = core.feed_meter, core.rate_limits, _feed
    else:
        meter, limits, endpoint = core.profile_meter, core.profile_rate_limits, _profile
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


def _feed(core: Core, entry: Entry) -> Reply:
    """Return a page of the feed, unless the request is bad or the balance too low."""
    cursor = _start(core, entry)
    if isinstance(cursor, Reply):
        return cursor
    # Read now: the hook may change the price of the next page.
    price, required = core.price, cursor.query.batch_size * core.price
    if required > core.balance:
        reply = error(
            402,
            f"This request requires {required} credits; the balance is {core.balance}.",
            core.error_shape,
            credits_required=required,
            credits_balance=core.balance,
        )
        return _with_money(core, reply, 0, required)
    if core.before_page is not None:
        core.before_page(entry)
    empty = core.empty_every > 0 and (cursor.pages + 1) % core.empty_every == 0
    page = read_page(core.world, cursor, empty=empty)
    entry.row_ids, entry.credits = page.ids, len(page.ids) * price
    core.balance -= entry.credits
    more = page.following is not None
    body = {
        "career_sites": page.rows,
        "next_cursor": page.following and write_cursor(page.following, core.secret),
        "has_more": more,
    }
    reply = Reply(200, body, {"X-Has-More": str(more).lower()})
    return _with_money(core, reply, entry.credits, required)


def _start(core: Core, entry: Entry) -> Cursor | Reply:
    """Return where the page starts, or the error if the request is bad."""
    body = {} if entry.body is None else entry.body
    now = core.micros()
    if not isinstance(body, dict):
        return error(400, "The body must be a JSON object.", core.error_shape)
    text = body.get("cursor")
    if text is None:
        try:
            return Cursor(read_query(body), core.order, None, 0, now)
        except ValueError as refusal:
            return error(400, str(refusal), core.error_shape)
    try:
        cursor = read_cursor(str(text), core.secret)
    except ValueError:
        return invalid_cursor(core.error_shape)
    life = core.expire_cursors_after
    if life is not None and now > cursor.issued_at + life * SECOND:
        return invalid_cursor(core.error_shape)
    return replace(cursor, issued_at=now)


def _with_money(core: Core, reply: Reply, deducted: int, required: int) -> Reply:
    if core.omit_credit_headers:
        return replace(reply, headers={})
    reply.headers |= {
        "X-Credits-Deducted": str(deducted),
        "X-Credits-Required": str(required),
        "X-Credits-Balance": str(core.balance),
    }
    return reply


def _profile(core: Core, entry: Entry) -> Reply:
    """Return a company's profile, which is free."""
    key = entry.company_id or ""
    company = core.world.company(key)
    if company is None or key in core.gone:
        return error(404, "Company not found.", core.error_shape)
    return Reply(200, make_profile(core.seed, company))


class Page(NamedTuple):
    """Rows, their ids, and where the next page starts (None after the last page)."""

    rows: list[Json]
    ids: list[str]
    following: Cursor | None


def read_page(world: World, cursor: Cursor, *, empty: bool) -> Page:
    """Read the page that starts at a cursor.

    Args:
        world: The world to read from.
        cursor: Where to start. The next cursor inherits its `issued_at`.
        empty: Return no rows, but say that there are more.
    """
    query = cursor.query
    if empty:
        return Page([], [], replace(cursor, pages=cursor.pages + 1))
    with world.still():
        walk = world.walk(cursor.order, cursor.after, query.newer_than)
        matching = (position for position, company in walk if query.matches(company.traits))
        # One row more than requested tells whether there is a next page.
        positions = list(islice(matching, query.batch_size + 1))
        ids = [key for _, key in positions[: query.batch_size]]
        rows = [world.row(key) for key in ids]
    if len(positions) <= query.batch_size:
        return Page(rows, ids, None)
    following = replace(cursor, after=positions[query.batch_size - 1], pages=cursor.pages + 1)
    return Page(rows, ids, following)
