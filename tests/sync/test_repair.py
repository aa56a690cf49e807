"""What is known of a page that was dropped, and what a load says of its rows."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tap_jobo.model import NOTHING, EntryHeader
from tap_jobo.sync.load import DroppedPages
from tap_jobo.sync.repair import dropped
from tests.sync.rules.parts import Folder, at
from tests.sync.rules.world import World

FULL, CHANGES = 2, 8
"""Pages in the middle of their sync. Pages 5 and 10 end one, page 11 is the head."""


@pytest.fixture
def world() -> World:
    """A world with an archive of a full sync and two syncs of changes, of which one goes on."""
    world = World()
    for number in range(9):
        world.api.put(number, "AT")
    world.run("prod")
    for pages in (None, 1):
        for number in range(9):
            world.api.put(number, "AT")
        world.run("prod", pages=pages)
    return world


@pytest.fixture
def folder(world: World) -> Folder:
    folder = world.folders["main"]
    ends = [number for number, page in folder.pages.items() if page.next_cursor is None]
    assert (ends, folder.head) == ([5, 10], 11)
    return folder


def drop(folder: Folder, number: int, **known: Any) -> EntryHeader | None:
    """Drop a page of which only its neighbors can be read, and what is given."""
    before = folder.pages.get(number - 1)
    neighbors = {"before": before.read if before else None, "after": folder.header(number + 1)}
    return dropped(number, folder.file, **{"own": None, **neighbors, **known})


def test_a_page_whose_header_can_be_read_keeps_it(folder: Folder) -> None:
    own = folder.pages[CHANGES].header
    assert drop(folder, CHANGES, own=own, before=None) == replace(own, is_dropped=True)
    assert drop(folder, 11, own=folder.header(11)) == replace(
        folder.pages[11].header, is_dropped=True
    )


@pytest.mark.parametrize("number", [1, FULL, CHANGES])
@pytest.mark.parametrize("is_of_another_archive", [False, True])
def test_the_pages_around_it_tell_the_rest(
    folder: Folder, number: int, *, is_of_another_archive: bool
) -> None:
    old = folder.pages[number].header
    other = replace(old, id="another", previous="another", before=folder.pages[5].position)
    new = drop(folder, number, own=other if is_of_another_archive else None)
    assert new
    names = ("id", "previous", "before", "base", "sync", "total")
    assert {name: getattr(new, name) for name in names} == {
        name: getattr(old, name) for name in names
    }
    assert (new.is_dropped, new.credits, new.receipt) == (True, 0, None)


def test_the_sync_is_not_known_of_a_page_that_ended_it(folder: Folder) -> None:
    new = drop(folder, 10)
    assert new
    assert (new.sync, new.total) == (None, folder.pages[10].header.total)


def test_at_the_head_it_gets_a_new_id(folder: Folder) -> None:
    new = drop(folder, 11)
    old = folder.pages[11].header
    assert new
    assert new.id not in {page.header.id for page in folder.pages.values()}
    assert (new.previous, new.before) == (old.previous, old.before)
    assert new.total == folder.pages[10].header.total


def test_of_an_only_page_without_a_header_nothing_is_known() -> None:
    world = World()
    world.api.put(0, "AT")
    world.run("prod")
    new = drop(world.folders["main"], 1)
    assert new
    assert (new.previous, new.before, new.base, new.sync, new.total) == (
        None,
        NOTHING,
        None,
        None,
        0,
    )


def test_the_first_page_of_an_adopted_archive_follows_its_origin(world: World) -> None:
    del world.folders["main"]
    world.is_calm = False
    world.api.put(0, "AT")
    world.run("prod")
    folder = world.folders["main"]
    origin, first = folder.file.origin, folder.file.first
    new = drop(folder, first)
    assert origin
    assert new
    assert (new.previous, new.before, new.base) == (origin.entry, origin.position, None)


def test_the_page_before_it_has_to_be_read_or_dropped_first(folder: Folder) -> None:
    assert drop(folder, CHANGES, before=None) is None
    assert drop(folder, 1, before=None)


def pass_dropped(folder: Folder, *numbers: int, last: int = 11) -> DroppedPages:
    """Return what a load up to an entry says of pages that were dropped."""
    pages = DroppedPages()
    for number in range(1, last + 1):
        page = folder.pages[number]
        header = replace(page.header, is_dropped=number in numbers)
        pages.note(number, header, ends_sync=page.position.progress is None)
    return pages


@pytest.mark.parametrize(
    ("numbers", "missing", "are_changes"),
    [
        ([], [], False),
        ([FULL], [FULL], False),  # no sync of changes reads its rows again
        ([5], [5], False),
        ([CHANGES], [CHANGES], True),
        ([FULL, CHANGES], [FULL, CHANGES], False),
        ([7, CHANGES], [7, CHANGES], True),
        ([11], [], False),  # at the head: it is bought again
        ([10, 11], [10], True),
    ],
)
def test_rows_are_missing_until_a_sync_reads_them_again(
    folder: Folder, numbers: list[int], missing: list[int], *, are_changes: bool
) -> None:
    pages = pass_dropped(folder, *numbers)
    since = folder.pages[5].position.bookmark if are_changes else None
    assert (pages.numbers, pages.since) == (missing, since)


def test_a_later_full_sync_reads_all_rows_again(world: World, folder: Folder) -> None:
    world.run("prod")
    world.restart("main")
    world.run("prod", pages=1)
    assert pass_dropped(folder, FULL, CHANGES, last=folder.head).numbers == [FULL, CHANGES]
    world.run("prod")
    assert pass_dropped(folder, FULL, CHANGES, last=folder.head).numbers == []


def test_a_later_sync_of_changes_reads_only_what_changed_since(
    world: World, folder: Folder
) -> None:
    world.run("prod")
    assert pass_dropped(folder, FULL, CHANGES, last=folder.head).numbers == [FULL, CHANGES]
    world.restart("main", at(3))
    world.run("prod")
    assert pass_dropped(folder, FULL, CHANGES, last=folder.head).numbers == [FULL]


def test_a_sync_that_begins_over_reads_its_rows_again(world: World, folder: Folder) -> None:
    world.api.rejects = 1
    world.run("prod")
    assert folder.pages[folder.head].position.progress is None
    assert pass_dropped(folder, 11, last=folder.head).numbers == []
