"""What an archive has, read outside of a run: for `tap-jobo-archive`."""

from collections.abc import Callable, Iterator
from functools import partial
from logging import getLogger
from typing import TypeVar

from tap_jobo.api.feed import check_encoding
from tap_jobo.api.pages import PageParser
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.clock import to_minute
from tap_jobo.errors import ApiError, FormatError
from tap_jobo.model import Entry, Order, Position
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.filter_rules import FilterRules
from tap_jobo.sync.filters import describe
from tap_jobo.sync.load import Contents
from tap_jobo.sync.log import ArchiveLog
from tap_jobo.sync.messages import Messages
from tap_jobo.sync.reads import worse
from tap_jobo.wording import dollars, plural

_Read = TypeVar("_Read")


def log_of(archive: StreamArchive) -> ArchiveLog:
    """Return what the entries of an archive say."""
    return ArchiveLog(archive, partial(_read_end, archive), FilterRules(archive.spec.filters))


def _read_end(archive: StreamArchive, entry: Entry) -> tuple[int, str | None]:
    """Return the number of rows of an entry, and the cursor of the next page, if there is one.

    Raises:
        FormatError: the page cannot be parsed.
    """
    try:
        check_encoding(entry)
        page = PageParser(archive.spec).parse(entry.body)
    except ApiError as error:
        logger = getLogger(__name__)
        messages = Messages(spec=archive.spec, logger=logger, known=lambda _: archive.known)
        raise messages.unreadable(error, entry, archive) from None
    return len(page.items), page.following


class Problems(list[str]):
    """What cannot be read, with the ways out."""

    def note(self, read: Callable[[], _Read]) -> _Read | None:
        """Return what a function reads. If it cannot, note why once, and return None."""
        try:
            return read()
        except FormatError as error:
            if f"{error}" not in self:
                self.append(f"{error}")
            return None


def describe_archive(archive: StreamArchive, problems: Problems) -> Iterator[str]:
    """Yield what an archive has, and what it lacks, as far as it can be read."""
    contents, parser = Contents(), PageParser(archive.spec)
    headers = [header for header in map(archive.header, archive.numbers) if header]
    for number in archive.numbers:
        if entry := problems.note(partial(archive.read, number)):
            contents.note(entry.header, parser.count_items(entry.body))
    pages, rows = plural(contents.pages, "page"), plural(contents.rows, "row")
    begins = f", since {headers[0].time}" if headers else ""
    yield f"{pages}, {rows}, {dollars(contents.credits)}{begins}"
    first, log = archive.header(1), log_of(archive)
    if first and first.buyer.is_begun:
        yield "begins with what changed: an earlier archive was lost"
    position = problems.note(lambda: log.position)
    if position is None:
        return
    gap = gap_of(position)
    if gap is not None:
        since = f" since {to_minute(gap)}" if gap else ""
        then = f" until you run {archive.restart_since(gap)}"
        if archive.spec.longest_lookback:
            then = ": the next run reads what Jobo still lists"
        yield f"gap: rows may be missing{since}{then}"
    if (order := log.order) and order.time > position.order:
        what = describe_order(order, archive.spec)
        yield f"restart of {to_minute(order.time)}: the next run buys {what} again"


def gap_of(position: Position) -> str | None:
    """Return since when rows may be missing that syncs of a position have read, if any are."""
    gaps = [each.gap for each in position.reads]
    return worse(*gaps, *(each.sync.since for each in position.progress if each.has_gap))


def describe_order(order: Order, spec: FeedSpec) -> str:
    """Return which rows `restart` has ordered."""
    rows = f"all of {spec.name}"
    if order.over is not None:
        rows = f"the rows of the sync {order.over}"
    elif order.since is not None:
        rows = f"what changed in {spec.name} since {to_minute(order.since)}"
    return f"{rows} with {describe(order.filters)}" if order.filters else rows
