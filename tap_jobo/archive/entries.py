"""The file of an entry: a header line with its own checksum, then the body, in Zstandard."""

import sys
from typing import Any, Final

import msgspec

from tap_jobo.archive import layout
from tap_jobo.archive.files import DamagedLineError, add_checksum, check_line
from tap_jobo.archive.store import MissingError, Store
from tap_jobo.model import Entry, EntryHeader

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_OPTIONS: Final[dict[int, Any]] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.checksum_flag: True,
}
_HEADER_BYTES: Final = 4096
"""How much of a file to read for its header. Only that of a long list of filters takes more."""


class DamagedEntryError(Exception):
    """An entry cannot be read. The text completes "Page 7 ...".

    Attributes:
        header: Its header, if that can be read.
    """

    def __init__(self, why: str, header: EntryHeader | None = None) -> None:
        super().__init__(why)
        self.header = header


class OtherVersionError(DamagedEntryError):
    """Another version of tap-jobo has written an entry."""


def encode_entry(entry: Entry) -> bytes:
    """Return the content of an entry's file."""
    line = add_checksum(msgspec.json.encode(entry.header))
    return line + zstd.compress(entry.body, options=_OPTIONS)


def read_entry(store: Store, key: str, number: int) -> Entry:
    """Read an entry. Raises `DamagedEntryError`, or `StoreError` if the store can't be read."""
    return decode_entry(number, lambda: store.read(layout.page_name(key, number)))


def decode_entry(number: int, read: Any) -> Entry:
    """Return the entry in a file, which `read` returns. Raises `DamagedEntryError`."""
    try:
        content = read()
    except MissingError:
        raise DamagedEntryError("is missing") from None
    header = _decode_header(content)
    try:
        return Entry(number, header, zstd.decompress(content.partition(b"\n")[2]))
    except zstd.ZstdError:
        raise DamagedEntryError("is damaged", header) from None


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
        return msgspec.json.decode(check_line(content), type=EntryHeader)
    except DamagedLineError:
        raise DamagedEntryError("is damaged") from None
    except msgspec.DecodeError:
        raise OtherVersionError("was written by another version of tap-jobo") from None
