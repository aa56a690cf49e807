"""Histories in which a rule of the log was wrong once, or would be without it.

Each is a row: its steps, in a simulated world whose oracle checks more than what a step says. See
`world`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from operator import methodcaller
from typing import Any

import pytest

from tap_jobo.archive import layout
from tap_jobo.model import ALL, Filters
from tap_jobo.sync.plan import DAY, best
from tests.sync.world.parts import (
    COUNTRIES,
    OLD_RULES,
    at,
    having,
    minute,
    minutes,
    short_spans,
)
from tests.sync.world.runs import Outcome
from tests.sync.world.world import World

OF_AT = having("AT")
OF_AT_BE = having("AT", "BE")
OF_ALL = having(*COUNTRIES)
OF_AT_BE_X = having("AT", "BE", kind="x")
A_DAY = round(DAY / minutes(1))

Step = Callable[[World], object]


@pytest.fixture(autouse=True)
def spans() -> Iterator[None]:
    with short_spans():
        yield


# Steps: what happens, and what has to be true then


def run(
    name: str = "prod", outcome: Outcome = "done", billed: int | None = None, **happens: Any
) -> Step:
    """Let a pipeline run, and check how that ends, and how many rows are billed."""

    def step(world: World) -> None:
        ended = world.run(name, **happens)
        world.require(ended == outcome, f"{name} is {ended}, not {outcome}")
        is_billed(world, name, billed)

    return step


def is_billed(world: World, name: str, rows: int | None) -> None:
    is_right = rows is None or world.billed == rows
    world.require(is_right, f"{name} is billed {world.billed} rows, not {rows}")


def asks(name: str, code: str, *ways: str) -> Step:
    """Let a pipeline run, and check that it asks and is not billed, and which answers it has."""

    def step(world: World) -> None:
        run(name, "asked", 0)(world)
        question = world.pipes[name].question
        assert question
        world.require(question.code == code, f"asked {question.code}, not {code}")
        is_right = not ways or {*question.ways} == {*ways}
        world.require(is_right, f"{name} may answer {question.ways}")

    return step


def answer(name: str, way: Any, billed: int | None = None) -> Step:
    """Answer the question of a pipeline, and check how many rows are billed."""

    def step(world: World) -> None:
        world.require(world.answer(name, way) == "done", f"{way} is no way out")
        is_billed(world, name, billed)

    return step


def want(*names: str, **settings: Any) -> Step:
    """Change the settings of pipelines, of all if none is named."""

    def step(world: World) -> None:
        for name in names or world.pipes:
            pipe = world.pipes[name]
            pipe.wanted = replace(pipe.wanted, **settings)

    return step


def ask_and(name: str, way: Any, filters: Filters, billed: int | None = None) -> Step:
    """Let a pipeline want other filters, and answer what it is asked."""
    return both(want(name, filters=filters), run(name, "asked", 0), answer(name, way, billed))


def both(*steps: Step) -> Step:
    def step(world: World) -> None:
        for each in steps:
            each(world)

    return step


def put(*ids: int, country: str = "") -> Step:
    """Add rows, or change them: by default, each has a country that depends on its id."""

    def step(world: World) -> None:
        for id_ in ids:
            kind = "x" if country else "xy"[id_ % 2]
            world.api.put(id_, country or COUNTRIES[id_ % 3], kind)

    return step


def put_late(id_: int, late: int) -> Step:
    """Change a row some minutes before it becomes visible."""
    return lambda world: world.api.put_late(id_, "AT", "x", late)


def move(id_: int, country: str) -> Step:
    return lambda world: world.api.move(id_, country)


def silently(*ids: int) -> Step:
    """Change rows, but not when they were updated."""

    def step(world: World) -> None:
        for id_ in ids:
            world.api.change_silently(id_)

    return step


def wait(count: int) -> Step:
    return lambda world: world.api.wait(count)


def set_clock_back(count: int) -> Step:
    return lambda world: setattr(world, "skew", count)


def size(rows: int) -> Step:
    return want(batch_size=rows)


def reject(name: str) -> Step:
    """Let the API reject the cursors of the sync in progress of a pipeline."""
    return lambda world: setattr(world.api, "stuck", {world.pipes[name].going.sync.id})


def reject_one() -> Step:
    """Let the API reject the next cursor."""
    return lambda world: setattr(world.api, "rejects", 1)


def order(since: str | None = None, filters: Filters | None = None, start: str = ALL) -> Step:
    return lambda world: world.restart("main", since, filters, start)


def order_over(name: str = "prod") -> Step:
    """Order to begin over the sync in progress of a pipeline's filters."""
    return lambda world: world.require(
        world.restart_sync("main", world.pipes[name]), "there is no such sync"
    )


