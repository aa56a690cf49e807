"""The page at the head of an archive: parsed, checked, and watched before it is delivered.

Every page was at the head when it was bought. Behind it, a load needs none of this.
"""

from collections.abc import Callable
from contextlib import suppress

from tap_jobo.api.feed import FeedReader
from tap_jobo.api.pages import ParsedPage
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.errors import ApiError, FormatError
from tap_jobo.model import Entry, Sync
from tap_jobo.records.converter import Conversion
from tap_jobo.sync.checks import PageChecks
from tap_jobo.sync.messages import Messages
from tap_jobo.sync.watch import SyncWatch


class HeadReader:
    """Reads the page at the head of an archive, and watches that its sync makes progress.

    Attributes:
        archive: The archive.
    """

    archive: StreamArchive

    def __init__(
        self,
        reader: FeedReader,
        checks: PageChecks,
        messages: Messages,
        raise_if_over: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._checks = checks
        self._messages = messages
        self._raise_if_over = raise_if_over
        self._watch = SyncWatch()

    def parse(self, entry: Entry) -> ParsedPage:
        """Parse the page. Raises `FormatError`."""
        try:
            return self._reader.parse_page(entry)
        except ApiError as error:
            raise self._messages.unreadable(error, entry, self.archive) from error

    def end_of(self, entry: Entry) -> tuple[int, str | None]:
        """Return the rows of the page, and where the next page starts. Raises `FormatError`."""
        page = self.parse(entry)
        return len(page.items), page.following

    def check(self, entry: Entry, page: ParsedPage, *, is_bought: bool) -> Conversion:
        """Check the page, and return its records. Raises `FormatError`.

        Args:
            entry: The page.
            page: What it says.
            is_bought: Whether it was just bought.
        """
        header = entry.header
        self._watch.note_cursor(header.cursor)
        if header.page == 1:
            self._watch.estimate = page.estimated_total or 0
        try:
            checked = self._checks.check(
                header,
                page,
                cursors=self._watch.cursors,
                estimate=self._watch.estimate,
                is_bought=is_bought,
            )
        except FormatError as error:
            raise self._messages.unreadable(error, entry, self.archive) from error
        self._watch.note_ids([record["id"] for record in checked.records])
        self._watch.head = entry.number
        return checked

    def check_loaded(self) -> tuple[ParsedPage, Conversion] | None:
        """Check the page before it is loaded, None if it was dropped. Raises `FormatError`."""
        entry = self.archive.read(self.archive.head)
        header = entry.header
        if header.dropped is not None or header.sync is None:
            return None
        page = self.parse(entry)
        is_resumed = header.page > 1 and page.following is not None
        self.watch(header.sync, entry.number - 1, is_resumed=is_resumed)
        checked = self.check(entry, page, is_bought=False)
        self._watch.allow_more()
        return page, checked

    # The watch

    def raise_if_stalled(self, sync: Sync, *, is_resumed: bool) -> None:
        """Raise `EndlessFeedError` if a sync has stalled, before another page of it is bought."""
        self.watch(sync, self.archive.head, is_resumed=is_resumed)
        self._watch.detect_stall()

    def begin_over(self, sync: Sync) -> None:
        """Watch a sync from its first page on."""
        self._watch = SyncWatch(sync.id)

    def watch(self, sync: Sync, head: int, *, is_resumed: bool) -> None:
        """Watch a sync, whose pages up to the entry `head` are known.

        If it is resumed, earlier runs may have bought them, so the archive shows them.
        """
        if (self._watch.id, self._watch.head) == (sync.id, head):
            return
        self._watch = watch = SyncWatch(sync.id, head)
        if not is_resumed:
            return
        first = self._first_of(sync, head)
        with suppress(FormatError):  # of a damaged entry, which this run may not need
            for entry in self.archive.read_all(first, head) if first else ():
                self._raise_if_over()
                header = entry.header
                if header.dropped or header.sync is None or header.sync.id != sync.id:
                    continue
                watch.note_cursor(header.cursor)
                watch.note_ids(self._reader.read_ids(entry))
                if header.page == 1:
                    watch.estimate = self._reader.parse_loaded(entry).estimated_total or 0
        watch.allow_more()

    def _first_of(self, sync: Sync, head: int) -> int | None:
        """Return the number of the first entry of a sync, None if the archive has none of it.

        The entries of other syncs may lie between those of one, but hardly more than there are.
        """
        last = self.archive.header(head)
        pages = last.page if last and last.sync and last.sync.id == sync.id else head
        numbers = range(max(1, head - 2 * pages), head + 1)
        for number, header in zip(numbers, self.archive.headers(numbers), strict=True):
            if header and header.sync and header.sync.id == sync.id:
                return number
        return None
