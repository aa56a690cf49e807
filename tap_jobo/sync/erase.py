"""Takes rows out of an archived page. The page and its other rows keep their numbers."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tap_jobo.model import Entry
from tap_jobo.records.values import ERASED, parse_uuid
from tap_jobo.streams.feed_spec import FeedSpec

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_STUB: Final = msgspec.Raw(msgspec.json.encode(ERASED))


def without_rows(
    entry: Entry, spec: FeedSpec, is_meant: Callable[[int, str | None], bool]
) -> Entry | None:
    """Return an entry with a stub in place of some rows, None if it has none of them.

    Everything else of its body stays as it was received, so its number of rows does too, and what
    the page has cost.

    Args:
        entry: The page.
        spec: The feed.
        is_meant: Returns whether to erase a row, given its number in the page, from 1, and its id
            as `comparable_id` returns it.

    Raises:
        ValueError: The page is not JSON, or has no list of rows.
    """
    if not entry.body:  # it was dropped
        return None
    members = _MEMBERS.decode(entry.body)
    items = _ITEMS.decode(members.get(spec.item_key, b"null"))
    kept = [
        _STUB if is_meant(number, _id_of(msgspec.json.decode(item))) else item
        for number, item in enumerate(items, 1)
    ]
    if kept == items:
        return None
    members[spec.item_key] = msgspec.Raw(msgspec.json.encode(kept))
    return Entry(entry.number, entry.header, msgspec.json.encode(members))


def comparable_id(id_: object) -> str | None:
    """Return an id as a user may give it: a UUID in one spelling, any other text, or an integer."""
    if type(id_) is int:  # True is no number
        return str(id_)
    return parse_uuid(id_) or id_ if isinstance(id_, str) else None


def _id_of(item: Any) -> str | None:
    return comparable_id(item.get("id") if isinstance(item, dict) else item)
