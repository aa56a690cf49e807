"""A journaled page: a header line with its own checksum, then the raw body, in Zstandard."""

import sys
import zlib
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tap_jobo.model import RawPage

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_OPTIONS: Final[dict[int, Any]] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.checksum_flag: True,
}

HEADER_BYTES: Final = 1024
"""How much of a file to read for its header, which is shorter than half of this."""


class DamagedPageError(Exception):
    """A page cannot be read. The text completes "The page ..."."""


@dataclass(frozen=True, slots=True)
class PageHeader:
    """What is known of a page without parsing its body. Times are ISO 8601 UTC."""

    run: str  # random id of the run that was billed for it
    cursor: str  # hash of the cursor that it was requested with, empty for a first page
    started_at: str  # when its sync started
    received_at: str  # when it came, by the API's clock
    credits: int
    total_credits: int  # what its sync has cost so far, this page included
    spent: dict[str, int]  # what the stream's runs were billed so far, by month
    has_more: bool | None = None  # the response header X-Has-More
    deducted: int | None = None  # credits, if the response says so
    fall: int = 0  # credits by which the balance fell with it, if nothing was deducted


@dataclass(frozen=True, slots=True)
class JournaledPage:
    """A billed page; messages and the command call it by the id of its sync and its number."""

    name: str
    header: PageHeader
    body: bytes
    raw: RawPage | None = None  # None if an earlier run was billed for it

    @property
    def is_replayed(self) -> bool:
        """Whether an earlier run was billed for it."""
        return self.raw is None


def encode_page(header: PageHeader, body: bytes) -> bytes:
    """Return the content of a page's file."""
    line = msgspec.json.encode(header)
    return b"%b %08x\n%b" % (line, zlib.crc32(line), zstd.compress(body, options=_OPTIONS))


def decode_header(content: bytes) -> PageHeader:
    """Return the header of a page's file, which a damaged body leaves readable."""
    line, _, checksum = content.partition(b"\n")[0].rpartition(b" ")
    if checksum != b"%08x" % zlib.crc32(line):
        raise DamagedPageError("is damaged")
    try:
        return msgspec.json.decode(line, type=PageHeader)
    except msgspec.DecodeError:
        raise DamagedPageError("was written by another version of tap-jobo") from None


def decode_page(name: str, content: bytes) -> JournaledPage:
    """Return the page in a file."""
    try:
        body = content.partition(b"\n")[2]
        return JournaledPage(name, decode_header(content), zstd.decompress(body))
    except zstd.ZstdError:
        raise DamagedPageError("is damaged") from None
