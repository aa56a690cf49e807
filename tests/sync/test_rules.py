"""The rules of the log one by one, where a history shows too little of them."""

import dataclasses
from datetime import timedelta
from random import Random
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import Mock

import pytest
from msgspec.structs import replace

from tap_jobo.archive.key import key_of_name
from tap_jobo.clock import before, format_timestamp, parse_timestamp
from tap_jobo.model import ALL, NOTHING, Filters, Lookback, Order, Position, Read, State, Sync
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.jobs import EXPIRED_JOBS
from tap_jobo.sync.filters import FilterRules
from tap_jobo.sync.fold import completed, hole, joined, pruned, with_gap
from tap_jobo.sync.maintenance import time_of_order
from tap_jobo.sync.plan import Log, Request, Run, begun_over, best, plan, unread
from tap_jobo.sync.start import Question, Start, where
from tap_jobo.sync.wanted import MARGIN, Wanted
from tests.sync.world.parts import KEY, OWNER, RULES, at, having, minutes, wants_nothing

ALL_ROWS: Final[Filters] = {}
OF_AT: Final = having("AT")
OF_BE: Final = having("BE")
OF_AT_BE: Final = having("AT", "BE")


def read(filters: Filters, start: int, until: int, gap: int | None = None) -> Read:
    return Read(
        filters=filters,
        start=at(start) if start else ALL,
        until=at(until),
        gap=None if gap is None else at(gap) if gap else ALL,
    )


def sync(id_: str = "a", **changes: Any) -> Sync:
    made = Sync(
        id=id_,
        reads={},
        filters={},
        since=ALL,
        started=at(10),
        kept=None,
        order=None,
        replaces=None,
        restarts=0,
        batch_size=2,
        lookback=Lookback(warehouse="", minutes=0, last=at(10)),
    )
    return replace(made, **changes)


# Filters


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ({}, OF_AT, True),
        (OF_AT, {}, False),
        (OF_AT_BE, OF_AT, True),
        (OF_AT, OF_AT_BE, False),
        (OF_AT, having("AT", kind="x"), True),
        (having("AT", kind="x"), OF_AT, False),
        (having(founded=1990), having(founded=2000), True),
        (having(founded=2000), having(founded=1990), False),
        ({"is_new": 1}, {"is_new": 1, **OF_AT}, True),
        ({"is_new": 1}, {"is_new": 2}, False),
        ({"is_new": 1}, {}, False),
        ({}, {"is_new": 1}, True),
    ],
)
def test_filters_cover_others(wide: Filters, narrow: Filters, *, covers: bool) -> None:
    """`is_new` is of another version."""
    assert RULES.covers(wide, narrow) == covers


# Reads


def test_reads_are_joined_if_no_time_lies_between_them() -> None:
    one = read(ALL_ROWS, 0, 10)
    assert joined(one, read(OF_AT, 10, 20), RULES) == [read(OF_AT, 0, 20)]
    assert joined(read(OF_AT, 10, 20), one, RULES) == [read(OF_AT, 0, 20)]
    assert not joined(one, read(OF_AT, 11, 20), RULES)
    assert not joined(read(OF_BE, 0, 10), read(OF_AT, 10, 20), RULES)
    assert joined(one, read(ALL_ROWS, 5, 20, 7), RULES) == [read(ALL_ROWS, 0, 20, 7)]
    with_gap_before = read(ALL_ROWS, 0, 10, 2)
    assert joined(with_gap_before, read(ALL_ROWS, 5, 20, 7), RULES) == [read(ALL_ROWS, 0, 20, 2)]


def test_a_read_goes_that_another_one_includes() -> None:
    has = [read(ALL_ROWS, 0, 10), read(OF_AT, 0, 10), read(OF_AT, 0, 20), read(OF_BE, 5, 10)]
    assert pruned(has, RULES) == (read(OF_AT, 0, 20), read(ALL_ROWS, 0, 10))
    with_gaps = [read(ALL_ROWS, 0, 10, 5), read(OF_AT, 0, 5), read(OF_BE, 0, 6)]
    assert pruned(with_gaps, RULES) == (read(ALL_ROWS, 0, 10, 5), read(OF_BE, 0, 6))


def test_a_gap_starts_no_earlier_than_its_read_and_never_later_than_before() -> None:
    has = [read({}, 5, 20), read({}, 0, 20, 2), read({}, 0, 4), read({}, 0, 20)]
    assert with_gap(has, at(4)) == [
        read({}, 5, 20, 5),
        read({}, 0, 20, 2),
        read({}, 0, 4),
        read({}, 0, 20, 4),
    ]


