"""What an archive of many entries costs a run: no more than one of ten."""

from __future__ import annotations

import re
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from tap_jobo.archive import layout
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.archive.files import DamagedError, read_header
from tap_jobo.archive.folder import Folder
from tap_jobo.archive.key import archive_key
from tap_jobo.archive.store import Store
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.sync.maintenance import log_of
from tests.archive.helpers import Warehouse, change
from tests.support import Tap, s3_api
from tests.support.archives import Files, files_at, number_of
from tests.support.s3 import S3, Weather

pytestmark = pytest.mark.slow

FEW, MANY = 10, 2_020
LAST = 40
"""How many of the last entries are there: no run looks for those between the first and them."""


def begin(tap: Tap, files: Files, entries: int) -> dict[str, Any]:
    """Let the archive have so many entries, and a row change; return the state at the last one."""
    first = tap.succeed()
    change(tap, first.ids[0], name="Before")
    state = tap.succeed(state=first.state).state
    for number in range(max(5, entries - LAST), entries + 1):
        copy_head(files, number)
    change(tap, first.ids[0], name="Since")
    return moved(state, entries)


def copy_head(files: Files, number: int) -> None:
    """Let the last page of an archive of one stream be there under another number, too."""
    key = layout.PAGE.fullmatch(head := files.pages[-1])
    assert key
    files.store.replace(layout.page_name(key["key"], number), files.store.read(head))


def moved(state: dict[str, Any], offset: int) -> dict[str, Any]:
    """The same state at a copy of its page."""
    copy = deepcopy(state)
    copy["bookmarks"]["career_sites"]["offset"] = offset
    return copy


def test_a_run_beside_a_large_archive_opens_and_lists_as_many_files(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    counts = []
    for entries in (FEW, MANY):
        folder = tmp_path / str(entries)
        folder.mkdir()
        log = folder / "opened"
        tap = Tap(sandbox, folder, {"lookback_minutes": 0, "max_credits_per_month": 10**6})
        state = begin(tap, files_at(str(folder / "archive")), entries)
        tap.oddities["TEST_OPENED"] = str(log)
        run = tap.succeed(state=state)
        assert (len(run.ids), run.lines("WARNING")) == (1, [])
        assert run.bookmark["offset"] == entries + 1
        opened = log.read_text().replace(f"{folder}/archive", "ARCHIVE").splitlines()
        unnumbered = [re.sub(r"(?<=/)\d{6,9}|\.\w{8}(?=\.tmp)", "", line) for line in opened]
        counts.append(Counter(line for line in unnumbered if "ARCHIVE" in line))
    few, many = counts
    assert few == many
    assert 10 < few.total() < 45


def test_a_run_beside_a_large_archive_sends_as_many_requests(
    tap: Tap, s3: S3, weather: Weather, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the bucket lists only some of its names in each request."""
    monkeypatch.setattr(s3_api, "_PER_LISTING", LAST // 2)
    counts = []
    tap.settings["max_credits_per_month"] = 10**6
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
    assert 10 < few.total() < 45


def test_an_archive_of_more_than_a_million_pages_goes_on(tap: Tap, files: Files) -> None:
    """Of which only the last one is there."""
    warehouse, head = Warehouse(tap), 1_234_567
    warehouse.run()
    names = files.pages
    copy_head(files, head)
    state = moved(warehouse.state, head)
    files.remove(*names)
    for number, key in enumerate(list(warehouse.target.rows)[:2], 1):
        change(tap, key)
        warehouse.target.state = state if number == 1 else warehouse.state
        assert warehouse.rows_billed() == 1
        assert warehouse.state["bookmarks"]["career_sites"]["offset"] == head + number
    assert files.page_numbers == [head, head + 1, head + 2]
    assert tap.succeed(state=state).loaded == 2
    assert tap.sandbox.rows_billed == 122


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


def test_how_many_rows_a_sync_had_is_read_from_headers(tap: Tap, folder: Path) -> None:
    """But for the page at the head."""
    tap.succeed(batch_size=10)
    store = CountingFolder(folder)
    assert log_of(archive_of(tap, store)).known_rows({}, "") == 120
    assert {number for number, size in store.reads if size} == {*range(1, 13)}
    assert [number for number, size in store.reads if not size] == [12]


def test_a_header_that_does_not_fit_is_read_with_its_page(tap: Tap, folder: Path) -> None:
    some = next(row["industries"] for row in tap.sandbox.world.rows().values() if row["industries"])
    long: Any = {"industries": [*some, *(f"Industry {number}" for number in range(2_000))]}
    tap.succeed(**long)
    store = CountingFolder(folder)
    header = archive_of(tap, store).header(1)
    assert header
    assert header.sync
    assert len(header.sync.reads["industries"]) > 2_000
    assert store.reads == [(1, 16_384), (1, None)]


def test_a_header_that_is_cut_off_is_no_header(tap: Tap, files: Files) -> None:
    tap.succeed()
    content = files.store.read(files.pages[0])
    for size in (0, 1, 300):
        files.store.replace(files.pages[0], content[:size])
        archive = archive_of(tap, files.store)
        assert archive.header(1) is None
        with pytest.raises(DamagedError, match="is damaged"):
            read_header(files.store, archive.key.name, 1)
