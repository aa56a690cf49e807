"""The page at the head of an archive: parsed, checked, and watched before it is delivered.

Every page was at the head when it was bought. Behind it, a load needs none of this.
"""

from collections.abc import Callable
from contextlib import suppress

from tap_jobo.api.feed import FeedReader
from tap_jobo.api.pages import ParsedPage
from tap_jobo.errors import FormatError
from tap_jobo.model import Entry, Sync
from tap_jobo.sync.checks import PageChecks
from tap_jobo.sync.log import ArchiveLog
from tap_jobo.sync.start import last_until
from tap_jobo.sync.watch import SyncWatch


class HeadReader:
    """Reads the page at the head of an archive, and watches that its sync makes progress.

    Attributes:
        log: The archive.
    """

    log: ArchiveLog

    def __init__(
        self, reader: FeedReader, checks: PageChecks, raise_if_over: Callable[[], None]
    ) -> None:
        self._reader = reader
        self._checks = checks
        self._raise_if_over = raise_if_over
        self._watch = SyncWatch()

    def check(self, entry: Entry, page: ParsedPage, *, is_bought: bool) -> None:
        """Check the page, which was just bought or is loaded. Raises `FormatError`."""
        header = entry.header
        self._watch.note_cursor(header.cursor)
        if header.page == 1:
            self._watch.estimate = page.estimated_total or 0
        try:
            self._checks.check(
                header,
                page,
                cursors=self._watch.cursors,
                estimate=self._watch.estimate,
                is_bought=is_bought,
            )
        except FormatError as error:
            raise self.log.archive.unreadable(error, entry) from error
        self._watch.note_ids(page.ids)
        self._watch.head = entry.number

    def check_loaded(self) -> None:
        """Check the page before it is loaded, unless it was dropped. Raises `FormatError`."""
        archive = self.log.archive
        entry = archive.read(archive.head)
        if sync := entry.header.live_sync:
            page = self.log.parse(entry)
            is_resumed = entry.header.page > 1 and page.following is not None
            self.watch(sync, entry.number - 1, is_resumed=is_resumed)
            self.check(entry, page, is_bought=False)
            self._watch.allow_more()

    # The watch

    def raise_if_stalled(self, sync: Sync, *, is_resumed: bool) -> None:
        """Raise `EndlessFeedError` if a sync has stalled, before another page of it is bought."""
        self.watch(sync, self.log.archive.head, is_resumed=is_resumed)
        self._watch.detect_stall()

    def watch(self, sync: Sync, head: int, *, is_resumed: bool) -> None:
        """Watch a sync, whose pages up to the entry `head` are known.

        If it is resumed, earlier runs may have bought them, so the archive shows them.
        """
        if (self._watch.id, self._watch.head) == (sync.id, head):
            return
        self._watch = watch = SyncWatch(sync.id, head)
        if not is_resumed:
            return
        archive = self.log.archive
        first = last_until(sync.started, archive) + 1
        with suppress(FormatError):  # of a damaged entry, which this run may not need
            for entry in archive.read_all(range(first, head + 1)):
                self._raise_if_over()
                header = entry.header
                if header.live_sync is None or header.live_sync.id != sync.id:
                    continue
                watch.note_cursor(header.cursor)
                watch.note_ids(self._reader.read_ids(entry))
                if header.page == 1:
                    watch.estimate = self._reader.parse_loaded(entry).estimated_total or 0
        watch.allow_more()
