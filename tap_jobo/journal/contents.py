"""What a journal holds: the layout of its files, found by one listing.

v1/KEY/key.json              what KEY stands for
v1/KEY/completed.json        the last complete sync that the state of a later run has named
v1/KEY/000007/sync.json      a sync; written before its first request
v1/KEY/000007/000042.page    a page of it, exactly as received
v1/KEY/quarantine/DIGEST     a row that cannot be delivered
"""

import hashlib
import json
import re
from collections import defaultdict
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from tap_jobo.journal.page import (
    HEADER_BYTES,
    DamagedPageError,
    JournaledPage,
    PageHeader,
    decode_header,
    decode_page,
)
from tap_jobo.journal.store import MissingError, Store, StoreError
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync_id import Filters, Sync

TOP: Final = "v1"
_FILE: Final = re.compile(rf"{TOP}/([\w-]+)/(?:(\d+)/(?:sync\.json|(\d+)\.page)|quarantine/(\S+))")

ENDED: Final = "ended"  # the status of a sync whose pages went in circles
DROPPED: Final = "dropped"  # once the user has dropped it: the state must not go on with it


class JournalKey(NamedTuple):
    """A journal key: the name of its folder, the stream, and what the name's hash stands for."""

    name: str
    stream: str
    content: dict[str, object]


def journal_key(spec: FeedSpec, *, api_key: str, api_url: str, filters: Filters) -> JournalKey:
    """Return the key under which a feed's pages are kept.

    A rotated API key finds the pages of the previous one; a test key never replays into
    production. If what a feed returns depends on the account, a hash of the API key is included.
    Filters that are not set do not count, so a new filter changes no key.
    """
    kind, url = re.match(r"jbe_(live|test)_", api_key), urlsplit(api_url)
    port = f":{url.port}" if url.port not in (None, 443) else ""
    content: dict[str, object] = {
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


@dataclass(slots=True)
class JournaledSync:
    """A sync in the journal."""

    key: str  # name of the journal key
    sync: Sync  # with its number, at its first page
    run: str  # random id of the run that began it
    created_at: str  # when that was (ISO 8601 UTC)
    status: str = ""  # empty, `ENDED`, or `DROPPED`
    pages: set[int] = field(default_factory=set)  # their numbers
    last: int = 0  # the highest of them
    total: int | None = None  # what its pages have cost, None if that was not read yet

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{TOP}/{self.key}/{self.sync.number:06}/sync.json"

    def page_name(self, number: int) -> str:
        """Return the name of a page's file."""
        return f"{TOP}/{self.key}/{self.sync.number:06}/{number:06}.page"

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
        self._names = store.list(TOP)
        # By key and number of the sync: the numbers of its pages, and 0 for its own file.
        self._files: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        self.quarantined: dict[str, set[str]] = defaultdict(set)
        for found in filter(None, map(_FILE.fullmatch, self._names)):
            key, number, page, quarantined = found.groups()
            if quarantined:
                self.quarantined[key].add(quarantined)
            else:
                self._files[key][int(number)].add(int(page or 0))

    @property
    def keys(self) -> list[str]:
        """The names of all journal keys."""
        return sorted({name.split("/")[1] for name in self._names if name.count("/") > 1})

    def highest_number(self, key: str) -> int:
        """Return the highest number of a key's syncs, also of what is left of removed ones."""
        return max(self._files[key], default=0)

    def syncs(self, key: str) -> dict[int, JournaledSync]:
        """Return the syncs of a key by their numbers, in order."""
        found = {}
        for number, files in sorted(self._files[key].items()):
            pages, name = files - {0}, f"{TOP}/{key}/{number:06}/sync.json"
            try:
                raw = json.loads(self._store.read(name))
                run, created_at, status = map(raw.pop, ("run", "created_at", "status"))
                sync = replace(Sync(**raw), number=number)
                last = max(pages, default=0)
                found[number] = JournaledSync(key, sync, run, created_at, status, pages, last)
            except MissingError:  # what is left of a sync that was removed
                continue
            except (ValueError, TypeError, KeyError, AttributeError):
                if pages:
                    raise StoreError(f"{name} is damaged") from None
        return found

    def completed(self, key: str) -> Completed | None:
        """Return the content of `completed.json`, None if there is none."""
        name = f"{TOP}/{key}/completed.json"
        if name not in self._names:
            return None
        try:
            raw = json.loads(self._store.read(name))
            return Completed(**raw if "start_date" in raw else raw | {"credits": 0})
        except (MissingError, ValueError, TypeError):
            raise StoreError(f"{name} is damaged") from None

    def key(self, name: str) -> dict[str, Any]:
        """Return what a journal key stands for."""
        try:
            return dict(json.loads(self._store.read(f"{TOP}/{name}/key.json")))
        except (MissingError, ValueError, TypeError):
            raise StoreError(f"{TOP}/{name}/key.json is damaged") from None

    def page(self, kept: JournaledSync, number: int) -> JournaledPage:
        """Return a page. Raises `StoreError` or `DamagedPageError` if it cannot be read."""
        try:
            return decode_page(kept.page_id(number), self._store.read(kept.page_name(number)))
        except MissingError:
            raise DamagedPageError("is missing") from None

    def last_used(self, kept: JournaledSync) -> str:
        """Return when a sync's last page came, or when the sync began (ISO 8601 UTC)."""
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


def encode(content: dict[str, object]) -> bytes:
    """Return the content of a JSON file that people can read too."""
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"
