"""What the streams of a run share: one budget, and the locks of all feeds."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
import requests

from jobo_sandbox import Fault, Hold, Sandbox
from tap_jobo.signals import ShutdownSignal
from tap_jobo.singer.run import RunContext
from tests.journal.helpers import damage, pages
from tests.support import complaint, discover
from tests.support.clock import FakeClock
from tests.support.companies import CompaniesTap, ids_of, selecting
from tests.support.crash import finish, widen_pipe
from tests.support.jobs import metrics_of
from tests.support.loggers import LOGGER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """120 companies and 40 jobs."""
    with Sandbox(size=120, seed=1, jobs=40) as sandbox:
        yield sandbox


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path) -> CompaniesTap:
    """The tap with two feeds that cost something."""
    catalog = selecting(discover(tmp_path), jobs=True)
    return CompaniesTap(sandbox, tmp_path, {"jobs_batch_size": 10}, catalog=catalog)


def _read(sandbox: Sandbox) -> list[str]:
    return [entry.endpoint for entry in sandbox.ledger if entry.endpoint != "clock"]


def test_bodies_are_compressed_as_requested(tap: CompaniesTap, sandbox: Sandbox) -> None:
    assert tap.run().returncode == 0
    assert {entry.headers["accept-encoding"] for entry in sandbox.ledger} == {"gzip, deflate"}


def test_passwords_for_other_programs_are_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    url = "https://api.example"
    config = {"api_url": url}
    run = RunContext(config, shutdown=ShutdownSignal(FakeClock()), logger=LOGGER)
    prepared = run.session.prepare_request(requests.Request("POST", url))
    assert "Authorization" not in prepared.headers


class TestBudget:
    def test_it_is_one_for_all_streams(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        # 2,000 for each page of career sites, 30 for each page of jobs.
        run = tap.run(max_credits=3 * 2_000 + 30 + 29, batch_size=40)
        assert run.returncode == 0, run.stderr
        assert _read(sandbox) == ["feed", "feed", "feed", "jobs"]
        (warning,) = run.lines("WARNING")
        assert "The budget is reached: another page of 10 rows of jobs may cost 30" in warning
        assert "6,030 of max_credits 6,059 are used" in warning
        assert run.bookmark["replication_key_value"]
        assert run.state["bookmarks"]["jobs"]["scan"]["rows"] == 10

        again = tap.run(state=run.state)
        assert again.returncode == 0, again.stderr
        assert len({*ids_of(run, "jobs"), *ids_of(again, "jobs")}) == 40
        assert sandbox.requests_to("jobs")[1].credits == 30
        assert len(sandbox.requests_to("jobs")) == 4

    def test_a_feed_that_uses_it_up_leaves_the_next_untouched(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        run = tap.run(max_credits=2_529)
        assert run.returncode == 0, run.stderr
        assert _read(sandbox) == ["feed"]
        lines = run.lines("WARNING")
        assert ["career_sites" in line for line in lines] == [True, False]
        assert ["jobs" in line for line in lines] == [False, True]
        summaries = [line for line in run.lines("INFO") if line.startswith("Summary")]
        incomplete = "not complete. Balance $9,997.50."
        assert summaries == [
            f"Summary: career_sites: 50 rows in 1 page, 2,500 credits ($2.50); sync {incomplete}",
            f"Summary: jobs: 0 rows in 0 pages, 0 credits ($0.00); sync {incomplete}",
        ]
        assert metrics_of(run, "jobs").keys() == {"jobo_credits_balance", "sync_duration"}

    @pytest.mark.parametrize(
        ("settings", "page", "advice"),
        [
            (
                {"max_credits": 2_499},
                "the 2,500 credits of one page of 50 rows of career_sites,",
                "set it to 2,500 or more, or lower batch_size for a new sync",
            ),
            (
                {"max_credits": 2_999, "jobs_batch_size": 1_000},
                "the 3,000 credits of one page of 1,000 rows of jobs,",
                "set it to 3,000 or more, or lower jobs_batch_size for a new sync",
            ),
        ],
        ids=["the first feed", "a later feed"],
    )
    def test_one_that_covers_no_page_is_refused_before_a_request(
        self, tap: CompaniesTap, settings: dict[str, Any], page: str, advice: str
    ) -> None:
        line = complaint(tap.run(**settings))
        assert page in line
        assert advice in line
        assert "If your plan's rows are free, remove max_credits." in line
        assert tap.sandbox.ledger == []

    def test_streams_that_are_not_selected_need_none(self, tap: CompaniesTap) -> None:
        tap.catalog = selecting(tap.catalog, jobs=False)
        assert tap.run(max_credits=2_999, jobs_batch_size=1_000).returncode == 0

    def test_free_streams_need_none(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        tap.catalog = selecting(tap.catalog, career_sites=False, jobs=False, expired_jobs=True)
        run = tap.run(max_credits=1)
        assert run.returncode == 0, run.stderr
        assert _read(sandbox) == ["expired_jobs"]
        assert sandbox.credits_billed == 0


class TestOneStreamThatFails:
    """The others are read; what a state shows ends the run before a billed request."""

    def test_damaged_page(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        tap.catalog = selecting(both := tap.catalog, jobs=False)
        tap.run()
        damage(pages(tap.folder / "journal")[0])
        billed, tap.catalog = sandbox.credits_billed, both
        run = tap.run()
        assert "is damaged" in complaint(run)
        assert len(ids_of(run, "jobs")) == 40
        assert sandbox.credits_billed == billed + 120

    def test_sync_that_was_ended(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        tap.catalog = selecting(both := tap.catalog, jobs=False)
        sandbox.wraps_after = 1
        state = tap.run().state
        billed, tap.catalog = sandbox.credits_billed, both
        sandbox.wraps_after = 0
        run = tap.run(state=state)
        assert "An earlier run ended the sync" in complaint(run)
        assert len(ids_of(run, "jobs")) == 40
        assert sandbox.credits_billed == billed + 120

    @pytest.mark.parametrize("what", ["filters", "future"])
    def test_state_of_a_later_feed(self, tap: CompaniesTap, sandbox: Sandbox, what: str) -> None:
        state, billed = tap.run().state, sandbox.credits_billed
        jobs = state["bookmarks"]["jobs"]
        if what == "filters":
            jobs["filters"]["jobs_sources"] = ["workday"]
        else:
            jobs["replication_key_value"] = "2999-01-01T00:00:00Z"
        line = complaint(tap.run(state=state))
        assert "The filters of jobs have changed" in line or "is in the future" in line
        assert sandbox.credits_billed == billed


class TestLocks:
    def test_those_of_all_feeds_are_taken_before_a_request(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        both = tap.catalog
        tap.catalog = selecting(both, career_sites=False)
        hold = Hold()
        sandbox.faults.add(Fault(hold=hold), endpoint="jobs")
        process = tap.start()
        widen_pipe(process)
        hold.wait()

        tap.catalog = both
        line = complaint(tap.run())
        assert "Another run of jobs" in line
        assert _read(sandbox) == ["jobs"]

        tap.catalog = selecting(both, jobs=False)
        assert tap.run().returncode == 0
        hold.release()
        run, _ = finish(process, [])
        assert run.returncode == 0, run.stderr
        tap.catalog = both
        assert tap.run().returncode == 0

    def test_a_killed_run_leaves_none(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        hold = Hold()
        sandbox.faults.add(Fault(hold=hold))
        process = tap.start()
        hold.wait()
        process.send_signal(signal.SIGKILL)
        process.wait()
        hold.release()
        finish(process, [])
        assert tap.run().returncode == 0
