"""Which feed, address, and kind of API key an archive belongs to, and how a user names it."""

import hashlib
import re
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import msgspec

from tap_jobo.archive import layout
from tap_jobo.archive.pending import last_price
from tap_jobo.archive.store import Store
from tap_jobo.commands import archive_command
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

    def shares_limit_with(self, address: str, api_key: str) -> bool:
        """Return whether a monthly limit includes the bills of an address and kind of API key."""
        return (self.address, self.api_key) == (address, api_key)


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


def stream_of(key: str) -> str:
    """Return the stream of an archive key, given its name."""
    return key.rpartition("/")[2]


def all_keys(store: Store) -> list[str]:
    """Return the names of all archive keys of a store."""
    names = {"/".join(name.split("/")[1:3]) for name in store.list(layout.TOP)}
    # After `--test` alone, a stream has been billed, but has no page.
    names |= {*map(layout.key_of_pending, store.list(layout.PENDING_FOLDER))}
    return sorted(name for name in names if stream_of(name) in _STREAMS)


def shortest_name(store: Store, key: str) -> str:
    """Return what names an archive key in a command: its stream, if that is enough."""
    stream = stream_of(key)
    with suppress(ArchiveError, FormatError):  # the name of the key is always enough
        if not any(stream_of(each) == stream for each in all_keys(store) if each != key):
            return stream
    return key


def known_of(store: Store, key: str, spec: FeedSpec) -> dict[str, str | None]:
    """Return what the ways out of a message about a stream with an archive may name."""
    name, location = shortest_name(store, key), store.location
    return {
        "stream": spec.name,
        "price": spec.describe_price(last_price(store, key)),
        "archive": location,
        "restart": archive_command("restart", name, location=location),
        "restart_sync": archive_command("restart", name, "--sync", location=location),
    }
