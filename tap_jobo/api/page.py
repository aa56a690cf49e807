"""One page of the feed: the envelope that the API documents, read strictly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tap_jobo.api.json_body import parse_json_checked
from tap_jobo.errors import ApiError
from tap_jobo.records.converter import sanitize_text


@dataclass(frozen=True, slots=True)
class Page:
    """What one request of the feed returns.

    Attributes:
        body: The answer as it came, UTF-8 JSON; the journal keeps this.
        rows: The member `career_sites`, unchecked: the rows are cleaned one by one.
        next_cursor: Where the next page starts; a text whenever `has_more`.
        has_more: Whether another page follows. An empty page says nothing about that.
        is_plain: Whether no text of it can hold what databases refuse.
    """

    body: bytes
    rows: list[Any]
    next_cursor: str | None
    has_more: bool
    is_plain: bool


def read_page(body: bytes, sent_cursor: str | None) -> Page:
    """Read an answer of `POST /api/career-sites/feed`.

    Args:
        body: The body of a 200.
        sent_cursor: The cursor that was asked for, None on the first page.

    Raises:
        NotJsonError: The body is not JSON.
        ApiError: It is not the documented envelope, or says that more follows without saying
            where. Going on by guess could end a scan too early, or buy one page for ever.
    """
    data, is_strict = parse_json_checked(body)
    if not isinstance(data, dict):
        raise _broken("is not a JSON object")
    rows, has_more, cursor = data.get("career_sites"), data.get("has_more"), data.get("next_cursor")
    if not isinstance(rows, list):
        raise _broken("has no list 'career_sites'")
    if not isinstance(has_more, bool):
        raise _broken("has no boolean 'has_more'")
    if not isinstance(cursor, str | None):
        raise _broken("has a 'next_cursor' that is not a text")
    if cursor and sanitize_text(cursor) != cursor:
        raise _broken("has a 'next_cursor' that is no text to send back")
    if has_more and not cursor:
        raise _broken("says has_more without a 'next_cursor'")
    if has_more and cursor == sent_cursor:
        raise _broken("gives the cursor as 'next_cursor' that was just used")
    return Page(body, rows, cursor, has_more, is_plain=is_strict and b"\\u0000" not in body)


def _broken(what: str) -> ApiError:
    return ApiError(
        f"Jobo's answer {what}, which its documentation rules out: the run stops here and the "
        "state stays where it was. Try again later, or look for a newer tap-jobo."
    )