def damage(number: int, *, is_headless: bool = False) -> Step:
    return lambda world: world.damage("main", number, is_headless=is_headless)


def drop_lost(*numbers: int) -> Step:
    """Drop pages that are damaged already."""
    return both(*[partial(World.drop, name="main", number=number) for number in numbers])


def lose(*numbers: int) -> Step:
    """Damage pages and their headers."""
    return both(*[damage(number, is_headless=True) for number in numbers])


def drop(number: int) -> Step:
    """Damage a page, and drop it."""
    return both(damage(number), lambda world: world.drop("main", number))


def damage_head(world: World) -> None:
    world.damage("main", world.folders["main"].head)


keep_copy: Step = methodcaller("copy_folder", "main")
restore_copy: Step = methodcaller("restore_folder", "main")
lose_archive: Step = methodcaller("lose_folder", "main")


def use(name: str, folder: str) -> Step:
    def step(world: World) -> None:
        world.is_calm = False
        world.pipes[name].folder = folder

    return step


def lose_state(name: str, *, keeps_rows: bool = True) -> Step:
    def step(world: World) -> None:
        world.pipes[name].state = None
        if not keeps_rows:
            world.pipes[name].warehouse = {}

    return step


def erase(row: int) -> Step:
    return lambda world: world.erase("main", row, in_warehouses=True)


def gap_of(world: World, name: str) -> int | None:
    """Return the minute since when a pipeline knows that rows are missing."""
    has = best(world.pipes[name].own, world.pipes[name].wanted)
    assert has
    return None if has.gap is None else minute(has.gap)


def has_gap(name: str, since: int | None) -> Step:
    return lambda world: world.require(
        gap_of(world, name) == since, f"the gap of {name} is since {gap_of(world, name)}"
    )


def archive_has_gap(*, is_there: bool) -> Step:
    """Check the position of one who loads everything, as the archive has it."""

    def step(world: World) -> None:
        has = best(world.folders["main"].position, world.pipes["prod"].wanted)
        world.require(has and (has.gap is not None) == is_there, f"the archive has {has}")

    return step


def has_all(*names: str) -> Step:
    """Check that warehouses have all rows of their filters."""

    def step(world: World) -> None:
        for name in names:
            world.check_all(name)

    return step


def has_version(name: str, row: int, version: int) -> Step:
    return lambda world: world.require(
        world.pipes[name].warehouse[row].version == version, f"{name} has an older row {row}"
    )


def total(*rows: int) -> Step:
    return lambda world: world.require(world.total in rows, f"{world.total} rows were billed")


def in_progress(name: str, count: int) -> Step:
    return lambda world: world.require(
        len(world.pipes[name].own.progress) == count, f"{name} has {world.pipes[name].own}"
    )


def begin(rows: int = 9, *, is_free: bool = False) -> World:
    """Return a world in which some rows exist, of each country in turn."""
    world = World("prod", "dev", "lab", is_free=is_free)
    put(*range(rows))(world)
    return world


THREE_PAGES = [run(), put(1), run(), put(2), run()]
"""Of a full sync, and two of one page; page 6 is that of the first one."""

