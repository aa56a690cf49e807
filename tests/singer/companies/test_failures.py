"""Profiles that fail: which are fetched again or skipped, and which end the run; and crashes."""

import signal
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from jobo_sandbox import Fault, Hold, Sandbox
from jobo_sandbox.patience import patient
from tests.support import Json, Run, Tap, tap_of
from tests.support.companies import asked_for, expected_profile, ids_of_page
from tests.support.crash import (
    BIG_PIPE,
    cut_after,
    finish,
    rows_billed_twice,
    some_signal,
    wait_until_quiet,
)
from tests.support.systems import need_sizes
from tests.support.target import Target

pytestmark = pytest.mark.slow


REJECTED = [301, 404, 410]


def is_complete_but_for(run: Run, *victims: str) -> bool:
    """Whether a run succeeded and wrote all profiles but those of the victims."""
    assert run.returncode == 0, run.stderr
    assert run.bookmark["replication_key_value"]
    return run.of("companies").ids == [
        key for key in run.of("career_sites").ids if key not in victims
    ]


def test_rejected_or_odd_profile_is_skipped_with_an_error_or_not_found(
    tap: Tap, sandbox: Sandbox
) -> None:
    victims = list(sandbox.world.rows())[40 : 40 + len(REJECTED)]
    for victim, status in zip(victims, REJECTED, strict=True):
        fault = Fault(status=status, body={"detail": "made-up reason"}, times=None)
        sandbox.faults.add(fault, company_id=victim)
    other, huge, *odd = list(sandbox.world.rows())[:5]
    answers = ({"id": other, "name": "ACME"}, {"id": None, "name": "ACME"}, ["a list"])
    for victim, answer in zip(odd, answers, strict=True):
        sandbox.faults.add(Fault(replace=answer), company_id=victim)
    sandbox.faults.add(Fault(garbage=f'{{"id": {"9" * 5_000}}}'), company_id=huge)
    failing = list(sandbox.world.rows())[60]
    sandbox.faults.add(Fault(status=500, times=None), company_id=failing)
    odd += [huge, failing]
    run = tap.quick.run()
    assert is_complete_but_for(run, *victims, *odd)
    assert asked_for(sandbox).count(failing) >= 2
    assert all(asked_for(sandbox).count(victim) == 1 for victim in victims)
    errors = run.lines("ERROR")
    assert {*run.codes("ERROR")} == {"rows-skipped"}
    for victim in odd:
        assert any(victim in error for error in errors)
    for victim, status in zip(victims, REJECTED, strict=True):
        lines = errors if status != 404 else run.lines("INFO")
        (line,) = (line for line in lines if victim in line)
        assert str(status) in line
        assert ("made-up reason" in line) == (status != 404)
    assert run.metrics["jobo_profiles_skipped"] == len(errors) == len(odd) + len(REJECTED) - 1
    assert run.metrics["jobo_profiles_not_found"] == 1
    assert sandbox.rows_billed == 120


@pytest.mark.parametrize("odd", [{"id": None}, {"name": {"en": "ACME"}}])
def test_five_bad_profiles_in_a_row_end_the_run_before_the_state(
    tap: Tap, sandbox: Sandbox, odd: Json
) -> None:
    ids = sorted(sandbox.world.rows())  # as the feed returns them
    spoiled = Fault(replace=lambda profile: profile | odd, times=None)
    for company_id in ids[:4] + ids[5:9] + ids[60:65]:
        sandbox.faults.add(spoiled, company_id=company_id)
    run = tap.fail(code="format-changed")
    assert run.progress["rows"] == 50
    assert sandbox.rows_billed == 100


