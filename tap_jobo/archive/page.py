"""The file of a billed page: a header line with its own checksum, then the body, in Zstandard."""

import sys
import zlib
from typing import Any, Final

import msgspec

from tap_jobo.model import BilledPage, PageHeader

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


def encode_page(page: BilledPage) -> bytes:
    """Return the content of a page's file."""
    line = msgspec.json.encode(page.header)
    return b"%b %08x\n%b" % (line, zlib.crc32(line), zstd.compress(page.body, options=_OPTIONS))


def decode_header(content: bytes) -> PageHeader:
    """Return the header of a page's file, which a damaged body leaves readable."""
    line, _, checksum = content.partition(b"\n")[0].rpartition(b" ")
    if checksum != b"%08x" % zlib.crc32(line):
        raise DamagedPageError("is damaged")
    try:
        return msgspec.json.decode(line, type=PageHeader)
    except msgspec.DecodeError:
        raise DamagedPageError(
            "was written by another version of tap-jobo, which can replay it free"
        ) from None


def decode_page(content: bytes) -> BilledPage:
    """Return the page in a file."""
    try:
        body = content.partition(b"\n")[2]
        return BilledPage(decode_header(content), zstd.decompress(body))
    except zstd.ZstdError:
        raise DamagedPageError("is damaged") from None
