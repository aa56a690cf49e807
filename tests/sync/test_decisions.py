"""What a run asks, bills, emits, and misses after other settings, or a lost state.

Each case is a past, which is one run or more, and a run with other settings. The warehouse has what
the runs wrote whose state was stored. What it misses is compared with a run that has nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pytest

from jobo_sandbox import Sandbox
from tests.support import Run, Tap

pytestmark = pytest.mark.slow

Settings = dict[str, Any]
Past = list[tuple[Settings, str]]

# Of the world's 120 companies, 13 are in Germany, 8 in France, and 11 in the United Kingdom. None
# of these is an agency. After the first run of a case, some agencies are new. Each run looks back
# 15 minutes, so all later ones that buy changes buy them again.
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
NO_LOOKBACK: Settings = {"lookback_minutes": 0}
LATEST_100: Settings = {"start_date": 100}  # when the hundredth last company changed
LATEST_7: Settings = {"start_date": 7}
RESYNC: Settings = {"on_filter_change": "resync"}
KEEP: Settings = {"on_filter_change": "keep"}
NO_STATE: Settings = {"state": None}  # though one was stored

# How far a run of the past got, and whether its rows and its state were stored.
DONE = "done"
PAGE = "after its first page, at the limit of its budget"
DONE_LOST = "done, but nothing was stored"
PAGE_LOST = "after its first page, and nothing was stored"


class Case(NamedTuple):
    """A past, and what a run with other settings makes of it.

    Attributes:
        past: The settings of the earlier runs, and how far each got.
        now: The settings of the run.
        emitted: The rows that it emits.
        billed: The rows that it is billed for; the others come from the archive.
        asks: The code of the error with which it ends before its first request.
        warns: The codes of its warnings.
        misses: Unless it asks, the rows that the warehouse then lacks, or has in an older version.
            A sync goes by ids, and one of the new ones comes before the others.
        offers: What its error offers for `on_filter_change`, None for what its code always does.
        says: A part of a message, where a code does not show the reason or the price.
    """

    past: Past
    now: Settings
    emitted: int = 0
    billed: int = 0
    asks: str = ""
    warns: str = ""
    misses: int = 0
    offers: str | None = None
    says: str = ""


CHANGED, OTHER = "filters-changed", "other-filters"
APPLIED, GAP = "filters-applied", "gap"
OFFERS = {CHANGED: "resync, keep", OTHER: "resync", "": ""}

GERMAN: Past = [(DE, DONE)]
BOTH: Past = [(DE_FR, DONE)]
NARROWED: Past = [*BOTH, (DE | AGENCIES, DONE)]
NARROWING: Past = [*BOTH, (DE, PAGE)]
IN_FIRST_SYNC: Past = [(DE_FR, PAGE)]
WIDENING: Past = [*GERMAN, (RESYNC, PAGE)]
FILTERS: dict[str, Case] = {
    "narrower": Case(
        BOTH,
        DE | AGENCIES,
        6,
        6,
        says="country_codes=DE and is_agency=true; changes",
    ),
    "narrower, resync": Case(BOTH, DE | AGENCIES | RESYNC, 6, 6),
    "narrower, keep": Case(BOTH, DE | AGENCIES | KEEP, 6, 6),
    "narrower and back": Case(
        NARROWED,
        DE_FR,
        asks=CHANGED,
        says="is_agency was true",
    ),
    "narrower and back, keep": Case(NARROWED, DE_FR | KEEP, 8, 8, warns=APPLIED),
    "narrower, cut off": Case(NARROWING, DE, 1, 1),
    "narrower, cut off, and back": Case(
        NARROWING, DE_FR, asks=CHANGED, offers="resync", says="only what changed since"
    ),
    "narrower, cut off, and back, resync": Case(NARROWING, DE_FR | RESYNC, 8, 8, warns=APPLIED),
    "narrower, cut off, and back, keep": Case(NARROWING, DE_FR | KEEP, 8, 8, warns=APPLIED),
    "narrower in the first sync": Case(
        IN_FIRST_SYNC,
        DE,
        asks=CHANGED,
        offers="resync",
        says="after 5 rows",
    ),
    "wider in the first sync": Case(IN_FIRST_SYNC, ALL, asks=CHANGED, offers="resync"),
    "more values in the first sync": Case(
        IN_FIRST_SYNC, DE_FR_GB, asks=CHANGED, offers="resync", says="after 5 rows"
    ),
    "wider in the first sync, resync": Case(IN_FIRST_SYNC, RESYNC, 132, 132, warns=APPLIED),
    "wider in the first sync, keep": Case(IN_FIRST_SYNC, KEEP, 132, 132, warns=APPLIED),
    "another value": Case(GERMAN, FR, asks=CHANGED),
    "another value, resync": Case(GERMAN, FR | RESYNC, 10, 10, warns=APPLIED),
    "narrower in a resync": Case(  # the bookmark is that of the filters before the resync
        [*GERMAN, (FR_GB | RESYNC, PAGE)], FR | RESYNC, 10, 10, warns=APPLIED
    ),
    "no value, resync": Case(GERMAN, RESYNC, 132, 132, warns=APPLIED),
    "no value, cut off": Case(WIDENING, ALL, 127, 127),
    "no value, cut off, and back": Case(
        WIDENING, DE, asks=CHANGED, offers="resync", says="only what changed since"
    ),
    "no value, cut off, and back, resync": Case(WIDENING, DE | RESYNC, 6, 6, warns=APPLIED),
    "no value, cut off, and back, keep": Case(WIDENING, DE | KEEP, 6, 6, warns=APPLIED),
    "two filters wider, resync": Case(
        [(DE | FOUNDED_1990, DONE)], DE_FR | FOUNDED_1960 | RESYNC, 23, 23, warns=APPLIED
    ),
}
# Of a longer list, only the added values are bought, and then what has changed.
ADDING: Past = [*GERMAN, (DE_FR | RESYNC, PAGE)]
ADDING_LOST: Past = [*GERMAN, (DE_FR | RESYNC, PAGE_LOST)]
ADDING_LATE: Past = [*GERMAN, (DE_FR | LATEST_100 | RESYNC, PAGE)]
ADDED_VALUES: dict[str, Case] = {
    "error": Case(
        GERMAN,
        DE_FR,
        asks=CHANGED,
        says="with country_codes=FR ($50.00 per 1,000 rows)",
    ),
    "resync": Case(
        GERMAN, DE_FR | RESYNC, 18, 18, warns=APPLIED, says="country_codes=FR; all rows"
    ),
    "keep": Case(GERMAN, DE_FR | KEEP, 8, 8, warns=APPLIED, misses=8),
    "another filter narrower": Case(GERMAN, DE_FR | NO_AGENCIES | RESYNC, 8, 8, warns=APPLIED),
    "an earlier start": Case([(DE | LATEST_100, DONE)], DE_FR | RESYNC, 29, 29, warns=APPLIED),
    "cut off": Case(ADDING, DE_FR, 13, 13),
    "cut off, and back": Case(ADDING, DE, asks=CHANGED, offers="resync"),
    "cut off, and back, resync": Case(ADDING, DE | RESYNC, 6, 6, warns=APPLIED),
    "cut off, and another value": Case(
        ADDING, DE_GB, asks=CHANGED, says="with country_codes=GB, starting over"
    ),
    "cut off, and another value, resync": Case(ADDING, DE_GB | RESYNC, 17, 17, warns=APPLIED),
    "waiting": Case(ADDING_LOST, DE_FR, 18, 13),  # the decision was made when a page was bought
    "waiting, resync": Case(ADDING_LOST, DE_FR | RESYNC, 18, 13),
    "waiting, keep": Case(ADDING_LOST, DE_FR | KEEP, 18, 13),
    "waiting, and back": Case(ADDING_LOST, DE, asks=OTHER, offers=""),
    "waiting, and another value": Case(ADDING_LOST, DE_GB, 5, asks=CHANGED),
    "kept, waiting, resync": Case(
        [*GERMAN, (DE_FR | KEEP, DONE_LOST)], DE_FR | RESYNC, 16, 8, warns=GAP, misses=8
    ),
    "no start any more": Case(ADDING_LATE, DE_FR, asks=CHANGED),
    "no start any more, resync": Case(ADDING_LATE, DE_FR | RESYNC, 18, 18, warns=APPLIED),
}
# What was bought, and is not in the warehouse, is loaded before a question what to buy.
WAITING: dict[str, Case] = {
    "same filters": Case([*GERMAN, (DE, DONE_LOST)], DE, 12, 6),
    "narrower": Case([*BOTH, (DE_FR, DONE_LOST)], DE, 14, 6),
    "narrower, cut off": Case([*BOTH, (DE, PAGE_LOST)], DE, 6, 1),
    "narrower, cut off, and back": Case([*BOTH, (DE, PAGE_LOST)], DE_FR, asks=OTHER, offers=""),
    "another value": Case([*GERMAN, (DE, DONE_LOST)], FR, 6, asks=CHANGED),
    "another value, resync": Case([*GERMAN, (DE, DONE_LOST)], FR | RESYNC, 16, 10, warns=APPLIED),
    "another value, keep": Case(
        [*GERMAN, (DE, DONE_LOST)], FR | KEEP, 8, 2, warns=APPLIED, misses=8
    ),
    "a first sync": Case([(DE_FR, PAGE_LOST)], DE_FR, 29, 24),
    "a start date": Case([(LATEST_7, DONE), (LATEST_7, DONE_LOST)], ALL, 12, asks=CHANGED),
}
LATE: Past = [(LATEST_7, DONE)]
LATE_FIRST_SYNC: Past = [(LATEST_100, PAGE)]
START_DATE: dict[str, Case] = {
    "earlier": Case(
        LATE,
        LATEST_100,
        asks=CHANGED,
        says="only these match",
    ),
    "earlier, resync": Case(LATE, LATEST_100 | RESYNC, 112, 112, warns=APPLIED),
    "earlier, keep": Case(LATE, LATEST_100 | KEEP, 12, 12, warns=APPLIED, misses=93),
    "removed": Case(LATE, ALL, asks=CHANGED, says="start_date was 20"),
    "removed, resync": Case(LATE, RESYNC, 132, 132, warns=APPLIED),
    "removed, keep": Case(LATE, KEEP, 12, 12, warns=APPLIED, misses=113),
    "later": Case([(LATEST_100, DONE)], LATEST_7, 12, 12),
    "later, and back": Case([(LATEST_100, DONE), (LATEST_7, DONE)], LATEST_100, 12, 12),
    "later in the first sync": Case(LATE_FIRST_SYNC, LATEST_7, 106, 106, misses=1),
    "removed in the first sync": Case(LATE_FIRST_SYNC, ALL, asks=CHANGED, offers="resync"),
    "removed in the first sync, resync": Case(LATE_FIRST_SYNC, RESYNC, 132, 132, warns=APPLIED),
    "narrower filters in a resync": Case(
        [(DE | LATEST_100, DONE), (FR_GB | LATEST_100 | RESYNC, PAGE)],
        FR | LATEST_100,
        asks=CHANGED,
    ),
}
TWICE: Past = [(ALL, DONE), (ALL, DONE)]
WITHOUT_STATE: dict[str, Case] = {
    "after one sync": Case(
        [(ALL, DONE)],
        NO_STATE,
        132,
        12,
        says="changes since",
    ),
    "after two": Case(TWICE, NO_STATE, 144, 12),
    "after part of a first sync": Case([(ALL, PAGE)], NO_STATE, 131, 126, misses=1),
    "after part of a first sync, other filters": Case([(ALL, PAGE)], DE | NO_STATE, asks=OTHER),
    "narrower": Case(
        [(ALL, DONE)],
        DE | NO_STATE,
        asks=OTHER,
    ),
    "narrower, resync": Case([(ALL, DONE)], DE | RESYNC | NO_STATE, 126, 6),
    "narrower, keep": Case([(ALL, DONE)], DE | KEEP | NO_STATE, 126, 6),
    "added values": Case(GERMAN, DE_FR | NO_STATE, asks=OTHER),
    "added values, resync": Case(GERMAN, DE_FR | RESYNC | NO_STATE, 31, 18, warns=APPLIED),
    "added values, keep": Case(GERMAN, DE_FR | KEEP | NO_STATE, 21, 8, warns=APPLIED, misses=8),
    "an earlier start": Case(LATE, LATEST_100 | NO_STATE, asks=OTHER),
    "a later start": Case([(LATEST_100, DONE)], LATEST_7 | NO_STATE, 112, 12),
    "the resync of another pipeline": Case(
        [*GERMAN, (FR | RESYNC, DONE)], DE | NO_STATE, asks=OTHER
    ),
    "without the archive": Case(TWICE, NO_STATE | {"archive": False}, 132, 132),
}
# Rows that were not bought: a later `resync` names them, and buys no more than changes.
KEPT: Past = [*GERMAN, (DE_FR | KEEP, DONE)]
GAPS: dict[str, Case] = {
    "resync": Case(KEPT, DE_FR | RESYNC, 8, 8, warns=GAP, misses=8, says="restart career_sites"),
    "keep": Case(KEPT, DE_FR | KEEP, 8, 8, misses=8),
    "error": Case(KEPT, DE_FR, 8, 8, misses=8),
    "no state": Case(KEPT, DE_FR | RESYNC | NO_STATE, 29, 8, warns=GAP, misses=8),
    "added values, resync": Case(
        KEPT, DE_FR_GB | RESYNC, 19, 19, warns=f"{APPLIED}, {GAP}", misses=8
    ),
    "all values, resync": Case(KEPT, RESYNC, 132, 132, warns=APPLIED),
    "all values, then resync": Case([*KEPT, (RESYNC, DONE)], RESYNC, 12, 12),
    "a full sync that was given up": Case(
        [*WIDENING, (DE | KEEP, DONE)], DE | RESYNC, 6, 6, warns=GAP
    ),
    "an earlier start": Case([*LATE, (KEEP, DONE)], RESYNC, 12, 12, warns=GAP, misses=113),
}
CASES = {
    f"{what}: {name}": case
    for what, cases in {
        "filters": FILTERS,
        "added values": ADDED_VALUES,
        "waiting pages": WAITING,
        "start date": START_DATE,
        "without a state": WITHOUT_STATE,
        "gap": GAPS,
    }.items()
    for name, case in cases.items()
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=120, seed=1, rows_with_updated_at=True) as sandbox:
        yield sandbox


@dataclass
class Pipeline:
    """The tap, and the warehouse that its runs load.

    Attributes:
        tap: The tap.
        dates: When each company changed last, in order.
        rows: What the warehouse has, by id.
        state: The state that it stored last.
    """

    tap: Tap
    dates: list[str]
    rows: dict[str, Any] = field(default_factory=dict)
    state: Any = None

    def run(self, settings: Settings, **given: Any) -> Run:
        """Run the tap with settings as the table has them."""
        settings = {"batch_size": 5, "state": self.state} | given | settings
        if "start_date" in settings:
            settings["start_date"] = self.dates[-settings["start_date"]]
        return self.tap.run(**settings)

    def store(self, run: Run) -> None:
        """Store what a run wrote."""
        self.rows |= {row["id"]: row for row in run.records}
        if run.states:
            self.state = run.state

    def live_through(self, past: Past) -> None:
        """Run what a case has for the past."""
        for number, (settings, end) in enumerate(past):
            limit: Any = {"max_credits": 250} if end in {PAGE, PAGE_LOST} else {}
            done = self.run(settings, **limit)
            assert done.returncode == 0, done.stderr
            if end in {DONE, PAGE}:
                self.store(done)
            if number == 0:
                for country, count in NEW.items():
                    for _ in range(count):
                        self.tap.sandbox.world.add(country_code=country, is_agency=True)

    def missing(self, settings: Settings) -> list[str]:
        """The ids of the rows that the warehouse lacks, or has in an older version."""
        fresh = replace(self, state=None).run(settings, archive=False)
        return [row["id"] for row in fresh.records if self.rows.get(row["id"]) != row]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_decision(tap: Tap, case: Case) -> None:
    sandbox, settings = tap.sandbox, {**case.now}
    decision = settings.pop("on_filter_change", None)
    pipeline = Pipeline(tap, sorted(row["updated_at"] for row in sandbox.world.rows().values()))
    pipeline.live_through(case.past)
    if "state" in settings:
        pipeline = replace(pipeline, rows={}, state=settings.pop("state"))
    billed = sandbox.rows_billed
    now = pipeline.run(case.now)
    assert (len(now.ids), sandbox.rows_billed - billed) == (case.emitted, case.billed)
    warns = [code or "no code" for code in now.codes("WARNING")]
    assert (now.codes("CRITICAL"), warns) == (listed(case.asks), listed(case.warns))
    offers = OFFERS[case.asks] if case.offers is None else case.offers
    offered = re.findall(r"TAP_JOBO_ON_FILTER_CHANGE=(\w+) ", "".join(now.lines("CRITICAL")))
    assert offered == listed(offers)
    assert case.says in now.stderr
    pipeline.store(now)
    if case.asks:
        again = pipeline.run(case.now)  # which loads nothing again
        assert (again.ids, again.codes("CRITICAL")) == ([], [case.asks])
        assert sandbox.rows_billed - billed == 0
        return
    if decision:  # which was for one run
        after = pipeline.run(settings)
        assert after.codes("CRITICAL") == after.codes("WARNING") == []
        pipeline.store(after)
    assert len(pipeline.missing(settings)) == case.misses


def listed(codes: str) -> list[str]:
    return codes.split(", ") if codes else []