@pytest.mark.parametrize(("status", "on"), [(503, 51), (401, 60)])
def test_outage_or_refused_key_ends_the_run_skips_nothing_and_keeps_the_sync(
    tap: Tap, sandbox: Sandbox, status: int, on: int
) -> None:
    sandbox.faults.add(Fault(status=status, times=None), endpoint="profile", on=on)
    run = tap.quick.fail(code="access-denied" if status < 429 else "api-unavailable")
    assert run.progress["rows"] == 50
    assert len(run.of("companies").ids) >= 50
    assert run.lines("ERROR") == []
    assert run.metrics["jobo_profiles_skipped"] == 0
    assert sandbox.rows_billed == 100

    sandbox.faults.clear()
    again = tap.run(state=run.state)
    assert is_complete_but_for(again)
    assert again.of("career_sites").ids[:50] == ids_of_page(sandbox, 2)
    assert set(run.of("companies").ids + again.of("companies").ids) == sandbox.world.rows().keys()
    assert sandbox.rows_billed == 120


def test_the_key_goes_to_the_api_whatever_the_host_of_details_url(
    tap: Tap, sandbox: Sandbox
) -> None:
    keys = [*sandbox.world.rows()]
    quoted = Fault(replace=lambda profile: {**profile, "name": f"{sandbox.api_key} Inc."})
    sandbox.faults.add(quoted, company_id=keys[0])
    rejected = Fault(status=410, body={"detail": sandbox.api_key})
    sandbox.faults.add(rejected, company_id=keys[1])
    with Sandbox(size=1) as other:
        for key in keys:
            sandbox.world.touch(key, details_url=f"{other.url}/api/companies/{key}")
        sandbox.world.touch(key, details_url="file:///etc/passwd")
        run = tap.run(env={"LOGLEVEL": "DEBUG"})
        assert is_complete_but_for(run, keys[1])
        assert other.ledger == []
    headers = [entry.headers for entry in sandbox.profile_requests]
    assert {header["x-api-key"] for header in headers} == {sandbox.api_key}
    names = {record["id"]: record["name"] for record in run.of("companies").records}
    assert names[keys[0]] == "[api_key] Inc."
    assert sandbox.api_key[:20] not in run.stdout + run.stderr


# Runs that are cut short


def test_kills_leave_exactly_the_profiles_that_exist_and_the_bill(tmp_path: Path) -> None:
    rng, page = Random(4), 20
    with Sandbox(size=260, seed=6) as sandbox:
        streams = ("billed_pages", "career_sites", "companies")
        tap, target = tap_of(sandbox, tmp_path, *streams), Target()
        tap.settings["batch_size"] = page
        tap.oddities["TEST_WAITS"] = "0"
        every = sandbox.world.rows().keys()
        gone = set(rng.sample([*every], 26))
        for key in gone:
            sandbox.company_gone(key)

        killed = 0
        for _ in range(8):  # some before the first page, most in the middle of one
            signum, lines = some_signal(rng), rng.choice([0, 1, *range(2, 3 * page)])
            run = cut_after(tap, lines, signum, state=target.state)
            assert run.returncode != 0, run.stderr
            killed += signum == signal.SIGKILL
            target.receive(run.whole_messages, states_lost=rng.randint(0, 1))
            wait_until_quiet(sandbox)
            assert target.tables["companies"].keys() < every - gone
            for status in (429, 503):
                fault = Fault(status=status, headers={"Retry-After": "0.02"})
                on = len(sandbox.profile_requests) + rng.randint(1, 40)
                sandbox.faults.add(fault, endpoint="profile", on=on)
        target.receive(tap.succeed(state=target.state).messages)
        assert target.tables["career_sites"].keys() == every
        assert target.tables["companies"] == {
            key: expected_profile(sandbox, key) for key in every - gone
        }
        assert rows_billed_twice(sandbox) <= killed * page
        bill = Counter(row["credits"] for row in target.tables["billed_pages"].values())
        ledger = Counter(entry.credits for entry in sandbox.ledger if entry.credits)
        assert bill <= ledger
        assert (ledger - bill).total() <= killed  # pages in flight


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
    run = finish(process)
    assert "signal 15" in run.lines("WARNING")[-1]
    assert run.progress["rows"] == 50
    figures = run.of("career_sites").metrics  # of what was written and billed
    assert len(run.of("career_sites").ids) == figures["record_count"] == 100
    assert figures["jobo_credits"] == sandbox.credits_billed == 5_000
    assert len(run.of("companies").ids) == run.of("companies").metrics["record_count"]
