"""A list of named companies is continued where an earlier run was interrupted."""

from __future__ import annotations

import signal
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from jobo_sandbox import Fault, Hold, Sandbox
from tests.support import Run, complaint
from tests.support.companies import CompaniesTap, Json, asked_for, ids_of, selecting
from tests.support.crash import (
    cut_after,
    finish,
    parse,
    some_signal,
    wait_for,
    wait_until_quiet,
    widen_pipe,
)
from tests.support.target import Target

if TYPE_CHECKING:
    from pathlib import Path

IN_FLIGHT = 50
"""Profiles between two states."""


def lines_about_the_list(run: Run) -> list[str]:
    return [line for line in run.lines("INFO") if "from the start" in line or "Resuming" in line]


def part_of(run: Run) -> Json:
    part: Json = run.state["bookmarks"]["companies"]
    return part


def test_killed_list_resumes_then_starts_over(alone: CompaniesTap, sandbox: Sandbox) -> None:
    ids = list(sandbox.world.rows())
    sandbox.company_gone(ids[60])
    hold = Hold()
    sandbox.faults.add(Fault(hold=hold), company_id=ids[70])
    process = alone.start(company_ids=ids)
    widen_pipe(process)
    hold.wait()
    wait_for(lambda: len(sandbox.ledger) >= 100 and sandbox.open_requests == 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    hold.release()
    cut, _ = finish(process, [])
    wait_until_quiet(sandbox)
    assert lines_about_the_list(cut) == []
    last_message = [message["type"] for message in cut.messages].index("STATE")
    assert [message["record"]["id"] for message in cut.messages[1:last_message]] == ids[:50]
    assert part_of(cut).keys() == {"ids_hash", "ids_done"}
    assert part_of(cut)["ids_done"] == 50

    sandbox.faults.clear()
    before = len(sandbox.profile_requests)
    again = alone.run(company_ids=ids, state=cut.state)
    assert again.returncode == 0, again.stderr
    assert again.ids == [key for key in ids[50:] if key != ids[60]]
    assert sorted(map(str, asked_for(sandbox)[before:])) == sorted(ids[50:])
    assert lines_about_the_list(again) == ["Resuming the list of company ids after 50 of 120."]
    assert part_of(again) == {**part_of(cut), "ids_done": 120}

    third = alone.run(company_ids=ids, state=again.state)
    assert third.ids == [key for key in ids if key != ids[60]]
    assert lines_about_the_list(third) == [
        "An earlier run read all of the 120 profiles: they are read again from the start."
    ]
    path = alone.folder / "ids.txt"
    path.write_text("\n".join(ids[:3]))
    other = alone.run(company_ids_file=str(path), state=cut.state)
    assert other.ids == ids[:3]
    assert lines_about_the_list(other) == [
        "The list of company ids is new: its profiles are read from the start."
    ]
    assert part_of(other)["ids_done"] == 3
    assert alone.run("--test", company_ids=ids, state=cut.state).ids == ids[:1]


def test_run_that_follows_says_nothing_of_an_earlier_list(
    tap: CompaniesTap, alone: CompaniesTap, sandbox: Sandbox
) -> None:
    named = alone.run(company_ids=list(sandbox.world.rows())[:3])
    run = tap.run(state=named.state)
    assert len(ids_of(run)) == 120
    assert lines_about_the_list(run) == []
    assert part_of(run) == part_of(named)


def test_kills_leave_exactly_the_profiles_that_exist(tmp_path: Path, discovered: Json) -> None:
    rng = Random(9)
    with Sandbox(size=300, seed=6) as sandbox:
        catalog = selecting(discovered, career_sites=False, companies=True)
        tap = CompaniesTap(sandbox, tmp_path, catalog=catalog)
        ids = list(sandbox.world.rows())
        path = tmp_path / "ids.txt"
        path.write_text("\n".join(ids))
        settings: dict[str, Any] = {"company_ids_file": str(path)}
        target = Target(merges_states=True, state={})
        cuts = 4
        for _ in range(cuts):
            lines = rng.randint(0, 120)
            _, read = cut_after(tap, lines, some_signal(rng), state=target.state, **settings)
            target.receive(parse(read))
            wait_until_quiet(sandbox)
        assert 0 < len(target.tables["companies"]) < len(ids)
        assert list(target.tables["companies"]) == ids[: len(target.tables["companies"])]
        run = tap.run(state=target.state, **settings)
        assert run.returncode == 0, run.stderr
        target.receive(run.messages)
        assert list(target.tables["companies"]) == ids
        # What was asked for and not behind a state: a batch that is under way.
        assert len(sandbox.profile_requests) <= len(ids) + cuts * IN_FLIGHT


def test_failing_api_ends_the_run_and_the_next_one_resumes(
    alone: CompaniesTap, sandbox: Sandbox
) -> None:
    ids = list(sandbox.world.rows())
    sandbox.faults.add(Fault(status=401), endpoint="profile", on=80)
    cut = alone.run(company_ids=ids)
    assert "401" in complaint(cut)
    assert part_of(cut)["ids_done"] == 50
    again = alone.run(company_ids=ids, state=cut.state)
    assert again.ids == ids[50:]


def test_state_stays_when_profiles_follow_career_sites(tap: CompaniesTap) -> None:
    part = {"ids_hash": "0c9e7b6d2a574f0e", "ids_done": 3}
    run = tap.run(state={"bookmarks": {"companies": part}})
    assert run.returncode == 0, run.stderr
    assert len(ids_of(run)) == 120
    assert all(state["bookmarks"]["companies"] == part for state in run.states)


@pytest.mark.parametrize("done", ["3", -1, None, True])
def test_state_that_is_not_the_taps_is_refused(
    alone: CompaniesTap, sandbox: Sandbox, done: object
) -> None:
    state = {"bookmarks": {"companies": {"ids_hash": "0c9e7b6d2a574f0e", "ids_done": done}}}
    line = complaint(alone.run(company_ids=[*sandbox.world.rows()][:3], state=state))
    assert "'ids_done' of bookmarks.companies must be a whole number" in line
    assert sandbox.ledger == []
