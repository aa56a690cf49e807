"""What reads say together: which of them another one includes, and what two of them add up to."""

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from tap_jobo.model import Position, Read, Sync
from tap_jobo.sync.filters import FilterRules

MOST: Final = 20
"""Reads that a position has. To forget one costs a question, never a row."""


def worse(*gaps: str | None) -> str | None:
    """Return the gap that starts first, None if there is none."""
    return min((gap for gap in gaps if gap is not None), default=None)


def includes(one: Read, other: Read, rules: FilterRules) -> bool:
    """Return whether a read says all that another one says, so that the other one can go."""
    is_no_worse = (
        one.gap is None
        or one.gap >= other.until
        or (other.gap is not None and one.gap >= other.gap)
    )
    return (
        is_no_worse
        and one.start <= other.start
        and one.until >= other.until
        and rules.covers(one.filters, other.filters)
    )


def joined(one: Read, other: Read, rules: FilterRules) -> list[Read]:
    """Return what two reads say together of the rows that both have, if anything.

    That needs windows with no time between them, and filters of which one covers the other.
    """
    if other.start > one.until or one.start > other.until:
        return []
    if rules.covers(other.filters, one.filters):
        filters = one.filters
    elif rules.covers(one.filters, other.filters):
        filters = other.filters
    else:
        return []
    start, until = min(one.start, other.start), max(one.until, other.until)
    return [Read(filters=filters, start=start, until=until, gap=worse(one.gap, other.gap))]


def joined_to(reads: Iterable[Read], new: Read, rules: FilterRules) -> list[Read]:
    """Return what a new read says together with each that was there.

    What a read with a gap has before it is as good as a read without one. So a sync that starts
    before the gap closes it.
    """
    before_gaps = [
        replace(each, until=each.gap, gap=None)
        for each in reads
        if each.gap is not None and each.gap > each.start
    ]
    return [found for each in (*reads, *before_gaps) for found in joined(each, new, rules)]


def pruned(reads: Iterable[Read], rules: FilterRules) -> tuple[Read, ...]:
    """Return the newest reads that no other one includes.

    Of each filters, the newest read, the newest one without a gap, and the one that starts first
    are never forgotten, so no pipeline makes another one ask.
    """
    kept: list[Read] = []
    by_start = sorted(reads, key=lambda read: read.start)
    for read in sorted(by_start, key=lambda read: read.until, reverse=True):
        if not any(includes(each, read, rules) for each in kept):
            kept = [*(each for each in kept if not includes(read, each, rules)), read]
    return (*kept[:MOST], *(read for read in kept[MOST:] if _is_outermost(read, kept)))


def _is_outermost(read: Read, kept: list[Read]) -> bool:
    """Return whether `pruned` never forgets a read."""
    alike = [each for each in kept if each.filters == read.filters]
    whole = [each for each in alike if each.gap is None]
    return read in (alike[0], *whole[:1], min(alike, key=lambda each: each.start))


def with_gap(reads: Iterable[Read], since: str) -> list[Read]:
    """Return reads of which rows may be missing that were updated since a time."""
    return [
        replace(read, gap=max(since, read.start))
        if read.until > since and (read.gap is None or read.gap > since)
        else read
        for read in reads
    ]


def hole(position: Position, sync: Sync, rules: FilterRules) -> str | None:
    """Return since when rows are missing before the window of a sync that is complete, if any are.

    That is so if a free feed was not read for longer than its API lists rows, or if its first sync
    never ended, and then waited for too long.
    """
    if position.reads:
        alike = [each.until for each in position.reads if rules.covers(each.filters, sync.reads)]
        last = max(alike, default=sync.since)
    else:
        last = min((each.sync.since for each in position.progress), default=sync.since)
    return last if last < sync.since else None
