"""Which feed, address, and kind of API key an archive belongs to, and how a user names it."""

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import msgspec

from tap_jobo.archive import layout
from tap_jobo.archive.store import Store
from tap_jobo.errors import ArchiveError, FormatError
from tap_jobo.streams import FEEDS
from tap_jobo.streams.feed_spec import FeedSpec

_STREAMS: Final = {spec.name for spec in FEEDS}
_DIGITS: Final = 8
"""Of the hash at the end of the name of an owner."""


class ArchiveKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An archive key: whose pages an archive holds, and of which stream."""

    stream: str
    address: str
    api_key: str  # its kind: `live`, `test`, or empty
    owner: str  # the name of its folder: the host, the kind of key, and a hash

    @property
    def name(self) -> str:
        """The names of its folders, such as `connect.jobo.world-live-1a2b3c4d/jobs`."""
        return f"{self.owner}/{self.stream}"


def key_of_name(name: str) -> ArchiveKey:
    """Return an archive key as its name shows it, without the address and the kind of API key."""
    owner, _, stream = name.rpartition("/")
    return ArchiveKey(stream=stream, address="", api_key="", owner=owner)


def archive_key(spec: FeedSpec, *, api_key: str, api_url: str) -> ArchiveKey:
    """Return the key under which a feed's pages are archived.

    A rotated API key finds the pages of the previous one, unless what the feed returns depends on
    the account. The pages of a test key never get into a warehouse of production.
    """
    match, url = re.match(r"jbe_(live|test)_", api_key), urlsplit(api_url)
    kind, host = match[1] if match else "", (url.hostname or "").rstrip(".")
    port = f":{url.port}" if url.port not in (None, 443) else ""
    address = f"{url.scheme}://{host}{port}{url.path.rstrip('/')}"
    account = hashlib.sha256(api_key.encode()).hexdigest() if spec.is_account_bound else ""
    digest = hashlib.sha256(msgspec.json.encode([address, kind, account])).hexdigest()[:_DIGITS]
    readable = re.sub(r"[^A-Za-z0-9.-]", "_", host)
    owner = f"{readable}-{kind or 'other'}-{digest}"
    return ArchiveKey(stream=spec.name, address=address, api_key=kind, owner=owner)


def all_keys(store: Store) -> list[ArchiveKey]:
    """Return all archive keys of a store, those with pages first."""
    with_pages = keys_with_pages(store)
    # After `--test` alone, a stream has been billed, but has no page.
    billed = _keys(map(layout.key_of_pending, store.list(layout.PENDING_FOLDER)))
    return [*with_pages, *(key for key in billed if key not in with_pages)]


def keys_with_pages(store: Store) -> list[ArchiveKey]:
    """Return the archive keys of a store that have pages."""
    return _keys("/".join(name.split("/")[1:3]) for name in store.list(layout.TOP))


def _keys(names: Iterable[str]) -> list[ArchiveKey]:
    return [key for key in map(key_of_name, sorted({*names})) if key.stream in _STREAMS]


def keys_named(store: Store, name: str) -> list[ArchiveKey]:
    """Return the archive keys that a name stands for: a stream stands for those with pages."""
    for keys in (keys_with_pages(store), all_keys(store)):
        if found := [key for key in keys if name in (key.name, key.stream)]:
            return found
    return []


def shortest_name(store: Store, key: ArchiveKey) -> str:
    """Return what names an archive key in a command: its stream, if that is enough."""
    with suppress(ArchiveError, FormatError):  # the name of the key is always enough
        if keys_named(store, key.stream) in ([], [key_of_name(key.name)]):
            return key.stream
    return key.name
