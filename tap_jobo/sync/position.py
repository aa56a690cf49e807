"""How far a feed is read: a fold over the entries of an archive.

The header of an entry says all that was decided when its page was bought. So the position after the
last entry follows from that entry alone, and a run reads one entry to know where it stands.
"""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from tap_jobo.model import NOTHING, Again, ArchiveFile, EntryHeader, Position, Progress, Sync


def advance(header: EntryHeader, rows: int, next_cursor: str | None) -> Position:
    """Return the position after an entry.

    Args:
        header: Its header.
        rows: The rows of its page.
        next_cursor: Where the next page starts, None after the last page of a sync.
    """
    before, sync = header.before, header.sync
    if sync is None or header.is_dropped:
        return before
    if next_cursor is not None:
        rows += header.rows_before
        progress = Progress(sync=sync, cursor=next_cursor, pages=header.page, rows=rows)
        return replace(before, progress=progress)
    return completed(before, sync)


def completed(before: Position, sync: Sync) -> Position:
    """Return the position after the last page of a sync.

    Only here does the bookmark move: to the start of the sync. A clock that was behind does not
    move it back. After a sync of added values it stays, because nothing was read of other rows.
    """
    if sync.kind == "added":
        return replace(
            before, filters=sync.filters, start_date=sync.start_date, last=None, progress=None
        )
    return Position(
        bookmark=max(before.bookmark or "", sync.started_at),
        filters=sync.filters,
        start_date=sync.start_date,
        last=sync.id,
        gap=sync.gap or (before.gap and sync.kind != "full"),
        progress=None,
    )


def are_alike(one: Position, other: Position) -> bool:
    """Return whether two positions are equal but for their rows, of which `erase` takes some."""
    return _without_rows(one) == _without_rows(other)


def _without_rows(position: Position) -> Position:
    progress = position.progress
    return replace(position, progress=replace(progress, rows=0)) if progress else position


def base_after(header: EntryHeader, next_cursor: str | None) -> int | None:
    """Return page 1 of the last full sync that is complete after an entry, if there is one."""
    sync = header.sync
    if sync and not header.is_dropped and next_cursor is None and sync.kind == "full":
        return sync.first or header.base
    return header.base


def moves_nothing(header: EntryHeader, *, is_ordered: bool, is_free_feed: bool) -> bool:
    """Return whether a first page without rows, which ends its sync, changes nothing but times.

    Then it becomes no entry, and the bookmark stays, as in any tap whose bookmark is that of its
    newest row. Otherwise, a year of hourly runs would leave 8,760 files without a row.

    Args:
        header: The header that its entry would have.
        is_ordered: Whether `restart` has ordered the sync.
        is_free_feed: Whether Jobo lists the rows of the feed for some days only, so that its
            bookmark has to move.
    """
    before, sync = header.before, header.sync
    if is_ordered or is_free_feed or sync is None or sync.kind != "changes" or header.page != 1:
        return False
    after = completed(before, sync)
    return replace(after, bookmark=before.bookmark, last=before.last) == before


@dataclass(frozen=True, kw_only=True)
class ArchiveView:
    """What a run must know of an archive to decide where it starts, and what it buys.

    Attributes:
        file: The content of `archive.json`.
        head: The number of the last entry, or `first` - 1.
        head_id: The id of the entry at the head, which may be that of the origin.
        end_ids: The id of the head, and if it was dropped, those of the entries before it, up to
            the last one that was not: what comes after that has yet to be bought.
        position: The position at the head.
        complete_base: Page 1 of the last complete full sync, of any number.
        overcount: Credits that the header at the head counts too much, because its page is short.
        id_of: Returns the id of the entry with a number, None if there is none.
        is_dropped: Returns whether the entry with a number has no rows, because it was dropped.
        is_free_feed: Whether its feed costs nothing, and is listed for some days only.
    """

    file: ArchiveFile
    head: int
    head_id: str | None
    end_ids: frozenset[str | None]
    position: Position
    complete_base: int | None
    overcount: int
    id_of: Callable[[int], str | None]
    is_dropped: Callable[[int], bool]
    is_free_feed: bool

    @property
    def is_head_dropped(self) -> bool:
        """Whether the last entry was dropped, so that its page is bought again."""
        return self.is_dropped(self.head)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was bought or adopted yet."""
        return self.head < self.file.first and self.file.origin is None

    @property
    def ordered(self) -> Again | None:
        """What `restart` ordered, until its first page is bought."""
        again = self.file.again
        return again if again and again.head in self.end_ids else None

    @property
    def base(self) -> int | None:
        """Where a warehouse begins that has nothing: it then lacks nothing.

        That is page 1 of the last complete full sync. As long as there is none, it is that of the
        one in progress at the head, or the one that begins there. None: the archive is incomplete.
        """
        base, first = self.complete_base, self.file.first
        if base is not None and base >= first:
            return base
        ordered, progress = self.ordered, self.position.progress
        if not self.position.has_begun or (ordered and ordered.since is None):
            return self.head + 1
        if progress and progress.sync.kind == "full" and (progress.sync.first or 0) >= first:
            return progress.sync.first
        return None

    @property
    def is_complete(self) -> bool:
        """Whether a warehouse that has nothing lacks nothing once it is loaded."""
        return self.base is not None

    @property
    def beginning(self) -> int:
        """The number of the entry at which a warehouse begins that has nothing."""
        return self.file.first if self.is_free_feed else self.base or self.file.first


def end_ids(
    head: int, id_of: Callable[[int], str | None], header_of: Callable[[int], EntryHeader | None]
) -> frozenset[str | None]:
    """Return the ids at the end of an archive, as `ArchiveView` has them.

    Args:
        head: The number of the last entry.
        id_of: Returns the id of an entry.
        header_of: Returns the header of an entry, None if there is none.
    """
    ids = {id_of(head)}
    while (header := header_of(head)) and header.is_dropped:
        head -= 1
        ids.add(id_of(head))
    return frozenset(ids)


def empty_view(file: ArchiveFile, *, is_free_feed: bool) -> ArchiveView:
    """Return the view of an archive without entries."""
    origin = file.origin
    return ArchiveView(
        file=file,
        head=file.first - 1,
        head_id=origin.entry if origin else None,
        end_ids=frozenset({origin.entry if origin else None}),
        position=origin.position if origin else NOTHING,
        complete_base=None,
        overcount=0,
        id_of=lambda number: origin.entry if origin and number == file.first - 1 else None,
        is_dropped=lambda _: False,
        is_free_feed=is_free_feed,
    )
