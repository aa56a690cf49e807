"""The journal key: what two runs must have in common to share billed pages."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from tap_jobo.streams.feed_spec import FeedSpec
    from tap_jobo.sync_id import Filters


@dataclass(frozen=True)
class JournalKey:
    """A journal key.

    Attributes:
        name: The stream, and a hash of the rest: the name of the key's folder.
        content: What the hash stands for, without the API key.
    """

    name: str
    content: dict[str, object]

    @property
    def stream(self) -> str:
        """The name of the stream."""
        return self.name.rpartition("-")[0]


def journal_key(spec: FeedSpec, *, api_key: str, api_url: str, filters: Filters) -> JournalKey:
    """Return the key under which a feed's pages are kept.

    A rotated API key finds the pages of the previous one; a test key never replays into
    production. If what a feed returns depends on the account, a hash of the API key is included.
    Filters that are not set do not count, so a new filter changes no key.
    """
    kind = re.match(r"jbe_(live|test)_", api_key)
    content: dict[str, object] = {
        "stream": spec.name,
        "address": normalize_url(api_url),
        "filters": {name: value for name, value in filters.items() if value is not None},
        "api_key": kind[1] if kind else "",
    }
    if spec.is_account_bound:
        content["account"] = hashlib.sha256(api_key.encode()).hexdigest()
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return JournalKey(f"{spec.name}-{digest[:16]}", content)


def normalize_url(url: str) -> str:
    """Return an address in canonical form: lowercase host, no trailing slash, one loopback name.

    `localhost`, `127.0.0.1`, and `[::1]` are the same machine.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if host == "localhost" or _is_loopback(host):
        host = "127.0.0.1"
    port = parts.port
    if port is None or (parts.scheme, port) in (("https", 443), ("http", 80)):
        netloc = host
    else:
        netloc = f"{host}:{port}"
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