Trap = Sequence[Step]

TRAPS: dict[str, Trap] = {
    # Filters
    "who narrows and widens again buys what changed": [
        *[run(), want(filters=OF_AT), put(0), run(billed=1)],
        *[want(filters={}), put(1), run(billed=2)],
    ],
    "only added values are bought beside a narrower filter": [
        want(filters=OF_AT),
        run(),
        ask_and("prod", "resync", OF_AT_BE_X, 1),
    ],
    "an earlier start date and another value are a full sync": [
        *[want(filters=OF_AT, start=at(5)), run(), want(start=ALL)],
        *[ask_and("prod", "resync", OF_AT_BE, 6), has_all("prod")],
    ],
    "a sync of added values leaves the others where they were": [
        *[want(filters=OF_AT), run(), put(0)],
        *[ask_and("prod", "resync", OF_AT_BE, 4), has_all("prod")],
    ],
    "a newer version has another filter": [
        *[want("prod", filters=OF_AT_BE_X), want("dev", rules=OLD_RULES, filters=OF_AT)],
        *[run(), asks("dev", "filters-changed"), answer("dev", "resync"), has_all("dev")],
    ],
    "who bought what another pipeline wants is not asked": [
        *[want("prod", filters=OF_AT), want("dev", filters=OF_AT_BE), run()],
        *[asks("dev", "filters-changed", "resync", "keep")],
        *[answer("dev", "resync"), want("prod", filters=having("BE")), run(billed=0)],
    ],
    # Changes of filters and start dates
    "narrower filters in progress, and the wider ones again": [
        *[want(filters=OF_AT_BE), run(), put(0, 3, 6), want(filters=OF_AT)],
        *[run(outcome="limit", billed=2, pages=1), put(1), want(filters=OF_AT_BE)],
        *[run(billed=4), has_all("prod")],
    ],
    "two wider filters are a full sync": [
        *[want(filters=having("AT", founded=1993)), run(billed=1)],
        *[want(filters=having("AT", "BE", founded=1991))],
        *[asks("prod", "filters-changed", "resync", "keep"), answer("prod", "resync", 5)],
    ],
    "an earlier start date, kept": [
        *[want(start=at(5)), run(billed=5), want(start=ALL)],
        *[asks("prod", "filters-changed", "resync", "keep"), put(8)],
        *[answer("prod", "keep", 1), has_gap("prod", 0)],
    ],
    "in a first sync, there is nothing to keep": [
        *[want(filters=OF_AT_BE), run(outcome="limit", pages=1), want(filters=OF_AT)],
        *[asks("prod", "filters-changed", "resync")],
        *[want(filters={}, choice="keep"), run(billed=9), want(choice="error"), run(billed=0)],
    ],
    "a first sync goes on in spite of a later start date": [
        *[run(outcome="limit", pages=1), want(start=at(8)), run(billed=7)],
    ],
    "added values in progress, and then another one": [
        *[want(filters=OF_AT), run(), want(filters=OF_AT_BE, choice="resync")],
        *[run(outcome="limit", pages=1), want(filters=having("AT", "CH"), choice="error")],
        *[asks("prod", "filters-changed", "resync", "keep")],
        *[answer("prod", "resync", 3), has_all("prod")],
    ],
    "who wants added values that another pipeline reads is not asked": [
        *[want(filters=OF_AT), run(), run("dev"), want(filters=OF_AT_BE)],
        *[want("dev", choice="resync"), run("dev", "limit", pages=1)],
        *[run(billed=1), has_all("prod")],
    ],
    # Gaps
    "keep is told to those whom it concerns": [
        *[want("prod", "dev", filters=OF_AT), run(), run("dev"), want("dev", filters=OF_AT_BE)],
        *[asks("dev", "filters-changed"), put(0), answer("dev", "keep", 1), has_gap("dev", 0)],
        *[put(3), run("dev"), run(billed=0), has_gap("prod", None)],
        *[want("lab", filters=having("BE")), run("lab"), has_gap("lab", 0)],
    ],
    "a gap outlives a sync of added values": [
        *[want(filters=OF_AT), run(), ask_and("prod", "keep", OF_AT_BE)],
        *[ask_and("prod", "resync", OF_ALL), has_gap("prod", 0)],
    ],
    "a page dropped in the middle is a gap": [
        *[*THREE_PAGES, drop(6), run(), lose_state("prod", keeps_rows=False), run(billed=0)],
        *[has_gap("prod", 10), order(at(10)), run(), has_gap("prod", None)],
    ],
    "a drop behind the head is noted and mended, and stays so": [
        *[*THREE_PAGES, drop(6), archive_has_gap(is_there=True), order(at(10)), run()],
        *[archive_has_gap(is_there=False), run("dev"), has_gap("dev", None), put(3), run()],
        *[archive_has_gap(is_there=False), run("dev"), has_gap("dev", None)],
    ],
    "a page dropped after its rows were read again is no gap": [
        *[run(), order(), run(), put(1), run(), drop(2), archive_has_gap(is_there=False)],
        *[run("lab", billed=0), has_gap("lab", None), has_all("lab")],
    ],
    "a page of a sync in progress is dropped": [
        *[run(outcome="limit", pages=3), drop(2), run(), run("lab"), has_gap("lab", 0)],
    ],
    "a page dropped at the head is bought again": [
        *[run(), put(1), run(outcome="died", die_at=4), damage_head],
        *[asks("prod", "archive-damaged"), answer("prod", "drop", 1)],
    ],
    "two pages dropped at the head, the last one first, are bought again": [
        *[run(), drop(5), drop(4), lose_state("prod", keeps_rows=False)],
        *[run(billed=3), has_gap("prod", None)],
    ],
    "two pages dropped at the head, the other one first, are a gap": [
        *[run(), drop(4), drop(5), lose_state("prod", keeps_rows=False)],
        *[run(billed=1), has_gap("prod", 0)],
    ],
    "pages lost with their headers of rows that were read later": [
        *[run(), order(), run(), lose(2), drop(1), drop_lost(2)],
        *[run("lab", billed=0), has_gap("lab", None), has_all("lab")],
    ],
    "all pages are lost with their headers": [
        *[run(), lose(1, 2, 3, 4, 5), drop_lost(1, 2, 3, 4, 5)],
        *[asks("lab", "filters-changed"), order(), run("lab", billed=9), has_gap("lab", None)],
    ],
    "the only page is dropped, and its header is damaged": [
        *[size(9), run(), damage(1, is_headless=True)],
        *[asks("dev", "archive-damaged"), answer("dev", "drop"), has_all("dev")],
    ],
    "a state behind a page lost with its header keeps its place": [
        *[run(), run("dev"), put(1), run()],
        *[damage(5, is_headless=True), run("dev", billed=0)],  # the next header names it
        *[damage(2, is_headless=True), run("dev", billed=0)],
    ],
    # Backups and other archives
    "a restored backup": [
        *[run(), run("dev"), keep_copy, put(1), run(), run("dev"), restore_copy],
        *[put(2), run(billed=2), run("dev", billed=0)],  # what it lacks is bought again
        *[lose_state("dev"), run("dev", billed=0)],
    ],
    "an archive that is behind stops at a lost page rather than skip it": [
        *[run(), keep_copy, put(1), run(), run("dev"), restore_copy, put(1), run()],
        *[damage(6, is_headless=True), asks("dev", "archive-damaged")],
        *[answer("dev", "drop", 1), has_all("dev")],
    ],
    "a lost archive": [
        *[run(), run("dev"), lose_archive, put(1), run(billed=1), run("dev", billed=0)],
        *[asks("lab", "archive-lacks-rows"), answer("lab", "resync", 9)],
    ],
    "an archive lost in the first full sync": [
        *[run(outcome="limit", pages=2), lose_archive, run(outcome="limit", pages=1)],
        *[asks("dev", "archive-lacks-rows"), run(billed=3), asks("dev", "archive-lacks-rows")],
    ],
    "an old backup buys nothing old unasked": [
        *[run(), keep_copy, wait(100), put(1), run(), restore_copy, put(2), run(billed=1)],
        *[order(at(10)), run(billed=2), lose_state("prod"), run(billed=0)],
    ],
    "a backup of a full sync in progress": [
        *[run(outcome="limit", pages=2), keep_copy, run(outcome="limit", pages=1)],
        *[restore_copy, run(billed=3), total(9), has_all("prod")],
        *[run("lab"), has_gap("lab", 0)],
    ],
    "a page that is there already counts once": [
        *[size(1), run(outcome="limit", pages=2), run("dev", "limit", pages=0), keep_copy],
        *[run(outcome="limit", pages=4), restore_copy, run(outcome="limit", pages=1)],
        *[run("dev", "limit", pages=1), total(8), run(), run("dev"), total(9)],
    ],
    "a sync that is complete here, and was gone on with elsewhere, stops nobody": [
        *[run(outcome="limit", pages=1), run("dev"), use("prod", "other")],
        *[run(outcome="limit", pages=1), use("prod", "main"), run(), run("dev", billed=0)],
        *[run("lab", billed=0), has_all("prod", "dev", "lab")],
    ],
    "a page of a sync that was gone on with elsewhere does not follow other ones": [
        *[put(0, 1, 2, country="AT"), put(3, country="CH"), put(4, 5, 6, 7, 8, country="AT")],
        *[want("prod", "dev", filters=OF_AT), run(outcome="limit", pages=1)],
        *[run("dev", "limit", pages=1), move(3, "AT"), use("prod", "other")],
        *[run(outcome="limit", pages=1), run("dev", "limit", pages=1), use("prod", "main")],
        *[run(), has_all("prod"), has_gap("prod", None)],
    ],
    "an order of an older backup is not carried out twice": [
        run(),
        order(),
        keep_copy,
        run(billed=9),
        restore_copy,
        run(billed=0),
    ],
    "an order in progress in a backup is not carried out twice": [
        *[run(), order(), run(outcome="limit", pages=2), keep_copy, run()],
        *[restore_copy, run(billed=0)],
    ],
    "a silent change survives a backup": [
        *[run(), keep_copy, silently(4), order(), run(), has_version("prod", 4, 2)],
        *[restore_copy, run(), has_version("prod", 4, 2)],
    ],
    # Orders
    "an order outlives a sync of added values": [
        *[want(filters=OF_AT), run(), order(None, OF_AT)],
        *[ask_and("prod", "resync", OF_AT_BE, 3), want(filters=OF_AT), run(billed=3)],
    ],
    "an order since a time follows a sync in progress in the same run": [
        *[run(), put(0, 1, 2, 3), run(outcome="limit", pages=1), order(at(0))],
        *[run(billed=2 + 9), run(billed=0)],
    ],
    "an order of all that is wanted is an answer": [
        *[want(filters=OF_AT), run(), want(filters=OF_AT_BE), order(None, OF_AT_BE)],
        *[run(billed=6), has_gap("prod", None), run(billed=0)],
    ],
    "an order of narrower filters is no answer": [
        *[want("dev", filters=OF_AT), run("dev"), order(filters=OF_AT)],
        asks("prod", "filters-changed"),
    ],
    "an order begins a full sync over": [
        run(outcome="limit", pages=2),
        order(),
        run(billed=9),
        total(13),
        run(billed=0),
    ],
    "a pipeline of another start date leaves the order": [
        *[run(), want("dev", filters=OF_AT), want("lab", start=at(5)), order()],
        *[run("dev", billed=0), run("lab", billed=0), run(billed=9), run("lab", billed=0)],
        *[order(start=at(5)), run(billed=0), run("lab", billed=5)],
    ],
    "an order in progress that began over outlives changes of wider filters": [
        *[want("prod", filters=OF_AT), run("dev"), run(), silently(3, 6), order(None, OF_AT)],
        *[size(1), run(outcome="limit", pages=1), reject_one(), run(outcome="limit", pages=1)],
        *[put(1), run("dev"), run(), run(), has_version("prod", 6, 2)],
    ],
    # Syncs
    "full syncs of two pipelines both go on": [
        *[want("dev", filters=OF_AT, choice="resync"), size(1)],
        *[
            lambda world: world.run("prod", pages=1),
            lambda world: world.run("dev", pages=1),
        ]
        * 12,
        *[total(9 + 3), has_all("prod", "dev")],
    ],
    "a run that has the lock looks again, as another one may have bought": [
        *[run("lab"), put(*range(9)), run(other=("dev", 5), billed=0), has_all("prod", "dev")],
    ],
    "changes in progress end when wider filters are read": [
        *[put(*range(9, 18)), want("prod", filters=OF_AT), run("dev"), run(), put(0, 3, 6, 9)],
        *[size(1), run(outcome="limit", pages=1), run("dev"), run(billed=0)],
    ],
    # No sync of such a run moves the last read.
    "a clock that was set back bills the lookback once a run": [
        *[wait(100), want(lookback=minutes(20)), run(), put(1)],
        *[set_clock_back(60), run(billed=1), size(1), put(2)],
        *[run(outcome="limit", billed=1, pages=1), run(billed=1)],
    ],
    "who wants a later start date does not buy the rest of another one's first sync": [
        *[run(outcome="limit", pages=1), want("dev", start=at(5)), run("dev", billed=5)],
        *[run("dev", billed=0), in_progress("dev", 1), run(billed=7), has_all("prod")],
    ],
    "a sync goes on although the start date moves": [
        *[run(outcome="limit", pages=1), want(start=at(5)), run(billed=7)],
    ],
    "a row that becomes visible late is read for each lookback, whoever buys": [
        *[want("lab", lookback=minutes(30)), wait(100), run("lab"), run(), run("dev")],
        *[wait(40), put(1), run(), wait(40), put(2), run(), put_late(3, late=20)],
        *[wait(40), put(4), run("dev"), wait(40), put(5), run(), wait(40), put(6), run("dev")],
        *[run("lab"), has_all("lab")],
    ],
    "one that has bought nothing so far is honored": [
        *[wait(100), run(), want("lab", lookback=minutes(30)), run("lab", billed=0)],
        *[wait(40), put(1), run(), put_late(3, late=20), wait(40), put(4), run()],
        *[wait(40), put(5), run(), run("lab"), has_all("lab")],
    ],
    "a shorter lookback of the same pipeline holds at once": [
        *[want(lookback=minutes(60)), wait(100), run(), put(1), wait(10), run(billed=1)],
        *[want(lookback=minutes(0)), put(2), run(billed=1), run("dev", billed=0)],
    ],
    "who comes from another tap honors the lookbacks of an archive": [
        *[wait(100), want("lab", lookback=minutes(30)), run("lab"), wait(100)],
        *[lambda world: world.adopt(world.pipes["dev"]), put(1), wait(10), run("dev", billed=1)],
        *[put(2), run("dev", billed=2)],
    ],
    "a limit of nothing loads in spite of a question": [
        *[want("prod", filters=OF_AT), run(), run("dev", "limit", 0, pages=0)],
        lambda world: world.require(len(world.pipes["dev"].warehouse) == 3, "nothing is there"),
        asks("dev", "filters-changed"),
    ],
    "a paid sync that is rejected twice ends the run": [
        *[run(outcome="limit", pages=2), reject_one(), run(outcome="limit", pages=2)],
        *[reject("prod"), *[run("prod", "rejected", 0), run("dev", "rejected", 0)] * 3],
        *[order_over(), put(3), run("dev", billed=9), run(billed=0), has_all("prod", "dev")],
    ],
    "changes that are rejected twice are begun over since their start": [
        *[run(), put(*range(5)), run(outcome="limit", pages=1), reject_one()],
        *[run(outcome="limit", pages=1), reject("prod"), run(outcome="rejected", billed=0)],
        *[answer("prod", "restart-sync", 5), run(billed=0)],
    ],
    "a sync of another pipeline, begun over after the own reads end, leaves nothing between": [
        *[lambda world: world.adopt(world.pipes["prod"]), size(1), put(1), wait(1)],
        lambda world: want("dev", start=at(world.api.now))(world),
        *[put(2, 3, 4, 5), run("dev", "limit", pages=1), reject_one()],
        *[run("dev", "limit", pages=1), reject("dev"), run("dev", "rejected", 0)],
        *[run("prod", "rejected", 0), answer("prod", "restart-sync"), has_all("prod")],
    ],
    "a sync that its archive has lost is begun over": [
        lambda world: world.api.stuck.add("all"),
        *[run(outcome="rejected"), lose_archive, run(outcome="rejected"), reject("prod")],
        *[answer("prod", "restart-sync", 9), has_all("prod")],
    ],
    "an erased row is skipped and still counts": [
        *[size(3), run(outcome="limit", pages=2), erase(1), run("lab", "limit", pages=0)],
        lambda world: world.require(1 not in world.pipes["lab"].warehouse, "it is there"),
        lambda world: world.require(
            [world.pipes[name].going.rows for name in ("prod", "lab")] == [6, 6],
            "it does not count",
        ),
        *[run(), run("lab", billed=0)],
        *[put(1), run(billed=1), has_version("prod", 1, 2)],  # Jobo sends it again
    ],
    "no pipeline with a slow clock makes another ask": [
        *[want("lab", start=at(9)), run("lab"), set_clock_back(8)],
        *[want("dev", choice="resync"), run("dev", "limit", pages=1), set_clock_back(0)],
        *[put(1, country="AT"), run("lab"), want("dev", choice="error"), run("dev")],
    ],
}


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
def test_trap(trap: Trap) -> None:
    both(*trap)(begin())


