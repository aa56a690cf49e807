"""What the streams of a run share: one budget, one warning, and the locks of all feeds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import requests

from jobo_sandbox import Fault, Sandbox
from tap_jobo.signals import ShutdownSignal
from tap_jobo.singer.run import RunContext
from tests.support import Tap, discover
from tests.support.archives import files_of
from tests.support.clock import FakeClock
from tests.support.companies import selecting
from tests.support.crash import cut_in_request, run_meanwhile
from tests.support.loggers import LOGGER

pytestmark = pytest.mark.slow


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap with two feeds that cost something."""
    catalog = selecting(discover(), jobs=True)
    return Tap(sandbox, tmp_path, {"jobs_batch_size": 10}, catalog=catalog)


def _read(sandbox: Sandbox) -> list[str]:
    return [entry.endpoint for entry in sandbox.ledger if entry.endpoint != "clock"]


def test_passwords_for_other_programs_are_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    url = "https://api.example"
    config = {"api_url": url, "api_key": "key"}
    run = RunContext(config, shutdown=ShutdownSignal(FakeClock()), logger=LOGGER)
    prepared = run.session.prepare_request(requests.Request("POST", url))
    assert "Authorization" not in prepared.headers


class TestBudget:
    def test_one_that_covers_no_page_of_a_later_feed_is_refused_before_a_page(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        run = tap.run(max_credits=2_999, jobs_batch_size=1_000)
        assert (run.error_code, _read(sandbox)) == ("limit-too-low", [])

    def test_free_streams_need_none(self, tap: Tap, sandbox: Sandbox) -> None:
        tap.catalog = selecting(tap.catalog, career_sites=False, jobs=False, expired_jobs=True)
        tap.succeed(max_credits=1)
        assert _read(sandbox) == ["expired_jobs"]
        assert sandbox.credits_billed == 0


class TestOneStreamThatFails:
    """The others are read; what a state shows ends the run before a billed request."""

    def test_damaged_page(self, tap: Tap, sandbox: Sandbox) -> None:
        tap.catalog = selecting(both := tap.catalog, jobs=False)
        tap.run()
        files = files_of(tap)
        files.damage(files.pages[0])
        billed, tap.catalog = sandbox.credits_billed, both
        run = tap.fail(code="archive-damaged")
        assert len(run.of("jobs").ids) == 40
        assert sandbox.credits_billed == billed + 120

    def test_it_is_reported_at_once_and_at_the_end(self, tap: Tap, sandbox: Sandbox) -> None:
        sandbox.faults.add(Fault(status=403, times=2), endpoint="career_sites")
        (error,) = cut_in_request(tap, 2, billed=False).lines("ERROR")  # the one for jobs
        assert error.startswith("career_sites failed")
        run = tap.run()
        assert (run.error_code, len(run.lines("ERROR"))) == ("access-denied", 1)
        assert len(run.of("jobs").ids) == 40

    def test_each_one_that_fails_has_an_error(self, tap: Tap, sandbox: Sandbox) -> None:
        tap.catalog = selecting(tap.catalog, expired_jobs=True)
        sandbox.faults.add(Fault(status=503, times=None), endpoint="career_sites")
        sandbox.faults.add(Fault(replace={"jobs": 1}), endpoint="jobs")
        run = tap.quick.run()
        assert run.codes("CRITICAL") == ["api-unavailable", "format-changed"]
        assert run.returncode == 1
        assert run.state["bookmarks"]["expired_jobs"]["replication_key_value"]

    def test_change_of_filters_of_a_later_feed(self, tap: Tap, sandbox: Sandbox) -> None:
        state = tap.succeed(jobs_sources=["workday"]).state
        billed = sandbox.credits_billed
        sandbox.world.touch(next(iter(sandbox.world.rows())))
        run = tap.fail(code="filters-changed", state=state)
        assert run.records == []
        assert sandbox.credits_billed == billed


class TestMeltanoEnvironment:
    """Meltano passes the state in a file that two runs of one project overwrite for each other."""

    def test_a_state_of_another_one_ends_the_run(self, tap: Tap) -> None:
        state = tap.succeed(env={"MELTANO_ENVIRONMENT": "dev"}).state
        message = tap.refuse(state=state, env={"MELTANO_ENVIRONMENT": "prod"})
        assert re.search(r"\bdev\b.*\bprod\b", message)
        for name in ("dev", ""):
            tap.succeed(state=state, env={"MELTANO_ENVIRONMENT": name})
        copied = {**state, "environment": None}
        tap.succeed(state=copied, env={"MELTANO_ENVIRONMENT": "prod"})

    def test_a_test_needs_no_state(self, tap: Tap) -> None:
        """Meltano passes that of the last run, of whatever environment."""
        state = tap.succeed(env={"MELTANO_ENVIRONMENT": "dev"}).state
        tap.succeed("--test", state=state, env={"MELTANO_ENVIRONMENT": "prod"})


class TestFirstSync:
    """The WARNING before a first sync that buys every row."""

    def test_it_is_one_for_each_feed_without_limits(self, tap: Tap, sandbox: Sandbox) -> None:
        tap.catalog = selecting(tap.catalog, expired_jobs=True)  # which is free
        run = tap.succeed(max_credits=None)
        assert run.codes("WARNING") == ["no-limit", "no-jobs-filter"]
        assert run.stderr.index("[no-jobs-filter]") < run.stderr.index("Summary")
        assert {entry.headers["accept-encoding"] for entry in sandbox.ledger} == {"gzip"}
        assert tap.run(max_credits=None, state=run.state).codes("WARNING") == []

    @pytest.mark.parametrize(
        "limit",
        [
            {"max_credits": 2_500},
            {"max_credits": None, "start_date": "2020-01-01"},
            {"max_credits": None, "is_agency": False},
            {"max_credits": None, "stream_maps": {"career_sites": None}},
        ],
    )
    def test_a_limit_is_enough(self, tap: Tap, limit: dict[str, Any]) -> None:
        tap.catalog = selecting(tap.catalog, jobs=False)
        run = tap.succeed(**limit)
        assert "no-limit" not in run.codes("WARNING")


class TestLocks:
    def test_a_stream_that_another_run_buys_is_loaded_and_the_others_are_read(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        both, others = tap.catalog, []
        tap.catalog = selecting(both, career_sites=False)

        def run_another(_: object) -> None:
            others.append(tap.quick.run(catalog=both))

        run = run_meanwhile(tap, run_another, endpoint="jobs", when=lambda e: bool(e.cursor))
        assert run.returncode == 0, run.stderr
        (other,) = others
        assert other.error_code == "run-in-progress"
        assert len(other.of("career_sites").ids) == 120
        assert other.of("jobs").ids == run.of("jobs").ids[:10]
        billed = sandbox.credits_billed
        later = tap.succeed(catalog=both, state=other.state)
        assert later.of("jobs").ids == run.of("jobs").ids[10:]
        assert sandbox.credits_billed == billed
