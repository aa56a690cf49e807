"""What a run costs: counted as Jobo bills it, never past the budget, and told to the user."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from jobo_sandbox import Fault
from tap_jobo.api.budget import Budget, FeedCost
from tests.support import complaint
from tests.support.crash import cut_after, cut_in_request
from tests.support.loggers import LOGGER

if TYPE_CHECKING:
    from jobo_sandbox import Entry
    from tests.support import Run, Tap


def summary(run: Run) -> str:
    """The one line at the end of a run that says what it did and cost."""
    (line,) = [line for line in run.lines("INFO") if line.startswith("Summary")]
    return line


# What a page costs


def test_page_costs_what_its_response_says(tap: Tap) -> None:
    tap.sandbox.price = 70
    run = tap.run()
    assert run.metrics["jobo_credits"] == tap.sandbox.credits_billed == 120 * 70


def test_page_without_headers_costs_50_credits_per_row(tap: Tap) -> None:
    tap.sandbox.omit_credit_headers = True
    run = tap.run()
    assert run.metrics["jobo_credits"] == 6_000
    assert "jobo_credits_balance" not in run.metrics
    assert "Balance" not in summary(run)


@pytest.mark.parametrize("nonsense", ["", "free", "-50", "nan", "inf", "1e400"])
def test_invalid_credit_header_counts_as_missing(tap: Tap, nonsense: str) -> None:
    tap.sandbox.faults.add(Fault(headers={"X-Credits-Deducted": nonsense}, times=None))
    run = tap.run()
    assert run.returncode == 0
    assert run.metrics["jobo_credits"] == 6_000


@pytest.mark.parametrize(
    ("said", "cost"), [("0", 0), ("0.2", 1), ("120", 120), ("-0.5", 150), ("1e15", 150)]
)
def test_credits_are_whole_and_within_limits(said: str, cost: int) -> None:
    budget = Budget(max_credits=None, alert_threshold=None, logger=LOGGER)
    FeedCost(budget, "career_sites", list_price=50).charge({"X-Credits-Deducted": said}, 3)
    assert budget.credits == cost


def test_price_change_is_followed(tap: Tap) -> None:
    def dearer(_: object) -> None:
        tap.sandbox.price += 10

    tap.sandbox.before_page = dearer
    run = tap.run()
    assert run.metrics["jobo_credits"] == tap.sandbox.credits_billed == 50 * 50 + 50 * 60 + 20 * 70


def test_page_without_headers_costs_the_latest_price(tap: Tap) -> None:
    def silent(entry: Entry) -> None:
        tap.sandbox.omit_credit_headers = entry.number > 1

    tap.sandbox.price, tap.sandbox.before_page = 80, silent
    assert tap.run().metrics["jobo_credits"] == tap.sandbox.credits_billed == 120 * 80


@pytest.mark.parametrize(
    "fault",
    [Fault(truncate=0.5), Fault(garbage="<html>")],
    ids=["truncated", "garbage"],
)
def test_broken_response_counts_as_a_whole_page(tap: Tap, fault: Fault) -> None:
    tap.sandbox.faults.add(fault, on=3)  # a page of twenty rows
    tap.sandbox.omit_credit_headers = True  # an answer that names a price is a page
    run = tap.run()
    assert run.returncode == 0
    assert len(run.ids) == 120
    assert run.metrics["jobo_credits"] == 6_000 + 2_500


def test_request_without_a_response_costs_nothing(tap: Tap) -> None:
    tap.sandbox.faults.add(Fault(status=503, headers={"Retry-After": "0"}), on=2)
    tap.sandbox.faults.add(Fault(status=408), on=3)
    assert tap.run().metrics["jobo_credits"] == tap.sandbox.credits_billed == 6_000


# The budget


@pytest.mark.parametrize("budget", [2_500, 2_501, 4_999, 5_000, 5_999])
def test_budget_is_never_exceeded_and_the_run_exits_with_0(tap: Tap, budget: int) -> None:
    run = tap.run(max_credits=budget)
    assert run.returncode == 0
    assert tap.sandbox.credits_billed == budget // 2_500 * 2_500
    (warning,) = run.lines("WARNING")
    assert "max_credits" in warning
    assert f"{budget:,}" in warning
    assert run.bookmark["scan"]["rows"] == tap.sandbox.rows_billed
    assert "replication_key_value" not in run.bookmark


def test_budget_that_covers_all_pages_is_not_reached(tap: Tap) -> None:
    run = tap.run(max_credits=7_500)
    assert run.lines("WARNING") == []
    assert len(run.ids) == 120


@pytest.mark.parametrize("journal", [True, False])
def test_a_backfill_is_spread_over_days_with_every_row_once(tap: Tap, *, journal: bool) -> None:
    ids: list[str] = []
    state: Any = None
    for _ in range(4):
        run = tap.run(state=state, max_credits=1_700, batch_size=17, journal=journal)
        assert run.metrics["jobo_credits"] <= 1_700
        ids, state = ids + run.ids, run.state
    assert sorted(ids) == sorted(tap.sandbox.world.rows())
    assert run.bookmark["replication_key_value"]
    assert tap.sandbox.rows_billed == 120


def test_budget_uses_the_latest_price(tap: Tap) -> None:
    tap.sandbox.price = 60
    run = tap.run(max_credits=5_900)  # a second page would pass it at 60, not at 50
    assert run.returncode == 0
    assert tap.sandbox.credits_billed == 3_000


def test_broken_responses_count_toward_the_budget(tap: Tap) -> None:
    tap.sandbox.faults.add(Fault(truncate=0.9, times=2), on=2)
    run = tap.run(max_credits=7_500)
    assert run.returncode == 0
    assert tap.sandbox.credits_billed == 7_500
    assert len(run.ids) == 50
    assert "max_credits" in run.lines("WARNING")[-1]


@pytest.mark.parametrize(("budget", "batch_size"), [(2_499, 50), (49, 1), (1, 1)])
def test_a_budget_below_a_page_is_refused_before_any_request(
    tap: Tap, budget: int, batch_size: int
) -> None:
    line = complaint(tap.run(max_credits=budget, batch_size=batch_size))
    assert "max_credits" in line
    assert "batch_size" in line
    assert f"{batch_size * 50:,}" in line
    assert tap.sandbox.ledger == []


def test_exhausted_budget_still_replays(tap: Tap) -> None:
    cut_in_request(tap, 3, billed=False)
    tap.sandbox.price = 60
    tap.sandbox.faults.add(Fault(drop=True), on=4)  # which may cost the whole budget
    run = tap.run(max_credits=2_500)
    assert run.returncode == 0
    assert len(run.ids) == 100
    assert tap.sandbox.rows_billed == 100
    assert run.bookmark["scan"]["rows"] == 100


def test_test_mode_respects_the_budget(tap: Tap) -> None:
    assert tap.run("--test", max_credits=50).returncode == 0
    assert "max_credits" in complaint(tap.run("--test", max_credits=49))
    assert tap.sandbox.rows_billed == 1


# The balance


def test_low_balance_logs_one_warning_with_the_rows_left(tap: Tap) -> None:
    tap.sandbox.balance = 10_020
    run = tap.run(credits_alert_threshold=8_000)
    (warning,) = run.lines("WARNING")
    assert "7,520" in warning
    assert "8,000" in warning
    assert "150 rows" in warning


@pytest.mark.parametrize("threshold", [4_020, None])
def test_balance_at_or_above_threshold_logs_no_warning(tap: Tap, threshold: int | None) -> None:
    tap.sandbox.balance = 10_020
    run = tap.run(credits_alert_threshold=threshold)
    assert run.metrics["jobo_credits_balance"] == 4_020
    assert run.lines("WARNING") == []


def test_rows_left_are_counted_at_the_latest_price(tap: Tap) -> None:
    tap.sandbox.balance, tap.sandbox.price = 10_000, 100
    run = tap.run(credits_alert_threshold=6_000, batch_size=50)
    assert "50 rows" in run.lines("WARNING")[0]


# What the user is told


def test_a_complete_run_ends_with_a_summary(tap: Tap) -> None:
    line = summary(tap.run())
    for part in (
        "120 rows in 3 pages",
        "6,000 credits ($6.00)",
        "sync complete",
        "Balance $9,994.00",
    ):
        assert part in line
    for what in ("replayed", "skipped", "quarantined", "possibly"):  # each was none
        assert what not in line


def test_a_run_that_fails_ends_with_a_summary(tap: Tap) -> None:
    tap.sandbox.faults.add(Fault(status=401), on=2)
    run = tap.run()
    assert run.returncode == 1
    assert "50 rows in 1 page" in summary(run)
    assert "2,500 credits" in summary(run)
    assert "sync not complete" in summary(run)


def test_run_rejected_at_once_ends_with_a_summary(tap: Tap) -> None:
    tap.sandbox.faults.add(Fault(status=401))
    run = tap.run()
    assert "0 credits" in summary(run)
    assert run.metrics.keys() == {"http_request_count", "sync_duration"}


def test_run_stopped_by_its_budget_has_a_summary(tap: Tap) -> None:
    line = summary(tap.run(max_credits=2_500))
    assert "2,500 credits ($2.50)" in line
    assert "sync not complete" in line


def test_an_interrupted_run_has_a_summary(tap: Tap) -> None:
    run, _ = cut_after(tap, 30, 15)
    assert run.returncode == 143
    assert "sync not complete" in summary(run)


def test_failed_catch_up_is_not_reported_as_complete(tap: Tap) -> None:
    tap.run()
    tap.sandbox.faults.add(Fault(status=401))
    run = tap.run()
    assert run.returncode == 1
    assert "120 replayed" in summary(run)
    assert "sync not complete" in summary(run)


def test_replays_cost_nothing(tap: Tap) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    run = tap.run(state=cut.states[0])
    assert "50 replayed" in summary(run)
    assert "1,000 credits ($1.00)" in summary(run)


def test_skipped_rows_are_reported_and_billed(tap: Tap) -> None:
    tap.sandbox.world.touch(next(iter(tap.sandbox.world.rows())), id="no uuid")
    run = tap.run()
    assert "119 rows" in summary(run)
    assert "1 skipped" in summary(run)
    assert run.metrics["record_count"] == 119
    assert run.metrics["jobo_credits"] == 6_000


def test_summary_figures_are_metrics_too(tap: Tap) -> None:
    run = tap.run()
    figures = {name: value for name, value in run.metrics.items() if name.startswith("jobo_")}
    assert figures == {
        "jobo_credits": 6_000,
        "jobo_credits_balance": 9_994_000,
    }
    assert run.metrics["record_count"] == 120
    # Nothing is said of what is zero.
    quiet = tap.run(state=run.state)
    assert quiet.metrics.keys() == {
        "http_request_count",
        "jobo_credits_balance",
        "sync_duration",
    }
    assert summary(quiet) == (
        "Summary: career_sites: 0 rows in 1 page, 0 credits ($0.00); sync complete. "
        "Balance $9,994.00."
    )


def test_metrics_name_their_stream(tap: Tap) -> None:
    points = [
        json.loads(line.split("METRIC: ", 1)[1])
        for line in tap.run().stderr.splitlines()
        if "METRIC: " in line
    ]
    assert len(points) == 5
    assert {point["tags"]["stream"] for point in points} == {"career_sites"}


def test_each_request_logs_no_line(tap: Tap) -> None:
    few, many = tap.run(journal=False), tap.run(journal=False, batch_size=2)
    assert "http_request_duration" not in many.stderr
    assert len(many.stderr.splitlines()) == len(few.stderr.splitlines())
