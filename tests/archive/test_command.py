"""`tap-jobo-archive`: what it shows, exports, drops, orders, and erases; and `tap-jobo --plan`."""

import contextlib
import errno
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobo_sandbox import Fault
from tap_jobo.archive.key import all_keys
from tests.archive.helpers import (
    Warehouse,
    archive_command,
    change,
    drop,
    keys_in,
    pass_time,
    restart,
    succeeded,
    written,
)
from tests.support import (
    ARCHIVE_COMMAND,
    COMMAND,
    Run,
    Tap,
    commands_in,
    execute,
)
from tests.support.archives import Files
from tests.support.process import log_records
from tests.support.repository import REPOSITORY
from tests.support.systems import needs_full_device

pytestmark = pytest.mark.slow


def exported(tap: Tap, *args: str) -> list[dict[str, Any]]:
    """The rows that the command exports."""
    return [json.loads(line) for line in written(tap, "export", *args)]


def refusal(run: Run) -> str:
    """The only message of a command that refuses."""
    assert run.returncode == 1
    assert run.stdout == ""
    (message,) = log_records(run.stderr.rstrip("\n"))
    assert message.startswith("Error: ")
    return message


# list


def test_list_and_export_show_what_was_bought(warehouse: Warehouse) -> None:
    tap, key = warehouse.tap, next(iter(warehouse.target.rows))
    change(tap, key)
    warehouse.run()
    title, figures, month = written(tap, "list")
    assert re.fullmatch(rf"\S+-test-\w{{8}}/career_sites \(test key, {tap.sandbox.url}\)", title)
    assert figures.strip().startswith("4 pages, 121 rows, $6.05, ")
    assert month.strip()[7:] == ": $6.05 billed"
    rows = exported(tap, "career_sites")
    versions = [row for row in rows if row["row"]["id"] == key]
    assert versions[0]["page"] < versions[1]["page"] == 4
    assert versions[0]["row"]["name"] != versions[1]["row"]["name"] == "Changed"
    assert versions[0]["received_at"] < versions[1]["received_at"]
    assert {row["stream"] for row in rows} == {"career_sites"}
    assert len(rows) == 121


@pytest.mark.parametrize("file", ["archive.json", "pending"])
def test_list_shows_the_rest_of_a_stream_whose_small_file_is_damaged(
    tap: Tap, files: Files, file: str
) -> None:
    tap.succeed(max_credits_per_month=10**6)
    restart(tap)
    (name,) = (each for each in files.copy() if file in each)
    files.store.replace(name, b"{}")
    run = archive_command(tap, "list")
    assert run.returncode == 1
    assert "/career_sites" in run.stdout
    assert "$6.00" in run.stdout
    assert name in run.stderr


def gaps(tap: Tap) -> list[str]:
    """What the list says of missing rows."""
    return [line for line in written(tap, "list") if line.startswith("  gap: ")]


def test_list_shows_that_rows_of_a_dropped_page_may_be_missing(
    warehouse: Warehouse, files: Files
) -> None:
    """Until a later sync has read them again. Runs tell it, too, unless they are reading them."""
    tap = warehouse.tap
    tap.settings["batch_size"] = 50
    drop(tap, 2)
    assert gaps(tap)
    restart(tap, "--since", "2026-01-01")
    assert "gap" in tap.succeed().codes("WARNING")
    restart(tap)
    assert "gap" in tap.succeed(max_credits=0).codes("WARNING")
    warehouse.run(max_credits=2_500)
    assert gaps(tap)
    warehouse.run()
    assert not gaps(tap)
    drop(tap, len(files.pages))
    assert gaps(tap)
    assert Warehouse(tap).rows_billed() == 20
    assert not gaps(tap)


def test_what_a_first_sync_in_progress_lacks_is_bought_as_the_list_says(tap: Tap) -> None:
    tap.settings |= {"start_date": "2020-01-01", "batch_size": 50}
    tap.run(max_credits=5_000)
    said = drop(tap, 1)
    (gap,) = gaps(tap)
    (order,) = commands_in(gap)
    assert [order] == commands_in(said)
    assert order[:3] == ["restart", "career_sites", "--sync"]
    succeeded(archive_command(tap, *order, "--yes"))
    assert len({*tap.succeed().ids}) == 120
    assert not gaps(tap)


def test_a_test_alone_is_in_the_month(tap: Tap) -> None:
    assert tap.run("--test").returncode == 0
    _title, pages_, month = written(tap, "list")
    assert "0 pages" in pages_
    assert ": $0.05 billed" in month
    assert "no page of career_sites" in refusal(archive_command(tap, "state", "career_sites"))
    assert "is empty" in refusal(archive_command(tap, "restart", "career_sites", "--yes"))


