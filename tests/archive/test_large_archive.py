"""What an archive of many or large pages costs: reads, and time that grows with what is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tap_jobo.archive.archive import Archive
from tap_jobo.archive.contents import Contents, archive_key
from tap_jobo.archive.folder import Folder
from tap_jobo.clock import Clock
from tap_jobo.model import BilledPage, Charge, PageHeader, Sync, hash_cursor
from tap_jobo.streams.career_sites import CAREER_SITES
from tests.support.loggers import LOGGER

pytestmark = pytest.mark.slow

KEY = archive_key(CAREER_SITES, api_key="", api_url="https://jobo.world")
START = "2026-01-01T00:00:00.000000Z"
NEW = Sync(id="5f0c", since=None, batch_size=50)


class CountingStore(Folder):
    """Notes each read: the name of the file, and the size that was asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[tuple[str, int | None]] = []

    def read(self, name: str, size: int | None = None) -> bytes:
        self.reads.append((name.rpartition("/")[2], size))
        return super().read(name, size)


class Numbers(set[int]):
    """The numbers of pages, through which nothing may go."""

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("the time of a page grows with the number of pages")


def write(store: Folder, bodies: Sequence[bytes]) -> Sync:
    """Archive the pages of a sync, and return it as it is after them."""
    archive = Archive(store, KEY, LOGGER)
    sync = archive.begin(NEW, Clock().now())
    for body in bodies:
        header = PageHeader(
            cursor=hash_cursor(sync.cursor), started_at=START, received_at=START, charge=Charge(50)
        )
        archive.put(sync, BilledPage(header, body))
        sync = replace(sync, pages=sync.pages + 1, cursor="a cursor")
    return sync


def _number(page: BilledPage) -> int:
    """The number of a page, each of which costs 50 credits."""
    return page.header.total_credits // 50


def test_a_resumed_sync_reads_its_first_page_and_the_last_20_mb(tmp_path: Path) -> None:
    store = CountingStore(tmp_path)
    sync = write(store, [b" " * 1_000_000] * 40)
    archive = Archive(store, KEY, LOGGER)
    store.reads.clear()
    delivered = archive.delivered(sync)
    assert [_number(page) for page in delivered] == [*range(1, 41)]
    assert [bool(page.body) for page in delivered] == [True] + 19 * [False] + 20 * [True]
    assert [bool(page.header.cursor) for page in delivered] == [False] + 39 * [True]
    assert sum(size is None for _, size in store.reads) == 21
    assert {size for _, size in store.reads} == {None, 1024}


def test_a_resumed_sync_looks_at_200_pages_and_the_first(tmp_path: Path) -> None:
    sync = write(Folder(tmp_path), [b"{}"] * 210)
    delivered = Archive(Folder(tmp_path), KEY, LOGGER).delivered(sync)
    assert [_number(page) for page in delivered] == [1, *range(11, 211)]


def test_the_worth_of_a_sync_is_read_from_a_header(tmp_path: Path) -> None:
    store = CountingStore(tmp_path)
    write(store, [b"a" * 5_000] * 3)
    contents = Contents(store)
    (kept,) = contents.syncs(KEY.name).values()
    store.reads.clear()
    assert contents.credits(kept) == 150
    assert store.reads == [("000003.page", 1024)]


def test_a_replayed_page_takes_one_read_in_a_sync_of_any_length(tmp_path: Path) -> None:
    store = CountingStore(tmp_path)
    write(store, [b"{}"] * 3)
    archive = Archive(store, KEY, LOGGER)
    (archived,) = archive.history.syncs.values()
    archived.pages = Numbers({1, 2, 3})
    store.reads.clear()
    assert archive.find(replace(archived.sync, cursor="a cursor", pages=1))
    assert store.reads == [("000002.page", None)]


@pytest.mark.parametrize("size", [1, 7, 1024])
def test_a_header_that_is_cut_off_is_no_header(tmp_path: Path, size: int) -> None:
    store = Folder(tmp_path)
    write(store, [b"{}"])
    (kept,) = Contents(store).syncs(KEY.name).values()
    content = store.read(kept.page_name(1), size)
    store.replace(kept.page_name(1), content)
    assert bool(Contents(store).header(kept, 1)) == (size == 1024)
