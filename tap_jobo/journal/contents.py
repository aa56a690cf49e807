"""What a journal holds: its files, found by one listing, and what is in them."""

import hashlib
import json
import math
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
    """A small file is damaged, or missing. The text is its name."""


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
    status: Literal["", "ended", "dropped", "damaged", "missing"]  # the last two never in a file


@dataclass(slots=True)
class JournaledSync:
    """A sync in the journal."""

    key: str  # name of the journal key
    sync: Sync  # with its number, at its first page
    run: str
    created_at: str
    status: str = ""  # empty, `ENDED`, `DROPPED`, `DAMAGED`, or `MISSING`
    pages: set[int] = field(default_factory=set)  # their numbers
    total: int | None = None  # what its pages have cost, None if that was not read yet

    @property
    def last(self) -> int:
        """The number of its last page, 0 if it has none."""
        return max(self.pages, default=0)

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
            if match := layout.FILE.fullmatch(name):
                _, number, page, row = match.groups()
                if row:
                    self.quarantined[key].add(row)
                else:
                    self._syncs[key][int(number)].add(int(page or 0))
        self.keys = sorted(self.files)

    def key(self, name: str) -> JournalKey:
        """Return what a key stands for. Raises `DamagedFileError`."""
        content = self._read(layout.KEY.format(name), _KeyContent)
        return JournalKey(name, content["stream"], content)

    def completed(self, key: str) -> Completed | None:
        """Return the last complete sync, None if there is none. Raises `DamagedFileError`."""
        name = layout.COMPLETED.format(key)
        if name not in self.files[key]:
            return None
        completed = self._read(name, Completed)
        is_known = completed.start_date != ""
        return completed if is_known else replace(completed, credits=0)  # of an earlier version

    def spent(self, key: str) -> Spent | None:
        """Return what a key's runs were billed, None if unknown. Raises `DamagedFileError`."""
        return self._read(layout.SPENT.format(key), Spent) if key in self.counted else None

    def damaged_files(self, key: str) -> list[str]:
        """Return the names of the damaged files that are not of one sync."""
        damaged = []
        for read in (self.key, self.completed, self.spent):
            try:
                read(key)
            except DamagedFileError as error:
                damaged.append(str(error))
        return damaged

    def highest_number(self, key: str) -> int:
        """Return the highest number of a key's syncs, also of what is left of removed ones."""
        return max(self._syncs[key], default=0)

    def syncs(self, key: str) -> dict[int, JournaledSync]:
        """Return the syncs of a key by their numbers, in order."""
        syncs = {number: self._sync(key, number) for number in sorted(self._syncs[key])}
        return {number: journaled for number, journaled in syncs.items() if journaled}

    def _sync(self, key: str, number: int) -> JournaledSync | None:
        """Return a sync, or None for what is left of one that was removed, or that has no pages."""
        files = self._syncs[key][number]
        pages = files - {0}
        try:
            content = self._read(layout.SYNC.format(key, number), dict[str, Any])
            sync, begun = msgspec.convert(content, Sync), msgspec.convert(content, _Begun)
            _check_timestamps(begun.created_at, sync.since)
        except (DamagedFileError, *_UNREADABLE):
            if not pages or files.isdisjoint({0, 1}):
                return None
            sync = Sync(id=layout.SYNC_ID.format(key, number), since=None, batch_size=1)
            begun = _Begun("", "", DAMAGED if 0 in files else MISSING)
        return JournaledSync(key, replace(sync, number=number), **asdict(begun), pages=pages)

    def _read(self, name: str, kind: type[_T]) -> _T:
        try:
            content = msgspec.json.decode(self._store.read(name), type=kind)
            if isinstance(content, Completed):
                _check_timestamps(content.bookmark, content.start_date or None)
        except (MissingError, *_UNREADABLE):
            raise DamagedFileError(name) from None
        return content

    def page(self, journaled: JournaledSync, number: int) -> JournaledPage:
        """Return a page. Raises `StoreError` or `DamagedPageError` if it cannot be read."""
        try:
            return decode_page(
                journaled.page_id(number), self._store.read(journaled.page_name(number))
            )
        except MissingError:
            raise DamagedPageError("is missing") from None

    def last_used(self, journaled: JournaledSync) -> str:
        """Return when a sync's last page came, or when it began; empty if that is unknown."""
        header = self._last_header(journaled)
        return header.received_at if header else journaled.created_at

    def credits(self, journaled: JournaledSync, first: int = 1) -> int:
        """Return what the pages of a sync from one on have cost, as far as it can be read."""
        last, before = self._last_header(journaled), self._last_header(journaled, first)
        return (last.total_credits if last else 0) - (before.total_credits if before else 0)

    def _last_header(self, journaled: JournaledSync, end: float = math.inf) -> PageHeader | None:
        """Return the last header before a page that can be read."""
        pages = sorted((page for page in journaled.pages if page < end), reverse=True)
        return next(filter(None, (self.header(journaled, page) for page in pages)), None)

    def header(self, journaled: JournaledSync, page: int) -> PageHeader | None:
        """Return the header of a page, None if it cannot be read."""
        try:
            return decode_header(self._store.read(journaled.page_name(page), HEADER_BYTES))
        except (MissingError, StoreError, DamagedPageError):
            return None


@contextmanager
def usable(store: Store) -> Iterator[None]:
    """Explain the errors of a store and its small files."""
    try:
        yield
    except DamagedFileError as error:
        name = str(error).removeprefix(f"{layout.TOP}/")
        dropped = name.removesuffix("/key.json").removesuffix("/sync.json")  # all that needs it
        raise FormatError(
            f"The file {error} in the journal {store.location} is damaged or missing. "
            "Nothing more is billed until you restore it, or drop it with `tap-jobo-journal "
            f"drop {dropped}`, which first shows what would be billed again."
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
