"""What an archive holds: its files, found by one listing, and what is in them."""

import hashlib
import json
import math
import re
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from tap_jobo.archive import layout
from tap_jobo.archive.page import (
    HEADER_BYTES,
    DamagedPageError,
    decode_header,
    decode_page,
)
from tap_jobo.archive.store import DamagedFileError, MissingError, Store, StoreError
from tap_jobo.clock import parse_timestamp
from tap_jobo.model import BilledPage, Filters, LastPrice, PageHeader, Sync
from tap_jobo.streams.feed_spec import FeedSpec

_Month = Annotated[str, Meta(pattern=r"^\d{4}-(0[1-9]|1[0-2])\Z")]
_Instant = Annotated[datetime, Meta(tz=True)]
_T = TypeVar("_T")


class Status(StrEnum):
    """What became of a sync."""

    OPEN = ""  # nothing: it is in progress, complete, or was abandoned
    ENDED = "ended"  # its pages went in circles
    DROPPED = "dropped"  # the user has dropped it after that: the state must not go on with it
    DAMAGED = "damaged"  # its file cannot be read, or is missing


class ArchiveKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """An archive key. The name of its folder ends in a hash of all that comes before."""

    stream: str
    address: str
    api_key: str  # its kind: `live`, `test`, or empty
    account: str = ""  # a hash of the API key, if what the feed returns depends on the account
    name: str = ""

    @property
    def description(self) -> str:
        """What it stands for, for messages."""
        kind = f"{self.api_key} key, " if self.api_key else ""
        return f"{self.stream} ({kind}{self.address})"


