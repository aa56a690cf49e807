"""The bill: a row for each page that was billed, and which pages have none."""

import shutil
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from jobo_sandbox.feeds import FEEDS
from tests.archive.helpers import archive_command, pass_time
from tests.support import STREAMS, Run, Tap, entry_of, tap_of
from tests.support.archives import files_of

pytestmark = pytest.mark.slow

BILLED = ("billed_pages", "career_sites", "jobs")
PRICED = {name for name, feed in FEEDS.items() if feed.price}
"""The streams whose rows cost something."""


@pytest.fixture
def tap(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with the bill and two feeds, in 2 and 3 pages."""
    tap = tap_of(hiring, tmp_path, *BILLED)
    tap.settings |= {"batch_size": 15, "jobs_batch_size": 40}
    return tap


def bill_of(run: Run) -> list[dict[str, Any]]:
    assert run.returncode == 0, run.stderr
    return run.of("billed_pages").records


def test_each_billed_page_has_a_row_before_a_state_says_so(hiring: Sandbox, tmp_path: Path) -> None:
    tap = tap_of(hiring, tmp_path, *STREAMS)
    kinds = ["for_profit", "non_profit"]
    filters: Any = {"country_codes": ["DE", "US", "GB", "FR"], "company_types": kinds}
    run = tap.run(batch_size=15, jobs_batch_size=40, **filters)
    bill, entries = bill_of(run), [entry for entry in hiring.ledger if entry.credits]
    assert [(row["rows"], row["credits"]) for row in bill] == [
        (len(entry.row_ids), entry.credits) for entry in entries
    ]
    assert {row["stream"] for row in bill} == PRICED
    assert all(row["is_confirmed"] for row in bill)
    jobs = [row for row in bill if row["stream"] == "jobs"]
    assert [row["page"] for row in jobs] == [1, 2, 3]
    assert len({row["sync_id"] for row in jobs}) == 1
    assert {row["filters"] for row in jobs} == {"{}"}
    assert bill[0]["filters"] == (
        '{"company_types": ["for_profit", "non_profit"], "country_codes": ["DE", "FR", "GB", "US"]}'
    )

    assert run.messages[0]["stream"] == "billed_pages"
    assert run.of("billed_pages").schema_message["key_properties"] == ["id"]
    written: Counter[str] = Counter()
    for message in run.messages:
        if message.get("stream") == "billed_pages" and message["type"] == "RECORD":
            written[message["record"]["stream"]] += 1
        elif message["type"] == "STATE":
            places = message["value"]["bookmarks"].get("billed_pages", {}).get("feeds", {})
            assert {name: place["offset"] for name, place in places.items()} == written
    assert written.keys() == PRICED


def test_a_page_that_is_loaded_again_has_the_same_row_and_one_billed_again_another(
    tap: Tap,
) -> None:
    first, last = bill_of(tap.run()), tap.run()
    again = bill_of(last)
    assert again[: len(first)] == first
    shutil.rmtree(tap.folder / "archive")
    place = {"billed_pages": last.state["bookmarks"]["billed_pages"]}  # in an archive that is gone
    third = bill_of(tap.run(state={"bookmarks": place}))
    assert {row["id"] for row in third}.isdisjoint(row["id"] for row in again)
    total = {row["id"]: row["credits"] for row in [*first, *again, *third]}
    assert sum(total.values()) == tap.sandbox.credits_billed


# Selected later: the whole bill, once


def change(tap: Tap) -> None:
    """Let jobs change, so long before the next run that those after it look back less far."""
    world = tap.sandbox.world
    for key in [*world.jobs()][:50]:
        world.touch_job(key)
    pass_time(tap, timedelta(minutes=20))


def test_the_whole_bill_comes_once_if_it_is_selected_later(hiring: Sandbox, tap: Tap) -> None:
    without: Any = {"catalog": tap_of(hiring, tap.folder, *BILLED[1:]).catalog}
    state = tap.succeed(**without).state
    change(tap)
    state = tap.succeed(state=state, **without).state
    assert "billed_pages" not in state["bookmarks"]
    first = tap.succeed(state=state)
    bill = bill_of(first)
    assert sum(row["credits"] for row in bill) == hiring.credits_billed
    assert first.loaded == 0  # their rows are in the warehouse
    billed = hiring.credits_billed
    change(tap)
    state = tap.succeed(state=first.state, **without).state
    rest = bill_of(tap.succeed(state=state))
    assert [row["stream"] for row in rest] == ["jobs", "jobs"]
    assert sum(row["credits"] for row in rest) == hiring.credits_billed - billed > 0
    fresh = bill_of(tap.succeed())  # a new warehouse, from the beginning
    assert {row["id"]: row for row in fresh} == {row["id"]: row for row in [*bill, *rest]}


# Pages without a row, and rows without a page


def test_without_a_deduction_a_row_has_the_list_price(tap: Tap) -> None:
    tap.sandbox.omit_credit_headers = True
    bill = bill_of(tap.run())
    assert [row["credits"] for row in bill] == [15 * 50, 5 * 50, 40 * 3, 40 * 3, 10 * 3]
    assert not any(row["is_confirmed"] for row in bill)


def test_all_sums_have_the_price_that_the_run_has_seen(hiring: Sandbox, tmp_path: Path) -> None:
    tap = tap_of(hiring, tmp_path, "billed_pages", "career_sites")
    tap.settings["batch_size"] = 15
    hiring.price = 80
    silent = {"X-Credits-Deducted": "", "X-Credits-Balance": ""}
    hiring.faults.add(Fault(headers=silent), endpoint="career_sites", on=2)
    run = tap.run()
    assert [row["credits"] for row in bill_of(run)] == [15 * 80, 5 * 80]
    assert hiring.credits_billed == 1_600
    assert "1,600 credits ($1.60)" in run.summaries["career_sites"]
    assert ": $1.60 billed" in archive_command(tap, "list").stdout
    hiring.world.touch(next(iter(hiring.world.rows())))
    tap.succeed(state=run.state)
    assert "21 rows, $1.68" in archive_command(tap, "list").stdout
    assert bill_of(tap.run())[:2] == bill_of(run)


def test_selected_fields_and_stream_maps_apply(tap: Tap) -> None:
    for entry in entry_of(tap.catalog, "billed_pages")["metadata"]:
        if entry["breadcrumb"][-1:] == ["filters"]:
            entry["metadata"]["selected"] = False
    maps = {"__filter__": "stream == 'jobs'", "__alias__": "bill", "dollars": "credits / 1000"}
    run = tap.succeed(stream_maps={"billed_pages": maps})
    rows = run.of("bill").records
    assert [row["dollars"] for row in rows] == [0.12, 0.12, 0.03]
    assert all("filters" not in row for row in rows)
    assert bill_of(tap.run(stream_maps={"billed_pages": None})) == []


@pytest.mark.parametrize(("page", "byte"), [(0, 10), (-1, -3)], ids=["header", "body at the head"])
def test_the_row_of_a_page_that_can_be_read_again_comes_then(
    tap: Tap, page: int, byte: int
) -> None:
    tap.succeed()
    files = files_of(tap)
    intact = files.copy()
    files.damage([each for each in files.pages if "/jobs/" in each][page], byte)
    run = tap.run()
    assert run.returncode == 1
    files.restore(intact)
    again = tap.succeed(state=run.state)
    rows = {row["id"]: row for row in run.of("billed_pages").records + bill_of(again)}
    assert sorted(row["stream"] for row in rows.values()) == ["career_sites"] * 2 + ["jobs"] * 3
    assert sum(row["rows"] for row in rows.values()) == tap.sandbox.rows_billed
