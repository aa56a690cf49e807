"""Compression of stored pages: Zstandard, with a checksum; zlib for pages of earlier versions."""

from __future__ import annotations

import sys
import zlib
from typing import Any, Final

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DAMAGED: Final = (zstd.ZstdError, zlib.error)
"""What `decompress` raises for stored bytes that are damaged."""
_OPTIONS: Final[dict[int, Any]] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.checksum_flag: True,
}
_MAGIC: Final = b"\x28\xb5\x2f\xfd"
"""What Zstandard data starts with, and zlib data never does."""


def compress(body: bytes) -> bytes:
    """Return the bytes to store for a page's body."""
    return zstd.compress(body, options=_OPTIONS)


def decompress(stored: bytes) -> bytes:
    """Return a page's body.

    Raises:
        zstd.ZstdError, zlib.error: It is damaged; see `DAMAGED`.
    """
    return zstd.decompress(stored) if stored.startswith(_MAGIC) else zlib.decompress(stored)
