"""What an archive has, read outside of a run: for `tap-jobo-archive`."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from logging import getLogger
from typing import TypeVar

from tap_jobo.api.feed import check_encoding
from tap_jobo.api.pages import PageParser
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.errors import ApiError, FormatError
from tap_jobo.model import Entry
from tap_jobo.sync.load import Contents, DroppedPages
from tap_jobo.sync.messages import Messages
from tap_jobo.sync.opening import survey
from tap_jobo.sync.position import ArchiveView
from tap_jobo.wording import dollars, plural

_Read = TypeVar("_Read")


def view_of(archive: StreamArchive) -> ArchiveView:
    """Return an archive as a run sees it. Raises `FormatError` if the head cannot be read."""
    return survey(archive, partial(rows_and_cursor, archive), is_free_feed=archive.spec.is_free)


def rows_and_cursor(archive: StreamArchive, entry: Entry) -> tuple[int, str | None]:
    """Return the number of rows of an entry, and the cursor of the next page, if there is one.

    Raises:
        FormatError: the page cannot be parsed.
    """
    if entry.header.is_dropped:
        return 0, None
    try:
        check_encoding(entry)
        page = PageParser(archive.spec).parse(entry.body)
    except ApiError as error:
        logger = getLogger(__name__)
        messages = Messages(spec=archive.spec, logger=logger, known=lambda: archive.known)
        raise messages.unreadable(error, entry, archive, "") from None
    return len(page.items), page.following


class Problems(list[str]):
    """What cannot be read, with the ways out."""

    def note(self, read: Callable[[], _Read]) -> _Read | None:
        """Return what a function reads. If it cannot, note why, and return None."""
        try:
            return read()
        except FormatError as error:
            self.append(f"{error}")
            return None


class Inspection:
    """What the entries of an archive have, as far as they can be read."""

    def __init__(self, archive: StreamArchive, problems: Problems) -> None:
        self._contents = Contents()
        self._since = ""  # when the first page was bought, if that is known
        self._archive = archive
        self._parser = PageParser(archive.spec)
        self._dropped = DroppedPages()
        for number in archive.numbers:
            header = archive.header(number)
            if header and header.receipt and not self._since:
                self._since = header.receipt.received_at
            entry = problems.note(partial(archive.read, number))
            if entry and entry.header.is_dropped:
                self._dropped.note(number, entry.header, ends_sync=False)
                continue
            if entry is None:
                self._dropped.note_damaged()
                continue
            self._contents.note(entry.header, self._parser.count_items(entry.body))
            ends_sync = problems.note(partial(self._ends_sync, entry))
            self._dropped.note(number, entry.header, ends_sync=bool(ends_sync))

    def _ends_sync(self, entry: Entry) -> bool:
        following = self._archive.header(entry.number + 1)
        if following:
            return following.before.progress is None
        return rows_and_cursor(self._archive, entry)[1] is None

    def describe(self) -> Iterator[str]:
        """Yield what the archive has, and what it lacks."""
        pages, rows = plural(self._contents.pages, "page"), plural(self._contents.rows, "row")
        begins = f", since {self._since}" if self._since else ""
        yield f"{pages}, {rows}, {dollars(self._contents.credits)}{begins}"
        view = None
        with suppress(FormatError):
            view = view_of(self._archive)
        if view and not view.is_complete:
            yield "incomplete: it lacks what the first warehouse had before"
        if view and view.position.gap:
            why = "on_filter_change: keep"
            yield f"gap: rows from before a change of filters were not bought ({why})"
        yield from self._describe_dropped()

    def _describe_dropped(self) -> Iterator[str]:
        """Yield the dropped pages whose rows no later sync has read."""
        for number in self._dropped.numbers:
            yield f"page {number} was dropped: its rows may be missing"
