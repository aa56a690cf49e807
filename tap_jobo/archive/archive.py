"""The archive of a stream: everything that was bought of it, as numbered entries.

An entry is a page as it was billed. It is created once, under the next number, and stays. So any
warehouse is loaded from here, free, as often as it has to be.
"""

import re
import secrets
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Final, Self

from tap_jobo.archive import files, layout
from tap_jobo.archive.entries import (
    DamagedEntryError,
    decode_entry,
    encode_entry,
    read_entry,
    read_header,
)
from tap_jobo.archive.key import KEY_DIGITS, ArchiveKey
from tap_jobo.archive.naming import known_of, shortest_name
from tap_jobo.archive.store import ExistsError, Store
from tap_jobo.commands import archive_command
from tap_jobo.errors import ArchiveError, FormatError
from tap_jobo.messages import message
from tap_jobo.model import ArchiveFile, Entry, EntryHeader, Filters, Sync
from tap_jobo.streams import FEEDS
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.wording import dollars, plural

_AHEAD: Final = 8  # entries that are read ahead from a bucket
_MOST_KEPT: Final = 32_000_000  # bytes of entries that the second reading of a load need not read


class StreamArchive:
    """The archive of one stream, as its store was when this was constructed.

    Raises `ArchiveError` if the store cannot be used, `FormatError` if what it holds is damaged.

    Attributes:
        store: The store.
        key: Whose pages it holds.
        file: The content of `archive.json`, None if there is none yet.
        head: The number of the last entry, or the one before the first.
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
        name = layout.FILE.format(key.name)
        self.file = files.read(store, name, ArchiveFile, lambda: self._known_of_file)
        numbers = self._list(after - 1) if after else []
        numbers = numbers or self._list(0)
        if numbers and self.file is None:
            raise files.DamagedFileError(name, "is missing", self._known_of_file)
        self.head = max([*numbers, self.file.first - 1 if self.file else 0])
        self._headers: dict[int, EntryHeader] = {}
        self._kept: dict[int, bytes] = {}

    def _list(self, after: int) -> list[int]:
        """Return the numbers of the entries after one."""
        folder = f"{layout.TOP}/{self.key.name}"
        start = layout.page_name(self.key.name, after) if after > 0 else ""
        matches = map(layout.PAGE.fullmatch, self.store.list(folder, start))
        return [int(match["number"]) for match in matches if match]

    def again(self, after: int) -> Self:
        """Return the archive as its store is now."""
        return type(self)(self.store, self.key, after)

    def lock(self) -> AbstractContextManager[Callable[[], None]]:
        """Keep other runs from buying. Raises `HeldError` at once if one does."""
        return self.store.lock(self.key.name, self.key.stream)

    def new_id(self) -> str:
        """Return an id for an archive of this key."""
        return f"{self.key.name[-KEY_DIGITS:]}-{secrets.token_hex(8)}"

    def save(self, file: ArchiveFile) -> None:
        """Write `archive.json`. The caller has the lock."""
        self.store.replace(layout.FILE.format(self.key.name), files.encode(file))
        self.file = file
        self.head = max(self.head, file.first - 1)

    # Entries out

    @property
    def numbers(self) -> range:
        """The numbers of the entries."""
        return range(self.file.first if self.file else 1, self.head + 1)

    def read(self, number: int) -> Entry:
        """Return an entry. Raises `FormatError` if it cannot be read."""
        try:
            entry = read_entry(self.store, self.key.name, number)
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

    def is_dropped(self, number: int) -> bool:
        """Return whether an entry was dropped, as far as its header can be read."""
        header = self.header(number)
        return header is not None and header.is_dropped

    def id_of(self, number: int) -> str | None:
        """Return the id of an entry, None if there is none of this number.

        Also if it is damaged, or the last one before this archive began: the next entry names it.
        """
        if following := self.header(number + 1):
            return following.previous
        if self.file and number == self.file.first - 1:
            return self.file.origin.entry if self.file.origin else None
        own = self.header(number)
        return own.id if own else None

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
        previous = self.id_of(first - 1)
        for number, read in self._read_ahead(range(first, (last or self.head) + 1), keep=keep):
            try:
                entry = decode_entry(number, read)
            except DamagedEntryError as error:
                raise self.damaged(number, error) from None
            if entry.header.previous != previous:
                is_own = entry.header.id == self.id_of(number)  # as the page after it says
                raise self.damaged(number - 1 if is_own else number, "is of another archive")
            previous = entry.header.id
            if number == self.head:
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

    def _reader(self, number: int, pool: ThreadPoolExecutor | None) -> Callable[[], bytes]:
        if number in self._kept:
            return partial(_same, self._kept.pop(number))
        read = partial(self.store.read, layout.page_name(self.key.name, number))
        if pool is None:
            return read
        future: Future[bytes] = pool.submit(read)
        return future.result

    def cost_of_sync(self, first: int) -> int | None:
        """Return what a sync has cost so far, given its page 1, None if that can't be read.

        Its pages follow one another.
        """
        start = self.header(first)
        if start is None or start.sync is None:
            return None
        id_ = start.sync.id

        def is_after(number: int) -> bool:
            header = self.header(number)
            sync = header.sync if header else self._sync_of_damaged(number)
            return sync is None or sync.id != id_

        numbers = range(first, self.head + 1)
        end = self.header(numbers[bisect_left(numbers, True, key=is_after) - 1])  # noqa: FBT003
        return end.total - start.total + start.credits if end else None

    def _sync_of_damaged(self, number: int) -> Sync | None:
        """Return the sync of an entry that can't be read, unless it is the last page of it."""
        following = self.header(number + 1)
        progress = following.before.progress if following else None
        return progress.sync if progress else None

    def cost_of_everything(
        self, filters: Filters | None = None, start_date: str | None = None
    ) -> int | None:
        """Return what all rows cost at least, None if the archive does not show that.

        That is what the last full sync has cost, or one in progress, if its rows all match: a sync
        returns each row once.

        Args:
            filters: Those that the rows match, by default those of the last sync.
            start_date: What goes with them.
        """
        head = self.header(self.head)
        if head is None:
            return None
        if filters is None:
            last = head.sync or head.before.current
            filters, start_date = last.filters, last.start_date
        known = (head.base, head.sync.first if head.sync else None)
        costs = [self._cost_if_all_match(first, filters, start_date) for first in known if first]
        return max(filter(None, costs), default=None)

    def _cost_if_all_match(
        self, first: int, filters: Filters, start_date: str | None
    ) -> int | None:
        """Return what a full sync has cost, given its page 1, None if not all its rows match."""
        header = self.header(first)
        if header is None or header.sync is None or header.sync.kind != "full":
            return None
        is_later = (start_date or "") > (header.sync.start_date or "")
        if is_later or not self.spec.covers(filters, header.sync.filters):
            return None
        return self.cost_of_sync(first)

    # Entries in

    def create(self, header: EntryHeader, body: bytes) -> Entry:
        """Write a page that was just billed as the next entry.

        Raises:
            ArchiveError: Another run has written an entry of this number.
            StoreError: It cannot be written.
        """
        entry = Entry(self.head + 1, header, body)
        try:
            name = layout.page_name(self.key.name, entry.number)
            self.store.create(name, encode_entry(entry))
        except ExistsError:
            raise self._fenced() from None
        # Of two runs that a lease failed to keep apart, the later one sees the other's entry.
        if self.store.is_remote and self._list(entry.number):
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

    def drop(self, number: int, header: EntryHeader) -> None:
        """Replace an entry by one without rows. The caller has the lock."""
        content = encode_entry(Entry(number, header, b""))
        self.store.replace(layout.page_name(self.key.name, number), content)
        self._headers[number] = header

    def rewrite(self, entry: Entry) -> None:
        """Replace the body of an entry, as `erase` does. The caller has the lock."""
        self.store.replace(layout.page_name(self.key.name, entry.number), encode_entry(entry))

    # Messages

    @property
    def spec(self) -> FeedSpec:
        """The feed whose pages these are."""
        return next(each for each in FEEDS if each.name == self.key.stream)

    @property
    def folder(self) -> str:
        """The name of its folder in the archive."""
        return f"{layout.TOP}/{self.key.name}"

    def since_of(self, number: int) -> str | None:
        """Return the date since which a sync of changes reads a page again, None if none does."""
        own = self.header(number)
        sync = own.sync if own else self._sync_of_damaged(number)
        return sync.since if sync and sync.kind != "full" else None

    def restart_since(self, since: str | None) -> str:
        """Return the command that buys what changed since a time again, or everything if None."""
        return self.command("restart", *(["--since", since] if since else []))

    def known_to_buy(self, since: str | None, least: int | None) -> dict[str, str | None]:
        """Return what a message may name that offers to buy rows again that the archive lacks.

        Args:
            since: Buy what changed since then, None for everything.
            least: What everything costs at least, None if that is not known.
        """
        if since is None:
            return {"price": self.spec.describe_price(least)}
        return {"restart": None, "restart_since": self.restart_since(since)}

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
        return {"folder": self.folder, "price": self.spec.describe_price()}

    def damaged(self, number: int, what: object) -> FormatError:
        """Return the error for an entry that cannot be read."""
        header = self.header(number)
        most = f"at most {dollars(self.spec.page_cap * self.spec.list_price)}"
        drop = self.command("drop", str(number))
        known = {
            "file": layout.page_name(self.key.name, number),
            "page_price": dollars(header.credits) if header else most,
        }
        if number == self.head:
            known |= {"drop_head": drop}
        else:
            since, least = self.since_of(number), self.cost_of_everything()
            known |= {"drop": drop, "restart": self.restart_since(since)}
            known["price"] = self.spec.describe_price(None if since else least)
        fact = f"Page {number} of {self.key.stream} {what}. Nothing was billed for this stream."
        return FormatError(message("archive-damaged", fact, **known))


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
