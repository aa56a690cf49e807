"""Histories in which a rule of the log was wrong once, or would be without it.

Each runs the pure functions in a simulated world, whose oracle checks more than what a test
asserts: see `log_rules.world`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from tap_jobo.model import ALL, Filters
from tap_jobo.sync import plan as planned
from tap_jobo.sync import reads
from tap_jobo.sync.inspection import log_of
from tap_jobo.sync.plan import best
from tests.sync.log_rules.parts import (
    COUNTRIES,
    OLD_RULES,
    Folder,
    Pipe,
    at,
    having,
    minute,
    minutes,
    short_spans,
    wants_nothing,
)
from tests.sync.log_rules.run import Outcome
from tests.sync.log_rules.world import World, state_of

OF_AT = having("AT")
OF_AT_BE = having("AT", "BE")
OF_ALL = having(*COUNTRIES)


@pytest.fixture(autouse=True)
def _short_spans() -> Iterator[None]:
    with short_spans():
        yield


@pytest.fixture
def forgetful() -> Iterator[None]:
    """Let a position forget all reads but one, and what it never forgets."""
    with patch.object(reads, "MOST", 1):
        yield


def begin(*names: str, rows: int = 9, **kwargs: Any) -> World:
    """Return a world in which some rows exist, of each country in turn."""
    world = World(*(names or ("prod",)), **kwargs)
    put(world, *range(rows))
    return world


def put(world: World, *ids: int, country: str = "") -> None:
    """Add rows, or change them: by default, each has a country that depends on its id."""
    for id_ in ids:
        world.api.put(id_, country or COUNTRIES[id_ % 3], "xy"[id_ % 2] if not country else "x")


def change(world: World, *names: str, **settings: Any) -> None:
    """Change the settings of pipelines, of all if none is named."""
    for name in names or world.pipes:
        pipe = world.pipes[name]
        pipe.wanted = replace(pipe.wanted, **settings)


def expect(
    world: World, name: str, outcome: Outcome = "done", billed: int | None = None, **happens: Any
) -> None:
    """Let a pipeline run, and check how that ends, and how many rows are billed."""
    ended = world.run(name, **happens)
    world.require(ended == outcome, f"{name} is {ended}, not {outcome}")
    is_right = billed is None or world.billed == billed
    world.require(is_right, f"{name} is billed {world.billed} rows, not {billed}")


def expect_question(world: World, name: str, code: str) -> tuple[str, ...]:
    """Let a pipeline run, check that it asks and is not billed; return the ways out."""
    expect(world, name, "asked", 0)
    question = world.pipes[name].question
    assert question
    world.require(question.code == code, f"asked {question.code}, not {code}")
    return question.ways


def answer(world: World, name: str, way: Any, billed: int | None = None) -> None:
    """Answer the question of a pipeline, and check how many rows are billed."""
    world.require(world.answer(name, way) == "done", f"{way} is no way out")
    is_right = billed is None or world.billed == billed
    world.require(is_right, f"{name} is billed {world.billed} rows, not {billed}")


def ask_and(world: World, name: str, way: Any, filters: Filters, billed: int | None = None) -> None:
    """Let a pipeline want other filters, and answer what it is asked."""
    change(world, name, filters=filters)
    expect(world, name, "asked", 0)
    answer(world, name, way, billed)


def touch(world: World) -> Folder:
    """Return the folder, which from now on need not have what it had."""
    world.is_calm = False
    return world.folders["main"]


def gap(world: World, name: str) -> int | None:
    """Return the minute since when a pipeline knows that rows are missing."""
    has = world.pipes[name].best
    assert has
    return None if has.gap is None else minute(has.gap)


def reject_sync(world: World, name: str) -> str:
    """Let the API reject the cursors of the sync in progress of a pipeline."""
    id_ = world.pipes[name].going.sync.id
    world.api.stuck = {id_}
    return id_


# Filters


def test_who_narrows_and_widens_again_buys_what_changed() -> None:
    world = begin()
    expect(world, "prod")
    change(world, filters=OF_AT)
    put(world, 0)
    expect(world, "prod", billed=1)
    change(world, filters={})
    put(world, 1)
    expect(world, "prod", billed=2)


def test_only_added_values_are_bought() -> None:
    world = begin()
    change(world, filters=OF_AT)
    expect(world, "prod")
    ask_and(world, "prod", "resync", OF_AT_BE, billed=3)


def test_only_added_values_are_bought_beside_a_narrower_filter() -> None:
    world = begin()
    change(world, filters=OF_AT)
    expect(world, "prod")
    ask_and(world, "prod", "resync", having("AT", "BE", kind="x"), billed=1)


def test_an_earlier_start_date_and_another_value_are_a_full_sync() -> None:
    world = begin()
    change(world, filters=OF_AT, start=at(5))
    expect(world, "prod")
    change(world, start=ALL)
    ask_and(world, "prod", "resync", OF_AT_BE, billed=6)
    world.check_all("prod")


def test_a_sync_of_added_values_leaves_the_others_where_they_were() -> None:
    world = begin()
    change(world, filters=OF_AT)
    expect(world, "prod")
    put(world, 0)
    ask_and(world, "prod", "resync", OF_AT_BE)
    world.check_all("prod")


def test_a_sync_of_added_values_is_for_who_has_the_rest() -> None:
    world = begin("prod", "dev", rows=18)
    change(world, "dev", filters=OF_AT)
    dev = world.pipes["dev"]
    dev.folder = "other"
    expect(world, "dev")
    world.is_calm = False
    change(world, "prod", filters=OF_AT_BE)
    expect(world, "prod")
    world.api.tick()
    dev.folder = "main"
    ask_and(world, "prod", "resync", OF_ALL)
    world.api.tick()
    before = at(minute(world.folders["main"].entries[-1].header.time) - 4)
    dev.state = state_of(dev, time=before, entry=None)
    change(world, "dev", filters=OF_ALL, choice="resync")
    expect(world, "dev")
    world.check_all("dev")


def test_a_newer_version_has_another_filter() -> None:
    world = begin("prod", "dev")
    change(world, "prod", filters=having("AT", "BE", kind="x"))
    change(world, "dev", rules=OLD_RULES, filters=OF_AT)
    expect(world, "prod")
    expect_question(world, "dev", "filters-changed")
    answer(world, "dev", "resync")
    world.check_all("dev")


def test_who_wants_what_another_pipeline_has_bought_gets_it_free() -> None:
    world = begin("prod", "dev")
    expect(world, "prod")
    change(world, "dev", filters=OF_AT)
    expect(world, "dev", billed=0)
    state = world.pipes["dev"].state
    assert state
    one, two = begin("prod", "dev"), having("BE")
    change(one, "prod", filters=OF_AT)
    change(one, "dev", filters=OF_AT_BE)
    expect(one, "prod")
    ways = expect_question(one, "dev", "filters-changed")
    assert "no-state" not in ways  # nobody has them
    answer(one, "dev", "resync")
    change(one, "prod", filters=two)
    expect(one, "prod", billed=0)


# Gaps


def test_keep_is_told_to_those_whom_it_concerns() -> None:
    world = begin("prod", "dev", "lab")
    change(world, "prod", "dev", filters=OF_AT)
    expect(world, "prod")
    expect(world, "dev")
    change(world, "dev", filters=OF_AT_BE)
    expect_question(world, "dev", "filters-changed")
    put(world, 0)
    answer(world, "dev", "keep", billed=1)
    assert gap(world, "dev") == 0
    put(world, 3)
    expect(world, "dev")
    expect(world, "prod", billed=0)
    assert gap(world, "prod") is None
    change(world, "lab", filters=having("BE"))
    expect(world, "lab")
    assert gap(world, "lab") == 0


def test_a_gap_is_closed_by_restart_since() -> None:
    world = begin()
    change(world, filters=OF_AT)
    expect(world, "prod")
    ask_and(world, "prod", "keep", OF_AT_BE)
    world.restart("main", ALL, OF_AT_BE)
    expect(world, "prod", billed=6)
    assert gap(world, "prod") is None


def test_a_gap_outlives_a_sync_of_added_values() -> None:
    world = begin()
    change(world, filters=OF_AT)
    expect(world, "prod")
    ask_and(world, "prod", "keep", OF_AT_BE)
    ask_and(world, "prod", "resync", OF_ALL)
    assert gap(world, "prod") == 0


def buy_three_pages_and_drop_the_second(world: World) -> None:
    expect(world, "prod")
    put(world, 1)
    expect(world, "prod")
    number = world.folders["main"].head
    put(world, 2)
    expect(world, "prod")
    world.damage("main", number)
    world.drop("main", number)


def test_a_page_dropped_in_the_middle_is_a_gap() -> None:
    world = begin()
    buy_three_pages_and_drop_the_second(world)
    expect(world, "prod")
    world.pipes["prod"].state, world.pipes["prod"].warehouse = None, {}
    expect(world, "prod", billed=0)
    since = gap(world, "prod")
    assert since
    world.restart("main", at(since))
    expect(world, "prod")
    assert gap(world, "prod") is None


def test_a_drop_behind_the_head_is_noted_and_mended() -> None:
    world = begin("prod", "dev")
    buy_three_pages_and_drop_the_second(world)
    folder, wanted = world.folders["main"], world.pipes["prod"].wanted
    has = best(folder.position, wanted)
    assert has
    assert has.gap
    world.restart("main", has.gap)
    expect(world, "prod")
    for row in ("mended", "and stays so"):
        has = best(folder.position, wanted)
        assert has
        assert has.gap is None, row
        expect(world, "dev")
        assert gap(world, "dev") is None
        put(world, 3)
        expect(world, "prod")


@pytest.mark.usefixtures("forgetful")
def test_a_gap_is_closed_although_reads_are_forgotten() -> None:
    world = begin()
    buy_three_pages_and_drop_the_second(world)
    world.pipes["prod"].state = None
    expect(world, "prod")
    since = gap(world, "prod")
    assert since
    world.restart("main", at(since))
    expect(world, "prod")
    assert gap(world, "prod") is None


def test_a_page_of_a_sync_in_progress_is_dropped() -> None:
    world = begin("prod", "dev")
    expect(world, "prod", "limit", pages=3)
    folder = touch(world)
    world.drop("main", 2)
    expect(world, "prod")
    has = best(folder.position, world.pipes["prod"].wanted)
    assert has
    assert has.gap == ALL


def test_a_page_dropped_at_the_head_is_bought_again() -> None:
    world = begin()
    expect(world, "prod")
    put(world, 1)
    expect(world, "prod", "died", die_at=4)
    world.damage("main", touch(world).head)
    expect_question(world, "prod", "archive-damaged")
    answer(world, "prod", "drop", billed=1)


@pytest.mark.parametrize(("first", "then"), [(5, 4), (4, 5)])
def test_two_pages_dropped_at_the_head(first: int, then: int) -> None:
    """The last one first, both are bought again; the other one first, it is a gap."""
    world = begin()
    expect(world, "prod")
    touch(world)
    for number in (first, then):
        world.damage("main", number)
        world.drop("main", number)
    world.pipes["prod"].state, world.pipes["prod"].warehouse = None, {}
    is_bought = first == 5
    expect(world, "prod", billed=3 if is_bought else 1)
    assert gap(world, "prod") == (None if is_bought else 0)


# Headers that can't be read


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
def test_a_lost_page_is_known_by_those_around_it(number: int) -> None:
    """Pages 1 to 5 are those of a full sync, page 6 is all of a sync of changes."""
    world = begin("prod", "lab")
    expect(world, "prod")
    put(world, 1)
    expect(world, "prod")
    put(world, 2)
    expect(world, "prod")
    folder = touch(world)
    page = log_of(folder.archive).page(number)
    world.damage("main", number, is_headless=True)
    is_known = number != 6  # nothing was in progress before it or after it
    assert (log_of(folder.archive).page(number) == page) == is_known
    expect_question(world, "lab", "archive-damaged")
    answer(world, "lab", "drop")
    assert gap(world, "lab") == 0
    expect(world, "prod", billed=0)
    assert gap(world, "prod") is None
    world.restart("main")
    expect(world, "prod", billed=9)
    expect(world, "lab", billed=0)
    assert gap(world, "lab") is None
    world.check_all("lab")


def test_two_lost_pages_in_a_row_are_a_gap_of_everything() -> None:
    world = begin("prod", "lab")
    expect(world, "prod")
    put(world, 1)
    expect(world, "prod")
    touch(world)
    for number in (2, 3):
        world.damage("main", number, is_headless=True)
    for number in (2, 3):
        world.drop("main", number)
    has = best(world.folders["main"].position, world.pipes["lab"].wanted)
    assert has
    assert has.gap == ALL
    expect(world, "lab")
    assert gap(world, "lab") == 0


def test_a_state_behind_a_lost_page_keeps_its_place() -> None:
    world = begin("prod", "dev")
    expect(world, "prod")
    expect(world, "dev")
    put(world, 1)
    expect(world, "prod")
    touch(world)
    world.damage("main", 5, is_headless=True)  # the next header names it
    expect(world, "dev", billed=0)
    world.damage("main", 2, is_headless=True)
    expect(world, "dev", billed=0)


def test_an_archive_that_is_behind_stops_at_a_lost_page_rather_than_skip_it() -> None:
    world = begin("prod", "dev")
    expect(world, "prod")
    expect(world, "dev")
    dev, folder = world.pipes["dev"], touch(world)
    dev.state = state_of(dev, entry="of another archive")
    put(world, 1)
    expect(world, "prod")
    head = folder.head
    world.damage("main", head, is_headless=True)
    expect_question(world, "dev", "archive-damaged")
    assert dev.damaged == head
    answer(world, "dev", "drop", billed=1)
    world.check_all("dev")


# Archives that are lost, restored, or other ones


def test_a_restored_backup() -> None:
    world = begin("prod", "dev")
    expect(world, "prod")
    expect(world, "dev")
    copy = world.folders["main"].copy()
    put(world, 1)
    expect(world, "prod")
    touch(world)
    expect(world, "dev")
    world.folders["main"] = copy
    put(world, 2)
    expect(world, "prod", billed=2)  # what the archive lacks is bought again
    expect(world, "dev", billed=0)
    world.pipes["dev"].state = None
    expect(world, "dev", billed=0)


def test_a_lost_archive() -> None:
    world = begin("prod", "dev")
    expect(world, "prod")
    expect(world, "dev")
    world.is_calm = False
    del world.folders["main"]
    put(world, 1)
    expect(world, "prod", billed=1)
    expect(world, "dev", billed=0)
    world.pipes["lab"] = Pipe("lab", wants_nothing())
    assert expect_question(world, "lab", "archive-lacks-rows") == ("state", "backup", "resync")
    answer(world, "lab", "resync", billed=9)


def test_an_archive_lost_in_the_first_full_sync() -> None:
    world = begin("prod", "dev")
    expect(world, "prod", "limit", pages=2)
    world.is_calm = False
    del world.folders["main"]
    expect(world, "prod", billed=5)
    expect_question(world, "dev", "archive-lacks-rows")


def test_an_old_backup_buys_nothing_old_unasked() -> None:
    world = begin()
    expect(world, "prod")
    copy = world.folders["main"].copy()
    world.api.now += 100
    put(world, 1)
    expect(world, "prod")
    touch(world)
    folder = world.folders["main"] = copy
    put(world, 2)
    expect(world, "prod", billed=1)
    world.restart("main", folder.entries[0].sync.started)
    expect(world, "prod", billed=2)
    world.pipes["prod"].state = None
    expect(world, "prod", billed=0)


def test_a_backup_of_a_full_sync_in_progress() -> None:
    world = begin()
    expect(world, "prod", "limit", pages=2)
    copy = world.folders["main"].copy()
    expect(world, "prod", "limit", pages=1)
    touch(world)
    world.folders["main"] = copy
    expect(world, "prod", billed=3)
    assert world.total == 9
    world.check_all("prod")
    world.pipes["lab"] = Pipe("lab", wants_nothing())
    expect(world, "lab")
    assert gap(world, "lab") == 0


def test_a_page_that_is_there_already_counts_once() -> None:
    world = begin("prod", "dev")
    world.set_batch_size(1)
    expect(world, "prod", "limit", pages=2)
    expect(world, "dev", "limit", pages=0)
    copy = world.folders["main"].copy()
    expect(world, "prod", "limit", pages=4)
    touch(world)
    world.folders["main"] = copy
    expect(world, "prod", "limit", pages=1)
    expect(world, "dev", "limit", pages=1)
    assert world.total == 8
    expect(world, "prod")
    expect(world, "dev")
    assert world.total == 9


def test_pages_that_others_bought_meanwhile_count_once() -> None:
    world = begin("prod", "dev")
    world.set_batch_size(1)
    expect(world, "prod", "limit", pages=2)
    expect(world, "dev", "limit", pages=0)
    copy = world.folders["main"].copy()
    expect(world, "prod", "limit", pages=4)
    touch(world)
    world.folders["main"] = copy
    expect(world, "dev", "limit", pages=1)
    expect(world, "prod", billed=3)
    world.check_all("prod")


def test_two_archives() -> None:
    world = begin("prod", "dev")
    expect(world, "prod")
    world.is_calm = False
    dev = world.pipes["dev"]
    dev.folder = "other"
    expect(world, "dev")
    put(world, 1)
    expect(world, "prod")
    dev.folder = "main"
    expect(world, "dev", billed=0)
    world.check_all("dev")


def test_a_load_that_dies_and_then_a_backup() -> None:
    for die_at in range(1, 30):
        world = begin("prod", "lab")
        expect(world, "prod")
        copy = world.folders["main"].copy()
        for id_ in (0, 1, 8):
            world.api.change_silently(id_)
        world.restart("main")
        expect(world, "prod")
        world.run("lab", die_at=die_at, batch=1)
        touch(world)
        world.folders["main"] = copy
        expect(world, "lab")
        world.check_all("lab")


def test_a_refresh_that_dies_and_then_a_lost_archive() -> None:
    for die_at in range(1, 30):
        world = begin()
        expect(world, "prod")
        copy = world.folders["main"].copy()
        put(world, 0)
        expect(world, "prod")
        touch(world)
        world.folders["main"] = copy
        world.run("prod", full_refresh=True, die_at=die_at, batch=1)
        del world.folders["main"]
        expect(world, "prod")
        world.check_all("prod")


# Orders


def test_an_order_of_an_older_backup_is_not_carried_out_twice() -> None:
    world = begin()
    expect(world, "prod")
    world.restart("main")
    copy = world.folders["main"].copy()
    expect(world, "prod", billed=9)
    touch(world)
    world.folders["main"] = copy
    expect(world, "prod", billed=0)


def test_an_order_in_progress_in_a_backup_is_not_carried_out_twice() -> None:
    world = begin()
    expect(world, "prod")
    world.restart("main")
    expect(world, "prod", "limit", pages=2)
    copy = world.folders["main"].copy()
    expect(world, "prod")
    touch(world)
    world.folders["main"] = copy
    expect(world, "prod", billed=0)


def test_two_orders_and_a_backup() -> None:
    world = begin()
    expect(world, "prod")
    world.restart("main")
    copy = world.folders["main"].copy()
    expect(world, "prod")
    world.restart("main", at(3))
    expect(world, "prod")
    touch(world)
    world.folders["main"] = copy
    expect(world, "prod", billed=0)


def test_a_silent_change_survives_a_backup() -> None:
    world = begin()
    expect(world, "prod")
    copy = world.folders["main"].copy()
    world.api.change_silently(4)
    world.restart("main")
    expect(world, "prod")
    assert world.pipes["prod"].warehouse[4].version == 2
    touch(world)
    world.folders["main"] = copy
    expect(world, "prod")
    assert world.pipes["prod"].warehouse[4].version == 2


def test_an_order_outlives_a_sync_of_added_values() -> None:
    world = begin()
    change(world, filters=OF_AT)
    expect(world, "prod")
    world.restart("main", ALL, OF_AT)
    ask_and(world, "prod", "resync", OF_AT_BE, billed=3)
    change(world, filters=OF_AT)
    expect(world, "prod", billed=3)


def test_an_order_of_narrower_filters_is_no_answer() -> None:
    world = begin("prod", "dev")
    change(world, "dev", filters=OF_AT)
    expect(world, "dev")
    world.restart("main", filters=OF_AT)
    expect_question(world, "prod", "filters-changed")


def test_an_order_begins_a_full_sync_over() -> None:
    world = begin()
    expect(world, "prod", "limit", pages=2)
    world.restart("main")
    expect(world, "prod", billed=9)
    assert world.total == 13
    expect(world, "prod", billed=0)


def test_a_narrower_pipeline_leaves_the_order() -> None:
    world = begin("prod", "dev")
    expect(world, "prod")
    change(world, "dev", filters=OF_AT)
    world.restart("main")
    expect(world, "dev", billed=0)
    expect(world, "prod", billed=9)


def test_a_pipeline_of_another_start_date_leaves_the_order() -> None:
    world = begin("prod", "dev", "lab")
    expect(world, "prod")
    expect(world, "dev")
    change(world, "dev", filters=OF_AT)
    change(world, "lab", start=at(5))
    world.restart("main")
    expect(world, "dev", billed=0)
    expect(world, "lab", billed=0)
    expect(world, "prod", billed=9)
    expect(world, "lab", billed=0)
    world.restart("main", start=at(5))
    expect(world, "prod", billed=0)
    expect(world, "lab", billed=5)


def test_an_order_in_progress_outlives_changes_of_wider_filters() -> None:
    for is_begun_over in (False, True):
        world = begin("prod", "dev")
        change(world, "prod", filters=OF_AT)
        expect(world, "dev")
        expect(world, "prod")
        for id_ in (3, 6):
            world.api.change_silently(id_)
        world.restart("main", filters=OF_AT)
        world.set_batch_size(1)
        expect(world, "prod", "limit", pages=1)
        if is_begun_over:
            world.api.rejects = 1
            expect(world, "prod", "limit", pages=1)
        put(world, 1)
        for name in ("dev", "prod", "prod"):
            expect(world, name)
        assert world.pipes["prod"].warehouse[6].version == 2


def test_an_order_of_a_free_feed() -> None:
    world = begin(is_free=True)
    world.api.now += 200
    put(world, *range(9))
    expect(world, "prod")
    world.api.now += 30
    world.restart("main")
    expect(world, "prod", billed=9)
    expect(world, "prod", billed=0)


# Syncs in progress


def test_full_syncs_of_two_pipelines_both_go_on() -> None:
    world = begin("prod", "dev")
    change(world, "dev", filters=OF_AT, choice="resync")
    world.set_batch_size(1)
    for _ in range(12):
        world.run("prod", pages=1)
        world.run("dev", pages=1)
    assert world.total == 9 + 3
    world.check_all("prod")
    world.check_all("dev")


def test_changes_in_progress_end_when_wider_filters_are_read() -> None:
    world = begin("prod", "dev", rows=18)
    change(world, "prod", filters=OF_AT)
    expect(world, "dev")
    expect(world, "prod")
    put(world, 0, 3, 6, 9)
    world.set_batch_size(1)
    expect(world, "prod", "limit", pages=1)
    expect(world, "dev")
    expect(world, "prod", billed=0)


def test_a_lookback_is_bought_once_a_run() -> None:
    world = begin()
    change(world, lookback=minutes(1000))
    expect(world, "prod", billed=9)
    expect(world, "prod", billed=9)


def test_a_clock_that_was_set_back_bills_the_lookback_once_a_run() -> None:
    """No sync of such a run moves the last read."""
    world = begin()
    world.api.now += 100
    change(world, lookback=minutes(20))
    expect(world, "prod")
    put(world, 1)
    world.skew = world.most_skew = 60
    expect(world, "prod", billed=1)
    world.set_batch_size(1)
    put(world, 2)
    expect(world, "prod", "limit", billed=1, pages=1)
    expect(world, "prod", billed=1)


def test_a_limit_of_nothing_loads_in_spite_of_a_question() -> None:
    world = begin("prod", "dev")
    change(world, "prod", filters=OF_AT)
    expect(world, "prod")
    expect(world, "dev", "limit", billed=0, pages=0)
    assert len(world.pipes["dev"].warehouse) == 3
    expect_question(world, "dev", "filters-changed")


def test_a_full_disk_costs_one_page() -> None:
    world = begin()
    world.disk, world.most_lost_pages = "big", 1
    for _ in range(4):
        expect(world, "prod", "failed")
    assert world.total == 2
    world.disk = "ok"
    expect(world, "prod")
    assert world.total == 11


# Rejected cursors


def test_a_rejected_cursor_begins_over_once() -> None:
    world = begin()
    expect(world, "prod", "limit", pages=2)
    reject_sync(world, "prod")
    expect(world, "prod", billed=9)
    own = world.pipes["prod"].own
    assert (own.progress, len(own.reads)) == ((), 1)
    expect(world, "prod", billed=0)
    world.pipes["lab"] = Pipe("lab", wants_nothing())
    expect(world, "lab", billed=0)


def test_a_run_that_dies_right_after_the_new_page_1() -> None:
    for die_at in range(1, 16):
        for kills_target in (True, False):
            world = begin("prod", "dev")
            expect(world, "prod", "limit", pages=2)
            expect(world, "dev", "limit", pages=0)
            reject_sync(world, "prod")
            world.run("prod", die_at=die_at, kills_target=kills_target, batch=1)
            for name in ("dev", "prod", "dev"):
                expect(world, name)
            assert world.total in {13, 14, 15}
            world.check_all("prod")
            world.check_all("dev")
            expect(world, "dev", billed=0)
            assert not world.pipes["dev"].own.progress


def test_a_paid_sync_that_is_rejected_twice_ends_the_run() -> None:
    world = begin("prod", "dev")
    expect(world, "prod", "limit", pages=2)
    world.api.rejects = 1
    expect(world, "prod", "limit", pages=2)
    assert world.pipes["prod"].going.sync.restarts == 1
    reject_sync(world, "prod")
    for name in ("prod", "dev") * 3:
        expect(world, name, "rejected", 0)
    assert world.restart_sync("main", world.pipes["prod"])
    put(world, 3)
    expect(world, "dev", billed=9)
    expect(world, "prod", billed=0)
    world.check_all("prod")
    world.check_all("dev")


def test_a_sync_that_carries_out_an_order_is_begun_over() -> None:
    world = begin("prod", "dev")
    expect(world, "prod")
    world.api.change_silently(0)
    world.restart("main")
    expect(world, "prod", "limit", pages=1)
    world.api.rejects = 1
    expect(world, "prod", "limit", pages=2)
    world.restart_sync("main", world.pipes["prod"])
    expect(world, "prod", billed=9)
    for name in ("prod", "dev"):
        expect(world, name, billed=0)
    assert world.pipes["dev"].warehouse[0].version == 2


def test_a_sync_begun_over_without_rows_waits_for_some() -> None:
    world = begin(rows=0)
    put(world, 0, country="CH")
    change(world, filters=OF_AT)
    put(world, 0, country="AT")
    expect(world, "prod")
    put(world, *range(1, 5), country="AT")
    expect(world, "prod", "limit", pages=1)
    reject_sync(world, "prod")
    put(world, *range(5), country="BE")
    expect(world, "prod")
    assert len(world.pipes["prod"].own.progress) == 1
    put(world, 9, country="AT")
    expect(world, "prod", billed=1)
    assert not world.pipes["prod"].own.progress


def test_a_kept_sync_is_begun_over() -> None:
    world = begin()
    change(world, filters=OF_AT)
    expect(world, "prod")
    put(world, 0, 3, 6)
    change(world, filters=OF_AT_BE)
    expect(world, "prod", "asked")
    change(world, choice="keep")
    expect(world, "prod", "limit", pages=1)
    change(world, choice="error")
    reject_sync(world, "prod")
    expect(world, "prod", billed=3)
    assert gap(world, "prod") == 0


def test_a_sync_of_added_values_is_begun_over() -> None:
    world = begin()
    change(world, filters=OF_AT)
    expect(world, "prod")
    change(world, filters=OF_AT_BE, choice="resync")
    expect(world, "prod", "limit", pages=1)
    change(world, choice="error")
    reject_sync(world, "prod")
    expect(world, "prod", billed=3)
    world.check_all("prod")


def test_a_stuck_sync_and_a_lost_archive() -> None:
    world = begin()
    world.api.stuck = {"all"}
    expect(world, "prod", "rejected")
    world.is_calm = False
    del world.folders["main"]
    expect(world, "prod", "rejected")
    reject_sync(world, "prod")
    prod = world.pipes["prod"]
    assert not world.restart_sync("main", prod)
    assert world.restart_sync("main", prod, prod.own)
    expect(world, "prod", billed=9)
    world.check_all("prod")


# Free feeds


def test_a_free_feed_after_a_long_pause() -> None:
    world = begin("prod", "dev", is_free=True)
    expect(world, "prod")
    world.api.now += 400
    put(world, 1)
    expect(world, "prod")
    assert len(world.pipes["prod"].own.reads) == 2
    del world.folders["main"]
    world.is_calm = False
    put(world, 2)
    expect(world, "prod")
    expect(world, "dev")


def test_a_free_feed_goes_on_within_the_hour_only() -> None:
    for wait, is_same in ((5, True), (30, False)):
        world = begin(is_free=True)
        expect(world, "prod")
        world.api.now += 200
        put(world, *range(9))
        expect(world, "prod", "limit", pages=2)
        id_ = world.pipes["prod"].going.sync.id
        world.api.now += wait
        expect(world, "prod")
        pages = [each.header.page for each in world.folders["main"].entries if each.sync.id == id_]
        assert (len(pages) > 2) == is_same
        world.check_all("prod")


def test_an_empty_sync_of_a_free_feed_counts_after_a_day() -> None:
    world = begin(is_free=True)
    expect(world, "prod")
    world.api.now += 5
    expect(world, "prod")
    head = world.folders["main"].head
    expect(world, "prod")
    assert world.folders["main"].head == head
    world.api.now += round(planned.DAY / minutes(1))
    expect(world, "prod")
    assert world.folders["main"].head == head + 1


def test_cursors_of_a_free_feed_are_rejected_for_ever() -> None:
    world = begin(is_free=True)
    world.api.stuck = {"all"}
    for _ in range(3):
        expect(world, "prod", "rejected")
    world.api.stuck = set()
    expect(world, "prod")
    world.check_all("prod")


def test_a_run_of_a_free_feed_that_is_longer_than_an_hour() -> None:
    world = begin(is_free=True, batch_size=1)
    world.api.now += 200
    put(world, *range(60))
    expect(world, "prod", billed=60)


# Reads that are forgotten


@pytest.mark.usefixtures("forgetful")
def test_no_pipeline_of_other_filters_makes_another_ask() -> None:
    world = begin("prod", "dev", "lab")
    for name, country in zip(world.pipes, COUNTRIES, strict=True):
        change(world, name, filters=having(country), choice="resync")
        expect(world, name)
    change(world, choice="error")
    for _ in range(3):
        for name in world.pipes:
            put(world, 1, country="AT")
            put(world, 2, country="BE")
            put(world, 3, country="CH")
            expect(world, name)


@pytest.mark.usefixtures("forgetful")
def test_no_pipeline_of_a_later_start_date_makes_another_ask() -> None:
    world = begin("lab", "prod", "dev")
    world.has_moved_starts = True
    change(world, "lab", "prod", filters=OF_AT)
    expect(world, "lab")
    world.api.now = 100
    change(world, "prod", start=at(60), choice="resync")
    put(world, *range(5), country="AT")
    expect(world, "prod", billed=5)
    change(world, "dev", filters=having("BE"), choice="resync")
    expect(world, "dev")
    change(world, "prod", choice="error")
    expect(world, "prod", billed=0)


@pytest.mark.usefixtures("forgetful")
def test_no_pipeline_with_a_slow_clock_makes_another_ask() -> None:
    world = begin("lab", "dev")
    world.has_moved_starts = True
    change(world, "lab", start=at(9))
    expect(world, "lab")
    world.skew = world.most_skew = 8
    change(world, "dev", choice="resync")
    expect(world, "dev", "limit", pages=1)
    world.skew = 0
    put(world, 1, country="AT")
    expect(world, "lab")
    change(world, "dev", choice="error")
    expect(world, "dev")


# Rows that are erased


def test_an_erased_row_is_skipped_and_still_counts() -> None:
    world = begin("prod", "lab")
    world.set_batch_size(3)
    expect(world, "prod", "limit", pages=2)
    world.erase("main", 1, in_warehouses=True)
    expect(world, "lab", "limit", pages=0)
    assert 1 not in world.pipes["lab"].warehouse
    assert world.pipes["lab"].going.rows == world.pipes["prod"].going.rows == 6
    expect(world, "prod")
    expect(world, "lab", billed=0)
    put(world, 1)  # Jobo sends it again
    expect(world, "prod", billed=1)
    assert world.pipes["prod"].warehouse[1].version == 2


def test_an_erased_row_leaves_no_row_outstanding() -> None:
    """Its newest version is no reason to skip an older one, which was erased, too."""
    world = begin("prod", "lab")
    expect(world, "prod")
    put(world, 0, 1)
    expect(world, "prod")
    world.erase("main", 0, in_warehouses=True)
    for die_at in range(1, 20):
        world.pipes["lab"].state, world.pipes["lab"].warehouse = None, {}
        world.run("lab", die_at=die_at, batch=1)
        expect(world, "lab", billed=0)
        assert sorted(world.pipes["lab"].warehouse) == [*range(1, 9)]
