"""What the rules store, in headers, states and `archive.json`: reads, syncs, positions, orders.

Times are ISO 8601 UTC, all in the one form of `format_timestamp`, so that they compare as text. The
empty text is before all times, so a window that starts there has all rows. None never stands for a
time: a gap that is None is no gap.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tap_jobo.model import Count, Filters, Id

ALL: Final = ""
"""The start of a window that has all rows."""
Number = Annotated[int, Meta(ge=1)]
Dropped = Literal["head", "behind"]
"""Where a page was when it was dropped: at the head of the archive, or behind it."""


class _Stored(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a file."""


class Read(_Stored, frozen=True):
    """What a complete sync says of the rows that match its filters.

    Every version that was last updated in [start, until), and that is still the current one, was
    read. But perhaps not those that were updated since the gap.

    Attributes:
        filters: The rows.
        start: Where the window starts.
        until: Where it ends: the start of the sync.
        gap: Since when rows may be missing, None if none are.
    """

    filters: Filters
    start: str
    until: str
    gap: str | None = None


class Sync(_Stored, frozen=True):
    """One reading of a feed, with all that was decided when its first page was bought.

    Attributes:
        id: Random, and never used again.
        reads: The filters of its requests.
        filters: The filters of the settings, which its requests may narrow.
        since: The start of its window. A row of exactly this time belongs to it.
        started: Before its first request, by the earlier clock.
        kept: The start date of settings whose older rows the user decided not to buy, None
            otherwise.
        order: The time of the order that it carries out, None without one.
        replaces: The id of the sync that it begins over.
        restarts: How often it began over because the API rejected its cursor.
        batch_size: Rows per page, the same on every page.
    """

    id: Id
    reads: Filters
    filters: Filters
    since: str
    started: str
    kept: str | None
    order: str | None
    replaces: Id | None
    restarts: Count
    batch_size: Number

    @property
    def start(self) -> str:
        """The start date that it is for."""
        return self.since if self.kept is None else self.kept


class Progress(_Stored, frozen=True):
    """How far a sync is: where its next page starts, and the pages and rows before that.

    Attributes:
        sync: The sync.
        pages: The number of its last page.
        rows: The rows of the pages that were loaded.
        cursor: Where the next page starts.
        has_gap: Whether pages are missing.
    """

    sync: Sync
    pages: Number
    rows: Count
    cursor: Annotated[str, Meta(min_length=1)]
    has_gap: bool


class Position(_Stored, frozen=True):
    """What a warehouse has read.

    Attributes:
        reads: The newest first.
        progress: The syncs in progress.
        is_begun: Whether any page came before.
        order: The time of the last order that was begun, empty before the first.
    """

    reads: tuple[Read, ...] = ()
    progress: tuple[Progress, ...] = ()
    is_begun: bool = False
    order: str = ""

    def of(self, sync_id: str | None) -> Progress | None:
        """Return how far a sync is that is in progress."""
        return next((each for each in self.progress if each.sync.id == sync_id), None)


NOTHING: Final = Position()
"""The position before the first page."""


class Order(_Stored, frozen=True):
    """What `restart` ordered: to read rows again that were read before.

    Attributes:
        time: When it was given. It is later than that of every earlier order.
        filters: Of the pipelines that carry it out.
        start: The start date of these.
        since: Read what changed since then, None for everything.
        over: The id of the sync in progress that begins over, None otherwise.
    """

    time: str
    filters: Filters
    start: str
    since: str | None = None
    over: Id | None = None


class DroppedPage(_Stored, frozen=True):
    """A page that was dropped behind the head, as `archive.json` lists it.

    Attributes:
        number: The number of its entry.
        sync: The id of its sync, None if that is not known.
        since: The start of the window of the sync, empty if that is not known.
        head: The head when it was dropped.
    """

    number: Number
    sync: Id | None
    since: str
    head: Number


class State(_Stored, frozen=True):
    """What a Singer state records of a feed: a place in an archive, and what the warehouse has.

    Attributes:
        owner: The address, the kind of key, and for some feeds the account.
        offset: The number of the last entry that is loaded.
        entry: Its id, None if no later run finds it.
        time: When its page was received, by the API's clock, empty before the first.
        position: The position of the warehouse.
    """

    owner: str
    offset: Count
    entry: Id | None
    time: str
    position: Position
