"""The formats of settings, each a predicate: what a JSON schema cannot say about a string."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tap_jobo.clock import parse_timestamp
from tap_jobo.settings.bucket_url import is_like_url, parse_bucket_url

if TYPE_CHECKING:
    from collections.abc import Callable


def matches(pattern: str) -> Callable[[str], bool]:
    """Return a predicate for whether a regular expression matches a whole string."""
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


is_printable_ascii: Final = matches(r"[!-~]+")
"""Printable ASCII without spaces: what fits in a header."""
is_text: Final = matches(r"(?=\s*\S)[^\ud800-\udfff]*")
"""Not blank, and without lone surrogates, which UTF-8 cannot encode."""
is_missing_state_choice: Final = matches(r"error|resync|resume:[0-9a-z-]+(,[0-9a-z-]+)*")
is_uuid: Final = matches(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_base_url(text: str) -> bool:
    """Return whether a string is a base URL that the key may be sent to."""
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        return False
    if not (host and is_printable_ascii(text)) or set("@?#{}\\") & set(text):
        return False
    return url.scheme == "https" or (url.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_past_date(text: str) -> bool:
    """Return whether a string is an ISO 8601 date or date-time that is not in the future."""
    try:
        return parse_timestamp(text) <= datetime.now(UTC)
    except ValueError:
        return False


def is_journal_location(text: str) -> bool:
    """Return whether a string can be the path of a folder, or is the URL of a bucket."""
    return parse_bucket_url(text) is not None if is_like_url(text) else is_path(text)


def is_path(text: str) -> bool:
    """Return whether a string can be a path, which need not exist."""
    try:
        return "\0" not in text and bool(Path(text).expanduser())
    except RuntimeError:  # `~name` of a user who does not exist
        return False