BEGUN = [run(), wait(200), put(*range(9)), run(outcome="limit", billed=4, pages=2)]

FREE: dict[str, Trap] = {
    "a sync goes on within two hours": [*BEGUN, wait(30), run(billed=5), has_all("prod")],
    "a sync is begun anew after two hours": [*BEGUN, wait(50), run(billed=9), has_all("prod")],
    "an order": [
        *[wait(200), put(*range(9)), run(), wait(30)],
        *[order(), run(billed=9), run(billed=0)],
    ],
    "a long pause": [
        *[run(), wait(400), put(1), run()],
        lambda world: world.require(len(world.pipes["prod"].own.reads) == 2, "it has no hole"),
        *[lose_archive, put(2), run(), run("dev")],
    ],
    "an empty sync counts after a day": [
        *[run(), wait(5), run(), run()],
        lambda world: world.require(world.folders["main"].head == 5, "it counts at once"),
        *[wait(A_DAY), run()],
        lambda world: world.require(world.folders["main"].head == 6, "it never counts"),
    ],
    "cursors are rejected for ever": [
        lambda world: world.api.stuck.add("all"),
        *[run(outcome="rejected")] * 3,
        lambda world: world.api.stuck.clear(),
        *[run(), has_all("prod")],
    ],
    "a run that is longer than an hour": [size(1), wait(200), put(*range(60)), run(billed=60)],
}


