"""How far a warehouse is: a fold over the pages that it loads.

Headers suffice: the header of an entry has the result of the entry before it. So only the page at
the head has to be parsed.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from tap_jobo.clock import before
from tap_jobo.model import Dropped, DroppedPage, Filters, Position, Progress, Read, Sync
from tap_jobo.sync.filters import FilterRules

WEEK: Final = timedelta(days=7)
"""How far apart reads may be that say together what was read."""
MONTH: Final = timedelta(days=31)
"""For how long after its last sync others honor the lookback of a warehouse."""
_MOST_LOOKBACKS: Final = 16  # of as many warehouses, as runs without a state have a new one each


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What the fold has to know of an entry."""

    sync: Sync | None  #: its sync, None if it was dropped and that is not known
    page: int  #: the number of the page in its sync, from 1
    rows: int  #: the rows of the page
    cursor: str | None  #: where the next page starts, None after the last page of a sync
    #: the cursor it was requested with, None for a first page, or if it is not known
    requested: str | None = None
    dropped: Dropped | None = None  #: where it was dropped, None if it was not


def advance(position: Position, page: Page, rules: FilterRules) -> Position:
    """Return the position after an entry, of whoever had the other one before it.

    A page of a sync whose page 1 the warehouse lacks moves nothing, and so does one that it has. A
    page that was dropped at the head is bought again, so it moves nothing, either. Behind the head,
    it leaves its sync with a gap, as a page does that is skipped.

    While an archive is off, or another one is used, two warehouses may each go on with the same
    sync. The pages of the other one then do not start where the own ones end, and move nothing.
    """
    if page.dropped == "head":
        return position
    position = replace(position, is_begun=True)
    sync = page.sync
    if sync is None:
        return position
    old = position.of(sync.id)
    if (old is None and page.page > 1) or (old and page.page <= old.pages):
        return position
    if old and page.page == old.pages + 1 and page.requested not in {None, old.cursor}:
        return position
    has_gap = page.dropped is not None
    if old is None:
        position = _begun(position, sync)
    else:
        has_gap |= old.has_gap or page.page > old.pages + 1
    if page.cursor is None:
        return completed(position, sync, rules, has_gap=has_gap)
    progress = Progress(
        sync=sync,
        pages=page.page,
        rows=page.rows + (old.rows if old else 0),
        cursor=page.cursor,
        has_gap=has_gap,
    )
    return replace(position, progress=(*_others(position, sync.id), progress))


def _begun(position: Position, sync: Sync) -> Position:
    """Return the position when a sync begins: its order is no longer outstanding."""
    order = max(position.order, sync.order or "")
    new, recent = sync.lookback, before(sync.started, MONTH)
    old = [
        each
        for each in position.lookbacks
        if each.warehouse != new.warehouse and each.last >= recent
    ]
    lookbacks = (*old, new)[-_MOST_LOOKBACKS:]
    progress = _others(position, sync.replaces)
    return replace(position, order=order, progress=progress, lookbacks=lookbacks)


def _others(position: Position, sync_id: str | None) -> tuple[Progress, ...]:
    return tuple(each for each in position.progress if each.sync.id != sync_id)


def completed(
    position: Position, sync: Sync, rules: FilterRules, *, has_gap: bool = False
) -> Position:
    """Return the position after the last page of a sync.

    It adds what the sync has read, and what that says together with the reads before it: of the
    same rows (`joined_to`), also where these are of several reads, and of all rows of the settings
    if the sync has read the values that a list gained. Rows that the user decided not to buy are a
    gap.
    """
    new = read_of(sync, has_gap=has_gap)
    old = [*position.reads, *_sums(position.reads, sync.reads, rules)]
    reads = [*position.reads, new, *joined_to(old, new, rules)]
    if sync.reads != sync.filters:
        reads += _with_added(position.reads, sync, new, rules)
    if sync.kept is not None:
        reads.append(Read(filters=sync.filters, start=sync.kept, until=sync.started, gap=sync.kept))
    kept = pruned(reads, rules)
    still = [
        each
        for each in _others(position, sync.id)
        if not _has_ended(each, [new] if each.sync.order else kept, rules)
    ]
    return replace(position, reads=kept, progress=tuple(still))


