"""Histories in which a rule of the archive's design was wrong once, or would be without it.

Each runs the tap's pure functions in a simulated world, whose oracle checks more than what a test
asserts: see `rules.world`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tap_jobo.model import NOTHING
from tap_jobo.sync.start import Way
from tap_jobo.sync.state import State
from tests.sync.rules.parts import COUNTRIES, Folder, at, countries
from tests.sync.rules.run import Outcome
from tests.sync.rules.world import World

OF_AT = countries("AT")
OF_AT_BE = countries("AT", "BE")
OF_BE_CH = countries("BE", "CH")


def begin(*names: str, rows: int = 5, is_free: bool = False, **settings: Any) -> World:
    """Return a world in which some rows exist, of each country in turn."""
    world = World(*names, is_free=is_free)
    for number in range(rows):
        world.api.put(number, COUNTRIES[number % len(COUNTRIES)])
    if settings:
        change(world, **settings)
    return world


def begin_loaded(*names: str, rows: int = 5) -> World:
    """Return a world whose pipelines have everything, and in which folders may be touched."""
    world = begin(*names, rows=rows)
    for name in [*world.pipes] * 2:
        world.run(name)
    world.is_calm = False
    return world


def put(world: World, *ids: int, country: str = "AT") -> None:
    for id_ in ids:
        world.api.put(id_, country)


def change(world: World, name: str | None = None, **settings: Any) -> None:
    """Change the settings of a pipeline, or of all."""
    world.has_same_settings = False
    for pipe in world.pipes.values():
        if name in {None, pipe.name}:
            pipe.settings = replace(pipe.settings, **settings)


def expect(
    world: World,
    name: str,
    outcome: Outcome = "done",
    billed: int | range | None = None,
    **conditions: Any,
) -> None:
    """Let a pipeline run, and check how that ends, and how many rows are billed."""
    ended = world.run(name, **conditions)
    world.require(ended == outcome, f"{name} is {ended}, not {outcome}")
    expected = range(billed, billed + 1) if isinstance(billed, int) else billed
    if expected is not None:
        world.require(world.billed in expected, f"{name} is billed {world.billed} rows")


def expect_question(world: World, name: str, code: str, **conditions: Any) -> tuple[Way, ...]:
    """Let a pipeline run, check that it asks a question and is not billed; return the ways out."""
    expect(world, name, "asked", 0, **conditions)
    question = world.pipes[name].question
    assert question
    world.require(question.code == code, f"{name} asks {question.code}")
    return question.ways


def expect_all(world: World, name: str) -> None:
    """Check that a warehouse has all rows that exist."""
    missing = world.api.rows.keys() - world.pipes[name].warehouse.keys()
    world.require(not missing, f"{name} lacks {missing}")


def is_off(world: World, name: str, **conditions: Any) -> None:
    """Let a pipeline run without its archive once."""
    world.pipes[name].uses_archive = False
    world.run(name, **conditions)
    world.pipes[name].uses_archive = True


def main(world: World) -> Folder:
    return world.folders["main"]


def damage(world: World, number: int, *, is_headless: bool = False) -> None:
    main(world).damaged.add(number)
    if is_headless:
        main(world).headless.add(number)


def begin_warehouse_anew(world: World, name: str) -> None:
    pipe = world.pipes[name]
    pipe.raw, pipe.warehouse, pipe.overwritten = {}, {}, {}


def clone_warehouse(world: World, name: str, of: str) -> None:
    """Give a pipeline the state and the rows of another one."""
    world.pipes[name].raw = world.pipes[of].raw
    world.pipes[name].warehouse = dict(world.pipes[of].warehouse)


def always(way: Way) -> Any:
    def choose(ways: Sequence[Way]) -> Way:
        return way if way in ways else ways[0]

    return choose


# States and archives that are lost, copied, or restored


def test_a_number_is_not_an_identity() -> None:
    world = begin("prod", "dev")
    world.run("prod")
    world.run("dev")
    backup = main(world).copy()
    put(world, 0)
    for name in ("prod", "dev", "prod"):
        world.run(name)
    world.is_calm = False
    world.folders["main"] = backup
    put(world, 1, country="BE")
    world.pipes["dev"].raw = {}
    for _ in range(4):
        world.run("dev")
    world.quiesce()


def test_a_crash_after_an_adoption() -> None:
    world = begin()
    world.run("prod")
    world.is_calm = False
    put(world, 0)
    for die_at in range(1, 9):
        del world.folders["main"]
        world.run("prod", die_at=die_at, kills_target=True, batch=99)
        expect(world, "prod")
    world.quiesce()


def test_a_state_comes_back_after_the_archive_began_anew() -> None:
    world = begin()
    world.run("prod")
    raw = world.pipes["prod"].raw
    world.is_calm = False
    del world.folders["main"]
    world.pipes["prod"].raw = {}
    world.run("prod", die_at=4, kills_target=True)
    assert not main(world).pages, "archive.json is there, but no entry"
    world.pipes["prod"].raw = raw
    expect(world, "prod", billed=0)
    world.quiesce()


@pytest.mark.parametrize("pages", [0, 1, 2])
def test_a_backup_from_before_the_first_complete_sync(pages: int) -> None:
    world = begin(rows=9)
    world.run("prod", pages=pages)
    backup = main(world).copy()
    world.run("prod")
    world.run("prod")
    world.is_calm = False
    world.folders["main"] = backup
    expect(world, "prod", billed=0)
    world.quiesce()


def test_a_full_sync_that_began_elsewhere_completes_no_archive() -> None:
    world = begin()
    world.run("prod", pages=1)
    world.is_calm = False
    del world.folders["main"]
    world.run("prod")
    assert not main(world).view.is_complete
    begin_warehouse_anew(world, "prod")
    expect_question(world, "prod", "archive-incomplete")
    world.answer("prod", "restart")
    expect_all(world, "prod")
    world.quiesce()


def test_a_full_sync_in_progress_that_began_elsewhere_completes_no_archive() -> None:
    world = begin(rows=9)
    world.run("prod", pages=1)
    world.is_calm = False
    del world.folders["main"]
    world.run("prod", pages=1)
    world.pipes["prod"].raw = {}
    expect_question(world, "prod", "archive-incomplete")


def test_a_second_pipeline_lags_behind_an_adoption() -> None:
    world = begin("prod", "dev")
    world.run("prod")
    world.run("dev")
    put(world, 0)
    world.run("prod")
    world.is_calm = False
    del world.folders["main"]
    put(world, 2, country="BE")
    world.run("prod")
    put(world, 1, country="BE")
    world.run("prod")
    world.quiesce()


def test_a_full_refresh_dies_and_the_archive_is_off() -> None:
    world = begin()
    world.run("prod")
    put(world, 0, 1)
    world.run("prod")
    world.run("prod", full_refresh=True, die_at=4, batch=1)  # two rows, but no state
    world.is_calm = False
    world.pipes["prod"].uses_archive = False
    world.run("prod")
    world.quiesce()


def test_an_older_state_then_the_newer_one() -> None:
    world = begin()
    world.run("prod", pages=1)
    older = world.pipes["prod"].raw
    world.run("prod")
    put(world, 2, 3)
    world.run("prod")
    newer = world.pipes["prod"].raw
    world.pipes["prod"].raw = older
    world.run("prod", die_at=5, batch=1)
    world.pipes["prod"].raw = newer
    world.quiesce()


@pytest.mark.parametrize("die_at", range(1, 40))
def test_a_backup_then_a_full_refresh_dies_then_the_newer_state(die_at: int) -> None:
    world = begin_loaded(rows=12)
    backup = main(world).copy()
    put(world, 0, 5, 7, country="BE")
    world.run("prod")
    world.run("prod")
    newer = world.pipes["prod"].raw
    world.folders["main"] = backup
    world.run("prod", full_refresh=True, die_at=die_at, batch=1)
    world.pipes["prod"].raw = newer
    expect(world, "prod", billed=range(4))
    world.quiesce()


@pytest.mark.parametrize("is_ordered", [False, True])
@pytest.mark.parametrize("die_at", range(1, 14))
def test_the_archive_is_lost_in_the_middle_of_a_load(die_at: int, *, is_ordered: bool) -> None:
    world = begin(rows=4)
    world.run("prod")
    if is_ordered:
        world.restart("main")
    world.run("prod", pages=1)
    begin_warehouse_anew(world, "prod")
    world.run("prod", die_at=die_at, batch=1)
    world.is_calm = False
    del world.folders["main"]
    world.quiesce()


def test_an_image_with_a_copy_of_the_archive() -> None:
    world = begin(rows=30)
    world.run("prod")
    image = main(world).copy()
    world.is_calm = False
    for night in range(5):
        world.folders["main"] = image.copy()
        put(world, night)
        expect(world, "prod", billed=night + 1)  # what changed since the copy, each night
        expect_all(world, "prod")
    assert any("is ahead of the archive" in line for line in world.log)


def test_a_state_of_another_archive_after_restart() -> None:
    world = begin("prod", "dev", rows=30)
    world.run("prod")
    world.is_calm = False
    world.pipes["dev"].folder = "own"
    world.run("dev")
    world.restart("main")
    world.pipes["dev"].folder = "main"
    assert expect_question(world, "dev", "other-archive") == ("own-dir", "no-state")


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_state_of_another_key_is_never_adopted(*, is_empty: bool) -> None:
    world = begin(rows=9)
    if not is_empty:
        world.run("prod")
    world.is_calm = False
    other = State("1" * 16 + "-1", 5, "1", NOTHING)
    world.pipes["prod"].raw = other.as_raw(world.api.spec)
    assert expect_question(world, "prod", "other-archive") == ("no-state",)
    served = world.api.served
    assert world.answer("prod", "no-state") == "done"
    assert world.api.served - served == (9 if is_empty else 0)
    expect_all(world, "prod")
    world.quiesce()


# The archive is off, or cannot be written


def test_off_for_a_night_while_another_pipeline_buys() -> None:
    world = begin_loaded("prod", "dev")
    put(world, 0)
    is_off(world, "prod")
    put(world, 1, 2, 3, country="BE")
    world.run("dev")
    for name in ("prod", "dev", "prod"):
        expect(world, name, billed=0)
    world.quiesce()


def test_off_for_a_night_while_nobody_buys() -> None:
    world = begin_loaded("prod", "dev", rows=30)
    put(world, 0)
    is_off(world, "prod")
    expect(world, "prod", billed=1)
    assert main(world).view.is_complete
    expect(world, "dev", billed=0)
    begin_warehouse_anew(world, "dev")
    expect(world, "dev", billed=0)
    expect_all(world, "dev")
    world.quiesce()


def test_off_for_a_night_loads_only_what_came_since() -> None:
    world = begin_loaded("prod", "dev", rows=30)
    put(world, 0)
    is_off(world, "prod")
    put(world, 1)
    world.run("dev")
    expect(world, "prod", billed=0)
    assert world.loaded <= 2
    world.quiesce()


def test_off_for_a_night_in_an_incomplete_archive() -> None:
    world = begin_loaded("prod", "dev", rows=30)
    del world.folders["main"]
    put(world, 0)
    world.run("prod")
    clone_warehouse(world, "dev", of="prod")
    id_ = main(world).file.id
    put(world, 1)
    is_off(world, "prod")
    put(world, 2)
    world.run("dev")
    expect(world, "prod", billed=0)
    assert main(world).file.id == id_
    put(world, 3)
    is_off(world, "prod")
    expect(world, "prod", billed=1)
    expect(world, "dev", billed=0)
    assert main(world).file.id == id_
    world.quiesce()


def test_off_for_a_night_before_the_first_page_of_an_adopted_archive() -> None:
    world = begin_loaded(rows=9)
    del world.folders["main"]
    world.run("prod")  # nothing has changed
    assert not main(world).pages
    world.pipes["prod"].raw = {}
    expect_question(world, "prod", "archive-incomplete")
    id_ = main(world).file.id
    assert world.answer("prod", "state") == "done"
    put(world, 0)
    is_off(world, "prod")
    put(world, 1)
    expect(world, "prod", billed=2)
    assert main(world).file.id == id_


@pytest.mark.parametrize("die_at", [None, 5, 6, 7, 8])
def test_off_for_a_night_then_adopted_then_the_state_before(die_at: int | None) -> None:
    world = begin_loaded(rows=9)
    pipe = world.pipes["prod"]
    raw, rows = pipe.raw, dict(pipe.warehouse)
    put(world, 0)
    is_off(world, "prod")
    del world.folders["main"]
    put(world, 1)
    world.run("prod", die_at=die_at, kills_target=True)
    pipe.raw, pipe.warehouse = raw, rows
    if world.run("prod") == "asked":
        world.answer("prod", "own-dir")
    world.quiesce()


def test_a_page_of_the_first_sync_is_not_in_the_archive() -> None:
    world = begin("prod", "dev", rows=30)
    world.run("prod", pages=9)
    world.is_calm = False
    is_off(world, "prod", pages=1)
    expect(world, "prod", billed=12)  # it is bought again, and the archive is complete
    expect(world, "dev", billed=0)
    expect_all(world, "dev")


def test_pages_of_the_first_sync_are_not_in_the_archive() -> None:
    world = begin("prod", "dev", rows=30)
    world.run("prod", pages=9)
    world.is_calm = False
    is_off(world, "prod", pages=3)
    expect(world, "prod", billed=6)  # adopted: nothing is bought again
    assert main(world).file.first == 10
    expect_all(world, "prod")


@pytest.mark.parametrize("pages", [0, 1, 9])
def test_a_page_that_cannot_be_written_is_bought_again(pages: int) -> None:
    world = begin("prod", "dev", rows=30)
    world.run("prod", pages=pages)
    world.is_calm = False
    expect(world, "prod", "failed", billed=2, is_disk_full=True)
    assert len(world.pipes["prod"].warehouse) == 2 * (pages + 1)
    expect(world, "prod", billed=30 - 2 * pages)
    expect(world, "dev", billed=0)
    expect_all(world, "dev")
    world.quiesce()


def test_two_pages_that_are_not_in_the_archive_are_adopted() -> None:
    world = begin(rows=9)
    world.is_calm = False
    expect(world, "prod", "failed", billed=2, is_disk_full=True)
    is_off(world, "prod", pages=1)
    expect(world, "prod", billed=5)
    expect_all(world, "prod")


# Two pipelines, filters, and dates


def test_two_filters_in_one_archive() -> None:
    world = begin("prod", "dev", rows=3)
    change(world, "prod", filters=OF_AT_BE)
    change(world, "dev", filters=countries("CH"))
    world.run("prod")
    expect_question(world, "dev", "other-filters")
    world.quiesce()


def test_a_standing_resync_in_two_pipelines() -> None:
    world = begin("prod", "dev", rows=30, on_filter_change="resync")
    change(world, "dev", filters=OF_AT)
    expect(world, "prod", billed=30)
    expect(world, "dev", billed=range(3))
    for _ in range(4):
        world.api.now += 100
        assert expect_question(world, "prod", "other-filters") == ("own-dir", "no-state")
        expect(world, "dev", billed=0)
    world.is_calm = False
    world.answer("prod", "own-dir")
    expect(world, "prod", billed=range(2))
    expect_all(world, "prod")


def test_one_change_of_filters_for_two_pipelines_is_bought_once() -> None:
    world = begin("prod", "dev", rows=30, on_filter_change="resync")
    world.run("prod")
    world.run("dev")
    change(world, filters=OF_AT_BE)
    world.run("prod")
    change(world, filters=countries())
    expect(world, "prod", billed=range(31))
    for name in ("dev", "prod", "dev"):
        expect(world, name, billed=0)


def test_other_filters_are_answered_with_resync() -> None:
    world = begin("prod", "dev", rows=30)
    world.run("prod")
    change(world, "dev", filters=OF_AT)
    expect_question(world, "dev", "other-filters")
    world.answer("dev", "resync")
    world.api.now += 10
    assert expect_question(world, "prod", "other-filters")[0] == "own-dir"
    world.is_calm = False
    world.answer("prod", "own-dir")
    expect(world, "dev")
    world.quiesce()


def test_resync_dies_and_the_filters_go_back() -> None:
    world = begin(filters=OF_AT)
    world.run("prod")
    change(world, filters=OF_BE_CH, on_filter_change="resync")
    world.run("prod", pages=1)
    change(world, filters=OF_AT, on_filter_change="error")
    served = world.api.served
    expect_question(world, "prod", "filters-changed")
    world.answer("prod", "resync")
    assert world.api.served - served <= 1
    world.quiesce()


@pytest.mark.parametrize(
    "then", [OF_AT, countries("AT", "CH"), countries(*COUNTRIES), countries("BE")]
)
def test_a_sync_of_added_values_dies_and_the_filters_change_again(then: dict[str, Any]) -> None:
    world = begin(filters=OF_AT, rows=9)
    world.run("prod")
    change(world, filters=OF_AT_BE, on_filter_change="resync")
    world.run("prod", pages=1)
    change(world, filters=then, on_filter_change="error")
    world.quiesce(always("resync"))


def test_keep_notes_a_gap() -> None:
    world = begin(filters=OF_AT)
    world.run("prod")
    change(world, filters=OF_AT_BE)
    world.run("prod")
    world.answer("prod", "keep")
    put(world, 1, country="BE")
    world.quiesce()
    assert main(world).view.position.gap


def test_a_standing_resync_buys_no_gap() -> None:
    world = begin(filters=OF_AT, rows=9)
    world.run("prod")
    change(world, filters=OF_AT_BE)
    world.run("prod")
    world.answer("prod", "keep")
    change(world, on_filter_change="resync")
    expect(world, "prod", billed=0)
    expect(world, "prod", billed=0)
    assert main(world).view.position.gap
    world.restart("main")
    expect(world, "prod", billed=6)
    assert not main(world).view.position.gap
    world.excused = set()
    world.quiesce()


def test_a_resync_that_is_given_up_leaves_a_gap() -> None:
    world = begin_loaded("prod", "dev", rows=12)
    del world.folders["main"]
    put(world, 0)
    world.run("prod")
    change(world, filters=OF_AT_BE, on_filter_change="resync")
    world.run("prod")
    change(world, filters=countries())
    world.run("prod", pages=1)
    begin_warehouse_anew(world, "dev")
    change(world, on_filter_change="error")
    world.run("dev", pages=1)  # it begins with a full sync that nobody completes
    change(world, filters=OF_AT)
    expect_question(world, "prod", "filters-changed")
    world.answer("prod", "keep")
    assert main(world).view.position.gap or main(world).view.is_complete


def test_an_earlier_start_date_with_keep() -> None:
    world = begin(start_date=at(3))
    world.run("prod")
    change(world, start_date=None)
    expect_question(world, "prod", "filters-changed")
    world.answer("prod", "keep")
    expect(world, "prod")


def test_a_later_start_date_then_an_earlier_one() -> None:
    world = begin()
    world.run("prod")
    world.api.now += 50
    put(world, 0)
    world.api.now += 50
    change(world, start_date=at(world.api.now))
    expect(world, "prod", billed=0)  # its own archive
    change(world, start_date=None)
    world.quiesce()


def test_a_start_date_after_the_bookmark_is_another_pipelines() -> None:
    world = begin("prod", "dev", rows=30)
    world.run("prod")
    world.api.now += 50
    put(world, 0)
    world.api.now += 50
    change(world, "dev", start_date=at(world.api.now))
    expect_question(world, "dev", "other-filters")
    expect(world, "prod", billed=1)


def test_a_start_date_in_the_future_is_the_archives_own() -> None:
    world = begin("prod", "dev", start_date=at(1_000))
    world.run("prod")
    expect(world, "dev", billed=0)


# What is left to buy in a run


def test_a_lookback_longer_than_the_time_between_runs() -> None:
    world = begin(lookback=timedelta(minutes=60))
    world.run("prod")
    world.api.now += 20
    put(world, 0)
    world.api.now += 5
    world.run("prod")
    assert world.pipes["prod"].warehouse[0].version == 2


def test_a_lookback_and_three_pipelines() -> None:
    world = begin("prod", "dev", "laptop", rows=30, lookback=timedelta(minutes=60))
    world.api.now += 500
    for name in world.pipes:
        world.run(name)
    world.api.now += 500
    put(world, 0, 1, 2, 3)
    expect(world, "prod", billed=4)
    expect(world, "dev", billed=range(5))
    expect(world, "laptop", billed=range(5))


def test_a_clock_that_is_behind_for_a_night() -> None:
    world = begin(rows=30)
    world.run("prod")
    world.api.now += 10
    world.skew = 60
    world.run("prod")
    world.skew = 0
    expect(world, "prod", billed=0)


def test_a_clock_that_is_behind_moves_no_bookmark_back() -> None:
    world = begin(rows=30)
    world.run("prod")
    world.api.now += 10
    put(world, 0)
    world.skew = 60
    expect(world, "prod", billed=1)
    world.skew = 0
    expect(world, "prod", billed=1)  # since the old bookmark
    expect(world, "prod", billed=0)


def test_rows_that_jobo_deleted_stay_in_the_archive() -> None:
    world = begin(rows=30)
    world.run("prod")
    for id_ in (3, 4, 5):
        del world.api.rows[id_]
    world.restart("main")
    world.run("prod")
    world.run("prod")
    kept = {row.id for page in main(world).pages.values() for row in page.rows}
    base = main(world).view.base
    assert kept >= {3, 4, 5}
    assert base
    assert base > 1
    begin_warehouse_anew(world, "prod")
    expect(world, "prod", billed=0)
    assert not world.pipes["prod"].warehouse.keys() & {3, 4, 5}


def test_a_free_feed_asks_nothing_and_keeps_what_is_no_longer_listed() -> None:
    world = begin("prod", "dev", rows=9, is_free=True)
    world.run("prod")
    world.api.now += 250
    put(world, 20, 21)
    expect(world, "prod", billed=2)
    world.restart("main")
    world.run("prod")
    assert main(world).view.beginning == 1
    world.run("dev")
    assert world.pipes["dev"].warehouse.keys() >= {*range(9)}
    change(world, "dev", filters=OF_AT)
    expect(world, "dev")
    world.is_calm = False
    other = State("0" * 16 + "-other", 3, "x", NOTHING)
    world.pipes["dev"].raw = other.as_raw(world.api.spec)
    expect(world, "dev")


@pytest.mark.parametrize("die_at", range(1, 20))
@pytest.mark.parametrize("is_lost", [False, True])
def test_a_free_feed_that_is_read_anew_dies(die_at: int, *, is_lost: bool) -> None:
    world = begin("prod", "dev", rows=4, is_free=True)
    world.run("prod")
    world.is_calm = False
    del world.folders["main"]
    put(world, 20, 21)
    world.run("prod")  # its archive lacks what it has read before
    world.run("dev", die_at=die_at, batch=1)
    if is_lost:
        del world.folders["main"]
    expect(world, "dev")
    expect_all(world, "dev")
    world.quiesce()


def test_a_free_feed_whose_first_page_anew_cannot_be_written() -> None:
    world = begin("prod", "dev", rows=4, is_free=True)
    world.run("prod")
    world.is_calm = False
    del world.folders["main"]
    put(world, 20, 21)
    world.run("prod")
    expect(world, "dev", "failed", is_disk_full=True)
    expect(world, "dev")
    expect_all(world, "dev")
    world.quiesce()


def test_a_free_feed_goes_on_with_a_sync_in_progress() -> None:
    world = begin(rows=9, is_free=True)
    world.run("prod", pages=1)
    expect(world, "prod", billed=7)


def test_a_free_feed_begins_a_sync_over_that_the_api_no_longer_lists() -> None:
    world = begin(rows=9, is_free=True)
    world.run("prod", pages=1)
    world.api.now += 250
    put(world, 20)
    expect(world, "prod", billed=1)
    world.quiesce()


# Restart, and cursors that are rejected


def test_restart_ends_at_a_limit() -> None:
    world = begin_loaded("prod", "dev", rows=30)
    pages = len(main(world).pages)
    world.restart("main")
    world.run("prod", pages=2)
    assert len(main(world).pages) == pages + 2
    begin_warehouse_anew(world, "dev")
    expect(world, "dev", "limit", billed=0, pages=0)
    expect_all(world, "dev")
    expect(world, "dev", billed=26)
    assert main(world).view.base == pages + 1
    expect(world, "prod", billed=0)
    world.quiesce()


@pytest.mark.parametrize("die_at", range(2, 8))
@pytest.mark.parametrize("has_state", [True, False])
@pytest.mark.parametrize("is_complete", [True, False])
def test_restart_is_killed(die_at: int, *, has_state: bool, is_complete: bool) -> None:
    world = begin_loaded("prod", "dev", rows=6)
    if not is_complete:
        del world.folders["main"]
        world.run("prod")
    world.pipes["dev"].folder = "own"
    world.restart("main")
    assert main(world).view.base == (1 if is_complete else main(world).head + 1)
    served = world.api.served
    world.run("prod", die_at=die_at, kills_target=True)
    if not has_state:
        begin_warehouse_anew(world, "prod")
    expect(world, "prod")
    expect_all(world, "prod")
    assert 6 <= world.api.served - served <= 8
    assert main(world).view.is_complete
    expect(world, "prod", billed=0)


def test_restart_before_the_first_complete_sync_for_a_state_that_is_ahead() -> None:
    world = begin(rows=9)
    world.run("prod", pages=2)
    backup = main(world).copy()
    world.run("prod")
    world.is_calm = False
    world.folders["main"] = backup
    world.restart("main")
    expect(world, "prod", billed=9)  # as ordered: nothing is adopted
    assert main(world).view.base == 3
    world.quiesce()


def test_restart_since() -> None:
    world = begin_loaded("prod", "dev", rows=30)
    since = at(world.api.now)
    world.api.now += 20
    put(world, 0)
    world.run("prod")
    world.restart("main", since)
    expect(world, "prod", billed=1)
    expect(world, "prod", billed=0)
    assert main(world).view.base == 1
    begin_warehouse_anew(world, "dev")
    expect(world, "dev", billed=0)
    expect_all(world, "dev")


def test_restart_since_a_time_after_the_bookmark_loses_no_row() -> None:
    world = begin_loaded(rows=30)
    put(world, 0)
    world.api.now += 50
    world.restart("main", at(world.api.now))
    expect(world, "prod", billed=1)
    world.quiesce()


def test_restart_since_that_finds_nothing_is_over() -> None:
    world = begin_loaded(rows=30)
    assert world.restart("main", at(world.api.now))
    expect(world, "prod", billed=0)
    assert not main(world).view.ordered


def test_restart_since_is_refused_for_other_filters() -> None:
    world = begin_loaded(rows=30)
    assert not world.restart("main", at(3), filters=OF_AT)
    assert world.restart("main", at(3), filters=countries())


def test_restart_of_an_empty_archive_is_refused() -> None:
    world = begin(rows=0)
    world.run("prod", pages=0)
    assert not main(world).pages
    assert not world.restart("main")


def test_restart_since_is_refused_before_the_first_complete_sync() -> None:
    world = begin(rows=9)
    world.run("prod", pages=2)
    assert not world.restart("main", at(3))
    expect(world, "prod", billed=5)
    expect_all(world, "prod")
    world.quiesce()


def test_restart_since_is_refused_while_a_full_sync_is_in_progress() -> None:
    world = begin_loaded(rows=9)
    world.restart("main")
    world.run("prod", pages=1)
    assert not world.restart("main", at(3))


def test_a_full_sync_whose_cursor_is_rejected_twice() -> None:
    world = begin(rows=9)
    world.run("prod", pages=2)
    world.api.rejects = 1
    expect(world, "prod", "limit", billed=4, pages=2)  # it begins over
    world.api.rejects = 1
    assert expect_question(world, "prod", "cursor-rejected") == ("restart",)
    world.answer("prod", "restart")
    world.quiesce()


@pytest.mark.parametrize(
    "settings", [{}, {"filters": OF_AT_BE, "on_filter_change": "resync"}], ids=["changes", "added"]
)
def test_another_sync_whose_cursor_is_rejected_twice(settings: dict[str, Any]) -> None:
    world = begin(rows=30, filters=OF_AT)
    world.run("prod")
    world.api.now += 50
    put(world, 0, 3, 6, 9, 12, 15)
    change(world, **settings)
    world.run("prod", pages=1)
    world.api.rejects = 1
    world.run("prod", pages=2)
    world.api.rejects = 1
    assert expect_question(world, "prod", "cursor-rejected") == ("restart-since",)
    served = world.api.served
    world.api.rejects = 1  # its cursor stays rejected
    assert world.answer("prod", "restart-since") == "done"
    assert world.api.served - served <= 20, "everything was bought"
    world.quiesce()


# Damaged pages


@pytest.mark.parametrize(
    ("is_headless", "dropper"), [(True, "dev"), (True, "prod"), (False, "dev")]
)
def test_a_page_at_the_head_is_dropped(dropper: str, *, is_headless: bool) -> None:
    world = begin_loaded("prod", "dev", rows=30)
    put(world, 0)
    world.run("prod")
    damage(world, main(world).head, is_headless=is_headless)
    expect_question(world, "dev", "archive-damaged")
    expect_question(world, "prod", "archive-damaged")  # it has that page, but not its position
    served = world.api.served
    world.answer(dropper, "drop")
    for name in ("prod", "dev", "prod"):
        expect(world, name)
    assert world.api.served - served == 1
    begin_warehouse_anew(world, "dev")
    expect(world, "dev", billed=0)
    expect_all(world, "dev")
    assert not world.pipes["dev"].excused
    world.quiesce()


@pytest.mark.parametrize("is_headless", [False, True])
def test_a_page_at_the_head_of_a_full_sync_is_dropped(*, is_headless: bool) -> None:
    world = begin("prod", "dev", rows=30)
    world.run("prod", pages=9)
    world.is_calm = False
    damage(world, 9, is_headless=is_headless)
    expect_question(world, "dev", "archive-damaged")
    world.drop("main", 9)
    expect(world, "prod", billed=14)
    expect(world, "dev", billed=0)
    expect_all(world, "dev")
    world.quiesce()


def test_a_page_at_the_head_of_an_incomplete_archive_is_dropped() -> None:
    world = begin_loaded("prod", "dev", rows=30)
    del world.folders["main"]
    put(world, 0)
    world.run("prod")
    clone_warehouse(world, "dev", of="prod")
    put(world, 1)
    world.run("prod")
    damage(world, main(world).head)
    expect_question(world, "dev", "archive-damaged")
    world.drop("main", main(world).head)
    expect(world, "prod", billed=1)
    expect(world, "dev", billed=0)
    world.quiesce()


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("is_headless", [False, True])
def test_a_page_in_the_middle_is_dropped(*, is_full: bool, is_headless: bool) -> None:
    world = begin_loaded("prod", "dev", rows=30)
    state = world.pipes["dev"].state
    assert state
    put(world, *range(6))
    world.run("prod")
    world.run("prod")
    number = 4 if is_full else state.offset + 2
    damage(world, number, is_headless=is_headless)
    expect(world, "prod", billed=0)  # it does not need the page
    if is_full:
        begin_warehouse_anew(world, "dev")
    expect_question(world, "dev", "archive-damaged")
    lost = main(world).pages[number]
    world.answer("dev", "drop")
    assert {(row.id, row.version) for row in lost.rows} == world.pipes["dev"].excused
    expect(world, "prod", billed=0)
    expect(world, "dev", billed=0)
    world.pipes["dev"].excused = set()
    assert lost.header.sync
    world.restart("main", lost.header.sync.since if not is_full else None)
    expect(world, "dev", billed=range(31 if is_full else 7))
    expect(world, "prod", billed=0)
    expect_all(world, "dev")
    world.quiesce()


def test_the_page_that_ended_a_full_sync_is_dropped() -> None:
    world = begin()
    world.run("prod")
    world.restart("main")
    world.run("prod", pages=3)
    world.is_calm = False
    damage(world, main(world).head, is_headless=True)
    world.pipes["prod"].raw = {}
    world.quiesce()


@pytest.mark.parametrize("is_headless", [False, True])
@pytest.mark.parametrize("order", [("prod", "dev"), ("dev", "prod")])
def test_the_last_page_of_the_first_sync_is_dropped(
    order: tuple[str, str], *, is_headless: bool
) -> None:
    world = begin("prod", "dev", rows=30)
    world.run("prod")
    world.is_calm = False
    number = main(world).head
    damage(world, number, is_headless=is_headless)
    world.drop("main", number)
    for name in order:
        expect(world, name)
    assert main(world).view.is_complete
    assert not world.pipes["dev"].excused


@pytest.mark.parametrize("is_headless", [False, True])
@pytest.mark.parametrize("is_complete", [False, True])
def test_the_first_page_of_a_full_sync_is_dropped_at_the_head(
    *, is_headless: bool, is_complete: bool
) -> None:
    """In an incomplete archive, another warehouse has begun with it."""
    world = begin_loaded("prod", "dev", rows=9)
    if not is_complete:
        del world.folders["main"]
        put(world, 0)
        world.run("prod")
    begin_warehouse_anew(world, "dev")
    world.restart("main")
    expect(world, "prod", "limit", billed=2, pages=1)
    world.run("dev", pages=0)
    damage(world, main(world).head, is_headless=is_headless)
    world.drop("main", main(world).head)
    served = world.api.served
    world.quiesce()
    assert world.api.served - served >= 9, "what was ordered is not bought"


def test_two_pages_at_the_head_are_dropped() -> None:
    world = begin("prod", "dev", rows=30)
    world.run("prod", pages=9)
    world.is_calm = False
    damage(world, 8)
    damage(world, 9, is_headless=True)  # so the position before it is in page 8
    expect_question(world, "prod", "archive-damaged")
    world.answer("prod", "drop")
    expect(world, "dev", billed=0)
    expect_all(world, "dev")
    assert world.api.served == 34, "both pages are bought again"
    assert not world.pipes["dev"].excused
    world.quiesce()


def test_two_pages_in_the_middle_without_headers_are_dropped() -> None:
    world = begin("prod", "dev", rows=30)
    world.run("prod")
    world.is_calm = False
    damage(world, 1, is_headless=True)
    damage(world, 2, is_headless=True)
    for _ in range(2):
        expect_question(world, "dev", "archive-damaged")
        world.answer("dev", "drop")
    lost = {*main(world).lost[1], *main(world).lost[2]}
    assert world.pipes["dev"].excused == {(row.id, row.version) for row in lost}


def test_a_page_before_one_that_was_dropped_at_the_head_is_a_gap() -> None:
    world = begin("prod", "dev", rows=30)
    world.run("prod", pages=9)
    world.is_calm = False
    damage(world, 8)
    damage(world, 9)
    expect_question(world, "prod", "archive-damaged")
    world.answer("prod", "drop")
    assert world.api.served == 32, "page 9 is bought again"
    expect_question(world, "dev", "archive-damaged")
    world.answer("dev", "drop")
    lost = main(world).lost[8]
    assert world.pipes["dev"].excused == {(row.id, row.version) for row in lost}
    world.quiesce()


def test_a_load_that_dies_writes_only_last_versions() -> None:
    world = begin("prod", "dev", rows=9)
    world.run("prod")
    for _ in range(3):
        put(world, 0, 1, 2)
        world.run("prod")
    expect(world, "dev", "died", billed=0, batch=1, die_at=13)
    newest = {row.id: row for page in main(world).pages.values() for row in page.rows}
    rows = world.pipes["dev"].warehouse
    assert rows
    assert rows.items() <= newest.items()
