"""A journaled page: one header line, then the body as received, in Zstandard.

The header line has a checksum of its own, so a damaged body leaves the cost readable.
"""

import json
import sys
import zlib
from dataclasses import asdict, dataclass
from typing import Any, Final

from tap_jobo.sync_id import RawPage

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_OPTIONS: Final[dict[int, Any]] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.checksum_flag: True,
}


class DamagedPageError(Exception):
    """A page cannot be read. The text is what is wrong with it, after "the page"."""


class TornPageError(DamagedPageError):
    """A page is shorter than its header says: the run was killed while it wrote the page."""


@dataclass(frozen=True, slots=True)
class PageHeader:
    """What is known of a page without parsing its body.

    Attributes:
        run: Random id of the run that was billed for it.
        cursor: Hash of the cursor that it was requested with, empty for a first page.
        started_at: When its sync started (ISO 8601 UTC).
        received_at: When it came (ISO 8601 UTC), by the API's clock.
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
    """A billed page; messages and the command call it by the id of its sync and its number."""

    name: str
    header: PageHeader
    body: bytes
    raw: RawPage | None = None  # None if an earlier run was billed for it


def encode_page(header: PageHeader, body: bytes) -> bytes:
    """Return the content of a page's file."""
    packed = zstd.compress(body, options=_OPTIONS)
    line = json.dumps({**asdict(header), "length": len(packed)}).encode()
    return b"%b %08x\n%b" % (line, zlib.crc32(line), packed)


def decode_header(content: bytes) -> PageHeader:
    """Return the header of a page's file. Raises as `decode_page`, but not for its body."""
    return _split(content)[0]


def decode_page(name: str, content: bytes) -> JournaledPage:
    """Return the page in a file."""
    header, length, packed = _split(content)
    if len(packed) < length:
        raise TornPageError("is damaged")
    try:
        return JournaledPage(name, header, zstd.decompress(packed))
    except zstd.ZstdError:
        raise DamagedPageError("is damaged") from None


def _split(content: bytes) -> tuple[PageHeader, int, bytes]:
    line, newline, packed = content.partition(b"\n")
    if not newline:
        raise TornPageError("is damaged")
    text, _, checksum = line.rpartition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        raise DamagedPageError("is damaged")
    members = json.loads(text)
    length = members.pop("length")
    return PageHeader(**members), length, packed
