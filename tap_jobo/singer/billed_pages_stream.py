"""The stream of billed pages, whose rows the tap makes and writes along with those of the feeds."""

import json
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import NAMESPACE_OID, uuid5

from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from typing_extensions import override

from tap_jobo.api.pages import PageParser
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.clock import parse_timestamp
from tap_jobo.errors import ConfigError, FormatError
from tap_jobo.messages import message
from tap_jobo.model import EntryHeader
from tap_jobo.records.converter import Row
from tap_jobo.singer.feed_stream import FeedStream
from tap_jobo.singer.run import RunContext
from tap_jobo.singer.stream import JoboStream, json_schema
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.streams.fields import boolean, instant, integer, key, text

_PLACES: Final = "feeds"
"""Of its state: how far it has read the archive of each feed."""
SUMMARY: Final = "what each page cost"
SCHEMA: Final = th.PropertiesList(
    key("Reloading a page keeps its id. A page that is billed again gets a new one."),
    text("stream", "Stream of the page's rows."),
    text("sync_id", "Id of the sync, as in the state and the log."),
    integer("page", "Number of the page in its sync, from 1."),
    instant("received_at", "When the page arrived, by the API's clock."),
    integer("rows", "Rows that Jobo sent."),
    integer("credits", "Credits that Jobo billed. 1,000 credits are $1."),
    boolean(
        "is_confirmed",
        "Whether Jobo's response stated the cost. If not, credits is the amount by which the "
        "balance fell, or the cost of the rows at the last known price.",
    ),
    text("filters", "Filters of the sync, as a JSON object keyed by setting."),
)


class BilledPagesStream(JoboStream):
    """What each page cost, read from the archive. It sends no request of its own.

    It is another reader of the pages, with its own place in the archive of each feed. A run reads
    it first, because of its name, so it reads what earlier runs were billed. At the end, it reads
    what this run was billed.

    Its state has the number and the id of the last page that it has read of each feed. After a
    loss, it begins with the first page: rows keep their ids.
    """

    name = "billed_pages"
    selected_by_default = False
    ends_last = True
    leaders: Sequence[FeedStream] = ()  #: the feeds that are billed
    schema = json_schema(SCHEMA)

    def __init__(self, tap: Tap, run: RunContext) -> None:
        super().__init__(tap, run)
        self.forced_replication_method = REPLICATION_FULL_TABLE
        self._read: dict[str, int] = {}  # the last page of each feed that the run has read

    @override
    def check_selection(self) -> None:
        """Raise ConfigError if no feed is read whose pages are billed."""
        if self.is_read and not any(feed.is_read for feed in self.leaders):
            names = ", ".join(feed.name for feed in self.leaders)
            fact = "No stream with a bill for billed_pages is selected. Nothing was billed."
            raise ConfigError(message("no-stream", fact, select=f"one or more of {names}"))

    @property
    @override
    def is_read(self) -> bool:
        """Whether a run reads the stream: a run that only buys has nowhere to write its rows."""
        return super().is_read and not self._run.only_buys

    @override
    def load(self) -> None:
        """Write the rows of the pages of each feed that were not read yet, then the state."""
        for feed in self.leaders:
            self._read_feed(feed)

    def _read_feed(self, feed: FeedStream) -> None:
        archive = self._run.open_archive(feed.spec, 0)
        after = self._read.get(feed.name) or self._find_place(feed, archive)
        if archive.head <= after:
            return
        for header, row in _read_bills(archive, after, feed.feed_run.reader):
            self._run.raise_if_over()
            after += 1
            if row:
                self.write_rows([row], parse_timestamp(header.time))
        self._read[feed.name] = after
        if archive.store.lasts:
            own = self.stream_state.setdefault(_PLACES, {})
            own[feed.name] = {"offset": after, "entry": archive.id_of(after)}
        self.emit_state()

    def _find_place(self, feed: FeedStream, archive: StreamArchive) -> int:
        """Return the number of the last page that earlier runs read, 0 if it is not there."""
        places = self.tap_state.get("bookmarks", {}).get(self.name, {}).get(_PLACES, {})
        place = places.get(feed.name, {})
        offset, entry = place.get("offset"), place.get("entry")
        is_there = isinstance(offset, int) and entry and archive.id_of(offset) == entry
        return offset if is_there else 0

    @override
    def finish(self) -> None:
        self.load()

    @property
    @override
    def is_complete(self) -> bool:
        return all(feed.is_done for feed in self.leaders if feed.is_read)


def _read_bills(
    archive: StreamArchive, after: int, parser: PageParser
) -> Iterator[tuple[EntryHeader, Row | None]]:
    """Yield each page after an entry, with its row if it has cost anything or has rows.

    Only the page at the head is parsed: the header of the next entry has the number of its rows. It
    ends before a page that can't be read, whose row comes once it can be.
    """
    numbers = range(after + 1, archive.head + 1)
    for number, header in zip(numbers, archive.headers(numbers), strict=True):
        if header is None:
            return
        following = archive.header(number + 1)
        if following and following.previous:
            rows = following.previous.rows
        else:
            try:
                rows = len(parser.read_ids(archive.read(number)))
            except FormatError:  # which the feed reports
                return
        yield header, _bill_row(archive.spec, header, rows)


def _bill_row(spec: FeedSpec, header: EntryHeader, rows: int) -> Row | None:
    """Return the row of a page, the same whenever it is read; None if it costs nothing."""
    sync, receipt = header.sync, header.receipt
    if sync is None or receipt is None:
        return None
    credits_ = header.cost(rows)
    if not (rows or credits_):
        return None
    return {
        "id": str(uuid5(NAMESPACE_OID, header.id)),
        "stream": spec.name,
        "sync_id": sync.id,
        "page": header.page,
        "received_at": receipt.received_at,
        "rows": rows,
        "credits": credits_,
        "is_confirmed": receipt.charge.deducted == credits_,
        "filters": json.dumps(sync.reads, ensure_ascii=False, sort_keys=True),
    }
