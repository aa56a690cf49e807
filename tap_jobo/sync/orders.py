"""The order of `restart`: to whom it applies, and when it is refused."""

from datetime import timedelta
from typing import Final

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.model import Order, Position
from tap_jobo.sync.filters import FilterRules
from tap_jobo.sync.wanted import Wanted

_TICK: Final = timedelta(microseconds=1)


def applies(order: Order | None, own: Position, archive: Position, wanted: Wanted) -> bool:
    """Return whether a pipeline carries out an order, with what it buys next.

    That is so if its filters and start date are those of the order: so the order buys no more than
    its price says. It ends once a sync has begun that carries it out. A free feed has no start date
    of its own. An order to begin a sync over is for those who have that sync in progress: it reads
    the same rows.
    """
    if order is None:
        return False
    if order.over is not None:
        return own.of(order.over) is not None
    if order.filters != wanted.filters:
        return False
    if not (wanted.is_free or order.start == wanted.start):
        return False
    return order.time > max(own.order, archive.order)


def is_refused(
    order: Order, archive: Position, rules: FilterRules, *, has_entries: bool, is_named: bool
) -> bool:
    """Return whether `restart` refuses an order.

    It does if the archive has no entries, since the next run buys everything anyway. A sync that
    the user has named is in progress in a state, so that order is accepted. An order since a time
    needs a read from before.

    Args:
        order: The order.
        archive: The position of one who loads everything.
        rules: How filters compare.
        has_entries: Whether the archive has any.
        is_named: Whether the user has named the sync that begins over.
    """
    if not has_entries:
        return not is_named
    if order.since is None:
        return False
    return not any(rules.covers(read.filters, order.filters) for read in archive.reads)


def time_of_order(now: str, last: Order | None, archive: Position) -> str:
    """Return the time of a new order: later than that of every earlier one, whatever the clock."""
    newest = max(last.time if last else "", archive.order)
    if now > newest:
        return now
    return format_timestamp(parse_timestamp(newest) + _TICK)