@pytest.mark.parametrize("trap", FREE.values(), ids=FREE)
def test_free_feed(trap: Trap) -> None:
    both(*trap)(begin(is_free=True))


# What is more than steps


@pytest.mark.parametrize(
    ("bought", "damaged", "lost", "billed", "gap"),
    [
        *[(THREE_PAGES, [], [number], 0, 0) for number in range(1, 7)],
        (THREE_PAGES, [], [2, 3], 0, 0),
        ([run()], [2], [3], 0, 0),
        ([run()], [4], [5], 0, 0),
        ([run()], [], [4, 5], 3, 0),
        ([run()], [], [5], 1, None),
    ],
)
def test_the_rows_of_pages_lost_with_their_headers_are_missing_until_a_restart(
    bought: Trap, damaged: list[int], lost: list[int], billed: int, gap: int | None
) -> None:
    """Pages 1 to 5 are those of a full sync, page 6 is all of a sync of changes.

    At the head, a lost page is bought again.
    """
    world = begin()
    both(
        *[*bought, *map(damage, damaged), lose(*lost), asks("lab", "archive-damaged")],
        *[drop_lost(*damaged, *lost), run("lab", billed=billed), has_gap("lab", gap)],
        *[run(billed=0), has_gap("prod", None), order(), run(billed=9)],
        *[run("lab", billed=0), has_gap("lab", None), has_all("lab")],
    )(world)


