"""The rows of `billed_pages`: what each page has cost."""

import json
from uuid import NAMESPACE_OID, uuid5

from tap_jobo.model import EntryHeader
from tap_jobo.records.converter import Row
from tap_jobo.streams.feed_spec import FeedSpec


def bill_rows(spec: FeedSpec, header: EntryHeader, rows: int) -> list[Row]:
    """Return the row of a page, the same whenever it is loaded; none if it costs nothing."""
    sync, receipt = header.sync, header.receipt
    if sync is None or receipt is None or spec.is_free:
        return []
    credits_ = header.cost(rows)
    if not (rows or credits_):
        return []
    row = {
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
    return [row]
