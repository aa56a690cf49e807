"""What a journal holds: its files, found by one listing, and what is in them."""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple, NotRequired, TypedDict, TypeVar
from urllib.parse import urlsplit

import msgspec

from tap_jobo.clock import parse_timestamp
from tap_jobo.errors import FormatError, JournalError
from tap_jobo.journal import layout
from tap_jobo.journal.page import (
    HEADER_BYTES,
    DamagedPageError,
    JournaledPage,
    PageHeader,
    decode_header,
    decode_page,
)
from tap_jobo.journal.store import MissingError, Store, StoreError
from tap_jobo.model import Filters, Sync
from tap_jobo.streams.feed_spec import FeedSpec

ENDED: Final = "ended"  # the status of a sync whose pages went in circles
DROPPED: Final = "dropped"  # once the user has dropped it: the state must not go on with it
DAMAGED: Final = "damaged"  # of a sync whose file cannot be read
MISSING: Final = "missing"  # of a sync without a file, but with its first page
_UNREADABLE: Final = (msgspec.DecodeError, ValueError, RecursionError)  # which parsing raises
_T = TypeVar("_T")


class DamagedFileError(Exception):
    """A small file is damaged, or missing. The text is its name; `dropped` is what to drop."""

    def __init__(self, name: str, dropped: str) -> None:
        super().__init__(name)
        self.dropped = dropped


class _KeyContent(TypedDict):
    stream: str
    address: str
    filters: dict[str, Any]
    api_key: str
    account: NotRequired[str]


class JournalKey(NamedTuple):
    """A journal key: the name of its folder, the stream, and what the name's hash stands for."""

    name: str
    stream: str
    content: _KeyContent

    @property
    def description(self) -> str:
        """What it stands for."""
        filters = "; ".join(f"{name}={value}" for name, value in self.content["filters"].items())
        kind = f"{self.content['api_key']} key, " if self.content["api_key"] else ""
        where = f"{self.content['stream']} ({kind}{self.content['address']})"
        return f"{where}, filters: {filters or 'none'}"


def journal_key(spec: FeedSpec, *, api_key: str, api_url: str, filters: Filters) -> JournalKey:
    """Return the key under which a feed's pages are kept.

    A rotated API key finds the pages of the previous one; a test key never replays into
    production. If what a feed returns depends on the account, a hash of the API key is included.
    Filters that are not set do not count, so a new filter changes no key.
    """
    kind, url = re.match(r"jbe_(live|test)_", api_key), urlsplit(api_url)
    port = f":{url.port}" if url.port not in (None, 443) else ""
    content: _KeyContent = {
        "stream": spec.name,
        "address": f"{url.scheme}://{(url.hostname or '').rstrip('.')}{port}{url.path.rstrip('/')}",
        "filters": {name: value for name, value in filters.items() if value is not None},
        "api_key": kind[1] if kind else "",
    }
    if spec.is_account_bound:
        content["account"] = hashlib.sha256(api_key.encode()).hexdigest()
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return JournalKey(f"{spec.name}-{digest[:16]}", spec.name, content)


@dataclass(frozen=True, slots=True)
class Completed:
    """A complete sync, its start, the credits of the last full sync, and the state's start date."""

    number: int
    id: str
    bookmark: str
    credits: int
    start_date: str | None = ""  # of an earlier version: unknown, and more in `credits`


@dataclass(frozen=True, slots=True)
class Spent:
    """What the runs of a journal key were billed, by month, such as `2026-11`."""

    address: str
    api_key: str
    credits: dict[str, int]


@dataclass(slots=True)
class _Begun:
    """What the file of a sync has beside the sync."""

    run: str  # random id of the run that began it
    created_at: str  # when that was (ISO 8601 UTC)
    status: Literal["", "ended", "dropped"]


@dataclass(slots=True)
class JournaledSync:
    """A sync in the journal."""

    key: str  # name of the journal key
    sync: Sync  # with its number, at its first page
    run: str
    created_at: str
    status: str = ""  # empty, `ENDED`, `DROPPED`, `DAMAGED`, or `MISSING`
    pages: set[int] = field(default_factory=set)  # their numbers
    last: int = 0  # the highest of them
    total: int | None = None  # what its pages have cost, None if that was not read yet

    @property
    def name(self) -> str:
        """The name of its file."""
        return layout.SYNC.format(self.key, self.sync.number)

    def page_name(self, number: int) -> str:
        """Return the name of a page's file."""
        return layout.PAGE.format(self.key, self.sync.number, number)

    def page_id(self, number: int) -> str:
        """Return what messages and the command call a page."""
        return f"{self.sync.id}.{number}"

    @property
    def names(self) -> list[str]:
        """The names of all its files, in the order in which they must be removed."""
        return [*map(self.page_name, sorted(self.pages, reverse=True)), self.name]

    @property
    def content(self) -> bytes:
        """The content of its file."""
        more = {"run": self.run, "created_at": self.created_at, "status": self.status}
        return encode(asdict(self.sync) | more)


