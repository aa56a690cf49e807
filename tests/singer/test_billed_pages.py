"""The bill: a row for each page that was billed, and which pages have none."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jobo_sandbox import Entry, Sandbox
from tap_jobo.clock import parse_timestamp
from tests.archive.helpers import archive_command, header, name_of, pages, replayed, rewrite
from tests.support import Run, Tap, entry_of, schema_message
from tests.support.companies import records_of
from tests.support.crash import cut_after, cut_in_request, parse, some_signal, wait_until_quiet
from tests.support.jobs import STREAMS, tap_of
from tests.support.target import Message, Target

pytestmark = pytest.mark.slow

BILLED = ("billed_pages", "career_sites", "jobs")
ENDPOINTS = {"feed": "career_sites", "jobs": "jobs"}


@pytest.fixture
def tap(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with the bill and two feeds, in 2 and 3 pages."""
    tap = tap_of(hiring, tmp_path, *BILLED)
    tap.settings |= {"batch_size": 15, "jobs_batch_size": 40}
    return tap


def bill_of(run: Run) -> list[dict[str, Any]]:
    assert run.returncode == 0, run.stderr
    return records_of(run.messages, "billed_pages")


def test_each_billed_page_has_a_row_before_the_state_moves_past_it(
    hiring: Sandbox, tmp_path: Path
) -> None:
    tap = tap_of(hiring, tmp_path, *STREAMS)
    kinds = ["for_profit", "non_profit"]
    filters: Any = {"country_codes": ["DE", "US", "GB", "FR"], "company_types": kinds}
    run = tap.run(batch_size=15, jobs_batch_size=40, **filters)
    bill, entries = bill_of(run), [entry for entry in hiring.ledger if entry.credits]
    assert [(row["rows"], row["credits"]) for row in bill] == [
        (len(entry.row_ids), entry.credits) for entry in entries
    ]
    assert {row["stream"] for row in bill} == {"career_sites", "jobs", "managed_jobs"}
    assert all(row["is_confirmed"] for row in bill)
    jobs = [row for row in bill if row["stream"] == "jobs"]
    assert [row["page"] for row in jobs] == [1, 2, 3]
    assert len({row["sync_id"] for row in jobs}) == 1
    assert {row["filters"] for row in jobs} == {"{}"}
    assert bill[0]["filters"] == (
        '{"company_types": ["for_profit", "non_profit"], "country_codes": ["DE", "FR", "GB", "US"]}'
    )

    assert run.messages[0]["stream"] == "billed_pages"
    assert schema_message(run, "billed_pages")["key_properties"] == ["id"]
    assert all("billed_pages" not in state["bookmarks"] for state in run.states)
    types = [
        message["type"] if message["type"] != "RECORD" else message["stream"]
        for message in run.messages
        if message.get("stream") not in ("companies", "expired_jobs")
    ]
    after = [types[n + 1] for n, each in enumerate(types) if each == "billed_pages"]
    assert after == ["STATE"] * len(bill)


def test_a_replayed_page_has_the_same_row_and_a_page_billed_again_another(tap: Tap) -> None:
    first, again = bill_of(tap.run()), bill_of(tap.run())
    assert again[: len(first)] == first
    shutil.rmtree(tap.folder / "archive")
    third = bill_of(tap.run())
    assert {row["id"] for row in third}.isdisjoint(row["id"] for row in again)
    total = {row["id"]: row["credits"] for row in [*first, *again, *third]}
    assert sum(total.values()) == tap.sandbox.credits_billed


def test_a_page_that_was_dropped_and_billed_again_has_two_rows(
    hiring: Sandbox, tmp_path: Path
) -> None:
    """Of one sync, and with the same number."""
    tap = tap_of(hiring, tmp_path, "billed_pages", "jobs")
    tap.settings |= {"jobs_batch_size": 40}
    bill = records_of(cut_in_request(tap, 3, billed=False).messages, "billed_pages")
    dropped = name_of(pages(tap.folder / "archive")[-1])
    assert archive_command(tap, "drop", dropped).returncode == 0
    bill += bill_of(tap.run())
    credits_of = {row["id"]: row["credits"] for row in bill}
    assert sum(credits_of.values()) == hiring.credits_billed
    of_page = {row["id"] for row in bill if f"{row['sync_id']}.{row['page']}" == dropped}
    assert len(of_page) == 2


