"""What a run bills, emits, and asks after other settings, a full table, or a lost state.

Each case is a past, which is one run or more, and a run with other settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from jobo_sandbox import Sandbox
from tests.support import Run, Tap, complaint
from tests.sync.test_scan import full_table

pytestmark = pytest.mark.slow

Settings = dict[str, Any]
Past = list[tuple[Settings, str]]

# Of the world's 120 companies, 13 are in Germany, 8 in France, and 11 in the United Kingdom. None
# of these is an agency. After the first run of a case, some agencies are new. Each run looks back
# 15 minutes, so all later ones read them again.
NEW = {"DE": 6, "FR": 2, "US": 4}
ALL: Settings = {}
DE: Settings = {"country_codes": ["DE"]}
FR: Settings = {"country_codes": ["FR"]}
DE_FR: Settings = {"country_codes": ["DE", "FR"]}
DE_GB: Settings = {"country_codes": ["DE", "GB"]}
DE_FR_GB: Settings = {"country_codes": ["DE", "FR", "GB"]}
FR_GB: Settings = {"country_codes": ["FR", "GB"]}
AGENCIES: Settings = {"is_agency": True}
NO_AGENCIES: Settings = {"is_agency": False}
FOUNDED_1960: Settings = {"founded_after": 1960}
FOUNDED_1990: Settings = {"founded_after": 1990}
FULL: Settings = {"replication": "FULL_TABLE"}
NO_LOOKBACK: Settings = {"lookback_minutes": 0}
LOOKBACK_60: Settings = {"lookback_minutes": 60}
LATEST_100: Settings = {"start_date": 100}  # when the hundredth last company changed
LATEST_7: Settings = {"start_date": 7}
RESYNC: Settings = {"on_filter_change": "resync"}
KEEP: Settings = {"on_filter_change": "keep"}
NO_STATE: Settings = {"state": None}  # though one was stored
REFRESH: Settings = {"on_missing_state": "resync"} | NO_STATE
ONCE = {*RESYNC, *REFRESH}  # a decision: the next run needs no other

# How far a run of the past got, and whether its state was stored.
DONE = "done"
PAGE = "after its first page, at the limit of its budget"
DONE_LOST = "done, but the state is lost"
PAGE_LOST = "after its first page, and the state is lost"


class Case(NamedTuple):
    """A past, and what a run with other settings makes of it.

    Attributes:
        past: The settings of the earlier runs, and how far each got.
        now: The settings of the run.
        emitted: The rows that it emits.
        billed: The rows that it is billed for; the others come from the archive.
        asks: The code of the error with which it ends before its first request.
        warns: The codes of its warnings.
        says: A part of a message, where a code does not show the reason or the price.
    """

    past: Past
    now: Settings
    emitted: int = 0
    billed: int = 0
    asks: str = ""
    warns: str = ""
    says: str = ""


CHANGED, UNUSED, LOST = "filters-changed", "unused-pages", "lost-state"

GERMAN: Past = [(DE, DONE)]
BOTH: Past = [(DE_FR, DONE)]
NARROWED: Past = [*BOTH, (DE | AGENCIES, DONE)]
NARROWING: Past = [*BOTH, (DE, PAGE)]
IN_FIRST_SYNC: Past = [(DE_FR, PAGE)]
FILTERS: dict[str, Case] = {
    "narrower": Case(
        BOTH,
        DE | AGENCIES,
        6,
        6,
        says="(country_codes was DE, FR and is DE; is_agency was not set and is true): no row is",
    ),
    "narrower, resync": Case(BOTH, DE | AGENCIES | RESYNC, 6, 6),
    "narrower, keep": Case(BOTH, DE | AGENCIES | KEEP, 6, 6),
    "narrower and back": Case(
        NARROWED,
        DE_FR,
        asks=CHANGED,
        says="country_codes was DE and is DE, FR; is_agency was true and is not set",
    ),
    "narrower and back, keep": Case(NARROWED, DE_FR | KEEP, 8, 8, warns=CHANGED),
    "narrower, cut off": Case(NARROWING, DE, 1, 1),
    "narrower, cut off, and back": Case(
        NARROWING, DE_FR, asks=CHANGED, says="only the new filters match stay missing"
    ),
    "narrower, state lost": Case([*BOTH, (DE, PAGE_LOST)], DE, 6, 1),
    "narrower in the first sync": Case(
        IN_FIRST_SYNC,
        DE,
        asks=CHANGED,
        says="The unfinished sync of the old filters is dropped: of its 5 rows ($0.25 at list "
        "price), those that still match are billed again.",
    ),
    "wider in the first sync": Case(IN_FIRST_SYNC, ALL, asks=CHANGED),
    "more values in the first sync": Case(
        IN_FIRST_SYNC, DE_FR_GB, asks=CHANGED, says="'resync' reads all matching rows: each row"
    ),
    "wider in the first sync, resync": Case(IN_FIRST_SYNC, RESYNC, 132, 132, warns=CHANGED),
    "wider in the first sync, keep": Case(IN_FIRST_SYNC, KEEP, 132, 132, warns=CHANGED),
    "another value, resync": Case(GERMAN, FR | RESYNC, 10, 10, warns=CHANGED),
    "narrower in a resync": Case(  # the bookmark is that of the filters before the resync
        [*GERMAN, (FR_GB | RESYNC, PAGE)], FR | RESYNC, 10, 10, warns=CHANGED
    ),
    "no value, resync": Case(GERMAN, RESYNC, 132, 132, warns=CHANGED),
    "no value, cut off": Case([*GERMAN, (RESYNC, PAGE)], ALL, 127, 127),
    "no value, cut off, and back": Case([*GERMAN, (RESYNC, PAGE)], DE, asks=CHANGED),
    "two filters wider, resync": Case(
        [(DE | FOUNDED_1990, DONE)], DE_FR | FOUNDED_1960 | RESYNC, 23, 23, warns=CHANGED
    ),
}
# Of a longer list, only the added values are read, and then what has changed.
ADDING: Past = [*GERMAN, (DE_FR | RESYNC, PAGE)]
ADDING_LATE: Past = [*GERMAN, (DE_FR | LATEST_100 | RESYNC, PAGE)]
ADDED_VALUES: dict[str, Case] = {
    "error": Case(
        GERMAN,
        DE_FR,
        asks=CHANGED,
        says="'resync' reads the rows with country_codes FR, then what changed since",
    ),
    "resync": Case(GERMAN, DE_FR | RESYNC, 18, 18, warns=CHANGED),
    "keep": Case(GERMAN, DE_FR | KEEP, 8, 8, warns=CHANGED),
    "another filter narrower": Case(GERMAN, DE_FR | NO_AGENCIES | RESYNC, 8, 8, warns=CHANGED),
    "an earlier start": Case([(DE | LATEST_100, DONE)], DE_FR | RESYNC, 29, 29, warns=CHANGED),
    "as a full table": Case(GERMAN, DE_FR | FULL | RESYNC, 29, 29),
    "cut off": Case(ADDING, DE_FR, 13, 13),
    "cut off, and back": Case(ADDING, DE, 6, 6, warns=UNUSED),
    "cut off, and another value": Case(
        ADDING,
        DE_GB,
        asks=CHANGED,
        says="The unfinished sync of added values is dropped: its 5 rows ($0.25 at list price) are "
        "billed again. Otherwise, set the filters as they were when that sync began and complete",
    ),
    "cut off, and another value, resync": Case(
        ADDING, DE_GB | RESYNC, 17, 17, warns=f"{CHANGED}, {UNUSED}"
    ),
    "state lost": Case(
        [*GERMAN, (DE_FR | RESYNC, PAGE_LOST)], DE_FR | RESYNC, 18, 13, warns=CHANGED
    ),
    "state lost, keep": Case(
        [*GERMAN, (DE_FR | RESYNC, PAGE_LOST)],
        DE_FR | KEEP,
        8,
        8,
        warns=f"{CHANGED}, {UNUSED}",
        says="because they have only the rows of added filter values",
    ),
    "keep, state lost": Case(
        [*GERMAN, (DE_FR | KEEP, DONE_LOST)],
        DE_FR | RESYNC,
        18,
        18,
        warns=f"{CHANGED}, {UNUSED}",
        says="because this run reads only the rows of added filter values",
    ),
    "no state": Case(ADDING, DE_FR | REFRESH, 29, 29, warns=UNUSED),
    "cut off twice, no state": Case(
        [*ADDING, (DE_FR, PAGE)], DE_FR | REFRESH, 29, 29, warns=UNUSED
    ),
    "no start any more": Case(ADDING_LATE, DE_FR, 11, 11, warns="no code"),
    "no start any more, in the next run": Case(
        [*ADDING_LATE, (DE_FR, DONE)], DE_FR, asks=CHANGED, says="start_date was 20"
    ),
    "no start any more, resync": Case(ADDING_LATE, DE_FR | RESYNC, 32, 32, warns="no code"),
}
FULL_TABLE: dict[str, Case] = {
    "other filters": Case([(DE | FULL, DONE)], DE_FR | FULL, 29, 29, says="no row is missing"),
    "cut off": Case([(DE | FULL, DONE), (DE_FR | FULL, PAGE)], DE_FR | FULL, 24, 24),
    "cut off, other filters": Case([(DE | FULL, DONE), (DE_FR | FULL, PAGE)], FULL, asks=CHANGED),
    "state lost": Case([(FULL, DONE), (FULL, PAGE_LOST)], FULL | NO_STATE, 132, 127),
}
LATE: Past = [(LATEST_7, DONE)]
LATE_FIRST_SYNC: Past = [(LATEST_100, PAGE)]
START_DATE: dict[str, Case] = {
    "earlier": Case(LATE, LATEST_100, asks=CHANGED, says="only the new filters match stay missing"),
    "earlier, resync": Case(LATE, LATEST_100 | RESYNC, 112, 112, warns=CHANGED),
    "earlier, keep": Case(LATE, LATEST_100 | KEEP, 12, 12, warns=CHANGED),
    "removed": Case(LATE, ALL, asks=CHANGED, says="Z and is not set"),
    "removed, resync": Case(LATE, RESYNC, 132, 132, warns=CHANGED),
    "removed, keep": Case(LATE, KEEP, 12, 12, warns=CHANGED),
    "later": Case([(LATEST_100, DONE)], LATEST_7, 12, 12),
    "later, and back": Case([(LATEST_100, DONE), (LATEST_7, DONE)], LATEST_100, 12, 12),
    "later in the first sync": Case(LATE_FIRST_SYNC, LATEST_7, 106, 106, warns="no code"),
    "removed in the first sync": Case(
        LATE_FIRST_SYNC,
        ALL,
        asks=CHANGED,
        says="The unfinished sync of the old filters is dropped",
    ),
    "removed in the first sync, resync": Case(LATE_FIRST_SYNC, RESYNC, 132, 132, warns=CHANGED),
    "narrower filters in a resync": Case(  # the bookmark is that of the filters before the resync
        [(DE | LATEST_100, DONE), (FR_GB | LATEST_100 | RESYNC, PAGE)],
        FR | LATEST_100,
        asks=CHANGED,
        says="any row that the unfinished sync has not read may stay missing",
    ),
}
TWICE: Past = [(ALL, DONE), (ALL, DONE)]
REFRESHING: Past = [*TWICE, (REFRESH, PAGE_LOST)]
STATE_MISSING: dict[str, Case] = {
    "after one sync": Case([(ALL, DONE)], NO_STATE, 132, 12),
    "refresh": Case(TWICE, REFRESH, 132, 132, warns=UNUSED),
    "refresh, cut off": Case(REFRESHING, NO_STATE, asks=LOST, says="(at least $5.75)"),
    "refresh, cut off, and again": Case(REFRESHING, REFRESH, 132, 127),
    "refresh, cut off, and not again": Case(
        REFRESHING,
        ALL,
        12,
        12,
        warns=UNUSED,
        says="If a full refresh was interrupted, run it again first",
    ),
    "refresh, cut off, not again, and again": Case(  # its pages are too old by then
        [*REFRESHING, (ALL, DONE), (ALL, DONE)], REFRESH, 132, 132, warns=UNUSED
    ),
    "refresh, cut off, and a full table": Case(REFRESHING, FULL, 132, 132, warns=UNUSED),
    "refresh to other filters, cut off, and again": Case(
        [(ALL, DONE), (DE | REFRESH, PAGE_LOST), (ALL, DONE)], DE | REFRESH, 19, 14, warns=UNUSED
    ),
    "as a full table": Case(
        TWICE, FULL | NO_STATE, asks=UNUSED, says="3 billed pages of career_sites ($0.60, since "
    ),
    "as a full table, refresh": Case(TWICE, FULL | REFRESH, 132, 132, warns=UNUSED),
    "without the archive": Case(TWICE, NO_STATE | {"archive": False}, 132, 132),
}
# The pages of a sync whose state is lost are used, or the run asks.
FIRST: Past = [(DE_FR, PAGE_LOST)]
FIRST_GIVEN_UP: Past = [*FIRST, (DE | RESYNC, PAGE_LOST)]
FIRST_AGAIN: Past = [*FIRST_GIVEN_UP, (DE_FR | RESYNC, DONE_LOST)]
LAST: Past = [(ALL, DONE), (ALL, DONE_LOST)]
STATE_LOST: dict[str, Case] = {
    "first": Case(FIRST, DE_FR, 29, 24),
    "first, narrower": Case(
        FIRST,
        DE,
        asks=UNUSED,
        says="because country_codes was DE, FR and is DE. Nothing was billed. To use them free, "
        "change that back, and run",
    ),
    "first, wider": Case(
        FIRST, ALL, asks=UNUSED, says="because country_codes was DE, FR and is not set"
    ),
    "first, start date": Case(
        FIRST, DE_FR | LATEST_100, asks=UNUSED, says="because start_date was not set and is 20"
    ),
    "first, no start date any more": Case(
        [(DE_FR | LATEST_100, PAGE_LOST)], DE_FR, asks=UNUSED, says="because start_date was 20"
    ),
    "first, refresh": Case(FIRST, DE | REFRESH, 19, 19, warns=UNUSED),
    "first, resync": Case(
        FIRST,
        DE | RESYNC,
        19,
        19,
        warns=UNUSED,
        says="that this run gives up, because country_codes was DE, FR and is DE.",
    ),
    "first, keep": Case(FIRST, DE | KEEP, 19, 19, warns=UNUSED),
    "first, given up": Case(FIRST_GIVEN_UP, DE, 19, 14),
    "first, given up, and back": Case(FIRST_GIVEN_UP, DE_FR, asks=UNUSED),
    "first, given up, and another value": Case(
        FIRST_GIVEN_UP,
        FR,
        asks=UNUSED,
        says="1 billed page of career_sites ($0.25, since ",
    ),
    "first, given up, and used again": Case(
        FIRST_AGAIN, DE, asks=UNUSED, says="6 billed pages of career_sites ($1.45, since "
    ),
    "first, given up, used again, and again": Case(FIRST_AGAIN, DE_FR, 37, 8),
    "first, given up, and used after all": Case(
        [*FIRST_GIVEN_UP, (DE_FR | RESYNC, PAGE)], DE_FR, 19, 19
    ),
    "last, longer lookback": Case(LAST, LOOKBACK_60, 24, 12),
    "last, longer lookback than none": Case(
        [(NO_LOOKBACK, DONE), (NO_LOOKBACK, DONE_LOST), (LOOKBACK_60, DONE)], LOOKBACK_60, 12, 12
    ),
    "last, narrower": Case(
        LAST, DE, asks=UNUSED, says="because country_codes was not set and is DE"
    ),
    "last, replayed, and narrower": Case(
        [*LAST, (ALL, DONE_LOST)], DE, asks=UNUSED, says="6 billed pages of career_sites ($1.20"
    ),
    "last, full table": Case(LAST, FULL, asks=UNUSED, says="the catalog says FULL_TABLE"),
    "last, full table, no state": Case(
        LAST, FULL | NO_STATE, asks=UNUSED, says="the catalog says FULL_TABLE"
    ),
}
CASES = {
    f"{what}: {name}": case
    for what, cases in {
        "filters": FILTERS,
        "added values": ADDED_VALUES,
        "full table": FULL_TABLE,
        "start date": START_DATE,
        "state missing": STATE_MISSING,
        "state lost": STATE_LOST,
    }.items()
    for name, case in cases.items()
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=120, seed=1, rows_with_updated_at=True) as sandbox:
        yield sandbox


def run(tap: Tap, settings: Settings, dates: list[str], **given: Any) -> Run:
    """Run the tap with settings as the table has them."""
    settings = {"batch_size": 5} | given | settings
    catalog = full_table() if settings.pop("replication", None) else None
    if "start_date" in settings:
        settings["start_date"] = dates[-settings["start_date"]]
    return tap.run(catalog=catalog, **settings)


def live_through(tap: Tap, past: Past, dates: list[str]) -> Any:
    """Run what a case has for the past, and return the state that is stored."""
    state: Any = None
    for number, (settings, end) in enumerate(past):
        limit: Any = {"max_credits": 250} if end in {PAGE, PAGE_LOST} else {}
        done = run(tap, settings, dates, state=state, **limit)
        assert done.returncode == 0, done.stderr
        if end in {DONE, PAGE}:
            state = done.state
        if number == 0:
            for country, count in NEW.items():
                for _ in range(count):
                    tap.sandbox.world.add(country_code=country, is_agency=True)
    return state


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_decision(tap: Tap, case: Case) -> None:
    dates = sorted(row["updated_at"] for row in tap.sandbox.world.rows().values())
    state = live_through(tap, case.past, dates)
    billed, requests = tap.sandbox.rows_billed, len(tap.sandbox.feed_requests)
    now = run(tap, case.now, dates, state=state)
    assert (len(now.ids), tap.sandbox.rows_billed - billed) == (case.emitted, case.billed)
    assert codes(now, "CRITICAL") == case.asks
    assert codes(now, "WARNING") == case.warns
    assert case.says in now.stderr
    if case.asks:
        assert complaint(now)
        assert all(each == state for each in now.states)
        assert len(tap.sandbox.feed_requests) == requests
    elif ONCE & case.now.keys():
        settings = {name: value for name, value in case.now.items() if name not in ONCE}
        after = run(tap, settings, dates, state=now.state)
        assert (codes(after, "CRITICAL"), codes(after, "WARNING")) == ("", "")


def codes(run: Run, level: str) -> str:
    return ", ".join(code or "no code" for code in run.codes(level))
