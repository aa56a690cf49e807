"""`tap-jobo-archive`: what it shows, exports and drops."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from jobo_sandbox import Fault
from tests.archive.helpers import (
    archive_command,
    damage,
    names,
    pages,
    replayed,
    rewrite,
    succeeded,
)
from tests.support import COMMAND, Run, Tap, execute
from tests.support.crash import cut_in_request, run_meanwhile
from tests.support.repository import REPOSITORY
from tests.support.systems import needs_full_device

pytestmark = pytest.mark.slow


def written(tap: Tap, *args: str) -> list[str]:
    """The lines that the command writes, when it does as it is told."""
    run = succeeded(archive_command(tap, *args))
    assert run.stderr == ""
    return run.stdout.splitlines()


def refusal(run: Run) -> str:
    """The only line of a command that refuses."""
    assert run.returncode == 1
    assert run.stdout == ""
    (line,) = run.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


def quarantine_a_row(tap: Tap, **settings: Any) -> dict[str, Any]:
    """Run the tap over rows of which one has no usable id; return that row."""
    key = next(iter(tap.sandbox.world.rows()))
    tap.sandbox.world.touch(key, id=7)
    assert tap.run(**settings).metrics["jobo_rows_skipped"] == 1
    return tap.sandbox.world.rows()[key]


def test_list_shows_syncs_and_their_worth_and_drop_takes_their_ids(tap: Tap, folder: Path) -> None:
    cut_in_request(tap, 3, billed=False)
    quarantine_a_row(tap, founded_after=1980, on_filter_change="keep")
    ids = {name.split(".")[0] for name in names(folder)}
    lines = written(tap, "list")
    assert len(lines) == 4
    assert lines[0] == f"career_sites (test key, {tap.sandbox.url})"
    assert "  1 quarantined row" in lines
    syncs = [line for line in lines if "pages, worth" in line]
    assert "  2 pages, worth $5.00, " in "".join(syncs)
    age = r"  \w+  \d pages, worth \$[\d.]+, \d+ s old(, founded_after=1980)?"
    assert all(re.fullmatch(age, line) for line in syncs)
    assert "founded_after=1980" in "".join(syncs)
    assert {line.split()[0] for line in syncs} == ids
    sync = next(line.split()[0] for line in syncs if "$5.00" in line)
    for name in (f"{sync}.2", sync):  # and nothing of the other
        dropped = written(tap, "drop", name)
        assert dropped == ["Dropped 1 page, worth $2.50, and 0 quarantined rows."]
    assert len([line for line in written(tap, "list") if "worth" in line]) == 1
    assert replayed(tap.run(on_filter_change="keep")) == 0


def on_terminal(tap: Tap, *args: str, answer: bytes = b"") -> bytes:
    """Run the command on a terminal, type an answer, and return what is shown."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tap_jobo.archive", *args],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=tap.environment({"TAP_JOBO_ARCHIVE_DIR": str(tap.folder / "archive")}),
    )
    os.close(follower)
    os.write(leader, answer)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux ends a terminal
        while chunk := os.read(leader, 1 << 16):
            shown += chunk
    process.wait()
    os.close(leader)
    return shown


def test_no_control_character_reaches_a_terminal(tap: Tap, folder: Path) -> None:
    tap.run(industries=["fintech\x1b[2J"])
    rewrite(pages(folder)[0], body=b'{"a": "\x1b[2J"}')
    for args in (["list"], ["drop", "\x1b[2J"], ["export"]):
        shown = on_terminal(tap, *args)
        assert shown
        assert b"\x1b[2J" not in shown, args


def test_export_writes_each_raw_page_but_those_that_are_damaged(tap: Tap, folder: Path) -> None:
    bodies: list[dict[str, Any]] = []

    def keep(body: dict[str, Any]) -> dict[str, Any]:
        bodies.append(body)
        return body

    tap.sandbox.faults.add(Fault(replace=keep, times=None))
    tap.run()
    assert [json.loads(line) for line in written(tap, "export")] == bodies
    assert len(bodies) == 3
    damage(pages(folder)[0])
    run = archive_command(tap, "export")
    assert run.returncode == 1
    assert [json.loads(line) for line in run.stdout.splitlines()] == bodies[1:]
    (line,) = run.stderr.splitlines()
    assert f"{names(folder)[0]} is damaged" in line


def test_the_pages_behind_a_dropped_one_go_and_cost_too(tap: Tap, folder: Path) -> None:
    tap.run(batch_size=10)
    name = names(folder)[3]
    line = refusal(archive_command(tap, "drop", name, yes=False))
    assert "To drop 9 pages, worth $4.50, and 0 quarantined rows, add --yes." in line
    assert len(pages(folder)) == 12
    assert written(tap, "drop", name) == ["Dropped 9 pages, worth $4.50, and 0 quarantined rows."]
    assert len(pages(folder)) == 3
    assert replayed(tap.run(batch_size=10)) == 30
    assert tap.sandbox.rows_billed == 120 + 90


