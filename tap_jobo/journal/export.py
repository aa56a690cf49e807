"""The journal's contents as JSON Lines: exactly as received, except for line breaks."""

from __future__ import annotations

import msgspec

from tap_jobo.streams.registry import FEEDS


class UnreadableError(ValueError):
    """A page is not the JSON object of a feed."""


def as_line(content: bytes) -> bytes:
    """Return JSON as one line; line breaks can occur only between tokens."""
    return content.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"


def rows_of(body: bytes) -> list[bytes]:
    """Return the rows of a page, each as received.

    Raises:
        UnreadableError: No rows can be found.
    """
    try:
        page = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        for spec in FEEDS:
            if spec.item_key in page:
                rows = msgspec.json.decode(page[spec.item_key], type=list[msgspec.Raw])
                return [bytes(row) for row in rows]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError from error
    raise UnreadableError
