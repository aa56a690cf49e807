"""A journaled page: one header line, then the body as received, in Zstandard.

The header line is JSON that ends in a checksum of its own, so that a damaged body leaves the cost
of the page readable. Zstandard has a checksum of the body.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zlib
from dataclasses import asdict, dataclass
from typing import Any, Final

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_OPTIONS: Final[dict[int, Any]] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.checksum_flag: True,
}


class DamagedPageError(Exception):
    """The bytes of a page are not those that were written."""


class TornPageError(Exception):
    """A page is shorter than its header says: the run was killed while it wrote the page."""


@dataclass(frozen=True, slots=True)
class PageHeader:
    """What is known of a page without parsing its body.

    Attributes:
        run: Random id of the run that was billed for it.
        cursor: Hash of the cursor that it was requested with, empty for a first page.
        started_at: When its sync started (ISO 8601 UTC).
        received_at: When it came (ISO 8601 UTC), by the API's clock if known.
        credits: What it cost.
        total_credits: What its sync has cost so far, this page included.
        has_more: What the response header X-Has-More said, None if it was missing.
    """

    run: str
    cursor: str
    started_at: str
    received_at: str
    credits: int
    total_credits: int
    has_more: bool | None = None


@dataclass(frozen=True, slots=True)
class JournaledPage:
    """A billed page.

    Attributes:
        name: What messages and the command call it: the id of its sync, and its number in it.
        header: What is known of it without parsing its body.
        body: The body as received, without the key.
    """

    name: str
    header: PageHeader
    body: bytes


def hash_cursor(cursor: str | None) -> str:
    """Return the hash of a cursor, which may be long; empty for a first page."""
    return hashlib.sha256(cursor.encode()).hexdigest()[:24] if cursor else ""


def encode_page(header: PageHeader, body: bytes) -> bytes:
    """Return the content of a page's file."""
    packed = zstd.compress(body, options=_OPTIONS)
    line = json.dumps({**asdict(header), "length": len(packed)}).encode()
    return b"%b %08x\n%b" % (line, zlib.crc32(line), packed)


def decode_header(content: bytes) -> PageHeader:
    """Return the header of a page's file, whatever its body is like.

    Raises:
        DamagedPageError: It is damaged.
        TornPageError: It is not there as a whole.
    """
    return _split(content)[0]


def decode_page(name: str, content: bytes) -> JournaledPage:
    """Return the page in a file.

    Raises:
        DamagedPageError: It is damaged.
        TornPageError: It is shorter than its header says.
    """
    header, length, packed = _split(content)
    if len(packed) < length:
        raise TornPageError
    try:
        return JournaledPage(name, header, zstd.decompress(packed))
    except zstd.ZstdError:
        raise DamagedPageError from None


def _split(content: bytes) -> tuple[PageHeader, int, bytes]:
    line, newline, packed = content.partition(b"\n")
    if not newline:
        raise TornPageError
    text, _, checksum = line.rpartition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        raise DamagedPageError
    members = json.loads(text)
    header = PageHeader(**{name: members[name] for name in PageHeader.__slots__})
    return header, members["length"], packed
