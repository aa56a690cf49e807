"""Profiles of the companies that a setting names."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from jobo_sandbox import Fault, Hold, Sandbox
from tests.support import Run, Tap, complaint
from tests.support.companies import (
    CompaniesTap,
    Json,
    Plain,
    asked_for,
    expected_profile,
    profiles_of,
    validate_profiles,
)
from tests.support.crash import (
    finish,
    wait_for,
    widen_pipe,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


class TestNamedCompanies:
    def test_only_these_profiles_are_read_and_no_feed(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = list(sandbox.world.rows())[10:90:3]
        sandbox.company_gone(ids[4])
        nobody = str(UUID(int=5))
        run = alone.run(company_ids=[*ids, nobody, ids[0]])
        assert run.returncode == 0, run.stderr
        assert run.ids == [key for key in ids if key != ids[4]]
        assert profiles_of(run) == [expected_profile(sandbox, key) for key in run.ids]
        validate_profiles(run)
        assert sandbox.feed_requests == []
        assert sorted(map(str, asked_for(sandbox))) == sorted([*ids, nobody])
        (summary,) = (line for line in run.lines("INFO") if line.startswith("Summary"))
        assert summary == (
            "Summary: companies: 26 profiles, 2 not found, 0 credits ($0.00); complete."
        )
        assert run.metrics["record_count"] == 26
        assert run.lines("WARNING") == []
        assert {message.get("stream") for message in run.messages} <= {None, "companies"}

    def test_they_can_be_a_variable_with_commas(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = list(sandbox.world.rows())[:3]
        variables = {"TAP_JOBO_COMPANY_IDS": ",".join(ids)}
        run = alone.run("--config", "ENV", env=variables)
        assert run.returncode == 0, run.stderr
        assert run.ids == ids

    def test_a_thousand_are_allowed_and_each_is_read_once(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = [*sandbox.world.rows()]
        run = alone.run(company_ids=ids * 8 + ids[:40])
        assert run.returncode == 0, run.stderr
        assert run.ids == ids
        assert len(sandbox.ledger) == 120

    def test_they_can_be_lines_of_a_file(self, alone: CompaniesTap, sandbox: Sandbox) -> None:
        first, *ids = list(sandbox.world.rows())[:70]
        path = alone.folder / "ids.txt"
        text = f"\ufeff{first}\r\n\r\n" + "".join(f"  {key} \n" for key in ids[:-1]) + ids[-1]
        path.write_bytes(text.encode())
        run = alone.run(company_ids_file=str(path))
        assert run.returncode == 0, run.stderr
        assert run.ids == [first, *ids]
        assert sandbox.feed_requests == []
        assert len(sandbox.profile_requests) == 70

    def test_a_file_without_ids_is_one_warning(self, alone: CompaniesTap, sandbox: Sandbox) -> None:
        """As after a query that failed or found nothing."""
        path = alone.folder / "ids.txt"
        path.write_text("\n")
        run = alone.run(company_ids_file=str(path))
        assert run.returncode == 0, run.stderr
        (warning,) = run.lines("WARNING")
        assert warning == f"Setting 'company_ids_file': {path} has no ids, so no profile is read."
        assert complaint(alone.run("--test", company_ids_file=str(path))) == warning
        assert sandbox.ledger == []

    def test_none_is_read_if_a_map_removes_them(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = [*sandbox.world.rows()][:3]
        run = alone.run(company_ids=ids, stream_maps={"companies": None})
        assert run.returncode == 0, run.stderr
        assert run.lines("WARNING") == [
            "Setting 'stream_maps' removes companies: nothing is read for it."
        ]
        assert "Summary" not in run.stderr
        assert run.metrics.keys() == {"sync_duration"}
        assert run.states == [{}]
        assert sandbox.ledger == []

    def test_uppercase_ids_are_the_same_companies(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = list(sandbox.world.rows())[:3]
        assert alone.run(company_ids=[*map(str.upper, ids), ids[0]]).ids == ids

    def test_file_of_any_length_is_read_page_by_page(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = list(sandbox.world.rows())
        path = file_of_ids(alone, ids * 41 + ids[:80])
        hold = Hold()
        sandbox.faults.add(Fault(hold=hold), company_id=ids[100])
        process = alone.start(company_ids_file=path)
        widen_pipe(process)
        hold.wait()
        wait_for(lambda: len(sandbox.ledger) >= 150 and sandbox.open_requests == 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(8) == 128 + signal.SIGTERM
        assert len(sandbox.ledger) == 150
        hold.release()
        run, _ = finish(process, [])
        assert run.ids == ids[:100]

    def test_state_of_career_sites_passes_through_as_it_is(
        self, alone: CompaniesTap, sandbox: Sandbox, plain: Plain
    ) -> None:
        ids = list(sandbox.world.rows())[:3]
        pending = plain.run.states[0]
        assert pending["bookmarks"]["career_sites"]["scan"]["cursor"]
        run = alone.run(company_ids=ids, state=pending)
        assert run.returncode == 0, run.stderr
        assert run.ids == ids
        assert run.states
        assert run.state["bookmarks"].keys() == {"career_sites", "companies"}
        assert all(
            state["bookmarks"]["career_sites"] == pending["bookmarks"]["career_sites"]
            for state in run.states
        )
        assert alone.run(company_ids=ids).state["bookmarks"].keys() == {"companies"}

    def test_career_sites_are_not_read_and_a_warning_says_so(
        self, tap: CompaniesTap, sandbox: Sandbox, plain: Plain
    ) -> None:
        ids, pending = list(sandbox.world.rows())[:3], plain.run.states[0]
        run = tap.run(company_ids=ids, state=pending)
        assert run.returncode == 0, run.stderr
        assert run.ids == ids
        (warning,) = run.lines("WARNING")
        assert "career_sites" in warning
        assert sandbox.feed_requests == []
        assert run.bookmark == pending["bookmarks"]["career_sites"]

    def test_they_are_refused_if_companies_is_not_selected(
        self, tap: CompaniesTap, sandbox: Sandbox, discovered: Json
    ) -> None:
        tap.catalog = discovered
        path = file_of_ids(tap, list(sandbox.world.rows())[:3])
        assert "companies is not selected" in complaint(tap.run(company_ids_file=path))
        assert sandbox.ledger == []

    @pytest.mark.parametrize(
        "ids",
        [
            ["not-a-uuid"],
            [str(UUID(int=1)) + "/../feed"],
            [str(UUID(int=number)) for number in range(1_001)],
        ],
        ids=["word", "path", "1001"],
    )
    def test_invalid_or_too_long_list_of_ids_is_rejected(
        self, alone: CompaniesTap, sandbox: Sandbox, ids: object
    ) -> None:
        assert "'company_ids'" in complaint(alone.run(company_ids=ids))
        assert sandbox.ledger == []

    def test_both_settings_at_once_are_refused(self, alone: CompaniesTap, sandbox: Sandbox) -> None:
        ids = list(sandbox.world.rows())[:3]
        line = complaint(alone.run(company_ids=ids, company_ids_file=file_of_ids(alone, ids)))
        assert "'company_ids'" in line
        assert "'company_ids_file'" in line
        assert sandbox.ledger == []

    @pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
    def test_file_that_cannot_be_used_is_refused(
        self, alone: CompaniesTap, sandbox: Sandbox, content: bytes | None
    ) -> None:
        path = alone.folder / "ids.txt"
        if content is not None:
            path.write_bytes(content)
        line = complaint(alone.run(company_ids_file=str(path)))
        assert "'company_ids_file'" in line
        assert str(path) in line
        assert sandbox.ledger == []

    def test_file_that_can_be_read_only_once_is_not_ignored(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = list(sandbox.world.rows())[:3]
        done = subprocess.run(
            alone.command(settings={"company_ids_file": "/dev/stdin"}),
            input="\n".join(ids),
            capture_output=True,
            text=True,
            check=False,
            env=alone.environment(),
        )
        run = Run(done.returncode, done.stdout, done.stderr)
        assert run.ids == ids or "'company_ids_file'" in complaint(run)

    def test_bad_line_is_named_by_its_number_before_any_request(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = list(sandbox.world.rows())
        lines = ids * 41 + ids[:79] + ["id,name"]
        line = complaint(alone.run(company_ids_file=file_of_ids(alone, lines)))
        assert "5000" in line.replace(",", "")
        assert "id,name" in line
        assert sandbox.ledger == []

    def test_failing_profile_is_skipped(self, alone: CompaniesTap, sandbox: Sandbox) -> None:
        ids = list(sandbox.world.rows())[:5]
        sandbox.faults.add(Fault(status=500, times=None), company_id=ids[1])
        run = alone.run_quickly(company_ids=ids)
        assert run.returncode == 0, run.stderr
        assert run.ids == [ids[0], *ids[2:]]
        (error,) = run.lines("ERROR")
        assert ids[1] in error
        assert "4 profiles, 1 skipped, 0 credits" in run.stderr

    def test_failing_api_ends_the_run_despite_a_repeated_company(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        first, second, *_ = sandbox.world.rows()
        sandbox.faults.add(Fault(status=500, times=None))
        path = file_of_ids(alone, [first, second, first])
        run = alone.run_quickly(company_ids_file=path)
        assert "500" in complaint(run)
        assert run.lines("ERROR") == []


def file_of_ids(tap: Tap, lines: Iterable[str]) -> str:
    path = tap.folder / "ids.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


class TestTestMode:
    def test_it_requests_no_profile(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        run = tap.run("--test")
        assert run.returncode == 0, run.stderr
        assert sandbox.profile_requests == []
        assert len(sandbox.feed_requests) == 1
        assert sandbox.rows_billed == 1
        assert run.lines("WARNING") == run.lines("ERROR") == []

    def test_with_named_companies_it_requests_one_profile_and_no_row(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = list(sandbox.world.rows())[:7]
        run = alone.run("--test", company_ids_file=file_of_ids(alone, ids))
        assert run.returncode == 0, run.stderr
        assert run.ids == ids[:1]
        assert asked_for(sandbox) == ids[:1]
        assert sandbox.feed_requests == []

    def test_with_named_companies_it_fails_where_a_run_would(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = list(sandbox.world.rows())[:7]
        wrong_key = "jbe_live_wrong"
        assert "401" in complaint(alone.run("--test", company_ids=ids, api_key=wrong_key))
        assert len(sandbox.ledger) == 1
