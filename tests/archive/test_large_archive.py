"""What an archive of many entries costs a run: no more than one of ten."""

from __future__ import annotations

import re
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jobo_sandbox import Sandbox
from tap_jobo.archive import layout
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.archive.entries import DamagedEntryError, encode_entry, read_header
from tap_jobo.archive.folder import Folder
from tap_jobo.archive.key import archive_key
from tap_jobo.archive.store import Store
from tap_jobo.model import Entry, new_id
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.sync.position import completed
from tests.archive.helpers import change
from tests.support import Tap
from tests.support.archives import Files, files_at, number_of
from tests.support.s3 import S3, Weather

pytestmark = pytest.mark.slow

FEW, MANY = 10, 1_300


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap without a lookback: no change is billed twice."""
    return Tap(sandbox, tmp_path, {"lookback_minutes": 0})


def grow(files: Files, state: dict[str, Any], to: int) -> dict[str, Any]:
    """Let the archive have so many entries, and return the state at the last one."""
    last = files.entry(files.pages[-1])
    key, header = layout.PAGE.fullmatch(files.pages[-1]), last.header
    assert key
    for number in range(last.number + 1, to + 1):
        assert header.sync
        header = replace(
            header,
            id=new_id(),
            previous=header.id,
            before=completed(header.before, header.sync),
            sync=replace(header.sync, id=new_id(), first=number),
            total=header.total + header.credits,
        )
        content = encode_entry(Entry(number, header, last.body))
        files.store.replace(layout.page_name(key["key"], number), content)
    grown = deepcopy(state)
    part = {"offset": to, "entry": header.id, "completed_sync": header.sync and header.sync.id}
    grown["bookmarks"]["career_sites"] |= part
    return grown


def begin(tap: Tap, files: Files, entries: int) -> dict[str, Any]:
    """A state at the end of an archive of so many entries, a change before it, and one since."""
    first = tap.succeed()
    change(tap, first.ids[0], name="Before")
    state = grow(files, tap.succeed(state=first.state).state, entries)
    change(tap, first.ids[0], name="Since")
    return state


@pytest.mark.parametrize("limit", [None, 10**6])
def test_a_run_beside_a_large_archive_opens_and_lists_as_many_files(
    sandbox: Sandbox, tmp_path: Path, limit: int | None
) -> None:
    counts = []
    for entries in (FEW, MANY):
        folder = tmp_path / str(entries)
        folder.mkdir()
        log = folder / "opened"
        tap = Tap(sandbox, folder, {"lookback_minutes": 0, "max_credits_per_month": limit})
        state = begin(tap, files_at(str(folder / "archive")), entries)
        tap.oddities["TEST_OPENED"] = str(log)
        run = tap.succeed(state=state)
        assert (len(run.ids), run.lines("WARNING")) == (1, [])
        assert run.bookmark["offset"] == entries + 1
        opened = log.read_text().replace(f"{folder}/archive", "ARCHIVE").splitlines()
        unnumbered = [re.sub(r"(?<=/)\d{3,6}|\.\w{8}(?=\.tmp)", "", line) for line in opened]
        counts.append(Counter(line for line in unnumbered if "ARCHIVE" in line))
    few, many = counts
    assert few == many
    assert 10 < few.total() < 40


@pytest.mark.parametrize("limit", [None, 10**6])
def test_a_run_beside_a_large_archive_sends_as_many_requests(
    tap: Tap, s3: S3, weather: Weather, limit: int | None
) -> None:
    counts = []
    tap.settings |= {"max_credits_per_month": limit}
    for entries in (FEW, MANY):
        tap.settings["archive_dir"] = f"{s3.url}/{entries}"
        state = begin(tap, files_at(f"{s3.url}/{entries}"), entries)
        weather.requests.clear()
        run = tap.succeed(state=state)
        assert (len(run.ids), run.lines("WARNING")) == (1, [])
        assert run.bookmark["offset"] == entries + 1
        counts.append(Counter(method for method, _ in weather.requests))
    few, many = counts
    assert few == many
    assert 10 < few.total() < 40


# What a header takes


class CountingFolder(Folder):
    """Notes each read: the number of the page, and the size that was asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[tuple[int, int | None]] = []

    def read(self, name: str, size: int | None = None) -> bytes:
        if layout.PAGE.fullmatch(name):
            self.reads.append((number_of(name), size))
        return super().read(name, size)


def archive_of(tap: Tap, store: Store) -> StreamArchive:
    key = archive_key(CAREER_SITES, api_key=tap.sandbox.api_key, api_url=tap.sandbox.url)
    return StreamArchive(store, key)


def test_what_a_sync_has_cost_is_read_from_a_few_headers(tap: Tap, folder: Path) -> None:
    tap.succeed(batch_size=10)
    store = CountingFolder(folder)
    assert archive_of(tap, store).cost_of_everything() == 6_000
    assert [number for number, _ in store.reads] == [12, 1, 7, 10]
    assert {size for _, size in store.reads} == {4_096}


def test_a_header_that_does_not_fit_is_read_with_its_page(tap: Tap, folder: Path) -> None:
    long: Any = {"industries": [f"Industry {number}" for number in range(1_000)]}
    tap.succeed(**long)
    store = CountingFolder(folder)
    header = archive_of(tap, store).header(1)
    assert header
    assert header.sync
    assert len(header.sync.reads["industries"]) == 1_000
    assert store.reads == [(1, 4_096), (1, None)]


@pytest.mark.parametrize("size", [0, 1, 7, 300])
def test_a_header_that_is_cut_off_is_no_header(tap: Tap, folder: Path, size: int) -> None:
    tap.succeed()
    files = files_at(str(folder))
    files.store.replace(files.pages[0], files.store.read(files.pages[0])[:size])
    archive = archive_of(tap, files.store)
    assert archive.header(1) is None
    with pytest.raises(DamagedEntryError, match="is damaged"):
        read_header(files.store, archive.key.name, 1)
