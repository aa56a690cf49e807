"""The archive of a stream as the rules see it: places, pages, and the position at its head.

The header of an entry has the result of the entry before it. So a run parses only the page at the
head, and the headers of what it loads.
"""

from contextlib import suppress
from typing import Final

from tap_jobo.api.pages import PageParser, ParsedPage
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.errors import ApiError, FormatError
from tap_jobo.model import (
    ALL,
    NOTHING,
    DroppedPage,
    Entry,
    EntryHeader,
    Position,
    Previous,
)
from tap_jobo.sync.filters import FilterRules
from tap_jobo.sync.fold import Page, advance, gapped

_UNKNOWN: Final = Page(sync=None, page=1, rows=0, cursor=None, dropped="behind")
"""What is known of an entry whose header can't be read."""


class ArchiveLog:
    """What the entries of an archive say."""

    def __init__(self, archive: StreamArchive, parser: PageParser) -> None:
        self.archive = archive  #: only this run adds entries to it
        self._parser = parser
        self.rules = FilterRules(parser.spec.filters)  #: how its filters compare
        self._ends: dict[int, tuple[int, str | None]] = {}
        self._position: Position | None = None

    @property
    def position(self) -> Position:
        """The position of one who loads everything. Raises `FormatError`."""
        if self._position is None:
            self._position = self.position_before(self._last() + 1)
        return self._position

    @property
    def has_lost(self) -> bool:
        """Whether an earlier archive was lost: then the buyer of the first entry had rows."""
        first = self.archive.header(1)
        return first is not None and first.buyer.is_begun

    def _last(self) -> int:
        """Return the number of the last entry that was not dropped at the head."""
        number = self.archive.head
        while (header := self.archive.header(number)) and header.dropped == "head":
            number -= 1
        return number

    def position_before(self, number: int) -> Position:
        """Return the position before an entry, of one who loads everything, as it is true today."""
        header = self.archive.header(number)
        if header is None and number <= 1:
            return NOTHING
        if header is None:
            return advance(self.position_before(number - 1), self.page(number - 1), self.rules)
        position = header.before
        for each in self.archive.file.dropped:
            if each.number < number <= each.last:  # only some headers after a page lack its gap
                position = gapped(position, each, self.rules)
        return position

    def after(self, number: int, own: Position) -> Position:
        """Return the position after an entry, of whoever had the other one before it.

        If the entry was lost with its header, one who loads everything has what the next header
        says, with a gap.
        """
        page = self.page(number)
        has_next = self.archive.header(number + 1) is not None
        is_lost = page.sync is None and page.dropped != "head" and has_next
        if is_lost and own == self.position_before(number):
            lost = DroppedPage(number=number, since=ALL, last=number)
            return gapped(self.position_before(number + 1), lost, self.rules)
        return advance(own, page, self.rules)

    def page(self, number: int) -> Page:
        """Return what the rules have to know of an entry. Raises `FormatError`."""
        header = self.archive.header(number)
        if header is None:
            return _UNKNOWN
        rows, cursor = self.end(number, header)
        return Page(
            sync=header.sync,
            page=header.page,
            rows=rows,
            cursor=cursor,
            requested=header.cursor,
            dropped=header.dropped,
        )

    def end(self, number: int, header: EntryHeader) -> tuple[int, str | None]:
        """Return the rows of an entry, and where the next page starts.

        The header of the next entry says that. At the head, the page is parsed, and where the next
        entry is of another copy of the archive, or came while this one was dropped.
        """
        if number not in self._ends:
            following = self.archive.header(number + 1)
            known = following.previous if following else None
            if known and known.id == header.id and known.dropped in {None, header.dropped}:
                self._ends[number] = known.rows, known.cursor
            elif header.dropped:
                self._ends[number] = 0, None
            else:
                page = self.parse(self.archive.read(number))
                self._ends[number] = len(page.rows), page.following
        return self._ends[number]

    def parse(self, entry: Entry) -> ParsedPage:
        """Parse a page at the head. Raises `FormatError`."""
        header = entry.header
        try:
            return self._parser.parse_page(header.sync, header.receipt, entry.body)
        except ApiError as error:
            raise self.archive.unreadable(error, entry) from error

    def previous(self, number: int) -> Previous | None:
        """Return what the header of the next entry says of one, None if there is none.

        Raises:
            FormatError: Not even its id is known, which the next entry has to name.
        """
        if number < 1:
            return None
        header, id_ = self.archive.header(number), self.archive.id_of(number)
        if id_ is None:
            raise self.archive.damaged(number, "is damaged")
        rows, cursor = 0, None
        with suppress(FormatError):
            page = self.page(number)
            rows, cursor = page.rows, page.cursor
        return Previous(
            id=id_, rows=rows, cursor=cursor, dropped=header.dropped if header else None
        )

    def note(self, number: int, rows: int, cursor: str | None) -> None:
        """Take the end of an entry as given: it was parsed, or perhaps it can't be."""
        self._ends[number] = rows, cursor
        self._position = None
