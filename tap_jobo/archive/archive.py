"""The archive of a stream: everything that was bought of it, as numbered entries.

An entry is a page as it was billed. It is created once, under the next number, and stays. So any
warehouse is loaded from here, free, as often as it has to be.
"""

import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import cached_property, partial
from typing import Final, Self

import msgspec

from tap_jobo.archive import files, layout
from tap_jobo.archive.files import (
    DamagedEntryError,
    decode_entry,
    encode_entry,
    read_header,
)
from tap_jobo.archive.key import ArchiveKey, known_of, shortest_name
from tap_jobo.archive.pending import last_price
from tap_jobo.archive.store import ExistsError, Store, StoreError
from tap_jobo.commands import archive_command
from tap_jobo.errors import ArchiveError, FormatError
from tap_jobo.messages import message
from tap_jobo.model import ArchiveFile, Entry, EntryHeader
from tap_jobo.streams import FEEDS
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.wording import dollars, plural

_AHEAD: Final = 8  # entries that are read ahead from a bucket
_MOST_KEPT: Final = 32_000_000  # bytes of entries that the second reading of a load need not read
_LEAST_PROOF: Final = 1_000_000  # bytes of the file that proves that a page could be written
_NO_FILE: Final = ArchiveFile(order=None, dropped=())