class Contents:
    """What a store holds, as it is when this is constructed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.files: dict[str, list[str]] = defaultdict(list)  # all but `spent.json`, by key
        self.temporary: dict[str, list[str]] = defaultdict(list)  # those that killed runs left
        self.counted: set[str] = set()  # the keys that have a `spent.json`
        self.quarantined: dict[str, set[str]] = defaultdict(set)
        # By key and number of the sync: the numbers of its pages, and 0 for its own file.
        self._syncs: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for name in store.list(layout.TOP):
            _, key, *rest = name.split("/")
            if name == layout.SPENT.format(key):
                self.counted.add(key)
            elif rest:
                self.files[key].append(name)
            if name.endswith(layout.TEMPORARY):
                self.temporary[key].append(name)
            elif found := layout.FILE.fullmatch(name):
                _, number, page, row = found.groups()
                if row:
                    self.quarantined[key].add(row)
                else:
                    self._syncs[key][int(number)].add(int(page or 0))

    @property
    def keys(self) -> list[str]:
        """The names of all journal keys."""
        return sorted(self.files)

    def key(self, name: str) -> JournalKey:
        """Return what a key stands for. Raises `DamagedFileError`."""
        content = self._read(layout.KEY.format(name), _KeyContent, name)
        return JournalKey(name, content["stream"], content)

    def completed(self, key: str) -> Completed | None:
        """Return the last complete sync, None if there is none. Raises `DamagedFileError`."""
        name = layout.COMPLETED.format(key)
        if name not in self.files[key]:
            return None
        found = self._read(name, Completed, name.removeprefix(f"{layout.TOP}/"))
        return replace(found, credits=0) if found.start_date == "" else found  # earlier version

    def spent(self, key: str) -> Spent | None:
        """Return what a key's runs were billed, None if unknown. Raises `DamagedFileError`."""
        name = layout.SPENT.format(key)
        dropped = name.removeprefix(f"{layout.TOP}/")
        return self._read(name, Spent, dropped) if key in self.counted else None

    def damaged_files(self, key: str) -> list[str]:
        """Return the names of the damaged files that are not of one sync."""
        found = []
        for read in (self.key, self.completed, self.spent):
            try:
                read(key)
            except DamagedFileError as error:
                found.append(str(error))
        return found

    def highest_number(self, key: str) -> int:
        """Return the highest number of a key's syncs, also of what is left of removed ones."""
        return max(self._syncs[key], default=0)

    def syncs(self, key: str) -> dict[int, JournaledSync]:
        """Return the syncs of a key by their numbers, in order."""
        found = [self._sync(key, number) for number in sorted(self._syncs[key])]
        return {each.sync.number: each for each in found if each}

    def _sync(self, key: str, number: int) -> JournaledSync | None:
        """Return a sync, or None for what is left of one that was removed, or that has no pages."""
        files, id_ = self._syncs[key][number], layout.SYNC_ID.format(key, number)
        pages, last = files - {0}, max(files)
        try:
            content = self._read(layout.SYNC.format(key, number), dict[str, Any], id_)
            sync = replace(msgspec.convert(content, Sync), number=number)
            begun = msgspec.convert(content, _Begun)
            _check_timestamps(begun.created_at, sync.since)
            return JournaledSync(key, sync, begun.run, begun.created_at, begun.status, pages, last)
        except (DamagedFileError, *_UNREADABLE):
            if not (pages if 0 in files else 1 in pages):
                return None
        sync = Sync(id=id_, since=None, batch_size=1, number=number)
        return JournaledSync(key, sync, "", "", DAMAGED if 0 in files else MISSING, pages, last)

    def _read(self, name: str, kind: type[_T], dropped: str) -> _T:
        try:
            found = msgspec.json.decode(self._store.read(name), type=kind)
            if isinstance(found, Completed):
                _check_timestamps(found.bookmark, found.start_date or None)
        except (MissingError, *_UNREADABLE):
            raise DamagedFileError(name, dropped) from None
        return found

    def page(self, kept: JournaledSync, number: int) -> JournaledPage:
        """Return a page. Raises `StoreError` or `DamagedPageError` if it cannot be read."""
        try:
            return decode_page(kept.page_id(number), self._store.read(kept.page_name(number)))
        except MissingError:
            raise DamagedPageError("is missing") from None

    def last_used(self, kept: JournaledSync) -> str:
        """Return when a sync's last page came, or when it began; empty if that is unknown."""
        header = self._last_header(kept)
        return header.received_at if header else kept.created_at

    def credits(self, kept: JournaledSync, first: int = 1) -> int:
        """Return what the pages of a sync from one on have cost, as far as it can be read."""
        last = self._last_header(kept)
        before = self.header(kept, first - 1) if first - 1 in kept.pages else None
        return (last.total_credits if last else 0) - (before.total_credits if before else 0)

    def _last_header(self, kept: JournaledSync) -> PageHeader | None:
        pages = sorted(kept.pages, reverse=True)
        return next(filter(None, (self.header(kept, page) for page in pages)), None)

    def header(self, kept: JournaledSync, page: int) -> PageHeader | None:
        """Return the header of a page, None if it cannot be read."""
        try:
            return decode_header(self._store.read(kept.page_name(page), HEADER_BYTES))
        except (MissingError, StoreError, DamagedPageError):
            return None


@contextmanager
def usable(store: Store) -> Iterator[None]:
    """Explain the errors of a store and its small files."""
    try:
        yield
    except DamagedFileError as error:
        raise FormatError(
            f"The file {error} in the journal {store.location} is damaged or missing. "
            "Nothing more is billed until you restore it, or drop it with `tap-jobo-journal "
            f"drop {error.dropped}`, which first shows what would be billed again."
        ) from None
    except StoreError as error:
        raise JournalError(
            f"The journal {store.location} cannot be used ({error}). The run ends, "
            "because pages could be billed again. Make sure that it has room and this user can "
            "read and write it, change journal_dir, or set journal to false."
        ) from error


def encode(content: Mapping[str, object]) -> bytes:
    """Return the content of a JSON file that people can read too."""
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def _check_timestamps(*texts: str | None) -> None:
    for text in texts:
        if text is not None:
            parse_timestamp(text)