def test_drop_asks_on_a_terminal(tap: Tap, folder: Path) -> None:
    tap.run()
    for answer, left in ((b"n\n", 3), (b"y\n", 0)):
        asked = on_terminal(tap, "drop", "--all", answer=answer)
        assert b"Drop 3 pages, worth $6.00, and 0 quarantined rows?" in asked
        assert len(pages(folder)) == left


def test_drop_of_all_empties_the_archive(tap: Tap) -> None:
    row = quarantine_a_row(tap)
    assert [json.loads(line) for line in written(tap, "export", "--quarantined")] == [row]
    assert written(tap, "drop", "--quarantined") == [
        "Dropped 0 pages, worth $0.00, and 1 quarantined row."
    ]
    assert len(written(tap, "export")) == 3
    assert written(tap, "drop", "--all") == [
        "Dropped 3 pages, worth $6.00, and 0 quarantined rows."
    ]
    assert written(tap, "export") == []
    assert written(tap, "export", "--quarantined") == []


def test_drop_of_an_unknown_name_or_of_nothing_drops_nothing(tap: Tap, folder: Path) -> None:
    tap.run()
    line = refusal(archive_command(tap, "drop", names(folder)[1], "nobody"))
    assert "no page or sync nobody" in line
    assert f"`tap-jobo-archive --archive-dir {folder} list`" in line
    run = archive_command(tap, "drop")
    assert run.returncode == 2
    assert "--quarantined or --all" in run.stderr
    assert len(pages(folder)) == 3


def test_drop_refuses_while_a_run_is_in_progress(tap: Tap) -> None:
    def drop(_: object) -> None:
        assert "is in progress" in refusal(archive_command(tap, "drop", "--all"))
        assert len(written(tap, "export")) == 1

    assert run_meanwhile(tap, drop).returncode == 0
    assert written(tap, "drop", "--all")


def test_a_lock_of_another_program_in_the_folder_is_left_alone(tap: Tap, folder: Path) -> None:
    tap.run()
    with FileLock(folder / "uv.lock", timeout=0):
        assert written(tap, "drop", "--all")


@pytest.mark.parametrize("args", [["list"], ["drop", "--all"]])
def test_a_archive_that_is_missing_or_damaged_is_one_line(
    tap: Tap, folder: Path, args: list[str]
) -> None:
    line = refusal(archive_command(tap, *args))
    assert str(folder) in line
    assert "--archive-dir" in line
    assert not folder.exists()
    tap.run()
    (sync,) = folder.glob("v2/*/*/sync.json")
    sync.write_text("{")
    run = succeeded(archive_command(tap, *args))
    assert "3 pages, worth $6.00" in run.stdout


@needs_full_device
@pytest.mark.parametrize("command", ["list", "export"])
def test_a_full_disk_is_one_line(tap: Tap, folder: Path, command: str) -> None:
    tap.run()
    program = [sys.executable, "-m", "tap_jobo.archive", "--archive-dir", str(folder), command]
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            program,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=tap.environment(),
            check=False,
        )
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("Error: Standard output cannot be written (No space left on device)")


@pytest.mark.parametrize(
    ("command", "says"), [("drop --all <&-", "Error: Nothing was dropped."), ("export >&-", "")]
)
def test_a_closed_stream_is_no_bug(tap: Tap, folder: Path, command: str, says: str) -> None:
    tap.run()
    program = f"{sys.executable} -m tap_jobo.archive --archive-dir {folder} {command}"
    run = execute(["sh", "-c", program], tap.environment())
    assert (run.returncode == 0, run.stdout) == (not says, "")
    assert run.stderr.startswith(says)
    assert len(run.stderr.splitlines()) == len(says.splitlines())
    assert len(pages(folder)) == 3


def test_a_row_that_is_gone_once_it_is_read_is_one_line(tap: Tap, folder: Path) -> None:
    quarantine_a_row(tap)
    (row,) = folder.glob("v2/*/quarantine/*")
    row.unlink()
    row.symlink_to("gone")  # which is listed, and cannot be read
    line = refusal(archive_command(tap, "export", "--quarantined"))
    name = row.relative_to(folder)
    assert line == f"Error: The file {name} in the archive {folder} is gone. Run the command again."


@pytest.mark.parametrize("file", ["meltano.yml", "plugin.yaml"])
def test_the_plugin_has_each_command(tap: Tap, file: str) -> None:
    definition = yaml.safe_load((REPOSITORY / file).read_text("utf-8"))
    plugins = definition.get("variants") or definition["plugins"]["extractors"]
    (commands,) = (plugin["commands"] for plugin in plugins if "commands" in plugin)
    assert list(commands) == ["archive-list", "archive-export", "archive-drop"]
    for command in commands.values():
        program = str(COMMAND.with_name(command["executable"]))  # in the plugin's own folder
        run = succeeded(execute([program, command["args"], "--help"], tap.environment()))
        assert run.stdout.startswith(f"Usage: tap-jobo-archive {command['args']}")
