"""Expired jobs: their ids, free, of the last seven days."""

from collections.abc import Iterator

from jobo_sandbox.feed import Feed
from jobo_sandbox.instants import DAY
from jobo_sandbox.queries import Cursor
from jobo_sandbox.world import Position, World


def _walk(world: World, cursor: Cursor) -> Iterator[tuple[Position, None]]:
    for position in world.board.walk_expired(cursor.after, cursor.query.newer_than):
        yield position, None


FEED = Feed(
    path="/api/jobs/expired",
    method="GET",
    item_key="job_ids",
    walk=_walk,
    row=lambda _, key: key,
    largest_page=10_000,
    usual_page=1_000,  # not documented: clients must not rely on it
    since_parameter="expired_since",
    since_is_inclusive=True,
    usual_window=DAY,
    longest_window=7 * DAY,
)
