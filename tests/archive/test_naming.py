"""The command of a message works as printed, whatever else the archive has of the stream."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from tests.archive.helpers import archive_command, succeeded
from tests.support import Run, Tap, error_code, execute
from tests.support.archives import Files

pytestmark = pytest.mark.slow


@pytest.fixture(params=["address", "kind of API key"])
def other(request: pytest.FixtureRequest, tap: Tap) -> dict[str, Any]:
    """The settings of a run that has an archive of its own in the same folder."""
    if request.param == "address":
        return {"api_url": tap.sandbox.url.replace("127.0.0.1", "localhost")}
    return {"api_key": "jbe_live_another"}


def printed(run: Run) -> list[str]:
    """The command in the messages of a run."""
    (command,) = re.findall("`(.*?)`", run.stderr)
    return shlex.split(command)


def run_other(tap: Tap, other: dict[str, Any]) -> Run:
    own_key = tap.sandbox.api_key
    tap.sandbox.api_key = other.get("api_key", own_key)
    run = tap.succeed(**other)
    tap.sandbox.api_key = own_key
    return run


def test_after_a_key_that_was_rejected_a_message_names_the_archive_of_the_run(
    tap: Tap, files: Files
) -> None:
    state = tap.succeed().state
    pages = files.pages
    assert error_code(tap.run(api_key="abc")) == "access-denied"
    assert files.pages == pages
    files.damage(pages[-1])
    command = printed(tap.run(state=state))
    assert [command[-3], command[-1]] == ["drop", "3"]
    succeeded(execute(command, tap.environment()))
    assert tap.succeed(state=state).ids == []  # it has that page
    billed = tap.sandbox.rows_billed
    assert len({*tap.succeed().ids}) == tap.sandbox.rows_billed - billed + 100 == 120
    succeeded(archive_command(tap, "export", command[-2]))


def test_of_two_archives_of_a_stream_the_message_names_the_one_of_the_run(
    tap: Tap, files: Files, other: dict[str, Any]
) -> None:
    state = tap.succeed().state
    damaged = files.pages[1]
    run_other(tap, other)
    files.damage(damaged)
    (drop, restart) = re.findall("`(.*?)`", tap.run().stderr)
    for command in (drop, restart):
        succeeded(execute([*shlex.split(command), "--yes"], tap.environment()))
    assert len(tap.succeed(state=state).ids) == 120  # bought again, as ordered
    assert run_other(tap, other).metrics["jobo_credits"] == 0
    for command in ("drop", "restart", "state", "export"):
        arguments = [command, "career_sites", *(["2"] if command == "drop" else [])]
        refused = archive_command(tap, *arguments)
        assert refused.returncode == 1
        assert len({*re.findall(r"\S+-\w{8}/career_sites", refused.stderr)}) == 2


def test_what_is_damaged_of_another_address_ends_no_run(
    tap: Tap, files: Files, other: dict[str, Any]
) -> None:
    tap.succeed()
    own = set(files.names)
    run_other(tap, other)
    theirs = next(name for name in {*files.names} - own if name.endswith(".page"))
    files.store.replace(f"{theirs.rsplit('/', 2)[0]}/archive.json", b"{}")
    run = tap.succeed()
    assert len(run.ids) == 120
    files.damage(next(name for name in own if name.endswith("000002.page")))
    assert re.search(r"restart \S+-\w{8}/career_sites`", tap.run().stderr)
