"""What a run asks, bills, emits, and says after other settings, or a lost state.

Each case is a past, which is one run or more, and a run with other settings. `test_traps` has the
rules themselves, more histories, and which rows a warehouse then has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from jobo_sandbox import Sandbox
from tests.archive.helpers import pass_time
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
AGENCIES: Settings = {"is_agency": True}
FOUNDED_1960: Settings = {"founded_after": 1960}
FOUNDED_1990: Settings = {"founded_after": 1990}
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
        asks: The answers that its question offers: the question comes before the run loads or
            buys anything.
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


APPLIED, GAP, OTHER_ROWS = "filters-applied", "gap", "other-rows"

GERMAN: Past = [(DE, DONE)]
BOTH: Past = [(DE_FR, DONE)]
IN_FIRST_SYNC: Past = [(DE_FR, PAGE)]
# Of a longer list, only the added values are bought, and then what has changed.
ADDING: Past = [*GERMAN, (DE_FR | RESYNC, PAGE)]
ADDING_LOST: Past = [*GERMAN, (DE_FR | RESYNC, PAGE_LOST)]
KEPT: Past = [*GERMAN, (DE_FR | KEEP, DONE)]
LATE: Past = [(LATEST_7, DONE)]
TWICE: Past = [(ALL, DONE), (ALL, DONE)]
CASES: dict[str, Case] = {
    # What was read before is not asked for, and only what has changed since is bought.
    "narrower": Case(
        BOTH, DE | AGENCIES, 6, 6, says="country_codes=DE and is_agency=true; changes"
    ),
    "narrower, cut off, and back": Case([*BOTH, (DE, PAGE)], DE_FR, 8, 8),
    # What was never read is asked for.
    "another value": Case(GERMAN, FR, asks="resync, keep", says="country_codes was DE"),
    "an earlier start date": Case(
        LATE, LATEST_100, asks="resync, keep", says="rows that only these match"
    ),
    "no start date, keep": Case(LATE, KEEP, 12, 12, warns=f"{APPLIED}, {GAP}"),
    "two filters wider, resync": Case(
        [(DE | FOUNDED_1990, DONE)], DE_FR | FOUNDED_1960 | RESYNC, 23, 23, warns=APPLIED
    ),
    # During a first sync, there is nothing to keep.
    "narrower in the first sync": Case(IN_FIRST_SYNC, DE, asks="resync"),
    "wider in the first sync, keep": Case(IN_FIRST_SYNC, KEEP, 132, 132, warns=APPLIED),
    "a later start date in the first sync": Case(
        [(LATEST_100, PAGE)], LATEST_7, 106, 106, warns="sync-starts-earlier"
    ),
    # A list that gains values
    "added values": Case(
        GERMAN, DE_FR, asks="resync, keep", says="with country_codes=FR ($50.00 per 1,000 rows)"
    ),
    "added values, keep": Case(GERMAN, DE_FR | KEEP, 8, 8, warns=f"{APPLIED}, {GAP}"),
    "added values, cut off, and another value": Case(
        ADDING, DE_GB, asks="resync, keep", says="with country_codes=GB"
    ),
    # What another run has bought is loaded: it needs no answer once page 1 is there.
    "of added values": Case(ADDING_LOST, DE_FR, 18, 13),
    "of values that are no longer wanted": Case(ADDING_LOST, DE, 11, 6, warns=OTHER_ROWS),
    "of the same other values as before": Case(
        [*GERMAN, (FR | RESYNC, DONE_LOST), (DE, DONE), (FR, DONE_LOST)], DE, 8, 6
    ),
    "of kept values": Case([*GERMAN, (DE_FR | KEEP, DONE_LOST)], DE_FR, 16, 8, warns=GAP),
    "before a question, nothing is loaded": Case(
        [*GERMAN, (DE, DONE_LOST)], FR, asks="resync, keep"
    ),
    # A gap is told once, and closed by whatever reads its rows.
    "kept, and another value": Case(KEPT, DE_FR_GB | RESYNC, 19, 19, warns=f"{APPLIED}, {GAP}"),
    # Without a state, everything that was bought is loaded.
    "no state": Case(TWICE, NO_STATE, 144, 12),
    "no state, and kept": Case(KEPT, DE_FR | NO_STATE, 29, 8, warns=GAP, says="at least $0.65"),
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=120, seed=1, rows_with_updated_at=True) as sandbox:
        yield sandbox


@dataclass
class Pipeline:
    """The tap, and the state that its target has stored.

    Attributes:
        tap: The tap.
        dates: When each company changed last, in order.
        state: The state that was stored last.
    """

    tap: Tap
    dates: list[str]
    state: Any = None

    def run(self, settings: Settings, **given: Any) -> Run:
        """Run the tap with settings as the table has them."""
        settings = {"batch_size": 5, "state": self.state} | given | settings
        pass_time(self.tap, timedelta(minutes=1))
        if "start_date" in settings:
            settings["start_date"] = self.dates[-settings["start_date"]]
        return self.tap.run(**settings)

    def live_through(self, past: Past) -> None:
        """Run what a case has for the past."""
        for number, (settings, end) in enumerate(past):
            limit: Any = {"max_credits": 250} if end in {PAGE, PAGE_LOST} else {}
            done = self.run(settings, **limit)
            assert done.returncode == 0, done.stderr
            if end in {DONE, PAGE}:
                self.state = done.state
            if number == 0:
                for country, count in NEW.items():
                    for _ in range(count):
                        self.tap.sandbox.world.add(country_code=country, is_agency=True)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_decision(tap: Tap, case: Case) -> None:
    world, billed = tap.sandbox.world, tap.sandbox.billed_ids
    pipeline = Pipeline(tap, sorted(row["updated_at"] for row in world.rows().values()))
    pipeline.live_through(case.past)
    before = billed().total()
    now = pipeline.run(case.now)
    assert (len(now.ids), billed().total() - before) == (case.emitted, case.billed)
    assert now.codes("CRITICAL") == (["filters-changed"] if case.asks else [])
    assert now.codes("WARNING") == listed(case.warns)
    offered = re.findall(r"TAP_JOBO_ON_FILTER_CHANGE=(\w+) ", "".join(now.lines("CRITICAL")))
    assert offered == listed(case.asks)
    assert case.says in now.stderr
    if "on_filter_change" in case.now:  # which was for one run
        after = pipeline.run({**case.now, "on_filter_change": "error"}, state=now.state)
        assert after.codes("CRITICAL") == after.codes("WARNING") == []


def listed(codes: str) -> list[str]:
    return codes.split(", ") if codes else []