def test_a_page_restored_after_it_was_dropped_and_bought_again_ends_no_sync() -> None:
    world = begin()
    run(outcome="limit", pages=2)(world)
    folder = world.folders["main"]
    name = layout.page_name(folder.key.name, 2)
    backup = folder.disk.read(name)
    both(drop(2), lose_state("prod"), run(outcome="limit", pages=1))(world)
    folder.disk.replace(name, backup)
    both(run("lab"), has_all("lab"))(world)


def test_a_sync_begun_over_without_rows_waits_for_some() -> None:
    world = begin(rows=0)
    both(
        *[put(0, country="CH"), want(filters=OF_AT), put(0, country="AT"), run()],
        *[put(*range(1, 5), country="AT"), run(outcome="limit", pages=1), reject("prod")],
        *[put(*range(5), country="BE"), run(), in_progress("prod", 1)],
        *[put(9, country="AT"), run(billed=1), in_progress("prod", 0)],
    )(world)


# Runs that die at any step


@pytest.mark.parametrize("die_at", range(1, 30))
def test_a_load_or_a_refresh_that_dies_and_then_a_backup_or_none(die_at: int) -> None:
    world = begin()
    both(run(), keep_copy, silently(0, 1, 8), order(), run())(world)
    world.run("lab", die_at=die_at, batch=1)
    both(restore_copy, run("lab"), has_all("lab"))(world)
    world = begin()
    both(run(), keep_copy, put(0), run(), restore_copy)(world)
    world.run("prod", full_refresh=True, die_at=die_at, batch=1)
    both(lose_archive, run(), has_all("prod"))(world)


@pytest.mark.parametrize("kills_target", [True, False])
@pytest.mark.parametrize("die_at", range(1, 16))
def test_a_run_that_dies_right_after_the_new_page_1(die_at: int, *, kills_target: bool) -> None:
    world = begin()
    both(run(outcome="limit", pages=2), run("dev", "limit", pages=0), reject("prod"))(world)
    world.run("prod", die_at=die_at, kills_target=kills_target, batch=1)
    both(run("dev"), run(), run("dev"), total(13, 14, 15), has_all("prod", "dev"))(world)
    both(run("dev", billed=0), in_progress("dev", 0))(world)


@pytest.mark.parametrize("die_at", range(1, 20))
def test_an_erased_row_leaves_no_row_outstanding(die_at: int) -> None:
    """Its newest version is no reason to skip an older one, which was erased, too."""
    world = begin()
    both(run(), put(0, 1), run(), erase(0))(world)
    world.run("lab", die_at=die_at, batch=1)
    run("lab", billed=0)(world)
    assert sorted(world.pipes["lab"].warehouse) == [*range(1, 9)]
