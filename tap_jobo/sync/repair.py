"""What the user orders of an archive: to buy again, or to go on without a page that is damaged.

Pure functions: `tap-jobo-archive` reads and writes the files.
"""

from dataclasses import dataclass

from msgspec.structs import replace

from tap_jobo.model import (
    NOTHING,
    Again,
    ArchiveFile,
    EntryHeader,
    Filters,
    Sync,
    new_id,
)
from tap_jobo.sync.position import ArchiveView, advance, base_after


def restart(
    view: ArchiveView, since: str | None, filters: Filters | None = None
) -> ArchiveFile | None:
    """Return the content of `archive.json` that orders to buy again, None if that is refused.

    Without `since`, it is refused if the archive is empty: the next run buys everything anyway.
    With `since`, also before the first complete sync and while a full one is in progress, which it
    would leave incomplete, and if the filters have changed: what that buys ignores `since`.

    Args:
        view: The archive.
        since: Buy what changed since then (ISO 8601 UTC), None for everything.
        filters: Those of the settings, None if they are not known.
    """
    position = view.position
    if view.is_empty:
        return None
    if since is not None:
        is_full = position.progress is not None and position.progress.sync.kind == "full"
        if position.bookmark is None or is_full:
            return None
        if filters is not None and filters != position.current.filters:
            return None
    return replace(view.file, again=Again(since=since, head=view.head_id))


def since_to_begin_over(sync: Sync) -> str | None:
    """Return the `since` of the `restart` that begins a sync in progress over, None for all rows.

    It begins over from its own start if that is earlier, so a sync that has none needs only a date.
    """
    return None if sync.kind == "full" else sync.since or sync.started_at


@dataclass(frozen=True)
class ReadEntry:
    """An entry whose page was parsed."""

    header: EntryHeader
    rows: int
    next_cursor: str | None  # None after the last page of its sync


def dropped(
    number: int,
    file: ArchiveFile,
    *,
    own: EntryHeader | None,
    before: ReadEntry | None,
    after: EntryHeader | None,
) -> EntryHeader | None:
    """Return the header of the empty entry that replaces an entry.

    It keeps the entry's id, so the states that name it stay places in the archive. At the head, the
    position is then the one before it, and its page is bought again.

    Page 1 of a full sync gets a new id at the head, if the archive is complete with that sync only:
    a warehouse may have begun there. Its state then goes on with the sync in an archive of its own.

    Args:
        number: Its number.
        file: The content of `archive.json`.
        own: Its header, None if that cannot be read.
        before: The entry before it, which only counts if its own header cannot be read. None if
            it is the first one, or if that cannot be read either.
        after: The header of the entry after it, None if that cannot be read, or at the head.

    Returns:
        None if the entry before it has to be dropped first: without that, the position is unknown.
    """
    if own and (after is None or own.id == after.previous):  # or it is no part of this archive
        is_new = after is None and _is_only_base(own, file)
        return replace(own, is_dropped=True, id=new_id() if is_new else own.id)
    if before is None and number > file.first:
        return None
    if before:
        position = advance(before.header, before.rows, before.next_cursor)
    else:
        position = file.origin.position if file.origin else NOTHING
    return EntryHeader(
        id=(after and after.previous) or new_id(),
        previous=before.header.id if before else file.origin.entry if file.origin else None,
        before=position,
        base=base_after(before.header, before.next_cursor) if before else None,
        sync=_sync_before(after),
        page=0,
        receipt=None,
        total=_total_before(after, before),
        run=new_id(),
        spent=before.header.spent if before else {},
        is_dropped=True,
    )


def _is_only_base(header: EntryHeader, file: ArchiveFile) -> bool:
    """Return whether a new warehouse begins at an entry, and nowhere before it."""
    sync = header.sync
    is_first = sync is not None and sync.kind == "full" and header.page == 1
    return is_first and header.before.has_begun and (header.base or 0) < file.first


def _sync_before(after: EntryHeader | None) -> Sync | None:
    """Return the sync that was in progress before an entry: the page before it is one of it."""
    progress = after.before.progress if after else None
    return progress.sync if progress else None


def _total_before(after: EntryHeader | None, before: ReadEntry | None) -> int:
    """Return what the archive has cost up to a page, as far as the entries around it show."""
    if after:
        return after.total - after.credits
    return before.header.total if before else 0
