"""Which feed, address, and kind of API key an archive belongs to."""

import hashlib
import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from tap_jobo.streams.feed_spec import FeedSpec

KEY_DIGITS: Final = 16
"""Of the hash in the name of a key, and at the start of an archive's id."""


class ArchiveKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An archive key: its name is that of its folder, and ends in a hash of the rest."""

    stream: str
    address: str
    api_key: str  # its kind: `live`, `test`, or empty
    account: str  # a hash of the API key, if what the feed returns depends on the account, or empty
    name: str

    @property
    def description(self) -> str:
        """What it stands for, for messages."""
        kind = f"{self.api_key} key, " if self.api_key else ""
        return f"{self.stream} ({kind}{self.address})"

    def shares_limit_with(self, address: str, api_key: str) -> bool:
        """Return whether a monthly limit includes the bills of an address and kind of API key."""
        return (self.address, self.api_key) == (address, api_key)


def archive_key(spec: FeedSpec, *, api_key: str, api_url: str) -> ArchiveKey:
    """Return the key under which a feed's pages are archived.

    A rotated API key finds the pages of the previous one. The pages of a test key never get into a
    warehouse of production.
    """
    kind, url = re.match(r"jbe_(live|test)_", api_key), urlsplit(api_url)
    port = f":{url.port}" if url.port not in (None, 443) else ""
    key = ArchiveKey(
        stream=spec.name,
        address=f"{url.scheme}://{(url.hostname or '').rstrip('.')}{port}{url.path.rstrip('/')}",
        api_key=kind[1] if kind else "",
        account=hashlib.sha256(api_key.encode()).hexdigest() if spec.is_account_bound else "",
        name="",
    )
    digest = hashlib.sha256(msgspec.json.encode(key)).hexdigest()
    return msgspec.structs.replace(key, name=f"{spec.name}-{digest[:KEY_DIGITS]}")