def _sums(reads: Sequence[Read], filters: Filters, rules: FilterRules) -> Iterator[Read]:
    """Yield what reads say together of filters, by each start date that may matter."""
    for start in sorted({each.start for each in reads}):
        if found := sum_of_a_week(reads, filters, start, rules):
            yield found


def _with_added(reads: Iterable[Read], sync: Sync, new: Read, rules: FilterRules) -> Iterator[Read]:
    """Yield what a sync of added values says together with each read that has the rest."""
    for read in reads:
        rest = rules.added(read.filters, sync.filters)
        if rest is not None and rules.covers(sync.reads, rest):
            yield _sum_of([read, new], sync.filters)


def read_of(sync: Sync, *, has_gap: bool) -> Read:
    """Return what a sync has read once it is complete."""
    gap = sync.since if has_gap else None
    return Read(filters=sync.reads, start=sync.since, until=sync.started, gap=gap)


def _has_ended(progress: Progress, reads: Iterable[Read], rules: FilterRules) -> bool:
    """Return whether a read includes what a sync in progress reads."""
    wanted = read_of(progress.sync, has_gap=progress.has_gap)
    return any(includes(read, wanted, rules) for read in reads)


def gapped(position: Position, dropped: DroppedPage, rules: FilterRules) -> Position:
    """Return a position that has a page, after that page was dropped behind the head."""
    reads = pruned(with_gap(position.reads, dropped.since), rules)
    progress = tuple(replace(each, has_gap=True) for each in position.progress)
    return replace(position, reads=reads, progress=progress)


# What reads say together: which of them another one includes, and what two of them add up to


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
    """Return the reads that no other one includes, the newest first.

    So no pipeline makes another one ask. There are few, as reads that meet become one.
    """
    kept: list[Read] = []
    by_start = sorted(reads, key=lambda read: read.start)
    for read in sorted(by_start, key=lambda read: read.until, reverse=True):
        if not any(includes(each, read, rules) for each in kept):
            kept = [*(each for each in kept if not includes(read, each, rules)), read]
    return tuple(kept)


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


# What reads say together that have some of the values each


def sum_of_a_week(
    reads: Iterable[Read], filters: Filters, start: str, rules: FilterRules
) -> Read | None:
    """Return what reads of one week say together of filters, None if they lack some of the rows.

    Were they further apart, the rows of the newest would be billed again with what changed since
    the oldest.
    """
    parts, rest = parts_of_a_week(reads, filters, start, rules)
    return _sum_of(parts, filters) if rest is None else None


def parts_of_a_week(
    reads: Iterable[Read], filters: Filters, start: str, rules: FilterRules
) -> tuple[list[Read], Filters | None]:
    """Return reads that have some of the rows of filters, and filters of what none of them has.

    These are None if the reads have all of it: all of them in one week. Each starts by a start
    date.
    """
    fitting = [each for each in reads if each.start <= start]
    parts, rest = _split(fitting, filters, rules)
    if rest is None:
        since = before(max(each.until for each in parts), WEEK)
        near = [each for each in fitting if each.until >= since]
        parts, rest = _split(near, filters, rules)
    return parts, rest


def _split(
    reads: Sequence[Read], filters: Filters, rules: FilterRules
) -> tuple[list[Read], Filters | None]:
    parts, rest = list[Read](), filters
    before_last: Filters | None = None
    while rest != before_last:  # what one read leaves may be of use to an earlier one
        before_last = rest
        for read in reads:
            if rules.covers(read.filters, rest):
                return [*parts, read], None
            without = rules.added(read.filters, rest)
            if without is not None:
                parts.append(read)
                rest = without
    return parts, rest


def _sum_of(parts: Sequence[Read], filters: Filters) -> Read:
    return Read(
        filters=filters,
        start=max(each.start for each in parts),
        until=min(each.until for each in parts),
        gap=worse(*(each.gap for each in parts)),
    )
