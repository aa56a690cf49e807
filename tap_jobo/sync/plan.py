"""What a run buys next: a pure function of the position, the settings, and the time.

It needs nothing of earlier runs: a position says all that they decided. `tests/sync` tries it with
scripted and random histories.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

from msgspec.structs import replace

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.model import Again, Kind, Position, Progress, Sync
from tap_jobo.sync.settings import SyncSettings, earlier, starts_by
from tap_jobo.sync.start import Question

Why = Literal["nothing", "go on", "changes", "answered", "restart", "rejected", "old"]
ANEW: Final = Again(since=None, head=None)
"""The order to buy everything, as a free feed does where another one would ask."""
FILTERS_CHANGED: Final = Question("filters-changed", ("resync", "keep"))
SAFETY_MARGIN: Final = timedelta(hours=1)
"""Of the longest lookback of a feed: it covers the duration of a sync."""


@dataclass
class Run:
    """What a run has bought so far, as far as it says whether there is more to buy.

    Attributes:
        began: The ids of the syncs that it began.
        finished: The ids of the syncs whose last page it bought.
    """

    began: set[str | None] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)

    def note(self, sync: Sync, page: int, *, is_last: bool) -> None:
        """Take up a page that was bought."""
        if page == 1:
            self.began.add(sync.id)
        if is_last:
            self.finished.add(sync.id)


@dataclass(frozen=True, kw_only=True)
class NewSync:
    """What a sync gets that begins now.

    Attributes:
        id: A random id.
        now: The time by the earlier clock, before its first request.
        oldest: The earliest `since` that the API allows for the feed, None if it allows any.
        number: The entry that its first page becomes, None without an archive.
    """

    id: str
    now: str
    oldest: str | None
    number: int | None

    def reachable(self, since: str | None) -> str | None:
        """Return the start of a window, no earlier than the API allows."""
        return max(since or "", self.oldest) if self.oldest else since

    def reaches(self, since: str | None) -> bool:
        """Return whether the API still allows the start of a window."""
        limit = self.oldest and earlier(self.oldest, SAFETY_MARGIN)
        return not limit or (since or "") >= limit


@dataclass(frozen=True)
class Request:
    """The next page to buy.

    Attributes:
        sync: Its sync.
        page: The number of the page in the sync, from 1.
        cursor: Where it starts, None for the first page.
        rows: The rows of the sync before it.
        why: What has led to it.
    """

    sync: Sync
    page: int
    cursor: str | None
    rows: int
    why: Why


def plan(
    position: Position,
    settings: SyncSettings,
    run: Run,
    new: NewSync,
    ordered: Again | None = None,
) -> Request | Question | None:
    """Return the next request, a question, or None if there is nothing left to buy.

    Args:
        position: Where the archive, or the state without one, stands.
        settings: What the pipeline wants.
        run: What the run has bought so far.
        new: What a sync gets that begins now.
        ordered: What `restart` ordered.
    """
    request = _plan(position, settings, run, new, ordered)
    if isinstance(request, Question) and settings.spec.is_free:
        return _plan(position, settings, run, new, ANEW)
    return request


def _plan(  # noqa: PLR0911 - a row of the table each
    p: Position, s: SyncSettings, run: Run, new: NewSync, ordered: Again | None
) -> Request | Question | None:
    progress = p.progress
    if not p.has_begun or (ordered and ordered.since is None):
        return _full(s, new, "restart" if ordered else "nothing")
    if progress and s.fit(p):
        return _go_on(progress, s, new, ordered)
    is_given_up = progress is not None
    is_missing = misses_rows(p, s)
    if s.on_filter_change == "error" and (is_given_up or is_missing):
        return FILTERS_CHANGED
    if p.bookmark is None:
        return _full(s, new, "answered")
    if is_missing and s.on_filter_change == "resync":
        return _resync(p, s, new)
    is_same = p.filters == s.filters and not is_given_up and not is_missing
    if is_same and not ordered and _is_recent(p, s, run, new):
        return None
    gives_up_full = progress is not None and progress.sync.kind == "full"
    return _changes(p, s, new, ordered, gap=is_missing or gives_up_full)


def misses_rows(p: Position, s: SyncSettings) -> bool:
    """Return whether rows that match the settings were not read before the bookmark."""
    return (
        p.bookmark is None or not s.narrow(p.filters) or not starts_by(p.start_date, s.start_date)
    )


def _is_recent(p: Position, s: SyncSettings, run: Run, new: NewSync) -> bool:
    """Return whether the last complete sync leaves nothing to buy in this run.

    It began in this run, or its last page was bought in this run, and it began no longer ago than
    the lookback, so the next run reads what changed since.
    """
    age = parse_timestamp(new.now) - parse_timestamp(p.bookmark or new.now)
    return p.last in run.began or (age <= s.lookback and p.last in run.finished)


def _go_on(progress: Progress, s: SyncSettings, new: NewSync, ordered: Again | None) -> Request:
    """Return the next page of the sync in progress, or its first page if it has to begin over."""
    sync = progress.sync
    if ordered and sync.kind != "full":
        return begun_over(progress, s, new, "restart", since=ordered.since)
    if not new.reaches(sync.since):
        return begun_over(progress, s, new, "old")
    return Request(sync, progress.pages + 1, progress.cursor, progress.rows, "go on")


def _resync(p: Position, s: SyncSettings, new: NewSync) -> Request:
    """Return a sync of the rows that a change of filters adds: of only these, if they allow it."""
    reads = s.added_to(p.filters)
    if reads is None or not starts_by(p.start_date, s.start_date):
        return _full(s, new, "answered")
    sync = replace(_begin(s, new, "added", s.first_since), reads=reads)
    return Request(sync, 1, None, 0, "answered")


def _full(s: SyncSettings, new: NewSync, why: Why) -> Request:
    return Request(_begin(s, new, "full", s.first_since), 1, None, 0, why)


def _changes(
    p: Position, s: SyncSettings, new: NewSync, ordered: Again | None, *, gap: bool
) -> Request:
    """Return a sync of what changed since the bookmark, or since a later start date."""
    bookmark, since, start_date = p.bookmark or "", s.first_since, s.start_date
    if starts_by(s.start_date, bookmark):
        since = s.since_bookmark(bookmark)
        start_date = min(p.start_date or "", s.start_date or "") or None
    if ordered:
        since = min(since or "", ordered.since or "") or None
    sync = replace(_begin(s, new, "changes", since), start_date=start_date, gap=gap)
    return Request(sync, 1, None, 0, "restart" if ordered else "changes")


def _begin(s: SyncSettings, new: NewSync, kind: Kind, since: str | None) -> Sync:
    """Return a sync of all rows that match the filters of the settings."""
    return Sync(
        id=new.id,
        kind=kind,
        since=new.reachable(since),
        reads=s.filters,
        filters=s.filters,
        start_date=s.start_date,
        batch_size=s.batch_size,
        started_at=new.now,
        first=new.number,
        restarts=0,
        gap=False,
    )


def begun_over(
    progress: Progress, s: SyncSettings, new: NewSync, why: Why, since: str | None = None
) -> Request:
    """Return the same sync from its page 1: its cursor was rejected, or `restart` ordered it.

    Args:
        progress: How far the sync is.
        s: The settings, of which only the page size counts.
        new: What the sync gets.
        why: `rejected`, `restart`, or `old`, if the API no longer allows its window.
        since: Where its window starts, if that is earlier.
    """
    old = progress.sync
    start = old.since if since is None else (min(since, old.since or "") or None)
    sync = replace(
        old,
        id=new.id,
        since=new.reachable(start),
        batch_size=s.batch_size,
        started_at=new.now,
        first=new.number,
        restarts=old.restarts + 1 if why == "rejected" else 0,
    )
    return Request(sync, 1, None, 0, why)


def oldest_since(now: str, longest_lookback: timedelta | None) -> str | None:
    """Return the earliest `since` that the API allows, None if it allows any."""
    if longest_lookback is None:
        return None
    return format_timestamp(parse_timestamp(now) - longest_lookback + SAFETY_MARGIN)