# export


def test_export_leaves_out_only_what_is_damaged_and_list_names_it(
    warehouse: Warehouse, files: Files
) -> None:
    tap = warehouse.tap
    files.damage(files.pages[0])
    run = archive_command(tap, "export")
    assert (run.returncode, len(run.stdout.splitlines())) == (1, 70)
    (line,) = run.stderr.splitlines()
    assert " 1 of career_sites" in line
    backup = tap.folder / "backup"
    Path(files.store.location).rename(backup)
    run = archive_command(tap, "--archive-dir", str(backup), "list")
    assert run.returncode == 1
    assert " 2 pages, 70 rows, " in run.stdout
    assert "Page 1 of career_sites is damaged" in run.stderr


# drop


def test_a_dropped_page_of_changes_names_the_date_that_buys_it(
    warehouse: Warehouse, files: Files
) -> None:
    tap, older = warehouse.tap, warehouse.state
    tap.settings["batch_size"] = 10
    change(tap, *list(warehouse.target.rows)[:20])
    warehouse.run()
    files.damage(files.pages[3])
    tap.fail(code="archive-damaged", state=older)
    (said,) = written(tap, "drop", "career_sites", "4")
    since = said.partition("--since ")[2].partition("`")[0]
    pass_time(tap)
    warned = tap.succeed(state=older)
    assert since in warned.messages_of("WARNING", "gap")[0]
    restart(tap, "--since", since)
    assert warehouse.rows_billed() == 20
    assert tap.succeed(state=older).codes("WARNING") == []


def test_a_gap_is_told_although_a_sync_of_other_filters_waits(tap: Tap) -> None:
    tap.run(max_credits=500, batch_size=10)
    tap.settings |= {"country_codes": ["DE", "US"], "batch_size": 10}
    tap.succeed(on_filter_change="resync")
    drop(tap, 3)
    run = tap.succeed()
    assert "gap" in run.codes("WARNING")
    assert "gap" not in tap.succeed(state=run.state).codes("WARNING")  # it is told once


def test_drop_of_what_is_not_there_changes_nothing_and_it_asks_before_one_that_can_be_read(
    warehouse: Warehouse, files: Files
) -> None:
    tap, before = warehouse.tap, files.copy()
    assert "no page 4" in refusal(archive_command(tap, "drop", "career_sites", "4"))
    assert "no stream jobs" in refusal(archive_command(tap, "drop", "jobs", "1"))
    for args in (["drop"], ["drop", "career_sites"]):
        assert archive_command(tap, *args).returncode == 2
    asked = refusal(archive_command(tap, "drop", "career_sites", "1"))
    assert "50 rows ($2.50)" in asked
    assert "--yes" in asked
    assert files.copy() == before
    drop(tap, 1)
    assert tap.succeed().codes("WARNING") == ["gap"]
    before = files.copy()
    files.damage(files.pages[0])
    drop(tap, 1)
    assert files.copy() == before


# restart


def test_restart_buys_everything_anew_once_or_what_changed_since_a_date(
    warehouse: Warehouse, files: Files
) -> None:
    tap = warehouse.tap
    started = warehouse.state["bookmarks"]["career_sites"]["replication_key_value"]
    asked = refusal(archive_command(tap, "restart", "career_sites"))
    assert "$50.00 per 1,000" in asked
    assert "--yes" in asked
    change(tap, *list(warehouse.target.rows)[:3])
    assert warehouse.rows_billed() == 3
    for since, rows in (["--since", started], 3), ([], 120):
        restart(tap, *since)
        assert "  restart of " in "\n".join(written(tap, "list"))
        assert warehouse.rows_billed() == rows
        assert warehouse.rows_billed() == 0
    assert len({*tap.succeed().ids}) == 120
    assert tap.sandbox.rows_billed == 246
    assert len(files.pages) == 8


# state


