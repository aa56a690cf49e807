"""One page of the feed."""

from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from jobo_sandbox.companies import Json
from jobo_sandbox.cursors import Cursor
from jobo_sandbox.world import World


class Page(NamedTuple):
    """Rows, their companies' ids, and where the next page starts unless this is the last."""

    rows: list[Json]
    ids: list[str]
    following: Cursor | None


def read_page(world: World, cursor: Cursor, *, empty: bool) -> Page:
    """Read the page that starts at a cursor.

    Args:
        world: Where the companies are.
        cursor: Where to start; its `issued_at` becomes that of the next cursor.
        empty: Deliver no row yet, and say that there are more.
    """
    query = cursor.query
    if empty:
        return Page([], [], replace(cursor, pages=cursor.pages + 1))
    with world.still():
        walk = world.walk(cursor.order, cursor.after, query.newer_than)
        matching = (position for position, company in walk if query.matches(company.traits))
        # One more than asked for shows whether there is a next page.
        positions = list(islice(matching, query.batch_size + 1))
        ids = [key for _, key in positions[: query.batch_size]]
        rows = [world.row(key) for key in ids]
    if len(positions) <= query.batch_size:
        return Page(rows, ids, None)
    following = replace(cursor, after=positions[query.batch_size - 1], pages=cursor.pages + 1)
    return Page(rows, ids, following)
