"""The archive of a stream: everything that was bought of it, as numbered entries.

An entry is a page as it was billed. It is created once, under the next number, and stays. So any
warehouse is loaded from here, free, as often as it has to be.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, partial
from typing import Final, TypeVar

from tap_jobo.archive import files, layout
from tap_jobo.archive.files import (
    DamagedError,
    Pending,
    decode_entry,
    encode_entry,
    last_price,
    read_header,
)
from tap_jobo.archive.key import ArchiveKey, keys_with_pages, shortest_name
from tap_jobo.archive.store import ExistsError, Store
from tap_jobo.commands import archive_command
from tap_jobo.errors import ArchiveError, FormatError
from tap_jobo.messages import message
from tap_jobo.model import ArchiveFile, Entry, EntryHeader
from tap_jobo.streams import FEEDS
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.wording import dollars

_AHEAD: Final = 8  # entries that are read ahead from a bucket
_MOST_KEPT: Final = 32_000_000  # bytes of entries in memory
OFF: Final = "The archive is off"
_Read = TypeVar("_Read")
_NO_FILE: Final = ArchiveFile(order=None, dropped=())


class StreamArchive:
    """The archive of one stream, as its store was when this was constructed.

    Raises `ArchiveError` if the store cannot be used, `FormatError` if what it holds is damaged.
    """

    def __init__(self, store: Store, key: ArchiveKey, after: int = 0) -> None:
        """List the entries from one on, unless there is none.

        A bucket lists a thousand names in each request.
        """
        self.store = store
        self.key = key  #: whose pages it holds
        found = self._list(after - 1) if after else []
        if not _numbers(found):
            found = self._list(0)
        self.head = max(_numbers(found), default=0)  #: the number of the last entry, or 0
        self._has_file = layout.FILE.format(key.name) in found
        self._headers: dict[int, EntryHeader] = {}
        self._kept: dict[int, bytes] = {}
        self._kept_bytes = 0

    def _list(self, after: int) -> list[str]:
        """Return the names of the files of the entries after one, and of those beside them."""
        start = layout.page_name(self.key.name, after) if after > 0 else ""
        return self.store.list(f"{layout.TOP}/{self.key.name}", start)

    @cached_property
    def file(self) -> ArchiveFile:
        """The content of `archive.json`. Raises `FormatError`."""
        if not self._has_file:
            return _NO_FILE
        name, price = layout.FILE.format(self.key.name), self.describe_price()
        found = files.read(self.store, name, ArchiveFile, folder=self.folder, price=price)
        return found or _NO_FILE

    def save(self, file: ArchiveFile) -> None:
        """Write `archive.json`. The caller has the lock."""
        self.store.replace(layout.FILE.format(self.key.name), files.encode(file))
        self.file = file

    # Entries out

    @property
    def numbers(self) -> range:
        """The numbers of the entries."""
        return range(1, self.head + 1)

    def read(self, number: int) -> Entry:
        """Return an entry. Raises `FormatError` if it cannot be read."""
        return self._decoded(number, partial(self._content, number))

    def _decoded(self, number: int, content: Callable[[], bytes]) -> Entry:
        try:
            entry = decode_entry(number, content(), self._headers.get(number))
        except DamagedError as error:
            raise self.damaged(number, error) from None
        self._headers[number] = entry.header
        return entry

    def header(self, number: int) -> EntryHeader | None:
        """Return the header of an entry, None if it cannot be read, or is no entry."""
        if number not in self.numbers:
            return None
        if number not in self._headers:
            try:
                self._headers[number] = read_header(self.store, self.key.name, number)
            except DamagedError:
                return None
        return self._headers[number]

    @property
    def last_header(self) -> EntryHeader | None:
        """The header of the last page, or if that can't be read, of one before it."""
        return next(filter(None, map(self.header, reversed(self.numbers))), None)

    def headers(self, numbers: Sequence[int]) -> Iterator[EntryHeader | None]:
        """Yield the headers of entries."""
        for header in self._ahead(self.header, numbers):
            yield header()

    def id_of(self, number: int) -> str | None:
        """Return the id of an entry, None if there is none of this number.

        The next entry names it, too, if its own header can't be read.
        """
        if own := self.header(number):
            return own.id
        following = self.header(number + 1)
        return following.previous.id if following and following.previous else None

    def time_of(self, number: int) -> str | None:
        """Return when the page of an entry was received, None if its header can't be read."""
        header = self.header(number)
        return header.time if header else None

    def read_all(self, numbers: range) -> Iterator[Entry]:
        """Yield entries in order. Raises `FormatError` at one that cannot be read.

        Each entry has to name the one before it.
        """
        before = numbers.start - 1
        previous = self.id_of(before) if before else None
        last_header = self.header(before)
        for number, content in zip(numbers, self._ahead(self._content, numbers), strict=True):
            entry = self._decoded(number, content)
            named = entry.header.previous
            is_known = (named.id if named else None) == previous
            if not (is_known or _was_dropped(last_header)):
                raise self.damaged(number, "is of another archive")
            previous, last_header = entry.header.id, entry.header
            yield entry

    def _ahead(
        self, read: Callable[[int], _Read], numbers: Sequence[int]
    ) -> Iterator[Callable[[], _Read]]:
        """Yield what returns what is read of each entry; in a bucket, some are read ahead."""
        most = _AHEAD if self.store.is_remote else 1
        ahead: deque[Future[_Read]] = deque()
        pool = ThreadPoolExecutor(most)
        try:
            for number in numbers:
                ahead.append(pool.submit(read, number))
                if len(ahead) == most:
                    yield ahead.popleft().result
            for found in ahead:
                yield found.result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _content(self, number: int) -> bytes:
        """Return the content of an entry's file. A load needs it twice, so the first ones stay."""
        if number in self._kept:
            return self._kept[number]
        content = files.read_entry(self.store, self.key.name, number)
        if self._kept_bytes < _MOST_KEPT:
            self._kept[number] = content
            self._kept_bytes += len(content)
        return content

    # Entries in

    def prove_room(self) -> None:
        """Prove that a page could be written. Raises `StoreError` if that fails."""
        self.store.prove_room(layout.probe_name(self.key.name, self.head + 1))

    def create(self, header: EntryHeader, body: bytes) -> Entry:
        """Write a page that was just billed as the next entry.

        Raises:
            ArchiveError: Another run has written an entry of this number.
            StoreError: It cannot be written.
        """
        entry = Entry(self.head + 1, header, body)
        try:
            self.store.create(layout.page_name(self.key.name, entry.number), encode_entry(entry))
        except ExistsError:
            raise self._fenced() from None
        # Of two runs that a lease failed to keep apart, the later one sees the other's entry.
        if self.store.is_remote and _numbers(self._list(entry.number)):
            raise self._fenced()
        self.head = entry.number
        self._headers[entry.number] = header
        return entry

    def _fenced(self) -> ArchiveError:
        fact = (
            f"Another run of {self.key.stream} writes to its archive, so the last page may be "
            "billed again."
        )
        return ArchiveError(message("run-in-progress", fact))

    def forget_body(self, number: int) -> None:
        """Keep only the header of an entry that no later run finds."""
        if header := self.header(number):
            self.rewrite(Entry(number, header, b""))

    def rewrite(self, entry: Entry) -> None:
        """Replace an entry. The caller has the lock."""
        self.store.replace(layout.page_name(self.key.name, entry.number), encode_entry(entry))
        self._headers[entry.number] = entry.header
        self._kept.pop(entry.number, None)

    # What it has cost

    def spent_so_far(self, pending: Pending | None) -> Mapping[str, int]:
        """Return what the stream was billed by month, given its file.

        If the archive lacks the page that the file names, it was restored from a backup. Then each
        of the two may have what the other one lacks.
        """
        last = self.last_header
        in_pages = last.spent if last else {}
        if pending is None:
            return in_pages
        if not pending.offset or self.id_of(pending.offset) == pending.entry:
            return pending.spent if pending.offset >= self.head else in_pages
        months = {*in_pages, *pending.spent}
        return {each: max(in_pages.get(each, 0), pending.spent.get(each, 0)) for each in months}

    # Messages

    @property
    def spec(self) -> FeedSpec:
        """The feed whose pages these are."""
        return next(each for each in FEEDS if each.name == self.key.stream)

    def describe_price(self) -> str:
        """Return what rows cost now, for a message."""
        return self.spec.describe_price(last_price(self.store, self.key.name))

    @property
    def folder(self) -> str:
        """Where its entries are, for messages."""
        return f"{self.store.location}/{layout.TOP}/{self.key.name}"

    def of_other_owners(self) -> Sequence["StreamArchive"]:
        """Return the archives of the stream for other addresses and API keys that have pages."""
        keys = keys_with_pages(self.store)
        others = [
            key for key in keys if key.stream == self.key.stream and key.name != self.key.name
        ]
        return [StreamArchive(self.store, key) for key in others]

    def restart_since(self, since: str) -> str:
        """Return the command that buys what changed since a time again; empty is everything."""
        return self.command("restart", *(["--since", since] if since else []))

    def command(self, command: str, *arguments: str) -> str:
        """Return the command line of `tap-jobo-archive` for this archive, for a message."""
        name = shortest_name(self.store, self.key)
        return archive_command(command, name, *arguments, location=self.store.location)

    def damaged(self, number: int, what: object) -> FormatError:
        """Return the error for an entry that cannot be read."""
        header = self.header(number)
        price = max(self.spec.list_price, last_price(self.store, self.key.name))
        most = f"at most {dollars(math.ceil(self.spec.page_cap * price))}"
        drop = self.command("drop", str(number))
        known = {
            "file": layout.page_name(self.key.name, number),
            "page_price": dollars(header.credits) if header else most,
        }
        if number == self.head:
            known |= {"drop_head": drop}
        else:
            known["drop"] = drop
            if header and header.sync:
                known["restart"] = self.restart_since(header.sync.since)
        known["price"] = self.describe_price()
        fact = f"Page {number} of {self.key.stream} {what}. Nothing was billed for this stream."
        return FormatError(message("archive-damaged", fact, **known))

    def unreadable(self, error: Exception, entry: Entry) -> FormatError:
        """Return the error for a page at the head that can't be parsed, or fails a check."""
        cost, number = dollars(entry.header.credits), str(entry.number)
        if self.store.lasts:
            page = f"Page {number}"
            known = {"archive": self.store.location, "drop": self.command("drop", number)}
        else:
            page, known = "A page", {"off": OFF}
        fact = f"{page} of {self.key.stream} ({cost}) can't be loaded: {error}."
        return FormatError(message("format-changed", fact, page_price=cost, **known))


def _numbers(names: Sequence[str]) -> list[int]:
    """Return the numbers of the entries among files."""
    matches = map(layout.PAGE.fullmatch, names)
    return [int(match["number"]) for match in matches if match]


def _was_dropped(header: EntryHeader | None) -> bool:
    """Return whether an entry was dropped without its header, so that its id may be made up."""
    return header is not None and header.dropped is not None and header.receipt is None


def refuse_old_layout(store: Store) -> None:
    """Raise `ArchiveError` if the store has files of a development version."""
    if store.list(layout.OLD_TOP):
        fact = f"A development version wrote {store.location}/{layout.OLD_TOP}. Move it away."
        raise ArchiveError(message("archive-unusable", fact))
