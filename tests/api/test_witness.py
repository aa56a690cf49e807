"""What a page costs whose response reports no deduction: what the balance fell."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.archive.helpers import archive_command
from tests.support import Run, Tap, tap_of
from tests.support.crash import cut_in_request

pytestmark = pytest.mark.slow

PAGE = 60
"""Credits of 20 jobs."""


@pytest.fixture
def tap(hiring: Sandbox, tmp_path: Path) -> Tap:
    """The tap with jobs in pages of 20, and what each page cost."""
    tap = tap_of(hiring, tmp_path, "jobs", "billed_pages")
    tap.settings["jobs_batch_size"] = 20
    return tap


def say(sandbox: Sandbox, deducted: str) -> None:
    """Let responses report this deduction; an empty text is as good as none."""
    headers = {"X-Credits-Deducted": deducted}
    sandbox.faults.add(Fault(headers=headers, times=None), endpoint="jobs")


def test_what_other_streams_were_billed_is_no_fall(hiring: Sandbox, tmp_path: Path) -> None:
    sites, jobs = (tap_of(hiring, tmp_path, name) for name in ("career_sites", "jobs"))
    state = sites.succeed().state
    hiring.clock_offset = 60  # the dates of responses have whole seconds
    jobs.succeed()
    hiring.world.touch(next(iter(hiring.world.rows())), name="changed")
    headers = {"X-Credits-Deducted": "0", "X-Credits-Balance": f"{hiring.balance:.0f}"}
    hiring.faults.add(Fault(headers=headers), endpoint="career_sites")
    run = sites.succeed(state=state)
    assert (len(run.ids), run.codes("WARNING")) == (1, [])
    assert "1 row in 1 page, 0 credits" in run.summaries["career_sites"]


def bill(run: Run) -> list[tuple[int, bool]]:
    rows = run.of("billed_pages").records
    return [(row["credits"], row["is_confirmed"]) for row in rows]


@pytest.mark.parametrize("deducted", ["0", ""])
def test_a_limit_holds_by_the_balance_but_for_the_first_page(
    tap: Tap, hiring: Sandbox, deducted: str
) -> None:
    say(hiring, deducted)
    run = tap.succeed(max_credits=130)
    assert hiring.credits_billed == 3 * PAGE  # no earlier balance shows what the first page cost
    assert run.of("jobs").metrics["jobo_credits"] == 2 * PAGE
    assert bill(run) == [(0, True), (PAGE, False), (PAGE, False)]
    (fall,) = run.messages_of("WARNING", "no-price")
    for part in (" jobs", " 3 credits per row"):
        assert part in fall
    (reached,) = run.messages_of("WARNING", "limit-reached")
    assert "max_credits: 120 of 130 used" in reached


def test_a_fall_has_nothing_of_what_a_killed_run_was_billed(tap: Tap, hiring: Sandbox) -> None:
    tap.settings["lookback_minutes"] = 0
    state = tap.succeed().state
    for key in hiring.world.jobs():
        hiring.world.touch_job(key)
    cut_in_request(tap, 5, billed=False, state=state)  # before the last page, of 10 rows
    before = hiring.credits_billed
    say(hiring, "")
    run = tap.succeed(state=state)
    assert run.of("jobs").metrics["jobo_credits"] == hiring.credits_billed - before
    assert f": ${hiring.credits_billed / 1_000:.2f} billed" in archive_command(tap, "list").stdout
