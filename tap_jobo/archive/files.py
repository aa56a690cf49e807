"""The files of the archive: pages, and small files of one line.

The first line is JSON, and ends in its checksum. That of a page is its header, and its body follows
in Zstandard.
"""

import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from tap_jobo.archive import layout
from tap_jobo.archive.store import MissingError, Store
from tap_jobo.errors import ArchiveError, FormatError
from tap_jobo.messages import message
from tap_jobo.model import Count, Entry, EntryHeader, Id, Month
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
_T = TypeVar("_T", bound=msgspec.Struct)


class DamagedError(Exception):
    """A file cannot be read. The text completes "Page 7 ..." or "File ..."."""


def encode(value: msgspec.Struct) -> bytes:
    """Return the content of a small file."""
    return add_checksum(msgspec.json.encode(value))


def read(store: Store, name: str, kind: type[_T], **known: str) -> _T | None:
    """Return what is in a small file, None if there is no such file.

    Args:
        store: The store of the archive.
        name: The name of the file.
        kind: A type that has no defaults and forbids unknown fields, so that nothing that a file
            lacks is made up.
        known: What else the message may name if the file is damaged.

    Raises:
        FormatError: The file is damaged, or does not have exactly the fields of its type.
        StoreError: The store cannot be read.
    """
    try:
        content = _only_line(store.read(name))
        return _decode_line(content, lambda line: msgspec.json.decode(line, type=kind))
    except MissingError:
        return None
    except DamagedError as error:
        fact = f"File {name} {error}. Nothing was billed for its stream."
        raise FormatError(message("archive-damaged", fact, file=name, **known)) from None


def _only_line(content: bytes) -> bytes:
    """Return the content of a file of one line. Raises `DamagedError`."""
    if content != add_checksum(check_line(content)):
        raise DamagedError("is damaged")
    return content


def _decode_line(content: bytes, decode: Callable[[bytes], _T]) -> _T:
    """Return what is in the first line of a file. Raises `DamagedError`."""
    line = check_line(content)
    try:
        return decode(line)
    except (msgspec.DecodeError, ValueError, AttributeError, RecursionError):  # or UTF-8, nesting
        raise DamagedError("was written by another version of tap-jobo") from None


def add_checksum(line: bytes) -> bytes:
    """Return a line with a space, its checksum, and its end."""
    return b"%b %08x\n" % (line, zlib.crc32(line))


def check_line(content: bytes) -> bytes:
    """Return the first line without its checksum and its end.

    Raises:
        DamagedError: The checksum is of another line, or the line has no end.
    """
    first, end, _ = content.partition(b"\n")
    line, _, _ = first.rpartition(b" ")
    if first + end != add_checksum(line):
        raise DamagedError("is damaged")
    return line


# What is in no page


class Pending(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a stream was billed that is in no page: a request in flight, a lost response, a test.

    The header of each page has what the runs of its stream were billed up to it. One small file for
    each stream has the rest. It counts until a page comes after it, so a killed run leaves nothing
    to mend.
    """

    address: str  #: the address of the API
    api_key: str  #: the kind of API key. Streams that share both share the limit.
    offset: Count  #: the number of the last page when this was written, 0 without one
    entry: Id | None  #: the id of that page
    spent: dict[Month, Count]  #: credits by month, with a request in flight at what it may cost
    #: credits of a row on the last page, 0 if that was not above the list price
    price: Annotated[float, Meta(ge=0)]


def read_pending(store: Store, name: str) -> Pending | None:
    """Return the file of an archive key, None without one. Raises `FormatError`."""
    file = layout.PENDING.format(name)
    return read(store, file, Pending, month_file=file)


def last_price(store: Store, name: str) -> float:
    """Return what a row of the last page has cost, for a message; 0 if that is the list price."""
    with suppress(ArchiveError, FormatError):
        if pending := read_pending(store, name):
            return pending.price
    return 0


# Pages


def encode_entry(entry: Entry) -> bytes:
    """Return the content of an entry's file."""
    line = add_checksum(msgspec.json.encode(share_filters(entry.header)))
    return line + zstd.compress(entry.body, options=_OPTIONS)


def decode_entry(number: int, content: bytes, header: EntryHeader | None = None) -> Entry:
    """Return the entry in a file. Raises `DamagedError`; a known header is not read again."""
    header = header or _decode_header(content)
    try:
        return Entry(number, header, zstd.decompress(content.partition(b"\n")[2]))
    except zstd.ZstdError:
        raise DamagedError("is damaged") from None


def read_entry(store: Store, key: str, number: int, size: int | None = None) -> bytes:
    """Return the content of an entry's file, or its start. Raises `DamagedError`."""
    try:
        return store.read(layout.page_name(key, number), size)
    except MissingError:
        raise DamagedError("is missing") from None


def read_header(store: Store, key: str, number: int) -> EntryHeader:
    """Read the header of an entry, even if its body is damaged. Raises `DamagedError`."""
    content = read_entry(store, key, number, _HEADER_BYTES)
    if b"\n" not in content and len(content) == _HEADER_BYTES:
        content = read_entry(store, key, number)
    return _decode_header(content)


def _decode_header(content: bytes) -> EntryHeader:
    return _decode_line(
        content, lambda line: expand_filters(msgspec.json.decode(line), EntryHeader)
    )
