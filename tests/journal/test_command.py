"""`python -m tap_jobo.journal`: what it shows, exports and drops."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from jobo_sandbox import Fault, Hold
from tests.journal.helpers import UNREAD, journal_command, opened, replayed, select
from tests.support import execute
from tests.support.crash import cut_in_request, finish, wait_for
from tests.support.repository import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support import Run, Tap


def written(tap: Tap, *args: str) -> list[str]:
    """The lines that the command writes, when it does as it is told."""
    run = journal_command(tap, *args)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return run.stdout.splitlines()


def refusal(run: Run) -> str:
    """The only line of a command that refuses."""
    assert run.returncode == 1
    assert run.stdout == ""
    (line,) = run.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


def quarantine_a_row(tap: Tap) -> dict[str, Any]:
    """Run the tap to a page that has one row without a usable id; return that row."""

    def spoil(body: dict[str, Any]) -> dict[str, Any]:
        body["career_sites"][7]["id"] = 7
        spoiled.update(body["career_sites"][7])
        return body

    spoiled: dict[str, Any] = {}
    tap.sandbox.faults.add(Fault(replace=spoil))
    assert len(tap.run().ids) == 119
    return spoiled


def test_one_row_is_not_called_rows(tap: Tap) -> None:
    one: dict[str, Any] = {"batch_size": 1, "max_credits": 50}
    first = tap.run(**one)
    lost = tap.run(**one, credits_alert_threshold=10**9)
    assert "Replaying 1 row in 1 page from the journal" in lost.stderr
    again = tap.run(state=first.state, **one)
    assert "Resuming the sync of" in again.stderr
    assert " after 1 row." in again.stderr
    shown = "\n".join(written(tap, "list", "--pages"))
    assert " 1 row" in shown
    for text in (lost.stderr, again.stderr, shown):
        assert not re.search(r"(?<![\d,.])1 (rows|pages|credits)\b", text), text


def test_list_shows_each_sync_and_its_worth(tap: Tap, path: Path) -> None:
    cut_in_request(tap, 3, billed=False)
    tap.run(founded_after=1980)
    ((owner, scan, since),) = select(
        path,
        "SELECT owner, scan, MIN(received_at) FROM pages JOIN notes USING (owner, scan, cursor) "
        "WHERE batch_size = 50 GROUP BY scan HAVING COUNT(*) = 2 AND SUM(notes.rows) = 100",
    )
    lines = written(tap, "list")
    assert len(lines) == 2
    assert lines[0] == (
        f"{owner[:8]}  {scan}  2 pages (100 rows, worth $5.00), received since {since}"
    )


def test_list_shows_pages_when_asked(tap: Tap, path: Path) -> None:
    cut_in_request(tap, 3, billed=False)
    (scan,) = select(path, "SELECT DISTINCT scan FROM pages")
    assert written(tap, "list", "--pages")[1:] == [f"  {scan}.1  50 rows", f"  {scan}.2  50 rows"]


def test_list_counts_quarantined_rows(tap: Tap) -> None:
    quarantine_a_row(tap)
    assert written(tap, "list")[-1] == "1 quarantined row"


def test_list_of_an_empty_journal(tap: Tap, path: Path) -> None:
    tap.run(state=tap.run().state)
    written(tap, "drop", "--all")
    assert written(tap, "list") == [f"No pages in {path}."]


def test_export_writes_each_raw_page_as_a_line(tap: Tap) -> None:
    bodies: list[dict[str, Any]] = []

    def keep(body: dict[str, Any]) -> dict[str, Any]:
        bodies.append(body)
        return body

    tap.sandbox.faults.add(Fault(replace=keep, times=None))
    tap.run()
    assert [json.loads(line) for line in written(tap, "export")] == bodies
    assert len(bodies) == 3


def test_export_puts_a_page_of_many_lines_on_one(tap: Tap) -> None:
    page: dict[str, Any] = {"career_sites": [], "next_cursor": None, "has_more": False}
    body = json.dumps(page, indent=2).replace("\n", "\r\n")
    tap.sandbox.faults.add(Fault(garbage=body))
    tap.run()
    assert [json.loads(line) for line in written(tap, "export")] == [page]


def test_export_writes_each_row_as_a_line(tap: Tap) -> None:
    run = tap.run()
    rows = [json.loads(line) for line in written(tap, "export", "--rows")]
    assert [row["id"] for row in rows] == run.ids
    assert rows[0] == tap.sandbox.world.rows()[run.ids[0]]


def test_export_writes_rows_exactly_as_they_came(tap: Tap) -> None:
    row = '{"id" : "x", "n":1.50,  "big":123456789012345678901234567890}'
    body = f'{{"career_sites":[{row}\n,1],"has_more":false}}'
    tap.sandbox.faults.add(Fault(garbage=body))
    tap.run()
    assert written(tap, "export", "--rows") == [row, "1"]


@pytest.mark.parametrize("body", ['{"career_sites":', '{"sites":[]}', '{"a":' + "[" * 100_000])
def test_export_of_rows_names_pages_without_any(tap: Tap, path: Path, body: str) -> None:
    cut_in_request(tap, 3, billed=False)
    with opened(path) as db:
        db.execute("DELETE FROM pages WHERE number = 1")
    tap.sandbox.faults.add(Fault(garbage=body))
    assert tap.run().returncode == 1
    (name,) = select(path, UNREAD)
    run = journal_command(tap, "export", "--rows")
    assert run.returncode == 1
    assert len(run.stdout.splitlines()) == 50
    assert f"{name} has no rows that can be read" in run.stderr
    assert body in written(tap, "export")


def test_export_skips_a_page_that_is_damaged_on_disk(tap: Tap, path: Path) -> None:
    cut_in_request(tap, 3, billed=False)
    with opened(path) as db:
        db.execute("UPDATE pages SET body = x'00' WHERE number = 1")
    (name,) = select(path, "SELECT scan || '.' || number FROM pages WHERE number = 1")
    run = journal_command(tap, "export")
    assert run.returncode == 1
    assert [len(json.loads(line)["career_sites"]) for line in run.stdout.splitlines()] == [50]
    (line,) = run.stderr.splitlines()
    assert f"{name} cannot be read" in line


def test_export_writes_quarantined_rows(tap: Tap) -> None:
    row = quarantine_a_row(tap)
    assert [json.loads(line) for line in written(tap, "export", "--quarantined")] == [row]


def test_a_dropped_page_is_billed_again(tap: Tap, path: Path) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    (name,) = select(path, "SELECT scan || '.' || number FROM pages WHERE number = 2")
    assert written(tap, "drop", name) == ["Dropped 1 page (50 rows, worth $2.50)."]
    assert len(written(tap, "export")) == 1
    assert replayed(tap.run(state=cut.states[0])) == 0
    assert tap.sandbox.rows_billed == 170


def test_a_dropped_sync_is_billed_again(tap: Tap, path: Path) -> None:
    cut_in_request(tap, 3, billed=False)
    (scan,) = select(path, "SELECT DISTINCT scan FROM pages")
    tap.run(founded_after=1980)
    assert written(tap, "drop", scan) == ["Dropped 2 pages (100 rows, worth $5.00)."]
    assert len(written(tap, "list")) == 1
    assert replayed(tap.run()) == 0


def test_drop_of_quarantined_rows_keeps_pages(tap: Tap) -> None:
    quarantine_a_row(tap)
    assert written(tap, "drop", "--quarantined") == ["Dropped 1 quarantined row."]
    assert written(tap, "export", "--quarantined") == []
    assert len(written(tap, "export")) == 3


def test_drop_of_all_empties_the_journal(tap: Tap) -> None:
    quarantine_a_row(tap)
    assert written(tap, "drop", "--all") == [
        "Dropped 3 pages (120 rows, worth $6.00).",
        "Dropped 1 quarantined row.",
    ]
    assert written(tap, "export") == []
    assert written(tap, "export", "--quarantined") == []


def test_drop_of_an_unknown_name_drops_nothing(tap: Tap, path: Path) -> None:
    cut_in_request(tap, 3, billed=False)
    (name,) = select(path, "SELECT scan || '.' || number FROM pages WHERE number = 2")
    assert "no page or sync nobody" in refusal(journal_command(tap, "drop", name, "nobody"))
    assert len(written(tap, "export")) == 2


def test_drop_of_nothing_is_a_mistake(tap: Tap) -> None:
    tap.run()
    run = journal_command(tap, "drop")
    assert run.returncode == 2
    assert "--quarantined or --all" in run.stderr
    assert len(written(tap, "export")) == 3


def test_drop_refuses_while_a_run_is_under_way(tap: Tap, path: Path) -> None:
    hold = Hold()
    tap.sandbox.faults.add(Fault(hold=hold), on=2)
    process = tap.start()
    hold.wait()
    wait_for(lambda: select(path, "SELECT COUNT(*) FROM notes WHERE rows = 50") == [1])
    line = refusal(journal_command(tap, "drop", "--all"))
    assert re.search(rf"\(process {process.pid} on \S+, since 20\S+Z\)", line)
    assert len(written(tap, "export")) == 1
    hold.release()
    run, _ = finish(process, [])
    assert run.returncode == 0
    assert written(tap, "drop", "--all")


def test_drop_after_a_kill_needs_no_lock(tap: Tap) -> None:
    cut_in_request(tap, 3, billed=False)
    assert written(tap, "drop", "--all")


@pytest.mark.parametrize("args", [["list"], ["export"], ["drop", "--all"]])
def test_a_journal_that_does_not_exist(tap: Tap, args: list[str]) -> None:
    line = refusal(journal_command(tap, *args))
    assert str(tap.folder / "journal") in line
    assert "--journal-dir" in line
    assert not (tap.folder / "journal").exists()


def test_the_folder_is_an_option_too(tap: Tap) -> None:
    tap.run()
    folder = str(tap.folder / "journal")
    run = execute(
        [sys.executable, "-m", "tap_jobo.journal", "--journal-dir", folder, "export"],
        tap.environment({"TAP_JOBO_JOURNAL_DIR": "elsewhere"}),
    )
    assert len(run.stdout.splitlines()) == 3


def test_the_default_is_the_users_state_folder(tap: Tap) -> None:
    tap.run(journal_dir=None)
    run = execute([sys.executable, "-m", "tap_jobo.journal", "export"], tap.environment())
    assert len(run.stdout.splitlines()) == 3


@pytest.mark.parametrize("content", [b"not a database" * 100, None], ids=["corrupt", "newer"])
def test_a_journal_that_cannot_be_read_is_one_line(
    tap: Tap, path: Path, content: bytes | None
) -> None:
    path.parent.mkdir()
    if content:
        path.write_bytes(content)
    else:
        with opened(path) as db:
            db.execute("PRAGMA user_version = 99")
    assert "journal" in refusal(journal_command(tap, "list"))


@pytest.mark.parametrize("file", ["meltano.yml", "plugin.yaml"])
def test_the_plugin_has_each_command(tap: Tap, file: str) -> None:
    definition = yaml.safe_load((REPOSITORY / file).read_text("utf-8"))
    plugins = definition.get("variants") or definition["plugins"]["extractors"]
    (commands,) = (plugin["commands"] for plugin in plugins if "commands" in plugin)
    assert list(commands) == ["journal-list", "journal-export", "journal-drop"]
    for command in commands.values():
        assert command["executable"] == "python"  # Meltano takes it from the plugin's own folder
        run = execute([sys.executable, *command["args"].split(), "--help"], tap.environment())
        assert run.returncode == 0, run.stderr
        assert run.stdout.startswith(f"Usage: {command['args'].replace('-m', 'python -m')}")