def test_state_is_that_of_the_last_buyer(warehouse: Warehouse, files: Files) -> None:
    """Also in an archive that lacks what came before."""
    tap = warehouse.tap
    assert [json.loads(line) for line in written(tap, "state", "career_sites")] == [warehouse.state]
    files.lose()
    keys = list(tap.sandbox.world.rows())
    change(tap, *keys[:3])
    warehouse.run()
    assert "  begins with what" in "\n".join(written(tap, "list"))
    tap.fail(code="archive-lacks-rows")
    (line,) = written(tap, "state", "career_sites")
    assert json.loads(line) == warehouse.state
    change(tap, *keys[3:5])
    again = tap.succeed(state=json.loads(line))
    assert (len(again.ids), again.loaded) == (2, 0)
    variables = {"TAP_JOBO_ARCHIVE_DIR": str(tap.folder / "archive")}
    as_plugin = tap.environment({**variables, "MELTANO_EXTRACTOR_NAME": "tap-jobo"})
    run = succeeded(execute([str(ARCHIVE_COMMAND), "state", "career_sites"], as_plugin))
    (line,) = run.stdout.splitlines()
    assert json.loads(line)["singer_state"]["bookmarks"]["career_sites"]


# erase


def test_erase_takes_a_row_out_of_every_page(warehouse: Warehouse, files: Files) -> None:
    tap, key = warehouse.tap, next(iter(warehouse.target.rows))
    change(tap, key)
    warehouse.run()
    headers = [files.header(page) for page in files.pages]
    first, *delete, last = written(tap, "erase", key.upper().replace("-", ""))
    assert first.endswith(": erased from 2 pages.")
    assert key in "".join(delete)
    assert "backups" in last
    assert not any(key.encode() in files.entry(page).body for page in files.pages)
    assert [files.header(page) for page in files.pages] == headers
    assert {row["row"]["id"] for row in exported(tap)} == tap.sandbox.world.rows().keys() - {key}
    new = tap.succeed()
    assert {*new.ids} == tap.sandbox.world.rows().keys() - {key}
    change(tap, key)
    assert key in tap.succeed(state=new.state).ids
    files.rewrite(files.pages[0], body=b'{"rows": [{"id": "a"}]}')
    _, unread, _ = written(tap, "erase", "a")
    assert unread.endswith(": 1")


@pytest.mark.parametrize("id_", [7, " ", True, ["a", 1], None])
def test_erase_takes_out_a_row_of_any_id_but_none(tap: Tap, id_: object) -> None:
    tap.sandbox.world.touch(next(iter(tap.sandbox.world.rows())), id=id_)
    tap.run()
    assert id_ in [each["row"]["id"] for each in exported(tap)]
    shown = id_ if isinstance(id_, str) else json.dumps(id_)
    erased = "no row has" if id_ is None else "erased from 1 page."
    assert erased in written(tap, "erase", shown, "nobody")[0]
    assert len(exported(tap)) == (120 if id_ is None else 119)
    for other in (shown, "None", ""):
        assert "no row" in written(tap, "erase", other)[0]


# What all commands share


def test_what_writes_waits_for_no_run_and_what_reads_needs_no_lock(
    warehouse: Warehouse, files: Files
) -> None:
    tap, (key,) = warehouse.tap, all_keys(files.store)
    change(tap, next(iter(warehouse.target.rows)))
    with files.store.lock(key.name, "career_sites"):
        for args in (
            ["drop", "career_sites", "1"],
            ["restart", "career_sites", "--yes"],
            ["erase", next(iter(warehouse.target.rows))],
        ):
            assert "[run-in-progress]" in refusal(archive_command(tap, *args))
        assert len(exported(tap)) == 120
        run = tap.succeed(max_credits=0)
    assert (len(run.ids), run.lines("WARNING")) == (120, [])
    assert run.metrics["jobo_sync_complete"] == 0


def test_an_archive_that_is_missing_is_one_line(tap: Tap, folder: Path) -> None:
    for args in ["list"], ["restart", "career_sites"], ["drop", "career_sites", "1", "--yes"]:
        line = refusal(archive_command(tap, *args))
        assert str(folder) in line
        assert "--archive-dir" in line
        assert not folder.exists()