def test_a_hole_is_between_a_read_and_all_before_it() -> None:
    has = Position(reads=(read({}, 0, 10), read({}, 0, 5)))
    assert hole(has, sync(since=at(20)), RULES) == at(10)
    assert hole(has, sync(since=at(10)), RULES) is None
    assert hole(NOTHING, sync(since=at(10)), RULES) is None
    assert hole(Position(reads=(read(OF_AT, 0, 10),)), sync(since=at(20)), RULES) is None


# Where a run starts


def places(*times: int | None, owner: str = OWNER) -> Any:
    """Return the part of an archive that says where a run starts."""
    return SimpleNamespace(
        head=len(times),
        id_of=lambda number: "abcdefgh"[number - 1] if 0 < number <= len(times) else None,
        time_of=lambda number: None if (time := times[number - 1]) is None else at(time),
        key=key_of_name(f"{owner}/career_sites"),
    )


def state(offset: int, entry: str | None, time: int, *, is_begun: bool = True) -> State:
    position = Position(is_begun=is_begun)
    return State(owner=OWNER, offset=offset, entry=entry, time=at(time), position=position)


@pytest.mark.parametrize(
    ("own", "archive", "start"),
    [
        (None, places(1, 2), Start(0)),
        (state(2, "b", 2, is_begun=False), places(1, 2), Start(0)),
        (state(2, "b", 2), places(1, 2), Start(2)),
        (state(2, "x", 2), places(1, 2, 3), Start(2, is_behind=True)),
        (state(3, "c", 3), places(1, 2), Start(2, is_behind=True)),
        (state(9, "x", 5), places(), Start(0, is_behind=True)),
        (state(0, None, 5), places(1, 5, 5, 6), Start(3, is_behind=True)),
        (state(0, None, 5), places(1, None, 5, 6), Start(3, is_behind=True)),
        (state(0, None, 5), places(1, None, 6), Start(1, is_behind=True)),
        (state(0, None, 5), places(1, 5, None), Start(2, is_behind=True)),
        (state(0, None, 5), places(None, None), Start(0, is_behind=True)),
        (state(2, "b", 2), places(1, 2, owner="o"), Question("other-archive")),
    ],
)
def test_where_a_run_starts(own: State | None, archive: Any, start: Start | Question) -> None:
    assert where(own, archive) == start


def test_the_last_entry_of_a_million_is_found_with_few_reads() -> None:
    archive: Any = Mock(head=1_000_000, key=KEY, time_of=Mock(side_effect=at))
    assert where(state(5, "a", 654_321), archive) == Start(654_321, is_behind=True)
    assert archive.time_of.call_count <= 21


# What is wanted


def test_a_free_feed_wants_what_its_api_lists_and_never_asks() -> None:
    now = "2026-01-31T08:00:00.000000Z"
    config = {"on_filter_change": "keep", "lookback_minutes": 5}
    wanted = Wanted.of(EXPIRED_JOBS, config, now)
    assert (wanted.choice, wanted.is_free) == ("resync", True)
    assert EXPIRED_JOBS.longest_lookback
    assert wanted.start == before(now, EXPIRED_JOBS.longest_lookback - MARGIN)
    assert Wanted.of(EXPIRED_JOBS, config, "2026-01-31T08:00:00.900000Z").start == wanted.start
    late = Wanted.of(EXPIRED_JOBS, config | {"start_date": "2026-01-30"}, now)
    assert late.start == "2026-01-30T00:00:00.000000Z"


def test_before_the_first_year_is_before_all() -> None:
    assert before("0001-01-01T00:00:00.000000Z", minutes(1)) == ALL
    assert before(ALL, minutes(1)) == ALL


# Orders


def test_an_order_is_later_than_all_earlier_ones_whatever_the_clock() -> None:
    last = Order(time=at(9), filters={}, start=ALL)
    assert time_of_order(at(10), last, NOTHING) == at(10)
    assert at(9) < time_of_order(at(5), last, NOTHING) < at(10)
    assert time_of_order(at(5), None, Position(order=at(7))) > at(7)


# What is bought


def test_keep_buys_what_changed_since_filters_that_are_alike_were_read() -> None:
    """Their rows stay current, whatever other filters have read since."""
    reads = (read(having("NL"), 0, 12), read(having("AT", "CH"), 0, 10), read(having("BE"), 0, 11))
    position = Position(reads=reads, is_begun=True)
    later = dataclasses.replace(wants_nothing(having("AT", "CH", "FR")), choice="keep")
    request = plan(position, Log(position=position), later, Run(), at(20))
    assert isinstance(request, Request)
    assert request.sync.since == later.since(at(10))


