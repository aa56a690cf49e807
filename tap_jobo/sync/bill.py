"""The rows of `billed_pages`: what each page has cost, read from the archive."""

import json
from collections.abc import Callable, Iterator
from uuid import NAMESPACE_OID, uuid5

from tap_jobo.archive.archive import StreamArchive
from tap_jobo.errors import FormatError
from tap_jobo.model import Entry, EntryHeader
from tap_jobo.records.converter import Row
from tap_jobo.streams.feed_spec import FeedSpec


def read_bills(
    archive: StreamArchive, after: int, count_rows: Callable[[Entry], int]
) -> Iterator[tuple[EntryHeader, Row | None]]:
    """Yield each page after an entry, with its row if it has cost anything or has rows.

    Only the page at the head is parsed: the header of the next entry has the number of its rows. It
    ends before a page that can't be read, whose row comes once it can be.

    Args:
        archive: The archive.
        after: The number of the entry.
        count_rows: Returns the number of rows of a page.
    """
    numbers = range(after + 1, archive.head + 1)
    for number, header in zip(numbers, archive.headers(numbers), strict=True):
        if header is None:
            return
        following = archive.header(number + 1)
        if following and following.previous:
            rows = following.previous.rows
        else:
            try:
                rows = count_rows(archive.read(number))
            except FormatError:  # which the feed reports
                return
        yield header, _bill_row(archive.spec, header, rows)


def _bill_row(spec: FeedSpec, header: EntryHeader, rows: int) -> Row | None:
    """Return the row of a page, the same whenever it is read; None if it costs nothing."""
    sync, receipt = header.sync, header.receipt
    if sync is None or receipt is None:
        return None
    credits_ = header.cost(rows)
    if not (rows or credits_):
        return None
    return {
        "id": str(uuid5(NAMESPACE_OID, f"{sync.id}.{header.page}.{header.run}")),
        "stream": spec.name,
        "sync_id": sync.id,
        "page": header.page,
        "received_at": receipt.received_at,
        "rows": rows,
        "credits": credits_,
        "is_confirmed": receipt.charge.deducted == credits_,
        "filters": json.dumps(sync.reads, ensure_ascii=False, sort_keys=True),
    }
