"""The journal: what was paid for and did not arrive is read from disk, and nothing else is."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.journal.compression import decompress
from tests.journal.helpers import opened, replayed, select
from tests.support import Run, Tap
from tests.support.crash import cut_in_request, rows_billed_twice
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from pathlib import Path


def make_older(path: Path, days: float) -> None:
    """Let all pages have come so many days ago."""
    then = datetime.now(UTC) - timedelta(days=days)
    with opened(path) as db:
        db.execute("UPDATE pages SET received_at = ?", (then.isoformat(),))


def count_older_pages(path: Path) -> int:
    """How many pages `make_older` has made older than a week, as pages of the test never are."""
    week_ago = (datetime.now(UTC) - timedelta(days=7)).isoformat()
    times: list[str] = select(path, "SELECT received_at FROM pages")
    return sum(time < week_ago for time in times)


# What is replayed


def test_older_state_replays_for_free_and_then_fetches(tap: Tap) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    again = tap.run(state=cut.states[0])
    assert replayed(again) == 50
    assert len(again.ids) == 70
    assert set(cut.ids[:50] + again.ids) == tap.sandbox.world.rows().keys()
    assert tap.sandbox.rows_billed == 120
    assert again.metrics["jobo_credits"] == 20 * 50


def test_log_says_what_is_replayed_and_how_to_avoid_it(tap: Tap, path: Path) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    with opened(path) as db:
        ((received_at,),) = db.execute("SELECT MAX(received_at) FROM pages").fetchall()
    (line,) = [line for line in tap.run(state=cut.states[0]).lines("INFO") if "eplay" in line][:1]
    assert "50 rows in 1 page" in line
    assert received_at in line
    assert str(path) in line
    assert "journal to false" in line


def test_whole_scan_is_replayed_and_caught_up_in_one_run(tap: Tap) -> None:
    first = tap.run()
    key = first.ids[0]
    tap.sandbox.world.touch(key, name="Changed since")
    new = tap.sandbox.world.add(name="New since")
    again = tap.run(state=first.states[0])
    assert replayed(again) == 70
    assert set(again.ids) == {*first.ids[50:], key, new}
    assert [row["name"] for row in again.records if row["id"] == key] == ["Changed since"]
    assert tap.sandbox.rows_billed == 122
    assert again.bookmark["replication_key_value"] >= first.bookmark["replication_key_value"]
    assert set(again.bookmark["scan"].values()) == {None}


def test_interrupted_catch_up_resumes(tap: Tap) -> None:
    lost = tap.run()
    for key in lost.ids[:60]:
        tap.sandbox.world.touch(key, name="Changed since")
    tap.sandbox.faults.add(Fault(status=401), on=5)
    cut = tap.run()
    assert cut.returncode == 1
    assert cut.bookmark["scan"]["updated_after"] < lost.bookmark["replication_key_value"]
    tap.sandbox.faults.clear()
    last = tap.run(state=cut.state)
    assert len(last.ids) == 10
    assert tap.sandbox.rows_billed == 180


def test_lost_state_resumes_the_scan_with_start_and_page_size(tap: Tap) -> None:
    cut = cut_in_request(tap, 3, billed=False, batch_size=20)
    again = tap.run()
    assert replayed(again) == 40
    assert len(again.ids) == 120
    assert rows_billed_twice(tap.sandbox) == 0
    assert tap.sandbox.feed_requests[-1].body["batch_size"] == 20
    started_at = cut.bookmark["scan"]["started_at"]
    assert again.bookmark["replication_key_value"] == started_at


def test_page_without_any_state_is_resumed(tap: Tap) -> None:
    cut_in_request(tap, 2, billed=False)
    assert replayed(tap.run()) == 50


def test_newest_scan_is_resumed(tap: Tap, path: Path) -> None:
    first = tap.run()
    with opened(path) as db:
        db.execute("UPDATE pages SET owner = 'set aside ' || owner")
    tap.sandbox.world.touch(first.ids[0], name="Newer")
    tap.run()
    with opened(path) as db:
        db.execute("UPDATE pages SET owner = substr(owner, 11) WHERE owner LIKE 'set aside %'")
    last = tap.run()
    assert replayed(last) == 120
    assert {row["id"]: row["name"] for row in last.records}[first.ids[0]] == "Newer"
    assert tap.sandbox.rows_billed == 241  # the catch-up finds the change again


@pytest.mark.parametrize(
    "settings", [{"founded_after": 1900}, {"start_date": "2020-01-01"}], ids=["filters", "window"]
)
def test_scan_of_another_kind_is_not_resumed(tap: Tap, settings: dict[str, Any]) -> None:
    cut_in_request(tap, 3, billed=False)
    again = tap.run(**settings)
    assert replayed(again) == 0
    assert tap.sandbox.rows_billed == 100 + len(again.ids)


def test_scan_of_another_address_is_not_resumed(tap: Tap) -> None:
    cut_in_request(tap, 3, billed=False)
    with Proxy(tap.sandbox.port) as proxy:
        again = tap.run(api_url=proxy.url)
    assert replayed(again) == 0
    assert tap.sandbox.rows_billed == 100 + len(again.ids)


def test_a_test_key_does_not_replay_into_production(tap: Tap) -> None:
    cut_in_request(tap, 3, billed=False)
    tap.sandbox.api_key = "jbe_live_another"
    again = tap.run(api_key="jbe_live_another")
    assert replayed(again) == 0
    assert tap.sandbox.rows_billed == 100 + len(again.ids)


@pytest.mark.parametrize("change", ["rotated key", "name of this machine", "slash at the end"])
def test_pages_are_found_under_another_spelling(tap: Tap, change: str) -> None:
    cut_in_request(tap, 3, billed=False)
    settings: dict[str, Any] = {
        "rotated key": {"api_key": "jbe_test_another"},
        "name of this machine": {"api_url": tap.sandbox.url.replace("127.0.0.1", "LOCALHOST")},
        "slash at the end": {"api_url": f"{tap.sandbox.url}/"},
    }[change]
    tap.sandbox.api_key = settings.get("api_key", tap.sandbox.api_key)
    again = tap.run(**settings)
    assert replayed(again) == 100
    assert len(again.ids) == 120
    assert rows_billed_twice(tap.sandbox) == 0


def test_the_order_of_a_filters_values_does_not_matter(tap: Tap) -> None:
    cut_in_request(tap, 2, billed=False, country_codes=["US", "GB", "DE"], batch_size=5)
    assert replayed(tap.run(country_codes=["DE", "US", "GB"])) == 5


# What is dropped


def test_full_refresh_replays_until_a_later_run_acknowledges(tap: Tap) -> None:
    first = tap.run()
    assert replayed(tap.run()) == 120
    assert tap.sandbox.rows_billed == 120
    tap.run(state=first.state)
    assert replayed(tap.run()) == 0
    assert tap.sandbox.rows_billed == 240


def test_pages_before_a_later_runs_cursor_are_removed(tap: Tap) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    assert replayed(tap.run(state=cut.state)) == 0
    # Had the second page been kept, this would be free but for the catch-up.
    assert replayed(tap.run(state=cut.states[0])) == 0
    assert rows_billed_twice(tap.sandbox) == 70


def test_only_the_runs_own_pages_are_removed(tap: Tap) -> None:
    other = tap.run(founded_after=1980)
    mine = tap.run()
    tap.run(state=mine.state)
    assert replayed(tap.run(founded_after=1980)) == len(other.ids)


def test_rejected_cursor_discards_only_its_scan(tap: Tap) -> None:
    other = tap.run(founded_after=1980)
    billed = tap.sandbox.rows_billed
    cut = cut_in_request(tap, 3, billed=False)
    tap.sandbox.faults.add(Fault(reject_cursor="409"))
    again = tap.run(state=cut.state)
    assert replayed(again) == 0
    assert len(again.ids) == 120
    assert tap.sandbox.rows_billed == billed + 220
    assert replayed(tap.run(founded_after=1980)) == len(other.ids)


@pytest.mark.parametrize(
    # Those of another owner, which may be about to replay them, are given twice as long.
    ("days", "api_ahead", "kept"),
    [(59, 0, 3), (61, 0, 0), (60.25, -0.5, 3), (59.75, 0.5, 3)],
    ids=["59 days", "61 days", "over 60 by the local clock", "over 60 by the API's clock"],
)
def test_pages_older_than_30_days_by_both_clocks_are_removed(
    tap: Tap, path: Path, days: float, api_ahead: float, kept: int
) -> None:
    tap.run()
    make_older(path, days)
    tap.sandbox.clock_offset = timedelta(days=api_ahead).total_seconds()
    run = tap.run(founded_after=1980)
    assert run.returncode == 0, run.stderr
    assert count_older_pages(path) == kept
    dropped = [line for line in run.lines("WARNING") if "30 days" in line]
    assert len(dropped) == (kept == 0)
    assert all("3 pages (120 rows, worth $6.00)" in line for line in dropped)


def test_without_a_date_no_page_is_too_old(tap: Tap, path: Path) -> None:
    tap.run()
    make_older(path, 31)
    tap.sandbox.omit_date_header = True
    tap.settings["trust_local_clock"] = True
    assert tap.run(founded_after=1980).returncode == 0
    assert replayed(tap.run()) == 120


def test_old_pages_are_replayed_and_stay_until_acknowledged(tap: Tap, path: Path) -> None:
    tap.run()
    make_older(path, 31)
    assert replayed(tap.run()) == 120
    last = tap.run()
    assert replayed(last) == 120
    assert tap.sandbox.rows_billed == 120
    tap.run(state=last.state)
    assert count_older_pages(path) == 0


# The file


def test_two_taps_share_the_file(tap: Tap) -> None:
    several = [{"founded_after": 1900}, {"is_agency": False}]
    folders = [tap.folder / name for name in "ab"]
    runs: list[Run] = []

    def run(folder: Path, filters: dict[str, Any]) -> None:
        folder.mkdir(exist_ok=True)
        settings = {"journal_dir": str(tap.folder / "journal"), "batch_size": 5}
        runs.append(Tap(tap.sandbox, folder, settings).run(**filters))

    for _ in range(2):
        threads = [
            threading.Thread(target=run, args=both) for both in zip(folders, several, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [run.lines("WARNING") for run in runs] == [[]] * 4
    assert [replayed(run) for run in runs[:2]] == [0, 0]
    assert sorted(map(replayed, runs[2:])) == sorted(len(run.ids) for run in runs[:2])


def test_only_the_owner_can_read_the_files(tap: Tap, path: Path) -> None:
    before = os.umask(0)
    try:
        cut_in_request(tap, 3)
    finally:
        os.umask(before)
    files = list(path.parent.iterdir())
    # With those of the write-ahead log, the lock, and who held it when it was killed.
    assert len(files) == 5
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("api_key", ["", 'quoted"and\\escaped/key'], ids=["usual", "escaped"])
def test_no_file_holds_the_key_even_if_a_response_quotes_it(tmp_path: Path, api_key: str) -> None:
    with Sandbox(size=60, api_key=api_key) as sandbox:

        def quote(body: dict[str, Any]) -> dict[str, Any]:
            body["career_sites"][0]["summary"] = f"Your key is {sandbox.api_key}."
            return body

        sandbox.faults.add(Fault(replace=quote))
        run = cut_in_request(Tap(sandbox, tmp_path), 2)
        assert len(run.ids) == 50
        assert not any(sandbox.api_key in row["summary"] for row in run.records[:1])
        files = list((tmp_path / "journal").iterdir())
        contents = [file.read_bytes() for file in files]
        with opened(tmp_path / "journal" / "journal.sqlite3") as db:
            pages = db.execute("SELECT body FROM pages").fetchall()
        contents += [decompress(body) for (body,) in pages]
        assert len(contents) == len(files) + 1
        escaped = sandbox.api_key.replace("\\", "\\\\").replace('"', '\\"')
        for content in contents:
            assert sandbox.api_key.encode() not in content
            assert escaped.encode() not in content


def test_the_default_folder_is_the_users_state_folder(tap: Tap) -> None:
    tap.run(journal_dir=None)
    assert (tap.folder / "state" / "tap-jobo" / "journal.sqlite3").is_file()


def test_a_tilde_is_the_users_home(tap: Tap) -> None:
    tap.run(journal_dir="~/paid")
    assert (tap.folder / "paid" / "journal.sqlite3").is_file()


def test_a_journal_that_is_off_writes_nothing(tap: Tap) -> None:
    assert len(tap.run(journal=False).ids) == 120
    assert [file.name for file in tap.folder.iterdir()] == ["config.json"]


def test_a_journal_that_is_off_reads_nothing(tap: Tap) -> None:
    tap.run()
    assert replayed(tap.run(journal=False)) == 0


def test_test_mode_only_reads_it(tap: Tap, path: Path) -> None:
    assert tap.run("--test").returncode == 0
    assert not path.parent.exists()
    assert tap.sandbox.rows_billed == 1
    tap.run()
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    run = tap.run("--test")
    assert run.returncode == 0
    assert len(run.records) == 1
    assert run.lines("INFO")[-1].endswith("balance $9,993.95; this test was free.")
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before
    assert tap.sandbox.rows_billed == 121  # none by the second test
