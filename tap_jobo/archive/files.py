"""The small JSON files of the archive: one line each, which ends in its checksum."""

import zlib
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from tap_jobo.archive.store import MissingError, Store
from tap_jobo.errors import FormatError
from tap_jobo.messages import message

_T = TypeVar("_T", bound=msgspec.Struct)
Known = Mapping[str, str | None]
"""What the ways out of a message may name."""


class DamagedLineError(Exception):
    """A line does not have its checksum."""


class DamagedFileError(FormatError):
    """A small file is damaged, or another version of tap-jobo has written it."""

    def __init__(self, name: str, why: str, known: Known) -> None:
        fact = f"The archive's {name} {why}. Its stream was not billed."
        super().__init__(message("archive-damaged", fact, file=name, **known))


def encode(value: msgspec.Struct) -> bytes:
    """Return the content of a small file."""
    return add_checksum(msgspec.json.encode(value))


def read(store: Store, name: str, kind: type[_T], known: Callable[[], Known]) -> _T | None:
    """Return what is in a small file, None if there is no such file.

    Args:
        store: The store of the archive.
        name: The name of the file.
        kind: A type that has no defaults and forbids unknown fields, so that nothing that a file
            lacks is made up.
        known: Returns what else the message may name if the file is damaged.

    Raises:
        DamagedFileError: The file is damaged, or does not have exactly the fields of its type.
        StoreError: The store cannot be read.
    """
    try:
        return msgspec.json.decode(_only_line(store.read(name)), type=kind)
    except MissingError:
        return None
    except DamagedLineError:
        raise DamagedFileError(name, "is damaged", known()) from None
    except (msgspec.DecodeError, ValueError, RecursionError):  # of JSON, UTF-8, or nesting
        why = "was written by another version of tap-jobo, or is damaged"
        raise DamagedFileError(name, why, known()) from None


def add_checksum(line: bytes) -> bytes:
    """Return a line with a space, its checksum, and its end."""
    return b"%b %08x\n" % (line, zlib.crc32(line))


def check_line(content: bytes) -> bytes:
    """Return the first line without its checksum and its end.

    Raises:
        DamagedLineError: The checksum is of another line, or the line has no end.
    """
    first, end, _ = content.partition(b"\n")
    line, _, _ = first.rpartition(b" ")
    if first + end != add_checksum(line):
        raise DamagedLineError
    return line


def _only_line(content: bytes) -> bytes:
    line = check_line(content)
    if content != add_checksum(line):
        raise DamagedLineError
    return line
