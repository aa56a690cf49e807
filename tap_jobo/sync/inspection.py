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
from tap_jobo.sync.filter_rules import FilterRules
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


class Inspection:
    """What the entries of an archive have, as far as they can be read."""

    def __init__(self, archive: StreamArchive, problems: Problems) -> None:
        self._archive = archive
        self._problems = problems
        self._contents = Contents()
        self._since = ""  # when the first page was bought, if that is known
        self._parser = PageParser(archive.spec)
        self._dropped: list[int] = []  # behind the head
        self._bought_again: list[int] = []  # dropped at the head
        for number in archive.numbers:
            header = archive.header(number)
            if header and not self._since:
                self._since = header.time
            if header and header.dropped == "head":
                self._bought_again.append(number)
                continue
            self._bought_again = []
            if header and header.dropped:
                self._dropped.append(number)
                continue
            if entry := problems.note(partial(archive.read, number)):
                self._contents.note(entry.header, self._parser.count_items(entry.body))

    def describe(self) -> Iterator[str]:
        """Yield what the archive has, and what it lacks."""
        pages, rows = plural(self._contents.pages, "page"), plural(self._contents.rows, "row")
        begins = f", since {self._since}" if self._since else ""
        yield f"{pages}, {rows}, {dollars(self._contents.credits)}{begins}"
        log = log_of(self._archive)
        first = self._archive.header(1)
        if first and first.buyer.is_begun:
            yield "begins with what changed: an earlier archive was lost"
        position = self._problems.note(lambda: log.position)
        yield from self._describe_dropped(position)
        if position is None:
            return
        gap = worse(*(each.gap for each in position.reads))
        if gap is not None:
            since = f" since {to_minute(gap)}" if gap else ""
            then = f" until you run {self._archive.restart_since(gap)}"
            if self._archive.spec.longest_lookback:
                then = ": the next run reads what Jobo still lists"
            yield f"gap: rows may be missing{since}{then}"
        if (order := log.order) and order.time > position.order:
            yield describe_order(order)

    def _describe_dropped(self, position: Position | None) -> Iterator[str]:
        """Yield the dropped pages whose rows no later sync has read, as far as that is known."""
        if position is None or has_gap(position):
            for number in self._dropped:
                yield f"page {number} was dropped: its rows may be missing"
        verb = "read" if self._archive.spec.is_free else "bought"
        for number in self._bought_again:
            yield f"page {number} was dropped, and is {verb} again"


def has_gap(position: Position) -> bool:
    """Return whether rows may be missing that syncs of a position have read."""
    is_gap = any(each.gap is not None for each in position.reads)
    return is_gap or any(each.has_gap for each in position.progress)


def describe_order(order: Order) -> str:
    """Return what `restart` ordered, and when."""
    what = "all of its stream"
    if order.over is not None:
        what = f"the sync {order.over}"
    elif order.since is not None:
        what = f"what changed since {to_minute(order.since)}"
    return f"restart: {what} is read again, as ordered at {to_minute(order.time)}"
