"""The files: each is whole, or refused. And the key that names what shares an archive."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from tap_jobo.archive import layout
from tap_jobo.archive.files import (
    DamagedError,
    Pending,
    add_checksum,
    decode_entry,
    encode,
    encode_entry,
    read,
    read_header,
)
from tap_jobo.archive.folder import Folder
from tap_jobo.archive.key import ArchiveKey, archive_key
from tap_jobo.errors import FormatError
from tap_jobo.model import Entry, Position, Read
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.jobs import MANAGED_JOBS
from tests.archive.helpers import new_header

NAME = "v4/host-live-0a/career_sites/archive.json"


PENDING = Pending(
    address="https://ä", api_key="test", offset=0, entry=None, spent={"2026-11": 7}, price=0
)


@pytest.fixture
def store(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_file_is_one_line_with_its_checksum(store: Folder) -> None:
    assert read(store, NAME, Pending) is None
    store.create(NAME, encode(PENDING))
    assert read(store, NAME, Pending) == PENDING
    assert store.read(NAME) == (
        b'{"address":"https://\xc3\xa4","api_key":"test","offset":0,"entry":null,'
        b'"spent":{"2026-11":7},"price":0} c35d69a3\n'
    )


def changes(content: bytes) -> Iterator[bytes]:
    """The content with each of its bits flipped, each part of it, and some with more behind."""
    for position in range(len(content)):
        yield content[:position]
        for bit in range(8):
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            yield bytes(flipped)
    for more in (b"\n", b"\0", b" ", content):
        yield content + more


def test_each_flipped_bit_and_each_part_is_refused(store: Folder) -> None:
    for content in changes(encode(PENDING)):
        store.replace(NAME, content)
        with pytest.raises(FormatError, match=rf"{NAME}.*\[archive-damaged\]"):
            read(store, NAME, Pending)


LINE = msgspec.json.encode(PENDING)


@pytest.mark.parametrize(
    "line",
    [
        LINE.replace(b'"offset":0,', b""),
        LINE.replace(b"{", b'{"more":1,', 1),
        LINE.replace(b"7", b"-1"),
        LINE.replace(b"2026-11", b"2026-13"),
        LINE.replace(b"7", b"[" * 5_000),
        b"",
    ],
)
def test_a_file_with_other_fields_is_refused(store: Folder, line: bytes) -> None:
    store.create(NAME, add_checksum(line))
    with pytest.raises(FormatError, match="another version"):
        read(store, NAME, Pending)


def test_each_flipped_bit_and_each_part_of_a_page_is_refused_or_changes_nothing() -> None:
    good = Entry(1, new_header(), b'{"career_sites": [], "has_more": false}')
    harmless = 0
    for content in changes(encode_entry(good)):
        with suppress(DamagedError):
            assert decode_entry(1, content) == good
            harmless += 1
    assert harmless < 14


def test_a_header_that_does_not_fit_is_read_with_its_page(store: Folder) -> None:
    filters = {"industries": [f"Industry {number}" for number in range(2_000)]}
    position = Position(reads=(Read(filters=filters, start="", until=""),))
    header = new_header(before=position)
    store.create(layout.page_name("key", 1), encode_entry(Entry(1, header, b"{}")))
    assert read_header(store, "key", 1) == header


# The key

URL = "https://connect.jobo.world/api"


def key(api_key: str = "jbe_live_a", api_url: str = URL) -> ArchiveKey:
    return archive_key(CAREER_SITES, api_key=api_key, api_url=api_url)


@pytest.mark.parametrize(
    "url", [f"{URL}/", "https://CONNECT.jobo.world/api", "https://connect.jobo.world.:443/api"]
)
def test_a_rotated_key_and_another_spelling_share_an_archive(url: str) -> None:
    assert key("jbe_live_b", url) == key()


def test_another_kind_of_key_address_or_stream_has_its_own_archive() -> None:
    keys = [
        key(),
        key("jbe_test_a"),
        key("another"),
        key(api_url="http://connect.jobo.world/api"),
        key(api_url="https://connect.jobo.world:8443/api"),
        key(api_url="https://connect.jobo.world"),
        *(archive_key(MANAGED_JOBS, api_key=f"jbe_live_{one}", api_url=URL) for one in "ab"),
    ]
    assert len({each.name for each in keys}) == len(keys)


def test_a_key_says_what_it_stands_for() -> None:
    for api_key, kind in (("jbe_live_a", "live"), ("jbe_test_a", "test"), ("another", "other")):
        name = key(api_key).name
        assert re.fullmatch(rf"connect\.jobo\.world-{kind}-[0-9a-f]{{8}}/career_sites", name)
    managed = archive_key(MANAGED_JOBS, api_key="jbe_live_a", api_url=URL)
    assert b"jbe_live_a" not in msgspec.json.encode(managed)
