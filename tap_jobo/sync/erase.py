"""Takes rows out of an archived page, which keeps its number and its price."""

from collections.abc import Collection
from typing import Any

import msgspec
from msgspec.structs import replace

from tap_jobo.model import Entry
from tap_jobo.records.values import parse_uuid
from tap_jobo.streams.feed_spec import FeedSpec

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


def without_rows(entry: Entry, spec: FeedSpec, ids: Collection[str | None]) -> Entry | None:
    """Return an entry without the rows of some ids, None if it has none of them.

    Everything else of its body stays as it was received. Raises `ValueError` if it is not JSON.
    """
    members = _MEMBERS.decode(entry.body)
    items = _ITEMS.decode(members.get(spec.item_key, b"[]"))
    kept = [item for item in items if _id_of(msgspec.json.decode(item)) not in ids]
    if len(kept) == len(items):
        return None
    members[spec.item_key] = msgspec.Raw(msgspec.json.encode(kept))
    return Entry(entry.number, _with_price(entry, len(items)), msgspec.json.encode(members))


def _id_of(item: Any) -> str | None:
    return parse_uuid(item.get("id") if isinstance(item, dict) else item)


def _with_price(entry: Entry, rows: int) -> Any:
    """Return the header with what the page has cost, which no longer follows from its rows."""
    header = entry.header
    if header.receipt is None or header.sync is None:
        return header
    charge = header.receipt.charge
    charge = replace(charge, deducted=charge.deducted or header.cost(rows) or None)
    return replace(header, receipt=replace(header.receipt, charge=charge))
