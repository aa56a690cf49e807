"""What the tap makes of a response, by its own way from a page to records."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from tap_jobo.api.budget import Budget, FeedCost
from tap_jobo.api.feed import FeedReader
from tap_jobo.api.responses import ApiResponse, require_success
from tap_jobo.clock import format_timestamp
from tap_jobo.errors import ApiError, FormatError, RejectedError
from tap_jobo.model import ALL, NOTHING, EntryHeader, Lookback, Sync, new_id
from tap_jobo.records.converter import RecordConverter
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.checks import PageChecks


@dataclass
class Reading:
    """What the tap makes of a page: the error with which it ends, or its warnings about rows."""

    error: str = ""
    warnings: list[str] = field(default_factory=list)


def refusal(response: ApiResponse) -> tuple[str, bool]:
    """Return the tap's error about a response that is no page; empty if it reads it.

    Also returns whether the tap takes the error for a cursor that is rejected.
    """
    try:
        require_success(response)
    except ApiError as error:
        return str(error), isinstance(error, RejectedError) and error.names_cursor
    return "", False


def read_page(response: ApiResponse, feed: FeedSpec, sent: dict[str, Any]) -> Reading:
    """Read a page as a sync does: parse it, check it, and convert its rows."""
    sync = Sync(
        id=new_id(),
        reads={},
        filters={},
        since=sent.get(feed.since_parameter) or ALL,
        started=format_timestamp(datetime.now(UTC)),
        kept=None,
        order=None,
        replaces=None,
        restarts=0,
        batch_size=int(sent.get("batch_size", feed.page_cap)),
        lookback=Lookback(warehouse="", minutes=0, last=ALL),
    )
    reading = Reading()
    with _logger(reading.warnings) as logger:
        try:
            _read(sync, response, feed, logger)
        except (ApiError, FormatError) as error:
            reading.error = str(error)
    return reading


def _read(sync: Sync, response: ApiResponse, feed: FeedSpec, logger: logging.Logger) -> None:
    converter = RecordConverter(feed.schema.to_dict(), logger, feed.never_null)
    silent = logging.Logger("contract", logging.CRITICAL)  # noqa: LOG001 - other checks say it
    session = SimpleNamespace(build=lambda *_: None)  # as nothing is sent
    client: Any = SimpleNamespace(
        session=session, fetch=lambda *_, **__: require_success(response, feed)
    )
    now = datetime.now(UTC)
    clock: Any = SimpleNamespace(earlier=lambda: now, now=lambda: now)
    reader = FeedReader(
        spec=feed,
        client=client,
        cost=FeedCost(Budget(logger=silent), feed),
        clock=clock,
        row_type=converter.row_type,
    )
    receipt, body = reader.fetch_page(sync, None)
    header = EntryHeader(
        id=new_id(),
        previous=None,
        before=NOTHING,
        own=None,
        sync=sync,
        page=1,
        time=receipt.received_at,
        receipt=receipt,
        spent={},
        dropped=None,
    )

    def warn(code: str, fact: str, **_: object) -> None:
        if code == "new-fields":  # other checks say the rest
            logger.warning("%s", fact)

    checks = PageChecks(feed, converter, warn)
    page = reader.parse_page(sync, receipt, body)
    checks.check(header, page)
    converter.log_skipped(converter.convert(page.rows).skipped)


def read_profile(profile: object, schema: Any, never_null: Sequence[str]) -> Reading:
    """Read a profile as the tap does, which skips it if it is damaged."""
    reading = Reading()
    with _logger(reading.warnings) as logger:
        converter = RecordConverter(schema.to_dict(), logger, never_null)
        converter.convert([profile])
    if names := converter.unusable([profile]):
        reading.error = f"no valid {' and '.join(names)}"
    return reading


@contextmanager
def _logger(lines: list[str]) -> Iterator[logging.Logger]:
    """Yield a logger whose warnings and errors are added to `lines`."""
    logger = logging.Logger("contract", logging.WARNING)  # noqa: LOG001 - which no other code uses
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(f"{record.getMessage():.200}")  # type: ignore[method-assign]
    logger.addHandler(handler)
    yield logger