def archive_key(spec: FeedSpec, *, api_key: str, api_url: str) -> ArchiveKey:
    """Return the key under which a feed's pages are kept.

    A rotated API key finds the pages of the previous one; a test key never replays into production.
    """
    kind, url = re.match(r"jbe_(live|test)_", api_key), urlsplit(api_url)
    port = f":{url.port}" if url.port not in (None, 443) else ""
    key = ArchiveKey(
        stream=spec.name,
        address=f"{url.scheme}://{(url.hostname or '').rstrip('.')}{port}{url.path.rstrip('/')}",
        api_key=kind[1] if kind else "",
        account=hashlib.sha256(api_key.encode()).hexdigest() if spec.is_account_bound else "",
    )
    content = json.dumps(msgspec.to_builtins(key), sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return msgspec.structs.replace(key, name=f"{spec.name}-{digest[:16]}")


@dataclass(frozen=True, slots=True)
class Completed:
    """The last complete sync that a later run's state has named, and what that state covers."""

    number: int
    id: str
    bookmark: str  # of the state, as are the next two
    start_date: str | None
    filters: Filters
    full_sync_credits: int  # of the last full sync of these, which may be an earlier one; or 0

    def __post_init__(self) -> None:
        for text in (self.bookmark, self.start_date or self.bookmark):
            parse_timestamp(text)


@dataclass(frozen=True, slots=True)
class Spent:
    """What the runs of an archive key were billed, by month, such as `2026-11`."""

    address: str
    api_key: str
    credits: dict[_Month, Annotated[int, Meta(ge=0)]]
    runs: list[str]  # ids of the runs that it includes, of those that have pages in the archive
    last_price: LastPrice | None = None  # of the last page, if above the list price
    balance: int | None = None  # of the account, by the last response
    balance_at: str = ""  # when that was seen first (ISO 8601 UTC)


@dataclass(slots=True)
class ArchivedSync:
    """A sync in the archive."""

    key: str  # name of the archive key
    sync: Sync  # with its number, at its first page
    created_at: str  # ISO 8601 UTC, empty if unknown
    status: Status = Status.OPEN
    pages: set[int] = field(default_factory=set)  # their numbers
    total: int | None = None  # what its pages have cost, None if that was not read yet
    given_up: int = 0  # pages that the user has decided not to use, from the first on

    def __post_init__(self) -> None:
        for text in filter(None, (self.created_at, self.sync.since)):
            parse_timestamp(text)

    @property
    def name(self) -> str:
        """The name of its file."""
        return layout.SYNC.format(self.key, self.sync.number)

    def page_name(self, number: int) -> str:
        """Return the name of a page's file."""
        return layout.PAGE.format(self.key, self.sync.number, number)

    @property
    def names(self) -> list[str]:
        """The names of all its files, in the order in which they must be removed."""
        return [*map(self.page_name, sorted(self.pages, reverse=True)), self.name]

    @property
    def content(self) -> bytes:
        """The content of its file."""
        more = {
            "created_at": self.created_at,
            "status": self.status,
            "given_up": self.given_up,
        }
        return encode(asdict(self.sync) | more)


class Contents:
    """What a store holds, as it is when this is constructed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.files: dict[str, list[str]] = defaultdict(list)  # by key, without the counts
        self.counts: set[str] = set()  # the files that count what was billed
        self.rows: set[str] = set()  # the files of quarantined rows
        # By key and number of the sync: the numbers of its pages, none if it has only its own file.
        self._pages: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        for name in store.list(layout.TOP):
            _, key, *rest = name.split("/")
            if name.startswith(f"{layout.COUNTS}/"):
                self.counts.add(name)
            elif rest:
                self.files[key].append(name)
            if rest[:-1] == ["quarantine"]:
                self.rows.add(name)
            elif match := layout.FILE.fullmatch(name):
                pages = self._pages[key][int(match[1])]
                if page := match[2]:
                    pages.add(int(page))
        self.keys = sorted(self.files)

    def key(self, name: str) -> ArchiveKey:
        """Return what a key stands for. Raises `DamagedFileError`."""
        return msgspec.structs.replace(self._read(layout.KEY.format(name), ArchiveKey), name=name)

    def completed(self, key: str) -> Completed | None:
        """Return the last complete sync, None if there is none. Raises `DamagedFileError`."""
        name = layout.COMPLETED.format(key)
        return self._read(name, Completed) if name in self.files[key] else None

    def overwritten(self, key: str) -> dict[str, datetime]:
        """Return the ids of syncs that a replay of older pages may have overwritten.

        Each with the start of the older sync: newer rows have changed since. Raises
        `DamagedFileError`.
        """
        name = layout.OVERWRITTEN.format(key)
        return self._read(name, dict[str, _Instant]) if name in self.files[key] else {}

    def damaged_files(self, key: str) -> list[str]:
        """Return the names of the damaged files that are not of one sync."""
        damaged = []
        count = layout.COUNT.format(key)
        for read in (
            lambda: self.key(key),
            lambda: self.completed(key),
            lambda: self.overwritten(key),
            lambda: read_json(self.store, count, Spent),
        ):
            try:
                read()
            except DamagedFileError as error:
                damaged.append(error.name)
        return damaged

    @cached_property
    def all_syncs(self) -> list[ArchivedSync]:
        """The syncs of all keys."""
        return [archived for key in self.keys for archived in self.syncs(key).values()]

    def highest_number(self, key: str) -> int:
        """Return the highest number of a key's syncs, also of what is left of removed ones."""
        return max(self._pages[key], default=0)

    def pages(self, key: str) -> dict[int, set[int]]:
        """Return the numbers of the pages of a key's syncs, without reading any."""
        return self._pages[key]

    def syncs(self, key: str) -> dict[int, ArchivedSync]:
        """Return the syncs of a key by their numbers, in order, but no rests of removed ones."""
        syncs = {}
        for number in sorted(self._pages[key]):
            if archived := self._read_sync(key, number) or self._damaged_sync(key, number):
                syncs[number] = archived
        return syncs

    def _read_sync(self, key: str, number: int) -> ArchivedSync | None:
        """Return a sync, None if its file cannot be read."""
        try:
            content = self._read(layout.SYNC.format(key, number), dict[str, Any])
            content["number"] = number
            more = {"key": key, "sync": content, "pages": self._pages[key][number]}
            return msgspec.convert(content | more, ArchivedSync)
        except (DamagedFileError, msgspec.ValidationError):
            return None

    def _damaged_sync(self, key: str, number: int) -> ArchivedSync | None:
        """Return a sync whose file cannot be read, None if it has no pages.

        Pages without the file and without the first page are the rest of a sync that was removed.
        """
        pages = self._pages[key][number]
        has_file = layout.SYNC.format(key, number) in self.files[key]
        if not pages or not (has_file or 1 in pages):
            return None
        sync = Sync(id=layout.SYNC_ID.format(key, number), since=None, batch_size=1, number=number)
        return ArchivedSync(key, sync, "", Status.DAMAGED, pages)

    def _read(self, name: str, kind: type[_T]) -> _T:
        if (content := read_json(self.store, name, kind)) is None:
            raise DamagedFileError(name, self.store.location)
        return content

    def page(self, archived: ArchivedSync, number: int) -> BilledPage:
        """Return a page. Raises `StoreError` or `DamagedPageError` if it cannot be read."""
        try:
            return decode_page(self.store.read(archived.page_name(number)))
        except MissingError:
            raise DamagedPageError("is missing") from None

    def last_used(self, archived: ArchivedSync) -> str:
        """Return when a sync's last page came, or when it began; empty if that is unknown."""
        header = self._last_header(archived)
        return header.received_at if header else archived.created_at

    def credits(self, archived: ArchivedSync, first: int = 1) -> int:
        """Return what the pages of a sync from one on have cost, as far as it can be read."""
        last, before = self._last_header(archived), self._last_header(archived, first)
        return (last.total_credits if last else 0) - (before.total_credits if before else 0)

    def has_price(self, archived: ArchivedSync) -> bool:
        """Return whether the header of any page of a sync can be read."""
        return self._last_header(archived) is not None

    def last_headers(self, key: str) -> list[PageHeader]:
        """Return the header of the last page of each sync that can be read."""
        headers = map(self._last_header, self.syncs(key).values())
        return [header for header in headers if header]

    def _last_header(self, archived: ArchivedSync, end: float = math.inf) -> PageHeader | None:
        """Return the last header before a page that can be read."""
        pages = sorted((page for page in archived.pages if page < end), reverse=True)
        return next(filter(None, (self.header(archived, page) for page in pages)), None)

    def header(self, archived: ArchivedSync, page: int) -> PageHeader | None:
        """Return the header of a page, None if it cannot be read."""
        try:
            return decode_header(self.store.read(archived.page_name(page), HEADER_BYTES))
        except (MissingError, StoreError, DamagedPageError):
            return None


def read_json(store: Store, name: str, kind: type[_T]) -> _T | None:
    """Return what is in a small file, None if there is none. Raises `DamagedFileError`."""
    try:
        return msgspec.json.decode(store.read(name), type=kind)
    except MissingError:
        return None
    except (msgspec.DecodeError, ValueError, RecursionError):  # or no UTF-8
        raise DamagedFileError(name, store.location) from None


def encode(content: object) -> bytes:
    """Return the content of a JSON file that people can read too."""
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"
