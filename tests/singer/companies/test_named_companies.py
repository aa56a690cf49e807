"""Profiles of the companies that a setting names, and where an interrupted list is resumed."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from jobo_sandbox import Fault, Hold, Sandbox
from tests.support import Run, Tap, complaint, discover
from tests.support.companies import (
    Json,
    Plain,
    asked_for,
    expected_profile,
    profiles_of,
)
from tests.support.crash import (
    cut_after,
    finish,
    parse,
    some_signal,
    wait_for,
    wait_until_quiet,
    widen_pipe,
)
from tests.support.jobs import tap_of
from tests.support.target import Target

BATCH = 50
"""Profiles between two states."""


def file_of_ids(tap: Tap, lines: Iterable[str]) -> str:
    path = tap.folder / "ids.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def part_of(run: Run) -> Json:
    part: Json = run.state["bookmarks"]["companies"]
    return part


class TestNamedCompanies:
    def test_only_these_profiles_are_read_and_no_feed(self, alone: Tap, sandbox: Sandbox) -> None:
        ids = list(sandbox.world.rows())[10:90:3]
        sandbox.company_gone(ids[4])
        nobody = str(UUID(int=5))
        run = alone.run(company_ids=[*map(str.upper, ids), nobody, ids[0]])
        assert run.returncode == 0, run.stderr
        assert run.ids == [key for key in ids if key != ids[4]]
        assert profiles_of(run) == [expected_profile(sandbox, key) for key in run.ids]
        assert sandbox.feed_requests == []
        assert sorted(map(str, asked_for(sandbox))) == sorted([*ids, nobody])
        text = "26 profiles, 2 not found, 0 credits ($0.00); complete."
        assert run.summaries == {"companies": text}
        assert run.metrics["record_count"] == 26
        assert run.metrics["jobo_profiles_not_found"] == 2
        assert run.lines("WARNING") == []
        assert {message.get("stream") for message in run.messages} <= {None, "companies"}

    def test_they_can_be_a_thousand_a_variable_or_lines_of_a_file(
        self, alone: Tap, sandbox: Sandbox
    ) -> None:
        ids = [*sandbox.world.rows()]
        assert alone.run(company_ids=ids * 8 + ids[:40]).ids == ids
        assert len(sandbox.ledger) == 120
        variables = {"TAP_JOBO_COMPANY_IDS": ",".join(ids[:3])}
        assert alone.run("--config", "ENV", env=variables).ids == ids[:3]
        text = f"\ufeff{ids[0]}\r\n\r\n" + "".join(f"  {key} \n" for key in ids[:9] * 20) + ids[9]
        path = alone.folder / "ids.txt"
        path.write_bytes(text.encode())
        assert alone.run(company_ids_file=str(path)).ids == ids[:10]
        assert sandbox.feed_requests == []

    def test_ids_without_dashes_are_the_same_companies(self, alone: Tap, sandbox: Sandbox) -> None:
        ids = list(sandbox.world.rows())[:3]
        plain = [key.replace("-", "").upper() for key in ids]

        def without_dashes(profile: Json) -> Json:
            return {**profile, "id": profile["id"].replace("-", "")}

        sandbox.faults.add(Fault(replace=without_dashes, times=None), endpoint="profile")
        for setting in ({"company_ids": plain}, {"company_ids_file": file_of_ids(alone, plain)}):
            run = alone.run(**setting)
            assert run.returncode == 0, run.stderr
            assert run.ids == ids
        assert sorted(map(str, asked_for(sandbox))) == sorted(ids * 2)

    def test_a_file_without_ids_is_one_warning(self, alone: Tap, sandbox: Sandbox) -> None:
        """As after a query that failed or found nothing."""
        path = file_of_ids(alone, [""])
        for arguments in ([], ["--test"]):
            run = alone.run(*arguments, company_ids_file=path)
            assert run.returncode == 0, run.stderr
            (warning,) = run.lines("WARNING")
            assert warning == f"company_ids_file: {path} is empty, so no profiles are fetched."
        assert sandbox.ledger == []

    def test_career_sites_are_not_read_and_their_state_stays(
        self, tap: Tap, sandbox: Sandbox, plain: Plain
    ) -> None:
        ids = list(sandbox.world.rows())[:3]
        pending = plain.run.states[0]
        assert pending["bookmarks"]["career_sites"]["scan"]["cursor"]
        run = tap.run(company_ids=ids, state=pending)
        assert run.returncode == 0, run.stderr
        assert run.ids == ids
        (warning,) = run.lines("WARNING")
        assert "career_sites" in warning
        assert sandbox.feed_requests == []
        assert run.state["bookmarks"].keys() == {"career_sites", "companies"}
        assert all(
            state["bookmarks"]["career_sites"] == pending["bookmarks"]["career_sites"]
            for state in run.states
        )


class TestRefused:
    def test_list_with_anything_but_ids(self, alone: Tap, sandbox: Sandbox) -> None:
        ids = [str(UUID(int=1)) + "/../feed"]
        assert "'company_ids'" in complaint(alone.run(company_ids=ids))
        assert sandbox.ledger == []

    def test_ids_while_companies_is_not_selected(self, tap: Tap, sandbox: Sandbox) -> None:
        tap.catalog = discover()
        path = file_of_ids(tap, list(sandbox.world.rows())[:3])
        for arguments in ([], ["--test"]):
            run = tap.run(*arguments, company_ids_file=path, country_codes=["DE"])
            assert "companies is not selected" in complaint(run)
        assert sandbox.ledger == []

    def test_a_file_that_cannot_be_read_or_has_a_bad_line(
        self, alone: Tap, sandbox: Sandbox
    ) -> None:
        path = alone.folder / "ids.txt"
        ids = list(sandbox.world.rows())
        bad_line = "\n".join(ids * 41 + ids[:79] + ["id,name"]).encode()
        for content, words in (
            (None, f"company_ids_file: {path} is not a readable text file"),
            (b"\xff\xfe\x00", f"company_ids_file: {path} is not a readable text file"),
            (bad_line, "line 5000 of"),
        ):
            if content is not None:
                path.write_bytes(content)
            assert words in complaint(alone.run(company_ids_file=str(path)))
        assert sandbox.ledger == []


class TestResume:
    def test_killed_list_resumes_then_starts_over(self, alone: Tap, sandbox: Sandbox) -> None:
        ids = list(sandbox.world.rows())
        sandbox.company_gone(ids[60])
        hold = Hold()
        sandbox.faults.add(Fault(hold=hold), company_id=ids[70])
        process = alone.start(company_ids=ids)
        widen_pipe(process)
        hold.wait()
        wait_for(lambda: len(sandbox.ledger) == 2 * BATCH and sandbox.open_requests == 1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        hold.release()
        cut, _ = finish(process, [])
        wait_until_quiet(sandbox)
        before_state = [message["type"] for message in cut.messages].index("STATE")
        written = [message["record"]["id"] for message in cut.messages[1:before_state]]
        assert written == ids[:BATCH]
        assert part_of(cut).keys() == {"ids_hash", "ids_done"}
        assert part_of(cut)["ids_done"] == BATCH

        before = len(sandbox.profile_requests)
        again = alone.run(company_ids=ids, state=cut.state)
        assert again.returncode == 0, again.stderr
        assert again.ids == [key for key in ids[BATCH:] if key != ids[60]]
        assert sorted(map(str, asked_for(sandbox)[before:])) == sorted(ids[BATCH:])
        assert "Resuming the list of company IDs after 50 of 120." in again.lines("INFO")
        assert part_of(again) == {**part_of(cut), "ids_done": 120}

        third = alone.run(company_ids=ids, state=again.state)
        assert third.ids == [key for key in ids if key != ids[60]]
        other = alone.run(company_ids_file=file_of_ids(alone, ids[:3]), state=cut.state)
        assert other.ids == ids[:3]
        assert part_of(other)["ids_done"] == 3
        assert alone.run("--test", company_ids=ids, state=cut.state).ids == ids[:1]

    @pytest.mark.parametrize("done", ["3", 9_999])
    def test_state_that_the_tap_did_not_write_starts_over(
        self, alone: Tap, sandbox: Sandbox, done: object
    ) -> None:
        ids = [*sandbox.world.rows()][:3]
        part = {**part_of(alone.run(company_ids=ids)), "ids_done": done}
        run = alone.run(company_ids=ids, state={"bookmarks": {"companies": part}})
        assert run.returncode == 0, run.stderr
        assert run.ids == ids

    def test_kills_leave_exactly_the_profiles_that_exist(self, tmp_path: Path) -> None:
        rng = Random(9)
        with Sandbox(size=300, seed=6) as sandbox:
            tap = tap_of(sandbox, tmp_path, "companies")
            ids = list(sandbox.world.rows())
            settings: dict[str, Any] = {"company_ids_file": file_of_ids(tap, ids)}
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
            # What was asked for and not behind a state: the batch in progress.
            assert len(sandbox.profile_requests) <= len(ids) + cuts * BATCH
