"""Profiles that fail, and answers that end the run."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.clock import format_timestamp
from tests.support import complaint, state_at
from tests.support.companies import CompaniesTap, asked_for, ids_of, ids_of_page, is_kept_at


class TestFailures:
    def test_429_and_503_are_retried_without_losing_a_profile(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        for on, status in ((30, 429), (70, 503)):
            fault = Fault(status=status, headers={"Retry-After": "0.4"})
            sandbox.faults.add(fault, endpoint="profile", on=on)
        run = tap.run()
        assert run.returncode == 0, run.stderr
        assert ids_of(run) == ids_of(run, "career_sites")
        assert len(ids_of(run)) == 120
        assert len(sandbox.profile_requests) == 122
        refused = [entry for entry in sandbox.profile_requests if entry.fault]
        assert [entry.status for entry in refused] == [429, 503]
        for entry in refused:
            first, again = (e for e in sandbox.profile_requests if e.company_id == entry.company_id)
            assert first is entry
            assert (again.time - first.time).total_seconds() >= 0.4
        assert len(run.lines("WARNING")) == 2
        assert run.lines("ERROR") == []

    @pytest.mark.parametrize(
        ("status", "headers"),
        [(500, {}), (503, {"Retry-After": "60"})],
        ids=["500", "503_with_retry_after"],
    )
    def test_profile_that_keeps_failing_is_skipped_and_reported(
        self, tap: CompaniesTap, sandbox: Sandbox, status: int, headers: dict[str, str]
    ) -> None:
        victim = list(sandbox.world.rows())[60]
        fault = Fault(status=status, headers=headers, times=None)
        sandbox.faults.add(fault, company_id=victim)
        run = tap.run_quickly()
        assert run.returncode == 0, run.stderr
        assert ids_of(run) == [key for key in ids_of(run, "career_sites") if key != victim]
        assert len(ids_of(run)) == 119
        (error,) = run.lines("ERROR")
        assert victim in error
        assert str(status) in error
        assert run.metrics["jobo_profiles_skipped"] == 1
        assert run.metrics["jobo_profiles"] == 119
        assert "1 skipped" in run.stderr
        assert asked_for(sandbox).count(victim) >= 2
        assert run.bookmark["replication_key_value"]

    def test_failing_only_profile_of_a_page_is_skipped(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        state = state_at(format_timestamp(datetime.now(UTC)))
        victim = list(sandbox.world.rows())[5]
        sandbox.world.touch(victim, summary="Changed since.")
        sandbox.faults.add(Fault(status=500, times=None), company_id=victim)
        run = tap.run_quickly(state=state)
        assert run.returncode == 0, run.stderr
        assert ids_of(run, "career_sites") == [victim]
        assert ids_of(run) == []
        (error,) = run.lines("ERROR")
        assert victim in error

    def test_failure_of_all_profiles_ends_the_run_and_keeps_the_scan(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        sandbox.faults.add(Fault(status=503, times=None), endpoint="profile", on=51)
        run = tap.run_quickly()
        assert "503" in complaint(run)
        assert is_kept_at(run, 50)
        assert len(ids_of(run)) == 50
        assert run.lines("ERROR") == []
        assert run.metrics["jobo_profiles_skipped"] == 0
        assert sandbox.rows_billed == 100

        sandbox.faults.clear()
        again = tap.run(state=run.state)
        assert again.returncode == 0, again.stderr
        assert sorted(ids_of(run) + ids_of(again)) == sorted(sandbox.world.rows())
        assert sandbox.rows_billed == 120

    @pytest.mark.parametrize("status", [429, 503])
    def test_outage_in_the_middle_of_a_page_skips_nothing(
        self, tap: CompaniesTap, sandbox: Sandbox, status: int
    ) -> None:
        sandbox.faults.add(Fault(status=status, times=None), endpoint="profile", on=80)
        run = tap.run_quickly()
        assert str(status) in complaint(run)
        assert is_kept_at(run, 50)
        assert run.metrics["jobo_profiles_skipped"] == 0

    def test_other_error_ends_the_run_and_keeps_the_scan(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        sandbox.faults.add(Fault(status=401), endpoint="profile", on=60)
        run = tap.run()
        assert "401" in complaint(run)
        assert is_kept_at(run, 50)
        assert run.lines("ERROR") == []

        again = tap.run(state=run.state)
        assert again.returncode == 0, again.stderr
        assert set(ids_of(run) + ids_of(again)) == sandbox.world.rows().keys()
        assert ids_of(again, "career_sites")[:50] == ids_of_page(sandbox, 2)
        assert sandbox.rows_billed == 120

    def test_invalid_profile_ends_the_run_and_keeps_the_scan(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        victim = list(sandbox.world.rows())[60]
        sandbox.faults.add(Fault(replace=["a list"]), company_id=victim)
        run = tap.run_quickly()
        assert "paid for" not in complaint(run)
        assert is_kept_at(run, 50)
        assert asked_for(sandbox).count(victim) == 1
        assert sandbox.rows_billed == 100

    def test_response_that_broke_once_is_requested_again(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        for number, fault in enumerate((Fault(truncate=0.5), Fault(drop=True), Fault(garbage=""))):
            sandbox.faults.add(fault, endpoint="profile", on=10 + 30 * number)
        run = tap.run_quickly()
        assert run.returncode == 0, run.stderr
        assert ids_of(run) == ids_of(run, "career_sites")
        assert len(ids_of(run)) == 120
        assert run.metrics["jobo_credits"] == 6_000
