"""What becomes of a page that is dropped. `tap-jobo-archive` reads and writes the files."""

from contextlib import suppress

from msgspec.structs import replace

from tap_jobo.errors import FormatError
from tap_jobo.model import EntryHeader, Previous, new_id
from tap_jobo.sync.fold import Page
from tap_jobo.sync.log import ArchiveLog


def header_of_dropped(log: ArchiveLog, number: int, page: Page, now: str) -> EntryHeader:
    """Return the header of an entry that is dropped. It names the entry before it.

    Args:
        log: The archive.
        number: The number of the entry.
        page: What is known of its page.
        now: The time, which stands for its own if no entry has one.

    Raises:
        FormatError: the entry before it has to be dropped first.
    """
    header, id_ = log.archive.header(number), log.archive.id_of(number - 1)
    if header is None:
        return _header_of_damaged(log, number, page, now)
    if header.previous is None or id_ is None:
        return header
    return replace(header, previous=replace(header.previous, id=id_))


def _header_of_damaged(log: ArchiveLog, number: int, page: Page, now: str) -> EntryHeader:
    """Return a header for an entry whose own can't be read, from those around it."""
    archive = log.archive
    before = log.position_before(number)
    numbers = [*range(number + 1, archive.head + 1), *range(number - 1, 0, -1)]
    times = filter(None, map(archive.time_of, numbers))
    last = archive.header(number - 1)
    return EntryHeader(
        id=archive.id_of(number) or new_id(),
        previous=_previous(log, number - 1),
        before=before,
        own=None,
        sync=page.sync,
        page=page.page,
        time=next(times, now),
        receipt=None,
        run=new_id(),
        spent=last.spent if last else {},
        dropped=None,
    )


def _previous(log: ArchiveLog, number: int) -> Previous | None:
    """Return what is known of an entry, None if there is none.

    Raises:
        FormatError: not even its id is known, which the next entry has to name.
    """
    if number < 1:
        return None
    id_ = log.archive.id_of(number)
    if id_ is None:
        raise log.archive.damaged(number, "is damaged")
    with suppress(FormatError):
        page = log.page(number)
        return Previous(id=id_, rows=page.rows, cursor=page.cursor)
    return Previous(id=id_, rows=0, cursor=None)
