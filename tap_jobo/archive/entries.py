"""The file of an entry: a header line with its own checksum, then the body, in Zstandard."""

import sys
from typing import Any, Final

import msgspec

from tap_jobo.archive import layout
from tap_jobo.archive.files import DamagedLineError, add_checksum, check_line
from tap_jobo.archive.store import MissingError, Store
from tap_jobo.model import Entry, EntryHeader
from tap_jobo.sharing import expand_filters, share_filters

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_OPTIONS: Final[dict[int, Any]] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.checksum_flag: True,
}
_HEADER_BYTES: Final = 16_384
"""How much of a file to read for its header. Only several long lists of filters take more."""


class DamagedEntryError(Exception):
    """An entry cannot be read. The text completes "Page 7 ..."."""


def encode_entry(entry: Entry) -> bytes:
    """Return the content of an entry's file."""
    line = add_checksum(msgspec.json.encode(share_filters(entry.header)))
    return line + zstd.compress(entry.body, options=_OPTIONS)


def decode_entry(number: int, read: Any, header: EntryHeader | None = None) -> Entry:
    """Return the entry in a file. Raises `DamagedEntryError`.

    Args:
        number: Its number.
        read: Returns the content of its file.
        header: Its header, None if that is not known.
    """
    try:
        content = read()
    except MissingError:
        raise DamagedEntryError("is missing") from None
    header = header or _decode_header(content)
    try:
        return Entry(number, header, zstd.decompress(content.partition(b"\n")[2]))
    except zstd.ZstdError:
        raise DamagedEntryError("is damaged") from None


def read_header(store: Store, key: str, number: int) -> EntryHeader:
    """Read the header of an entry, even if its body is damaged. Raises as `read_entry` does."""
    name = layout.page_name(key, number)
    try:
        content = store.read(name, _HEADER_BYTES)
        if b"\n" not in content and len(content) == _HEADER_BYTES:
            content = store.read(name)
    except MissingError:
        raise DamagedEntryError("is missing") from None
    return _decode_header(content)


def _decode_header(content: bytes) -> EntryHeader:
    try:
        return expand_filters(msgspec.json.decode(check_line(content)), EntryHeader)
    except DamagedLineError:
        raise DamagedEntryError("is damaged") from None
    except (msgspec.DecodeError, ValueError, AttributeError):
        raise DamagedEntryError("was written by another version of tap-jobo") from None