def test_first_pages_of_two_syncs_of_a_run_have_two_rows(tap: Tap) -> None:
    first = tap.run(country_codes=["DE"])
    tap.sandbox.world.touch(next(row["id"] for row in records_of(first.messages, "career_sites")))
    billed = tap.sandbox.credits_billed
    wider: Any = {"country_codes": ["DE", "US"], "on_filter_change": "resync"}
    bill = bill_of(tap.run(state=first.state, **wider))
    pages_ = [row["page"] for row in bill if row["stream"] == "career_sites"]
    assert pages_.count(1) == 2
    credits_of = {row["id"]: row["credits"] for row in bill}
    assert sum(credits_of.values()) == tap.sandbox.credits_billed - billed


def test_without_a_deduction_a_row_has_the_list_price(tap: Tap) -> None:
    tap.sandbox.omit_credit_headers = True
    bill = bill_of(tap.run())
    assert [row["credits"] for row in bill] == [15 * 50, 5 * 50, 40 * 3, 40 * 3, 10 * 3]
    assert not any(row["is_confirmed"] for row in bill)


def test_a_page_of_an_included_plan_costs_nothing(tap: Tap) -> None:
    tap.sandbox.jobs_plan = "included"
    jobs = [row for row in bill_of(tap.run()) if row["stream"] == "jobs"]
    assert [(row["rows"], row["credits"]) for row in jobs] == [(40, 0), (40, 0), (10, 0)]


def test_pages_of_an_earlier_version_are_not_confirmed(tap: Tap) -> None:
    tap.run()
    for page in pages(tap.folder / "archive"):
        rewrite(page, charge=replace(header(page).charge, deducted=None))
    run = tap.run()
    assert replayed(run)
    confirmed = [row["is_confirmed"] for row in bill_of(run)]
    assert confirmed[:1] == [False]


def test_it_needs_no_archive(tap: Tap) -> None:
    rows = {row["id"]: row for _ in range(2) for row in bill_of(tap.run(archive=False))}
    assert sum(row["credits"] for row in rows.values()) == tap.sandbox.credits_billed


def test_a_run_without_changes_adds_no_row(tap: Tap) -> None:
    state = tap.run(lookback_minutes=0).state
    assert bill_of(tap.run(state=state, lookback_minutes=0)) == []


@pytest.mark.parametrize("streams", [(), ("expired_jobs",)], ids=str)
@pytest.mark.parametrize("args", [(), ("--test",), ("--test=schema",)], ids=str)
def test_it_needs_a_feed_that_is_billed(
    hiring: Sandbox, tmp_path: Path, streams: tuple[str, ...], args: tuple[str, ...]
) -> None:
    assert tap_of(hiring, tmp_path, "billed_pages", *streams).refuse(*args) == (
        "billed_pages needs a feed that is billed. Select one of career_sites, jobs, managed_jobs."
    )


def test_a_connection_test_adds_no_row(tap: Tap) -> None:
    run = tap.run("--test")
    assert bill_of(run) == []
    assert tap.sandbox.credits_billed == 53


def test_selected_fields_and_stream_maps_apply(tap: Tap) -> None:
    for entry in entry_of(tap.catalog, "billed_pages")["metadata"]:
        if entry["breadcrumb"][-1:] == ["filters"]:
            entry["metadata"]["selected"] = False
    maps = {"__filter__": "stream == 'jobs'", "__alias__": "bill", "dollars": "credits / 1000"}
    run = tap.succeed(stream_maps={"billed_pages": maps})
    rows = records_of(run.messages, "bill")
    assert [row["dollars"] for row in rows] == [0.12, 0.12, 0.03]
    assert all("filters" not in row for row in rows)
    assert bill_of(tap.run(stream_maps={"billed_pages": None})) == []