class Unwritten(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page that could not be written, so that the next run proves that it could be now."""

    size: int  # bytes of its file


class StreamArchive:
    """The archive of one stream, as its store was when this was constructed.

    Raises `ArchiveError` if the store cannot be used, `FormatError` if what it holds is damaged.

    Attributes:
        store: The store.
        key: Whose pages it holds.
        head: The number of the last entry, 0 without one.
    """

    def __init__(self, store: Store, key: ArchiveKey, after: int = 0) -> None:
        """List the entries.

        Args:
            store: The store.
            key: Whose pages it holds.
            after: The entry from which on they are listed, unless there is none: a bucket lists a
                thousand names in each request.
        """
        self.store = store
        self.key = key
        found = self._list(after - 1) if after else []
        if not _numbers(found):
            found = self._list(0)
        self.head = max(_numbers(found), default=0)
        self._has_file = layout.FILE.format(key.name) in found
        self._has_unwritten = layout.UNWRITTEN.format(key.name) in found
        self._headers: dict[int, EntryHeader] = {}
        self._kept: dict[int, bytes] = {}
        self._largest = _LEAST_PROOF

    def _list(self, after: int) -> list[str]:
        """Return the names of the files of the entries after one, and of those beside them."""
        folder = f"{layout.TOP}/{self.key.name}"
        start = layout.page_name(self.key.name, after) if after > 0 else ""
        return self.store.list(folder, start)

    def again(self, after: int) -> Self:
        """Return the archive as its store is now."""
        return type(self)(self.store, self.key, after)

    @property
    def lasts(self) -> bool:
        """Whether a later run finds its entries."""
        return self.store.lasts

    def lock(self) -> AbstractContextManager[Callable[[], None]]:
        """Keep other runs from buying. Raises `HeldError` at once if one does."""
        return self.store.lock(self.key.name, self.key.stream)

    @cached_property
    def file(self) -> ArchiveFile:
        """The content of `archive.json`. Raises `DamagedFileError`."""
        if not self._has_file:
            return _NO_FILE
        name = layout.FILE.format(self.key.name)
        return files.read(self.store, name, ArchiveFile, lambda: self._known_of_file) or _NO_FILE

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
        try:
            entry = decode_entry(number, partial(self._content, number))
        except DamagedEntryError as error:
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
            except DamagedEntryError:
                return None
        return self._headers[number]

    def headers(self, numbers: Sequence[int]) -> Iterator[EntryHeader | None]:
        """Yield the headers of entries; in a bucket, several are read at a time."""
        workers = _AHEAD if self.store.is_remote else 1
        with ThreadPoolExecutor(workers) as pool:
            yield from pool.map(self.header, numbers)

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

    def read_all(
        self, first: int, last: int | None = None, *, keep: bool = False
    ) -> Iterator[Entry]:
        """Yield entries in order. Raises `FormatError` at one that cannot be read.

        From a bucket, some are read ahead. Each entry has to name the one before it.

        Args:
            first: The number of the first one.
            last: The number of the last one, by default the head.
            keep: Keep some of them in memory, for the next call.
        """
        previous = self.id_of(first - 1) if first > 1 else None
        last_header = self.header(first - 1)
        for number, read in self._read_ahead(range(first, (last or self.head) + 1), keep=keep):
            try:
                entry = decode_entry(number, read, self._headers.get(number))
            except DamagedEntryError as error:
                raise self.damaged(number, error) from None
            named = entry.header.previous
            is_known = (named.id if named else None) == previous
            if not (is_known or _was_dropped(last_header) or (named and named.dropped)):
                raise self.damaged(number, "is of another archive")
            previous, last_header = entry.header.id, entry.header
            self._headers[number] = entry.header
            yield entry

    def _read_ahead(
        self, wanted: range, *, keep: bool
    ) -> Iterator[tuple[int, Callable[[], bytes]]]:
        """Yield what returns the content of each entry, in order."""
        numbers = deque(wanted)
        ahead: deque[tuple[int, Callable[[], bytes]]] = deque()
        size = 0
        pool = ThreadPoolExecutor(_AHEAD) if self.store.is_remote else None
        try:
            while numbers or ahead:
                while numbers and len(ahead) < (_AHEAD if pool else 1):
                    number = numbers.popleft()
                    ahead.append((number, self._reader(number, pool)))
                number, read = ahead.popleft()
                if keep and size < _MOST_KEPT:
                    with suppress(Exception):  # raised again where it is decoded
                        content = read()
                        size += len(content)
                        self._kept[number] = content
                        read = partial(_same, content)
                yield number, read
        finally:
            if pool:
                pool.shutdown(wait=False, cancel_futures=True)

    def _content(self, number: int) -> bytes:
        """Return the content of an entry's file. That of the head is needed more than once."""
        if number in self._kept:
            return self._kept[number]
        content = self.store.read(layout.page_name(self.key.name, number))
        self._largest = max(self._largest, len(content))
        if number == self.head:
            self._kept[number] = content
        return content

    def _reader(self, number: int, pool: ThreadPoolExecutor | None) -> Callable[[], bytes]:
        if number in self._kept:
            return partial(_same, self._kept.pop(number))
        read = partial(self._content, number)
        if pool is None:
            return read
        future: Future[bytes] = pool.submit(read)
        return future.result

    # Entries in

    def prove_room(self) -> None:
        """Prove that a page could be written. Raises `StoreError` if that fails.

        It would be as large as the largest one that is known, or as one that could not be written.
        In a bucket, the lease was just written, which is enough unless a page could not be.
        """
        name, size = layout.UNWRITTEN.format(self.key.name), self._largest
        if self._has_unwritten:
            unwritten = files.read(self.store, name, Unwritten, dict)
            size = max(size, unwritten.size if unwritten else 0)
        if self._has_unwritten or not self.store.is_remote:
            self.store.prove(layout.PROBE.format(self.key.name), size)
        if self._has_unwritten:
            self.store.remove([name])
            self._has_unwritten = False

    def create(self, header: EntryHeader, body: bytes) -> Entry:
        """Write a page that was just billed as the next entry.

        Raises:
            ArchiveError: Another run has written an entry of this number.
            StoreError: It cannot be written.
        """
        entry = Entry(self.head + 1, header, body)
        content = encode_entry(entry)
        try:
            self.store.create(layout.page_name(self.key.name, entry.number), content)
        except ExistsError:
            raise self._fenced() from None
        except StoreError:
            self._note_unwritten(len(content))
            raise
        # Of two runs that a lease failed to keep apart, the later one sees the other's entry.
        if self.store.is_remote and _numbers(self._list(entry.number)):
            raise self._fenced()
        self._kept.pop(self.head, None)
        self.head = entry.number
        self._headers[entry.number] = header
        self._largest = max(self._largest, len(content))
        return entry

    def _note_unwritten(self, size: int) -> None:
        """Let the next run prove first that a page of a size can be written.

        If not even this small file can be written, the proof fails as it is.
        """
        unwritten = files.encode(Unwritten(size=size))
        with suppress(ArchiveError):
            self.store.replace(layout.UNWRITTEN.format(self.key.name), unwritten)

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

    def drop(self, number: int, header: EntryHeader) -> None:
        """Replace an entry by one without rows. The caller has the lock."""
        content = encode_entry(Entry(number, header, b""))
        self.store.replace(layout.page_name(self.key.name, number), content)
        self._headers[number] = header
        self._kept.pop(number, None)

    def rewrite(self, entry: Entry) -> None:
        """Replace the body of an entry, as `erase` does. The caller has the lock."""
        self.store.replace(layout.page_name(self.key.name, entry.number), encode_entry(entry))
        self._kept.pop(entry.number, None)

    # Messages

    @property
    def spec(self) -> FeedSpec:
        """The feed whose pages these are."""
        return next(each for each in FEEDS if each.name == self.key.stream)

    @cached_property
    def last_price(self) -> float:
        """What a row of the last page has cost, when this was read; 0 if that is the list price."""
        return last_price(self.store, self.key.name)

    def describe_price(self, least: int | None = None) -> str:
        """Return what rows cost now, for a message; `least` is how many there are at least."""
        return self.spec.describe_price(self.last_price, least)

    @property
    def folder(self) -> str:
        """The name of its folder in the archive."""
        return f"{layout.TOP}/{self.key.name}"

    def restart_since(self, since: str) -> str:
        """Return the command that buys what changed since a time again; empty is everything."""
        return self.command("restart", *(["--since", since] if since else []))

    @property
    def known(self) -> dict[str, str | None]:
        """What the ways out of a message about this archive may name."""
        return known_of(self.store, self.key.name, self.spec)

    def command(self, command: str, *arguments: str) -> str:
        """Return the command line of `tap-jobo-archive` for this archive, for a message."""
        name = shortest_name(self.store, self.key.name)
        return archive_command(command, name, *arguments, location=self.store.location)

    @property
    def _known_of_file(self) -> dict[str, str | None]:
        """What a message may name if `archive.json` is damaged."""
        return {"folder": self.folder, "price": self.describe_price()}

    def damaged(self, number: int, what: object) -> FormatError:
        """Return the error for an entry that cannot be read."""
        header = self.header(number)
        price = max(self.spec.list_price, self.last_price)
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
            if header and header.sync:  # otherwise, `drop` names the command
                known["restart"] = self.restart_since(header.sync.since)
        known["price"] = self.describe_price()
        fact = f"Page {number} of {self.key.stream} {what}. Nothing was billed for this stream."
        return FormatError(message("archive-damaged", fact, **known))


def _numbers(names: Sequence[str]) -> list[int]:
    """Return the numbers of the entries among files."""
    matches = map(layout.PAGE.fullmatch, names)
    return [int(match["number"]) for match in matches if match]


def _was_dropped(header: EntryHeader | None) -> bool:
    """Return whether an entry was dropped without its header, so that its id may be made up."""
    return header is not None and header.dropped is not None and header.receipt is None


def _same(content: bytes) -> bytes:
    return content


def refuse_old_layout(store: Store, stream: str) -> None:
    """Raise `ArchiveError` if the store has pages of an earlier development version."""
    for top in layout.OLD_TOPS:
        folder = re.compile(rf"{top}/{stream}-[0-9a-f]+/.+\.page")
        if pages := sum(bool(folder.fullmatch(name)) for name in store.list(top)):
            fact = (
                f"An earlier development version wrote {plural(pages, 'page')} of {stream} to "
                f"{store.location}/{top}. Move it away, or set archive_dir to another location."
            )
            raise ArchiveError(message("archive-unusable", fact))
