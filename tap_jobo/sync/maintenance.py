"""What `tap-jobo-archive` shows of an archive, and what it changes in it."""

import json
from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from tap_jobo.api.pages import PageParser
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.clock import format_timestamp, parse_timestamp, to_minute
from tap_jobo.errors import FormatError
from tap_jobo.model import ALL, DroppedPage, Entry, EntryHeader, Order, Position, new_id
from tap_jobo.records.values import ERASED, parse_uuid
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.filters import describe
from tap_jobo.sync.fold import Page, advance, worse
from tap_jobo.sync.log import ArchiveLog
from tap_jobo.sync.report import Contents
from tap_jobo.wording import dollars, plural

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_STUB: Final = msgspec.Raw(msgspec.json.encode(ERASED))
_TICK: Final = timedelta(microseconds=1)
_Read = TypeVar("_Read")


def log_of(archive: StreamArchive) -> ArchiveLog:
    """Return what the entries of an archive say."""
    return ArchiveLog(archive, PageParser(archive.spec))


# `list`


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
    for number in archive.numbers:
        if entry := problems.note(partial(archive.read, number)):
            contents.note(entry.header, len(parser.read_ids(entry)))
    pages, rows = plural(contents.pages, "page"), plural(contents.rows, "row")
    known = next(filter(None, map(archive.header, archive.numbers)), None)
    begins = f", since {known.time}" if known else ""
    yield f"{pages}, {rows}, {dollars(contents.credits)}{begins}"
    log = log_of(archive)
    if log.has_lost:
        yield "begins with what changed: an earlier archive was lost"
    position = problems.note(lambda: log.position)
    if position is None:
        return
    if gap := describe_gap(archive, position):
        yield f"gap: {gap}"
    order = archive.file.order
    is_over = order and order.over and position.of(order.over) is None
    if order and order.time > position.order and not is_over:
        what = describe_order(order, archive.spec)
        yield f"restart of {to_minute(order.time)}: the next run {what}"


def describe_gap(archive: StreamArchive, position: Position) -> str:
    """Return which rows may be missing, and what buys them; empty if none are."""
    of_reads = worse(*(each.gap for each in position.reads))
    going = [each.sync for each in position.progress if each.has_gap]
    gap = worse(of_reads, *(sync.since for sync in going))
    if gap is None:
        return ""
    filters = next((each.filters for each in position.reads if each.gap == gap), {})
    rows = f"rows with {describe(filters)}" if filters else "rows"
    since = f" since {to_minute(gap)}" if gap else ""
    if archive.spec.longest_lookback:
        return f"{rows} may be missing{since}: the next run reads what Jobo still lists"
    if of_reads is None:  # `--since` needs a complete sync
        command = archive.command("restart", "--sync", going[-1].id)
    else:
        command = archive.restart_since(of_reads)
    then = f"until you run {command} with the settings of a pipeline that lacks them"
    return f"{rows} may be missing{since} {then}"


def describe_order(order: Order, spec: FeedSpec) -> str:
    """Return what `restart` lets the next run do."""
    verb = "reads" if spec.is_free else "buys"
    rows = f"all of {spec.name}"
    if order.start:
        rows = f"{rows} since {to_minute(order.start)}"
    if order.over is not None:
        rows = f"the rows of the sync {order.over}, if it is in progress,"
    elif order.since is not None:
        rows = f"what changed in {spec.name} since {to_minute(order.since)}"
    filters = f" with {describe(order.filters)}" if order.filters else ""
    return f"{verb} {rows}{filters} again"


def time_of_order(now: str, last: Order | None, archive: Position) -> str:
    """Return the time of a new order: later than that of every earlier one, whatever the clock."""
    newest = max(last.time if last else "", archive.order)
    if now > newest:
        return now
    return format_timestamp(parse_timestamp(newest) + _TICK)


# `erase`


def without_rows(entry: Entry, spec: FeedSpec, ids: Collection[str]) -> Entry | None:
    """Return an entry with a stub in place of some rows, None if it has none of them.

    Everything else of its body stays as it was received, so its number of rows does too, and what
    the page has cost.

    Args:
        entry: The page.
        spec: The feed.
        ids: Those of the rows, as `comparable_id` returns them.

    Raises:
        ValueError: The page is not JSON, or has no list of rows.
    """
    if not entry.body:  # it was dropped
        return None
    members = _MEMBERS.decode(entry.body)
    items = _ITEMS.decode(members.get(spec.item_key, b"null"))
    kept = [_STUB if _id_of(msgspec.json.decode(item)) in ids else item for item in items]
    if kept == items:
        return None
    members[spec.item_key] = msgspec.Raw(msgspec.json.encode(kept))
    return Entry(entry.number, entry.header, msgspec.json.encode(members))


def comparable_id(id_: str) -> str:
    """Return an id as a user may give it: a UUID in one spelling, or any other text."""
    return parse_uuid(id_) or id_


def _id_of(item: Any) -> str | None:
    """Return the id of an item as `export` shows it, None if it has none."""
    id_ = item.get("id") if isinstance(item, dict) else item
    if id_ is None:
        return None
    return comparable_id(id_ if isinstance(id_, str) else json.dumps(id_))


# `drop`


def header_of_dropped(log: ArchiveLog, number: int, page: Page, now: str) -> EntryHeader:
    """Return the header of an entry that is dropped. It names the entry before it.

    The time now stands for its own if no entry has one.

    Raises:
        FormatError: the entry before it has to be dropped first.
    """
    header, id_ = log.archive.header(number), log.archive.id_of(number - 1)
    if header is None:
        return _header_of_damaged(log, number, page, now)
    if header.previous is None or id_ is None:
        return header
    return replace(header, previous=replace(header.previous, id=id_))


def _header_of_damaged(log: ArchiveLog, number: int, page: Page, now: str) -> EntryHeader:
    """Return a header for an entry whose own can't be read, from those around it."""
    archive = log.archive
    before = log.position_before(number)
    numbers = [*range(number + 1, archive.head + 1), *range(number - 1, 0, -1)]
    times = filter(None, map(archive.time_of, numbers))
    last = archive.header(number - 1)
    return EntryHeader(
        id=archive.id_of(number) or new_id(),
        previous=log.previous(number - 1),
        before=before,
        own=None,
        sync=page.sync,
        page=page.page,
        time=next(times, now),
        receipt=None,
        spent=last.spent if last else {},
        dropped=None,
    )


def note_of_dropped(log: ArchiveLog, number: int, page: Page) -> DroppedPage | None:
    """Return what `archive.json` notes of a page that is dropped, None if it is at the head.

    At the head it is as if it never was: it is bought again. It is at the head if no entry follows
    that was not dropped there itself.
    """
    following = range(number + 1, log.archive.head + 1)
    if all(log.page(each).dropped == "head" for each in following):
        return None
    last = number
    own = advance(log.position_before(number), replace(page, dropped="behind"), log.rules)
    for each in following:
        if log.archive.header(each) and own == log.position_before(each):
            break  # a sync of all rows came after it, so nothing is missing
        last = each
        own = advance(own, log.page(each), log.rules)
    return DroppedPage(number=number, since=page.sync.since if page.sync else ALL, last=last)
