"""One page of a feed: the documented response envelope, validated strictly."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_jobo.api.responses import parse_json
from tap_jobo.errors import ApiError
from tap_jobo.records.values import sanitize_text

if TYPE_CHECKING:
    from tap_jobo.streams.feed_spec import FeedSpec
    from tap_jobo.sync_id import Sync

    PageDecoder = msgspec.json.Decoder[Any]

_MAX_ESTIMATE: Final = 10**12
_FAR_BELOW: Final = 0.8
"""The share of an estimate below which rows may be missing."""
_ESCAPED_NUL: Final = b"\\u0000"


@dataclass(frozen=True, slots=True)
class Page:
    """What one request to a feed returns.

    Attributes:
        items: The items. If not `are_rows_checked`, each is checked when it is converted to a
            record.
        next_cursor: Where the next page starts; a string whenever `has_more`.
        has_more: Whether another page follows, which an empty page does not rule out.
        estimated_total: Estimated items in the whole sync, if the response has it.
        are_rows_checked: Whether the items have been parsed as rows of the decoder's type.
        dispute: What is wrong with the credits that Jobo deducted; empty if nothing is.
    """

    items: list[Any]
    next_cursor: str | None
    has_more: bool
    estimated_total: int | None = None
    are_rows_checked: bool = False
    dispute: str = ""


def page_decoder(spec: FeedSpec, row_type: type[msgspec.Struct]) -> PageDecoder | None:
    """Return a decoder for pages whose rows all match a type, None if the items are not rows."""
    if not spec.items_are_rows:
        return None
    members: list[Any] = [
        ("items", list[row_type]),  # type: ignore[valid-type]
        ("has_more", bool),
        ("next_cursor", Any, None),
        ("estimated_total", Any, None),
    ]
    envelope = msgspec.defstruct("Envelope", members, rename={"items": spec.item_key})
    return msgspec.json.Decoder(envelope)


def read_page(
    body: bytes, spec: FeedSpec, sent_cursor: str | None, decoder: PageDecoder | None = None
) -> Page:
    """Parse the body of a page.

    Args:
        body: The body of a successful response.
        spec: The feed.
        sent_cursor: The cursor that was requested, None for the first page.
        decoder: Parses and checks the page at once, if it can.

    Raises:
        ApiError: The body is not the documented envelope, or has more pages but no usable cursor.
            Guessing could end a sync too early, or bill the same page forever.
    """
    try:
        data, are_rows_checked = _parse(body, decoder)
    except ValueError:
        raise _broken("is not valid JSON") from None
    except MemoryError:
        raise _broken("needs more memory than is available") from None
    if not isinstance(data, dict):
        raise _broken("is not a JSON object")
    items, has_more = data.get(spec.item_key), data.get("has_more")
    if not isinstance(items, list):
        raise _broken(f"has no list '{spec.item_key}'")
    if not isinstance(has_more, bool):
        raise _broken("has no boolean 'has_more'")
    return Page(
        items=items,
        next_cursor=_next_cursor(data.get("next_cursor"), sent_cursor, has_more=has_more),
        has_more=has_more,
        estimated_total=_estimate(data.get("estimated_total")),
        are_rows_checked=are_rows_checked,
    )


def check_has_more(page: Page, header: bool | None) -> None:  # noqa: FBT001 - a value to compare
    """Check that the header `X-Has-More`, if there is one, does not contradict a page.

    A sync that ends early would skip rows, and one that goes on would be billed.

    Raises:
        ApiError: Header and body differ.
    """
    if header is not None and header != page.has_more:
        raise _broken(f"contradicts itself: 'has_more' is {page.has_more}, X-Has-More is {header}")


def falls_short(sync: Sync, estimate: int) -> bool:
    """Return whether a complete sync has far fewer rows than the API estimated."""
    return sync.rows < _FAR_BELOW * estimate and sync.rows + sync.batch_size < estimate


def _parse(body: bytes, decoder: PageDecoder | None) -> tuple[object, bool]:
    """Return the JSON of a body, and whether its rows have been checked."""
    if decoder and _ESCAPED_NUL not in body:
        with suppress(msgspec.DecodeError, ValueError, RecursionError):
            return msgspec.to_builtins(decoder.decode(body)), True
    return parse_json(body), False


def _next_cursor(cursor: object, sent_cursor: str | None, *, has_more: bool) -> str | None:
    if not isinstance(cursor, str | None):
        raise _broken("has a 'next_cursor' that is not a string")
    if cursor and sanitize_text(cursor) != cursor:
        raise _broken("has a 'next_cursor' that cannot be sent back")
    if has_more and not cursor:
        raise _broken("says has_more without a 'next_cursor'")
    if has_more and cursor == sent_cursor:
        raise _broken("repeats the cursor that was just used as 'next_cursor'")
    return cursor


def _estimate(value: object) -> int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value < _MAX_ESTIMATE else None  # type: ignore[operator,call-overload]


def _broken(what: str) -> ApiError:
    return ApiError(f"Jobo's response {what}, which its documentation rules out")
