"""Whose pages the journal holds: what two runs must have in common to share paid pages."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from tap_jobo.journal.schema import UNVERSIONED

if TYPE_CHECKING:
    from tap_jobo.scan import Filters
    from tap_jobo.streams.feed_spec import FeedSpec


def owner_of(spec: FeedSpec, *, api_key: str, api_url: str, filters: Filters) -> str:
    """Return the hash under which a feed's pages are kept.

    A rotated key finds the pages of the previous key; a test key never replays into production.
    If what a feed returns depends on the account, the key itself is part of the hash.
    """
    kind = re.match(r"jbe_(live|test)_", api_key)
    account = hashlib.sha256(api_key.encode()).hexdigest() if spec.is_account_bound else ""
    return _hash([spec.name, normalize_url(api_url), filters, kind and kind[1], account])


def unversioned_owner(*, api_key: str, api_url: str, filters: Filters) -> str:
    """Return the owner of the pages that journals of the first version hold."""
    return UNVERSIONED + _hash([api_key, api_url, filters])


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


def _hash(parts: list[object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
