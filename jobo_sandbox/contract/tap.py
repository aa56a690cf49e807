"""What the tap makes of a response, by its own parsers."""

import logging
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from tap_jobo.api.pages import read_page
from tap_jobo.api.responses import ApiResponse, require_success
from tap_jobo.errors import ApiError, RejectedError
from tap_jobo.records.converter import RecordConverter
from tap_jobo.streams.feed_spec import FeedSpec

USER_AGENT = f"tap-jobo/{version('tap-jobo')} (+https://pypi.org/project/tap-jobo/)"


def refusal(response: ApiResponse, feed: FeedSpec | None = None) -> tuple[str, bool]:
    """Return the tap's error about a response, or a page of a feed; empty if it reads it.

    Also returns whether the tap takes the error for a cursor that is rejected.
    """
    try:
        require_success(response, feed)
        if feed:
            read_page(response.body, feed)
    except ApiError as error:
        return str(error), isinstance(error, RejectedError) and error.names_cursor
    return "", False


def complaints(rows: Sequence[object], schema: Any) -> list[str]:
    """Return what the tap logs about rows."""
    lines: list[str] = []
    logger = logging.Logger("contract")  # noqa: LOG001 - which no other code uses
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(f"{record.getMessage():.200}")  # type: ignore[method-assign]
    logger.addHandler(handler)
    RecordConverter(schema.to_dict(), logger).convert(rows)
    return lines
