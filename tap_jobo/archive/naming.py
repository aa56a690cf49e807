"""How a user names an archive key: by its stream or, if that has several, by its folders."""

from contextlib import suppress
from typing import Final

from tap_jobo.archive import layout
from tap_jobo.archive.pending import last_price
from tap_jobo.archive.store import Store
from tap_jobo.commands import archive_command
from tap_jobo.errors import ArchiveError, FormatError
from tap_jobo.streams import FEEDS
from tap_jobo.streams.feed_spec import FeedSpec

_STREAMS: Final = {spec.name for spec in FEEDS}


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
