"""Runs with profiles that are cut short."""

from __future__ import annotations

import signal
from pathlib import Path
from random import Random

import pytest

from jobo_sandbox import Fault, Hold, Sandbox
from jobo_sandbox.patience import patient
from tests.support import Tap
from tests.support.companies import expected_profile, ids_of, is_kept_at
from tests.support.crash import (
    BIG_PIPE,
    finish,
    kill_until_full,
    rows_billed_twice,
)
from tests.support.jobs import metrics_of, tap_of
from tests.support.systems import need_sizes
from tests.support.target import Message, Target

pytestmark = pytest.mark.slow


def test_kills_leave_exactly_the_profiles_that_exist(tmp_path: Path) -> None:
    rng, page = Random(4), 20
    with Sandbox(size=260, seed=6) as sandbox:
        tap, target = tap_of(sandbox, tmp_path, "career_sites", "companies"), Target()
        tap.settings["batch_size"] = page
        tap.oddities["TEST_WAITS"] = "none"
        every = sandbox.world.rows().keys()
        gone = set(rng.sample([*every], 26))
        for key in gone:
            sandbox.company_gone(key)

        def receive(target: Target, messages: list[Message]) -> None:
            target.receive(messages)
            assert target.tables["companies"].keys() < every - gone
            for status in (429, 503):
                fault = Fault(status=status, headers={"Retry-After": "0.02"})
                on = len(sandbox.profile_requests) + rng.randint(1, 40)
                sandbox.faults.add(fault, endpoint="profile", on=on)

        killed = kill_until_full(tap, target, kills=8, page=page, receive=receive)
        assert target.tables["career_sites"].keys() == every
        assert target.tables["companies"] == {
            key: expected_profile(sandbox, key) for key in every - gone
        }
        assert rows_billed_twice(sandbox) <= killed * page


def test_signal_during_hanging_requests_ends_the_run_at_once(tap: Tap, sandbox: Sandbox) -> None:
    need_sizes()
    holds = [Hold() for _ in range(4)]
    for hold in holds:
        sandbox.faults.add(Fault(hold=hold), endpoint="profile", on=60)
    process = tap.start(pipe_size=BIG_PIPE)
    for hold in holds:
        hold.wait()
    process.send_signal(signal.SIGTERM)
    assert process.wait(patient(8)) == 143  # not after the 120 seconds that an answer is given
    assert len(sandbox.profile_requests) == 63
    for hold in holds:
        hold.release()
    run, _ = finish(process, [])
    assert "signal 15" in run.lines("WARNING")[-1]
    assert is_kept_at(run, 50)
    figures = metrics_of(run, "career_sites")  # of what was written and billed
    assert len(ids_of(run, "career_sites")) == figures["record_count"] == 100
    assert figures["jobo_credits"] == sandbox.credits_billed == 5_000
    assert len(ids_of(run)) == metrics_of(run, "companies")["record_count"]