@dataclass
class Judge:
    """Compares the rows of the bill with the sandbox's ledger, page by page.

    Attributes:
        entry_of: The number of the ledger's entry that a row is the bill of, by the row's id.
        excused: The numbers of entries that need not have a row.
    """

    sandbox: Sandbox
    entry_of: dict[str, int] = field(default_factory=dict)
    excused: set[int] = field(default_factory=set)

    @property
    def billed(self) -> dict[int, Entry]:
        entries = self.sandbox.ledger
        return {entry.number: entry for entry in entries if entry.credits}

    def read(self, messages: list[Message]) -> None:
        """Find the entry of each row: that with the ids of the records since the row before it."""
        ids: list[str] = []
        for message in messages:
            if message.get("stream") == "billed_pages" and message["type"] == "RECORD":
                self._match(message["record"], ids)
                ids = []  # not at a STATE: one that repeats the last one is not written
            elif message["type"] == "RECORD":
                ids.append(message["record"]["id"])

    def _match(self, row: dict[str, Any], ids: list[str]) -> None:
        taken = {*self.entry_of.values()} - {self.entry_of.get(row["id"])}
        known = self.entry_of.get(row["id"])
        at = parse_timestamp(row["received_at"])  # two pages can have the same rows
        candidates = [
            (abs(entry.time - at), number)
            for number, entry in self.billed.items()
            if number not in taken and entry.row_ids == ids and known in (None, number)
        ]
        _, number = min(candidates)
        entry = self.billed[number]
        assert ENDPOINTS[entry.endpoint] == row["stream"]
        assert (len(ids), entry.credits) == (row["rows"], row["credits"])
        assert row["is_confirmed"]
        self.entry_of[row["id"]] = number

    def missing(self, target: Target) -> set[int]:
        """Return the numbers of billed pages without a row in the target."""
        return self.billed.keys() - {self.entry_of[key] for key in target.tables["billed_pages"]}


@dataclass
class History:
    """Runs of one pipeline, each of which ends in its own way, over rows that change."""

    rng: Random
    tap: Tap
    judge: Judge
    target: Target = field(default_factory=Target)
    is_state_lost: bool = False

    def change(self) -> None:
        world, rng = self.tap.sandbox.world, self.rng
        for key in rng.sample([*world.rows()], rng.randint(0, 12)):
            world.touch(key, summary="Changed.")
        for key in rng.sample([*world.jobs()], rng.randint(0, 20)):
            world.touch_job(key, title="Changed")

    def lose(self) -> None:
        """Now and then, lose the state, or the archive too."""
        if self.rng.random() < 0.1:
            self.target.state, self.is_state_lost = None, True
            if self.rng.random() < 0.5:
                self.judge.excused |= self.judge.missing(self.target)
                shutil.rmtree(self.tap.folder / "archive", ignore_errors=True)
        if self.is_state_lost:  # a full sync does not deliver the pages of what it replaces
            self.judge.excused |= self.judge.missing(self.target)
            bookmarks = (self.target.state or {}).get("bookmarks", {})
            self.is_state_lost = not all(
                bookmarks.get(name, {}).get("replication_key_value") for name in BILLED[1:]
            )

    def run(self) -> None:
        how = self.rng.choice(["kill", "kill", "budget", "target", "end"])
        messages = self._killed() if how == "kill" else self.finish(is_limited=how == "budget")
        states = sum(message["type"] == "STATE" for message in messages)
        lost = 0 if how in ("end", "budget") else self.rng.randint(0, states)
        self.target.receive(messages, states_lost=lost)

    def _killed(self) -> list[Message]:
        before, signum = len(self.judge.billed), some_signal(self.rng)
        lines = self.rng.randint(0, 120)
        _, written = cut_after(self.tap, lines, signum, state=self.target.state)
        wait_until_quiet(self.tap.sandbox)
        if signum == signal.SIGKILL and len(self.judge.billed) > before:
            self.judge.excused.add(max(self.judge.billed))  # it may have been in flight
        messages = parse(written)
        self.judge.read(messages)
        return messages

    def finish(self, *, is_limited: bool = False) -> list[Message]:
        limit = self.rng.choice([250, 300, 560, 1_200]) if is_limited else 10**9
        run = self.tap.succeed(state=self.target.state, max_credits=limit)
        self.judge.read(run.messages)
        return run.messages


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(int(os.environ.get("JOBO_HISTORIES", "1"))))
def test_the_bill_agrees_with_the_ledger_over_50_crashes_budgets_and_replays(
    tmp_path: Path, seed: int
) -> None:
    with Sandbox(size=40, jobs=60, seed=seed) as sandbox:
        tap, judge = tap_of(sandbox, tmp_path, *BILLED), Judge(sandbox)
        tap.settings = {"batch_size": 5, "jobs_batch_size": 10, "lookback_minutes": 0}
        tap.settings["on_missing_state"] = "resync"
        history = History(Random(seed), tap, judge)
        for _ in range(50):
            history.change()
            history.lose()
            history.run()
        target = history.target
        target.receive(history.finish())
        assert judge.missing(target) <= judge.excused
        billed = sum(row["credits"] for row in target.tables["billed_pages"].values())
        missing = sum(judge.billed[number].credits for number in judge.missing(target))
        assert billed + missing == sandbox.credits_billed
        assert missing < sandbox.credits_billed / 4  # what was excused is the exception
