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
from tap_jobo.sync.plan import Request
from tap_jobo.sync.start import last_until
from tap_jobo.sync.watch import SyncWatch


class HeadReader:
    """Reads the page at the head of an archive, and watches that its sync makes progress."""

    log: ArchiveLog

    def __init__(
        self, reader: FeedReader, checks: PageChecks, raise_if_over: Callable[[], None]
    ) -> None:
        self._reader = reader
        self._checks = checks
        self._raise_if_over = raise_if_over
        self._watch = SyncWatch()

    def check_loaded(self) -> None:
        """Check the page before it is loaded, unless it was dropped. Raises `FormatError`."""
        archive = self.log.archive
        entry = archive.read(archive.head)
        self._watch = SyncWatch()  # another run may have bought pages since
        if sync := entry.header.live_sync:
            page = self.log.parse(entry)
            if entry.header.page > 1 and page.following:
                self._watch = self._watch_resumed(sync, entry.header.page)
            self._check(entry, page)

    def watch(self, request: Request) -> str:
        """Return why a sync has stalled, before its next page is bought; empty if it has not."""
        sync = request.sync
        if self._watch.id != sync.id:
            self._watch = self._watch_resumed(sync, request.page - 1)
        return self._watch.stall

    def check_bought(self, entry: Entry, page: ParsedPage) -> None:
        """Check the page that `watch` was given. Raises `FormatError`."""
        if entry.header.page == 1:
            self._watch.estimate = page.estimated_total or 0
        self._check(entry, page)
        self._watch.note_ids(page.ids)

    def _check(self, entry: Entry, page: ParsedPage) -> None:
        watch = self._watch
        watch.cursors.add(entry.header.cursor)
        try:
            self._checks.check(entry.header, page, cursors=watch.cursors, estimate=watch.estimate)
        except FormatError as error:
            raise self.log.archive.unreadable(error, entry) from error

    def _watch_resumed(self, sync: Sync, last: int) -> SyncWatch:
        """Return the watch of a sync after its page of a number.

        Another run may have gone on with the sync, and bought the same pages.
        """
        watch, archive = SyncWatch(sync.id), self.log.archive
        if last == 0:
            return watch
        first = last_until(sync.started, archive) + 1
        with suppress(FormatError):  # of a damaged entry, which this run may not need
            for entry in archive.read_all(range(first, archive.head + 1)):
                self._raise_if_over()
                header = entry.header
                if header.live_sync is None or header.live_sync.id != sync.id or header.page > last:
                    continue
                watch.cursors.add(header.cursor)
                watch.note_ids(self._reader.read_ids(entry))
                if header.page == 1:
                    watch.estimate = self._reader.parse_loaded(entry).estimated_total or 0
        watch.allow_more()
        return watch
