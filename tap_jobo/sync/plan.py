"""What a run buys next: a pure function of what its warehouse has read, the settings, and the time.

It needs nothing of earlier runs; only the id of a new sync is random. `best` is what decides: of
the reads that cover the settings, alone or together, and that start by the start date, the newest.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal

from msgspec.structs import replace

from tap_jobo.clock import before
from tap_jobo.model import NOTHING, Filters, Order, Position, Progress, Read, Sync, new_id
from tap_jobo.sync.fold import parts_of_a_week, sum_of_a_week
from tap_jobo.sync.start import Question
from tap_jobo.sync.wanted import Wanted

Why = Literal["nothing", "go on", "changes", "behind", "answered", "restart", "rejected"]
HEAL: Final = timedelta(days=7)
"""How far an archive may be behind a warehouse and still buy what it lacks."""
HOUR: Final = timedelta(hours=1)
"""How much earlier than its start date a free feed may be read to close a gap.

A sync goes on whose window begins up to another hour earlier.
"""
DAY: Final = timedelta(days=1)
"""After which a sync of a free feed counts, although it had no rows."""


@dataclass
class Run:
    """What a run has done so far of a feed, as far as it says whether there is more to buy.

    Syncs of added values do not count, because what changed of the other rows follows.
    """

    #: the ids of the syncs that the warehouse had begun to load before, and that the run began
    known: set[str] = field(default_factory=set)
    has_begun: bool = False  #: whether it began a sync
    finished: str = ""  #: when the newest sync started whose last page it bought, empty before that
    restarts: int = 0  #: how often it began a sync over because a cursor was rejected

    def note(self, request: "Request", *, is_last: bool) -> None:
        """Take up a page that was bought."""
        sync = request.sync
        self.known.add(sync.id)
        if sync.reads == sync.filters:
            self.has_begun |= request.page == 1
            if is_last:
                self.finished = max(self.finished, sync.started)
        self.restarts += request.why == "rejected"


@dataclass(frozen=True, kw_only=True)
class Log:
    """What a plan has to know of the archive."""

    position: Position = NOTHING  #: the position of one who loads everything
    order: Order | None = None  #: what `restart` ordered, None if nothing
    lacks_rows: bool = False  #: whether a run without a state does not get all rows from it


@dataclass(frozen=True)
class Request:
    """The next page to buy."""

    sync: Sync
    page: int  #: the number of the page in the sync, from 1
    rows: int  #: the rows of the sync before it
    cursor: str | None  #: where it starts, None for the first page
    why: Why  #: what has led to it


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


def best(position: Position, wanted: Wanted) -> Read | None:
    """Return the newest read of all that is wanted, None if there is none.

    It is one that covers the settings, or without one, what reads of one week say together.
    """
    covers, filters, start = wanted.rules.covers, wanted.filters, wanted.start
    fitting = [each for each in position.reads if each.start <= start]
    if covering := [each for each in fitting if covers(each.filters, filters)]:
        return max(covering, key=lambda read: (read.until, read.gap is None))
    return sum_of_a_week(fitting, filters, start, wanted.rules)


def unread(position: Position, wanted: Wanted) -> Filters | None:
    """Return filters of what is to be bought beside what was read, None if that is all of it.

    It is what was never read. If that is nothing, it is what was last read too long ago.
    """
    parts, rest = parts_of_a_week(position.reads, wanted.filters, wanted.start, wanted.rules)
    return rest if parts else None


def plan(own: Position, log: Log, wanted: Wanted, run: Run, now: str) -> Request | Question | None:
    """Return the next request, a question, or None if there is nothing left to buy.

    An order goes first, then a sync in progress, and then what changed. `own` is the position of
    the warehouse, and `now` the time by the earlier clock, at which a sync starts that begins.
    """
    wanted = wanted.beside(log.position.lookbacks)
    has = best(own, wanted)
    going = [each for each in own.progress if _goes_on(each, has, wanted, run)]
    going.sort(key=lambda each: each.sync.started, reverse=True)
    order = log.order if applies(log.order, own, log.position, wanted) else None
    if order and order.over is not None:
        if over := next((each for each in going if each.sync.id == order.over), None):
            return begun_over(over.sync, wanted, now, "restart")
        order = None
    if order and order.since is None:  # the user has decided to buy all that is wanted
        return full(wanted, now, order)
    if going:
        newest = going[0]
        return Request(newest.sync, newest.pages + 1, newest.rows, newest.cursor, "go on")
    if has is None:
        return _plan_unread(own, log, wanted, full(wanted, now, order))
    if order is None and _is_recent(has, wanted, run, now):
        return None
    return _changes(has, best(log.position, wanted), wanted, now, order)


def _goes_on(progress: Progress, has: Read | None, wanted: Wanted, run: Run) -> bool:
    """Return whether a sync in progress is for what is wanted.

    That of a free feed does not go on once its API may no longer list the start of its window. Any
    other one that reads rows from before the start date is that of another pipeline, unless the
    warehouse had begun to load it, and it is not too late for it.
    """
    sync = progress.sync
    if sync.filters != wanted.filters:
        return False
    if wanted.is_free and sync.since < before(wanted.start, 2 * HOUR):
        return False
    if not wanted.is_free and sync.since < wanted.start:
        is_needed = has is None or sync.order is not None or has.until < sync.started
        return is_needed and sync.id in run.known
    return has is not None or sync.start <= wanted.start


def _plan_unread(own: Position, log: Log, wanted: Wanted, full: Request) -> Request | Question:
    """Return what to buy where something is wanted that was never read.

    Nobody is asked before the first page, or beside syncs of the same filters that begin earlier:
    these are of other pipelines. Later, the user decides whether to buy the rows.
    """
    earlier = [
        each
        for each in own.progress
        if each.sync.filters == wanted.filters and each.sync.since < wanted.start
    ]
    if not own.is_begun or (earlier and earlier == [*own.progress] and not own.reads):
        return full
    if wanted.choice == "error":
        return Question("archive-lacks-rows" if log.lacks_rows else "filters-changed")
    if wanted.choice == "keep" and own.reads:
        since = wanted.since(_until_of_alike(own, wanted))
        return _decided(full, since=since, kept=wanted.start, order=None)
    if rest := unread(own, wanted):
        return _decided(full, reads=rest, order=None)
    return _decided(full)


def _until_of_alike(own: Position, wanted: Wanted) -> str:
    """Return until when rows were read that are most like those that are wanted."""
    covers, filters = wanted.rules.covers, wanted.filters
    alike = [
        read for read in own.reads if covers(filters, read.filters) or covers(read.filters, filters)
    ]
    return max(read.until for read in alike or own.reads)


def _is_recent(has: Read, wanted: Wanted, run: Run, now: str) -> bool:
    """Return whether what the run has bought leaves nothing to buy.

    It began a sync, or it bought the last page of one that began no longer ago than the lookback,
    so the next run reads what changed since. That holds although a clock that is behind may have
    left the last read where it was. But a sync of another pipeline may start later than the own
    reads end: then what changed between is left.
    """
    is_within_lookback = run.finished >= before(now, wanted.lookback)
    return has.until >= run.finished and (run.has_begun or is_within_lookback)


def is_healed(has: Read, there: Read | None) -> bool:
    """Return whether an archive is behind a warehouse, but by so little that it buys the rest."""
    return there is not None and before(has.until, HEAL) <= there.until < has.until


def _changes(
    has: Read, there: Read | None, wanted: Wanted, now: str, order: Order | None
) -> Request:
    """Return a sync of what changed since the last read, or since what an order says."""
    why: Why = "restart" if order else "changes"
    until = has.until
    if there is not None and is_healed(has, there):
        until, why = there.until, "behind"
    since = wanted.since(until)
    if order and order.since is not None:
        since = max(min(since, order.since), wanted.start)
    if wanted.is_free and has.gap is not None:
        since = max(min(since, has.gap), before(wanted.start, HOUR))  # as far as it is listed
    return _begin(wanted, now, why, since=since, order=order)


def full(wanted: Wanted, now: str, order: Order | None = None) -> Request:
    """Return a sync of all rows that are wanted."""
    why: Why = "restart" if order else "nothing"
    return _begin(wanted, now, why, since=wanted.start, order=order)


def _decided(full: Request, **decided: Any) -> Request:
    """Return less than a full sync, as the user has decided."""
    return Request(replace(full.sync, **decided), 1, 0, None, "answered")


def _begin(wanted: Wanted, now: str, why: Why, *, since: str, order: Order | None) -> Request:
    sync = Sync(
        id=new_id(),
        reads=wanted.filters,
        filters=wanted.filters,
        since=since,
        started=now,
        kept=None,
        order=order.time if order else None,
        replaces=None,
        restarts=0,
        batch_size=wanted.batch_size,
        lookback=wanted.lookback_at(now),
    )
    return Request(sync, 1, 0, None, why)


def begun_over(old: Sync, wanted: Wanted, now: str, why: Why) -> Request:
    """Return a sync from its page 1 on: its cursor was rejected, or an order says so.

    It reads the same rows, for the same reasons. From its page 1 on, the old one is gone.
    """
    sync = replace(
        old,
        id=new_id(),
        started=now,
        replaces=old.id,
        restarts=old.restarts + (why == "rejected"),
        batch_size=wanted.batch_size,
        lookback=wanted.lookback_at(now),
    )
    return Request(sync, 1, 0, None, why)


def after_rejection(old: Sync, wanted: Wanted, run: Run, now: str) -> Request | None:
    """Return what to do after the API has rejected the cursor of a sync.

    It begins over once, and a free one once in each run. Then it is None: the user decides.
    """
    if run.restarts > 0 if wanted.is_free else old.restarts > 0:
        return None
    return begun_over(old, wanted, now, "rejected")


def moves_nothing(own: Position, request: Request, wanted: Wanted) -> bool:
    """Return whether a first page without rows, which ends its sync, is no entry.

    Then the position stays, and the run buys no more of the feed. Otherwise, a year of hourly runs
    would leave 8,760 files without a row. A free feed lists its rows for some days only, so its
    position has to move: with its first page, and once a day.
    """
    has, sync = best(own, wanted), request.sync
    if not own.is_begun:
        return not wanted.is_free
    if has is None or sync.kept is not None:
        return False
    return not wanted.is_free or has.until > before(sync.started, DAY)