def test_reads_that_have_some_of_the_values_each_have_all_of_them_until_the_older_one() -> None:
    reads = (read(having("NL"), 2, 12), read(having("AT", "CH"), 0, 10), read(having("AT"), 0, 8))
    position = Position(reads=reads, is_begun=True)
    later = dataclasses.replace(wants_nothing(having("AT", "NL")), start=at(2))
    assert best(position, later) == read(having("AT", "NL"), 2, 10)
    assert best(position, wants_nothing(having("AT", "NL"))) is None  # NL starts too late
    assert best(position, wants_nothing(having("AT", "BE"))) is None


def test_what_was_read_too_long_before_the_newest_read_is_missing() -> None:
    year = timedelta(days=365)
    now = parse_timestamp(at(12)) + year
    newest = Read(filters=having("NL"), start=ALL, until=format_timestamp(now), gap=None)
    position = Position(reads=(newest, read(having("AT"), 0, 10)), is_begun=True)
    wanted = wants_nothing(having("AT", "NL"))
    assert best(position, wanted) is None
    assert unread(position, wanted) == having("AT")
    recent = replace(newest, until=format_timestamp(now - timedelta(days=6)), filters=having("AT"))
    position = replace(position, reads=(newest, recent))
    assert best(position, wanted) == replace(recent, filters=having("AT", "NL"))
    other = replace(newest, until=format_timestamp(now + year), filters=having("BE"))
    position = replace(position, reads=(other, newest, recent))  # by a pipeline of other filters
    assert best(position, wanted) == replace(recent, filters=having("AT", "NL"))


def test_what_changed_is_read_once_of_what_several_reads_have() -> None:
    """The next run would otherwise buy it again."""
    wanted, parts = wants_nothing(having("AT", "BE", "NL")), ("AT", "BE", "NL")
    reads = tuple(read(having(each), 0, 3, gap=0 if each == "BE" else None) for each in parts)
    position = Position(reads=reads, is_begun=True)
    assert best(position, wanted) == read(wanted.filters, 0, 3, gap=0)
    bought = sync(reads=wanted.filters, filters=wanted.filters, since=at(3))
    assert best(completed(position, bought, RULES), wanted) == read(wanted.filters, 0, 10, gap=0)


def test_what_covers_the_settings_counts_before_what_reads_say_together() -> None:
    """That may have a gap, and then the rows of the gap are in what covers the settings."""
    reads = (read(OF_AT, 0, 5, gap=2), read(OF_BE, 0, 4), read(OF_AT_BE, 0, 3))
    position = Position(reads=reads, is_begun=True)
    assert best(position, wants_nothing(OF_AT_BE)) == read(OF_AT_BE, 0, 3)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_was_read_a_run_that_may_buy_what_is_missing_ends(seed: int) -> None:
    """Filters of two lists change at random; without an end, a run would buy the same again."""
    random, position, rules = Random(seed), NOTHING, FilterRules(CAREER_SITES.filters)
    now = parse_timestamp(at(0))
    lists = {"country_codes": ["DE", "FR", "US"], "company_types": ["for_profit", "non_profit"]}
    for _ in range(12):
        chosen = {name: random.sample(of, random.randint(0, len(of))) for name, of in lists.items()}
        filters = {name: sorted(values) for name, values in chosen.items() if values}
        wanted, run = dataclasses.replace(wants_nothing(filters, rules), choice="resync"), Run()
        for _ in range(6):
            now += timedelta(days=random.choice([0, 1, 5, 30]))
            request = plan(position, Log(position=position), wanted, run, format_timestamp(now))
            if request is None:
                break
            assert isinstance(request, Request)
            position = completed(replace(position, is_begun=True), request.sync, rules)
            run.note(request, is_last=True)
        else:
            pytest.fail(f"The run did not end: {filters}")


def test_a_sync_begins_over_with_all_that_was_decided() -> None:
    old = sync(reads=OF_AT, filters=OF_AT_BE, since=at(2), kept=at(3), order=at(4), replaces="z")
    for why, restarts in (("rejected", 1), ("restart", 0)):
        over = begun_over(old, wants_nothing(), at(50), why)  # type: ignore[arg-type]
        kept = {"started": at(50), "replaces": "a", "restarts": restarts}
        kept["lookback"] = Lookback(warehouse="", minutes=0, last=at(50))
        assert over.sync == replace(old, id=over.sync.id, **kept)
        assert over.sync.id != old.id
        assert (over.page, over.rows, over.cursor) == (1, 0, None)
