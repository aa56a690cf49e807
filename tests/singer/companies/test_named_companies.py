"""Profiles of the companies that a setting names, and where an interrupted list is resumed."""

import errno
import os
from collections.abc import Iterable
from uuid import UUID

import pytest

from jobo_sandbox import Sandbox
from tests.support import Tap, discover
from tests.support.companies import asked_for, expected_profile
from tests.support.crash import held_run, wait_for, wait_until_quiet

pytestmark = pytest.mark.slow

BATCH = 50
"""Profiles between two states."""


def file_of_ids(tap: Tap, lines: Iterable[str]) -> str:
    path = tap.folder / "ids.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


class TestNamedCompanies:
    def test_only_these_profiles_are_read_and_no_feed(self, alone: Tap, sandbox: Sandbox) -> None:
        ids = list(sandbox.world.rows())[10:90:3]
        sandbox.company_gone(ids[4])
        nobody = str(UUID(int=5))
        first, second, *others = ids
        forms = [f"\ufeff{first.upper()}", "", second.replace("-", "")]
        forms += [f" {each} \r" for each in others]
        named = file_of_ids(alone, [*forms, nobody, first])
        run = alone.succeed(company_ids_file=named)
        assert run.ids == [key for key in ids if key != ids[4]]
        assert run.of("companies").records == [expected_profile(sandbox, key) for key in run.ids]
        assert sandbox.feed_requests == []
        assert sorted(map(str, asked_for(sandbox))) == sorted([*ids, nobody])
        assert run.summaries.keys() == {"companies"}
        assert run.metrics["record_count"] == 26
        assert run.metrics["jobo_profiles_not_found"] == 2
        assert run.lines("WARNING") == []
        assert {message.get("stream") for message in run.messages} <= {None, "companies"}

    def test_a_file_without_ids_is_one_warning(self, alone: Tap, sandbox: Sandbox) -> None:
        """As after a query that failed or found nothing."""
        path = file_of_ids(alone, [""])
        for arguments in ([], ["--test"]):
            run = alone.succeed(*arguments, company_ids_file=path)
            (warning,) = run.lines("WARNING")
            assert warning.startswith(f"companies: company_ids_file: {path} is empty")
        assert sandbox.ledger == []

    def test_career_sites_are_not_read_and_their_state_stays(self, tap: Tap) -> None:
        ids = list(tap.sandbox.world.rows())[:3]
        pending = tap.succeed(max_credits=2_500).state
        assert pending["bookmarks"]["career_sites"]["position"]["progress"]
        run = tap.succeed(company_ids_file=file_of_ids(tap, ids), state=pending)
        assert run.ids == ids
        assert run.lines("WARNING") == []
        assert len(tap.sandbox.feed_requests) == 1
        assert run.state["bookmarks"].keys() == {"career_sites", "companies"}
        assert all(
            state["bookmarks"]["career_sites"] == pending["bookmarks"]["career_sites"]
            for state in run.states
        )


class TestRefused:
    def test_ids_while_companies_is_not_selected(self, tap: Tap, sandbox: Sandbox) -> None:
        tap.catalog = discover()
        path = file_of_ids(tap, list(sandbox.world.rows())[:3])
        for arguments in ([], ["--test"]):
            line = tap.refuse(*arguments, company_ids_file=path, country_codes=["DE"])
            assert "companies is not selected" in line

    def test_a_file_that_cannot_be_read_or_has_a_bad_line(self, alone: Tap) -> None:
        path = alone.folder / "ids.txt"
        ids = list(alone.sandbox.world.rows())
        bad_line = "\n".join(ids * 41 + ids[:79] + ["id,name"]).encode()
        for content, words in (
            (None, os.strerror(errno.ENOENT)),
            (b"\xff\xfe\x00", "can't be read"),
            (bad_line, "line 5000 of"),
        ):
            if content is not None:
                path.write_bytes(content)
            line = alone.refuse(company_ids_file=str(path))
            assert words in line
            assert str(path) in line


class TestResume:
    def test_killed_list_resumes_then_starts_over(self, alone: Tap, sandbox: Sandbox) -> None:
        ids = list(sandbox.world.rows())
        sandbox.company_gone(ids[60])
        path = file_of_ids(alone, ids)
        with held_run(alone, {"company_id": ids[70]}, company_ids_file=path) as held:
            wait_for(lambda: len(sandbox.ledger) == 2 * BATCH and sandbox.open_requests == 1)
            held.process.kill()
            cut = held.end()
        wait_until_quiet(sandbox)
        before_state = [message["type"] for message in cut.messages].index("STATE")
        written = [message["record"]["id"] for message in cut.messages[1:before_state]]
        assert written == ids[:BATCH]
        assert cut.of("companies").bookmark.keys() == {"ids_hash", "ids_done"}
        assert cut.of("companies").bookmark["ids_done"] == BATCH

        before = len(sandbox.profile_requests)
        again = alone.succeed(company_ids_file=path, state=cut.state)
        assert again.ids == [key for key in ids[BATCH:] if key != ids[60]]
        assert sorted(map(str, asked_for(sandbox)[before:])) == sorted(ids[BATCH:])
        assert any("after 50 of 120" in line for line in again.lines("INFO"))
        assert again.of("companies").bookmark == {**cut.of("companies").bookmark, "ids_done": 120}

        third = alone.run(company_ids_file=path, state=again.state)
        assert third.ids == [key for key in ids if key != ids[60]]
        assert alone.run("--test", company_ids_file=path, state=cut.state).ids == ids[:1]
        other = alone.run(company_ids_file=file_of_ids(alone, ids[::-2]), state=cut.state)
        assert other.ids == ids[::-2]
        assert other.of("companies").bookmark["ids_done"] == 60

    @pytest.mark.parametrize("done", ["3", 9_999])
    def test_state_that_the_tap_did_not_write_starts_over(self, alone: Tap, done: object) -> None:
        ids = [*alone.sandbox.world.rows()][:3]
        path = file_of_ids(alone, ids)
        part = {**alone.run(company_ids_file=path).of("companies").bookmark, "ids_done": done}
        run = alone.succeed(company_ids_file=path, state={"bookmarks": {"companies": part}})
        assert run.ids == ids