def on_terminal(tap: Tap, *args: str, answer: bytes = b"") -> bytes:
    """Run the command on a terminal, type an answer, and return what is shown."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tap_jobo.archive_cli", *args],
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


def test_a_command_asks_on_a_terminal_and_writes_no_control_character(
    warehouse: Warehouse, files: Files
) -> None:
    restart = ["restart", "career_sites"]
    assert b"$50.00 per 1,000" in on_terminal(warehouse.tap, *restart, answer=b"y\n")
    assert files.file
    files.rewrite(files.pages[0], body=b'{"career_sites": [{"id": "\x1b[2J"}]}')
    for args in (["drop", "\x1b[2J", "1"], ["export"]):
        shown = on_terminal(warehouse.tap, *args)
        assert shown
        assert b"\x1b[2J" not in shown, args


def with_streams(tap: Tap, command: str, streams: str) -> Run:
    """Run the command with streams that a shell opens, or closes."""
    location = tap.folder / "archive"
    program = f"{sys.executable} -m tap_jobo.archive_cli --archive-dir {location} {command}"
    return execute(["sh", "-c", f"{program} {streams}"], tap.environment())


@needs_full_device
def test_a_full_disk_is_one_line(warehouse: Warehouse) -> None:
    run = with_streams(warehouse.tap, "export", ">/dev/full")
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert os.strerror(errno.ENOSPC) in line


def test_a_closed_stream_is_no_bug(warehouse: Warehouse, files: Files) -> None:
    before = files.names
    refusal(with_streams(warehouse.tap, "restart career_sites", "<&-"))
    assert files.names == before


@pytest.mark.parametrize("file", ["meltano.yml", "plugin.yaml"])
def test_the_plugin_has_both_commands(tap: Tap, file: str) -> None:
    definition = yaml.safe_load((REPOSITORY / file).read_text("utf-8"))
    plugins = definition.get("variants") or definition["plugins"]["extractors"]
    (commands,) = (plugin["commands"] for plugin in plugins if "commands" in plugin)
    explain, archive = commands["explain"], commands["archive"]
    assert (explain["executable"], explain["args"]) == ("tap-jobo", "explain")
    program = str(COMMAND.with_name(archive["executable"]))  # in the plugin's own folder
    run = succeeded(execute([program, "list", "--help"], tap.environment()))
    assert run.stdout.startswith("Usage: tap-jobo-archive list")


# Which archive a message names, whatever else there is of the stream


def at_another_address(tap: Tap) -> dict[str, Any]:
    """The settings of a run that has an archive of its own in the same folder."""
    return {"api_url": tap.sandbox.url.replace("127.0.0.1", "localhost")}


def test_of_two_archives_of_a_stream_the_message_names_the_one_of_the_run(
    warehouse: Warehouse, files: Files
) -> None:
    tap, state, damaged = warehouse.tap, warehouse.state, files.pages[1]
    other = at_another_address(tap)
    tap.succeed(**other)
    files.damage(damaged)
    (drop, restart) = re.findall("`(.*?)`", tap.run().stderr)
    for command in (drop, restart):
        _, *arguments = shlex.split(command)
        succeeded(execute([str(ARCHIVE_COMMAND), *arguments, "--yes"], tap.environment()))
    assert len(tap.succeed(state=state).ids) == 120  # bought again, as ordered
    assert tap.succeed(**other).metrics["jobo_credits"] == 0
    for arguments in (["drop", "career_sites", "2"], ["state", "career_sites"]):
        refused = archive_command(tap, *arguments)
        assert refused.returncode == 1
        names = {*re.findall(r"\S+-\w{8}/career_sites", refused.stderr)}
        assert len(names) == 2
    for name in names:
        succeeded(archive_command(tap, "export", name.rstrip(".,")))


def test_what_is_damaged_of_another_address_ends_no_run(warehouse: Warehouse, files: Files) -> None:
    tap, own = warehouse.tap, set(files.names)
    tap.succeed(**at_another_address(tap))
    theirs = next(name for name in {*files.names} - own if name.endswith(".page"))
    files.store.replace(f"{theirs.rsplit('/', 2)[0]}/archive.json", b"{}")
    assert len(tap.succeed().ids) == 120
    files.damage(next(name for name in own if name.endswith("000002.page")))
    assert re.search(r"restart \S+-\w{8}/career_sites ", tap.run().stderr)


def test_an_archive_of_another_address_is_named_before_its_rows_are_bought_again(
    tap: Tap, files: Files
) -> None:
    tap.succeed()
    owner = files.pages[0].split("/")[1]
    run = tap.succeed(**at_another_address(tap))
    assert run.codes("WARNING") == ["other-owner"]
    assert f"/{owner}/career_sites " in run.stderr
    assert not tap.succeed(**at_another_address(tap)).codes("WARNING")


def test_a_stream_stands_for_the_archive_with_pages(tap: Tap) -> None:
    """Although a run with another key was billed for a page that it never got."""
    tap.succeed()
    tap.sandbox.faults.add(Fault(send_as=504, times=None), endpoint="career_sites")
    failed = tap.quick.run(**at_another_address(tap), max_credits_per_month=10**6)
    assert failed.returncode == 1
    assert len(written(tap, "list")) == 6
    written(tap, "state", "career_sites")


@pytest.mark.parametrize("has_state", [True, False])
def test_a_restart_for_other_settings_is_named_where_a_run_asks(
    tap: Tap, *, has_state: bool
) -> None:
    """The command in the question is for the settings of the run, which then carries it out."""
    state = tap.succeed(archive=has_state, country_codes=["DE"]).state
    tap.succeed(state=state, country_codes=["DE"])
    *_, whose = written(tap, "restart", "career_sites", "--yes")
    assert "country_codes=DE and no start_date" in whose
    pass_time(tap)
    how: dict[str, Any] = {"country_codes": ["DE", "FR"]} | ({"state": state} if has_state else {})
    asked = tap.run(**how)
    (code,) = asked.error_codes
    assert code == ("filters-changed" if has_state else "archive-lacks-rows")
    assert "country_codes=DE and no start_date" in asked.stderr
    (command,) = re.findall(r"`(\S*tap-jobo-archive [^`]* restart [^`]*)`", asked.stderr)
    _, *arguments = shlex.split(command)
    succeeded(archive_command(tap, *arguments, "--yes"))
    pass_time(tap)
    assert {*tap.succeed(**how).ids} == keys_in(tap, "DE", "FR")


# --plan


def planned(tap: Tap, files: Files, **how: Any) -> dict[str, str]:
    """What `--plan` prints; it sends no request that is billed, and changes no file."""
    billed, before = tap.sandbox.rows_billed, files.copy()
    run = tap.succeed("--plan", **how)
    assert (tap.sandbox.rows_billed, files.copy()) == (billed, before)
    streams = "\n".join(run.stdout.splitlines()[:-2])  # without those on the month
    stream, *parts = re.split(r"\n  (?! )", streams)  # a question has ways out below it
    assert stream == "career_sites"
    return dict(part.strip().split(": ", 1) for part in parts)


def test_plan_prints_what_a_run_would_load_ask_and_buy(tap: Tap, files: Files) -> None:
    first = planned(tap, files)
    assert first["load"] == "0 pages from the archive, free"
    assert first["buy"].startswith("all rows ($50.00 ")
    assert "note" not in first
    assert "[no-limit]" in planned(tap, files, max_credits=None)["note"]
    state = tap.succeed(country_codes=["DE"]).state
    again = planned(tap, files, country_codes=["DE"])
    loaded = tap.succeed(country_codes=["DE"])
    assert f"loading {again['load'].removesuffix('free')}" in loaded.stderr
    assert "country_codes=DE; " in again["buy"]
    assert re.search(r" since [-0-9]+T\d\d:\d\dZ \(", again["buy"])
    wider = planned(tap, files, state=state, country_codes=["DE", "FR"])
    assert "[filters-changed]" in wider["ask"]
    assert "buy" not in wider
    fresh = planned(tap, files, country_codes=["FR"])
    assert "[filters-changed]" in fresh["ask"]
    assert "load" not in fresh


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_restart_is_for_the_pipeline_that_bought_last(
    tap: Tap, files: Files, *, is_lost: bool
) -> None:
    """Also for a narrower one, and in an archive that has only what changed."""
    tap.succeed(country_codes=["DE", "US"])
    pass_time(tap)
    state = tap.succeed(country_codes=["DE"]).state
    change(tap, *tap.sandbox.world.rows())
    if is_lost:
        files.lose()
    state = tap.succeed(state=state, country_codes=["DE"]).state
    restart(tap)
    billed = tap.sandbox.rows_billed
    tap.succeed(state=state, country_codes=["DE"])
    assert tap.sandbox.rows_billed == billed + len(keys_in(tap, "DE"))


def test_a_restart_of_a_message_is_for_the_pipeline_that_the_message_is_for(tap: Tap) -> None:
    """Although another one bought last, or it has narrower filters now."""
    state = tap.succeed(country_codes=["DE"]).state
    pass_time(tap)
    tap.succeed(country_codes=["FR"], on_filter_change="resync")
    pass_time(tap)
    drop(tap, 1)
    run = tap.succeed(country_codes=["DE"])
    (command,) = re.findall("`(.*restart.*)`", run.stderr)
    _, *arguments = shlex.split(command)
    succeeded(archive_command(tap, *arguments, "--yes"))
    pass_time(tap)
    billed = tap.sandbox.rows_billed
    assert "gap" not in tap.succeed(state=state, country_codes=["DE"]).codes("WARNING")
    assert tap.sandbox.rows_billed == billed + len(keys_in(tap, "DE"))
