"""What a stream was billed that is in no page yet: a request in flight, a lost response, a test.

The header of each page has what the runs of its stream were billed up to it. One small file for
each stream has the rest. It counts until a page comes after it, so a killed run leaves nothing to
mend.
"""

from contextlib import suppress
from typing import Annotated

import msgspec
from msgspec import Meta

from tap_jobo.archive import files, layout
from tap_jobo.archive.store import Store
from tap_jobo.errors import ArchiveError, FormatError
from tap_jobo.model import Count, Id, Month


class Pending(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a stream was billed, until the archive has a page after this one.

    Attributes:
        address: The address of the API.
        api_key: The kind of API key. Streams that share both share the limit.
        offset: The number of the last page when this was written, 0 without one.
        entry: The id of that page.
        spent: Credits by month, with a request in flight at what it may cost.
        price: Credits of a row on the last page, 0 if that was not above the list price.
    """

    address: str
    api_key: str
    offset: Count
    entry: Id | None
    spent: dict[Month, Count]
    price: Annotated[float, Meta(ge=0)]


def read_pending(store: Store, name: str) -> Pending | None:
    """Return the file of an archive key, None without one. Raises `DamagedFileError`."""
    file = layout.PENDING.format(name)
    return files.read(store, file, Pending, lambda: {"month_file": file})


def write_pending(store: Store, name: str, pending: Pending) -> None:
    """Write the file of an archive key. The caller has the lock."""
    store.replace(layout.PENDING.format(name), files.encode(pending))


def last_price(store: Store, name: str) -> float:
    """Return what a row of the last page has cost, for a message; 0 if that is the list price."""
    with suppress(ArchiveError, FormatError):
        if pending := read_pending(store, name):
            return pending.price
    return 0
