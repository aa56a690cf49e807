"""One page of a feed: the documented response envelope, validated strictly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.api.json_body import NotJsonError, parse_json_checked
from tap_jobo.errors import ApiError
from tap_jobo.records.text import sanitize_text

if TYPE_CHECKING:
    from tap_jobo.streams.feed_spec import FeedSpec


_MAX_ESTIMATE: Final = 10**12


@dataclass(frozen=True, slots=True)
class Page:
    """What one request to a feed returns.

    Attributes:
        items: The items, unchecked: each is checked when it is converted to a record.
        next_cursor: Where the next page starts; a string whenever `has_more`.
        has_more: Whether another page follows, which an empty page does not rule out.
        is_plain: Whether its strings are known to be free of characters that databases reject.
        estimated_total: Estimated items in the whole scan, if the response has it.
    """

    items: list[Any]
    next_cursor: str | None
    has_more: bool
    is_plain: bool
    estimated_total: int | None = None


def read_page(body: bytes, spec: FeedSpec, sent_cursor: str | None) -> Page:
    """Parse the body of a page.

    Args:
        body: The body of a successful response.
        spec: The feed.
        sent_cursor: The cursor that was requested, None for the first page.

    Raises:
        ApiError: It is not the documented envelope, or has more pages but no usable cursor.
            Guessing could end a scan too early, or bill the same page forever.
    """
    try:
        data, is_strict = parse_json_checked(body)
    except NotJsonError:
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
        is_plain=is_strict and b"\\u0000" not in body,
        estimated_total=_estimate(data.get("estimated_total")),
    )


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
    return ApiError(f"Jobo's answer {what}, which its documentation rules out")
