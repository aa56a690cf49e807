"""The archive: what was paid for and did not arrive is read from disk, and nothing else is."""

from __future__ import annotations

import json
import os
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from jobo_sandbox import Fault, Sandbox
from tap_jobo.archive.contents import archive_key
from tap_jobo.archive.page import decode_page
from tap_jobo.redaction import redact_body
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.jobs import MANAGED_JOBS
from tests.archive.helpers import (
    archive_command,
    header,
    pages,
    replayed,
    rewrite,
    succeeded,
)
from tests.support import Run, Tap, complaint, execute, state_at
from tests.support.clock import with_clock
from tests.support.crash import cut_in_request, rows_billed_twice
from tests.support.jobs import tap_of
from tests.sync.test_scan import full_table

pytestmark = pytest.mark.slow


def make_older(folder: Path, days: float, number: str = "*") -> None:
    """Let all pages and their syncs be so many days old, or those of the sync of a number."""
    then = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    for page in sorted(folder.glob(f"v2/*/{number}/*.page")):
        rewrite(page, received_at=then)
        sync = page.with_name("sync.json")
        sync.write_text(json.dumps(json.loads(sync.read_text()) | {"created_at": then}))


# What is replayed


def test_older_state_replays_for_free_and_then_fetches(tap: Tap, folder: Path) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    last = pages(folder)[-1]
    again = tap.run(state=cut.states[0])
    assert replayed(again) == 50
    (line,) = [line for line in again.lines("INFO") if "Replaying 1 page" in line]
    assert f"free (billed since {header(last).received_at})." in line
    assert len(again.ids) == 70
    assert set(cut.ids[:50] + again.ids) == tap.sandbox.world.rows().keys()
    assert tap.sandbox.rows_billed == 120
    assert again.metrics["jobo_credits"] == 20 * 50


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
    assert again.bookmark["sync"]["started_at"] is None


def test_lost_state_resumes_the_scan_with_start_and_page_size(tap: Tap) -> None:
    cut = cut_in_request(tap, 3, billed=False, batch_size=20)
    again = tap.run()
    assert replayed(again) == 40
    assert len(again.ids) == 120
    assert rows_billed_twice(tap.sandbox) == 0
    assert tap.sandbox.feed_requests[-1].body["batch_size"] == 20
    started_at = cut.bookmark["sync"]["started_at"]
    assert again.bookmark["replication_key_value"] == started_at
    syncs = [state["bookmarks"]["career_sites"]["sync"] for state in again.states[:2]]
    assert [(sync["rows"], sync["pages"]) for sync in syncs] == [(20, 1), (40, 2)]


def test_pages_are_found_with_a_rotated_key_and_another_spelling(tap: Tap) -> None:
    cut_in_request(tap, 3, billed=False)
    tap.sandbox.api_key = "jbe_test_another"
    again = tap.run(api_key="jbe_test_another", api_url=f"{tap.sandbox.url}/")
    assert replayed(again) == 100
    assert len(again.ids) == 120
    assert rows_billed_twice(tap.sandbox) == 0


def test_a_replayed_row_keeps_its_time_however_it_is_written(tap: Tap) -> None:
    first = times_of(tap.run(max_credits=5_000))
    assert len(first) == 100
    tap.sandbox.clock_offset = 3_600
    again = times_of(tap.run(stream_maps={"career_sites": {"id": "id"}}))
    fresh = again.keys() - first.keys()
    assert len(fresh) == 20
    assert {key: again[key] for key in first} == first
    assert min(again[key] for key in fresh) > max(first.values()) + timedelta(minutes=50)


def times_of(run: Run) -> dict[str, datetime]:
    """When each row was extracted, by its id."""
    assert run.returncode == 0, run.stderr
    return {
        message["record"]["id"]: datetime.fromisoformat(message["time_extracted"])
        for message in run.messages
        if message["type"] == "RECORD"
    }


# What is dropped


def test_a_lost_first_sync_is_replayed_until_a_later_run_acknowledges_it(
    tap: Tap, folder: Path
) -> None:
    tap.run()
    make_older(folder, 31)  # the sync that a run resumes does not expire
    for _ in range(2):
        last = tap.run()
        assert replayed(last) == 120
    assert tap.sandbox.rows_billed == 120
    make_older(folder, 0)
    tap.run(state=last.state)
    assert replayed(tap.run(on_missing_state="resync")) == 0
    assert tap.sandbox.rows_billed == 240


def test_what_followed_a_sync_that_is_resumed_does_not_expire_either(
    tap: Tap, folder: Path
) -> None:
    first = tap.run()
    tap.sandbox.world.touch(first.ids[0])
    tap.run()
    make_older(folder, 31)
    assert replayed(tap.run()) == 121


def test_nothing_of_an_unfinished_sync_is_removed(tap: Tap, folder: Path) -> None:
    """So a state that is lost in the middle of a backfill of several days costs nothing."""
    state: Any = None
    for _ in range(2):
        state = tap.run(state=state, batch_size=10, max_credits=1_500).state
    assert len(pages(folder)) == 6
    again = tap.run(batch_size=10)
    assert replayed(again) == 60
    assert len(again.ids) == 120
    assert rows_billed_twice(tap.sandbox) == 0
    tap.run(state=again.state)
    assert len(pages(folder)) == 1  # that of the sync that followed


def test_nothing_is_removed_while_it_cannot_be_noted_that_it_has_arrived(
    tap: Tap, folder: Path
) -> None:
    state = tap.run().state
    kept = pages(folder)
    (key,) = folder.glob("v2/career_sites-*")
    (key / "completed.json").mkdir()  # which nothing can replace
    billed = len(tap.sandbox.feed_requests)
    assert "cannot be used" in complaint(tap.run(state=state))
    assert len(tap.sandbox.feed_requests) == billed
    assert pages(folder) == kept
    (key / "completed.json").rmdir()
    assert succeeded(tap.run(state=state)).ids == []
    assert pages(folder) != kept


def test_only_what_has_arrived_is_removed(tap: Tap) -> None:
    """Neither a rejected cursor nor an acknowledgement concerns pages of another address."""
    localhost: Any = {"api_url": tap.sandbox.url.replace("127.0.0.1", "localhost")}
    other = tap.run(**localhost)
    billed = tap.sandbox.rows_billed
    cut = cut_in_request(tap, 3, billed=False)
    tap.sandbox.faults.add(Fault(reject_cursor="409"))
    again = tap.run(state=cut.state)
    assert replayed(again) == 0
    assert len(again.ids) == 120
    assert tap.sandbox.rows_billed == billed + 220
    tap.run(state=again.state)
    assert replayed(tap.run(**localhost)) == len(other.ids)


def test_unused_pages_without_rows_are_worth_no_warning(tap: Tap) -> None:
    first = tap.run()
    assert tap.run(state=first.state, lookback_minutes=0).ids == []
    run = tap.run(state=first.state, lookback_minutes=1)  # the target has lost the state
    assert (run.returncode, run.lines("WARNING")) == (0, [])


OTHERS: dict[str, dict[str, Any]] = {
    "live key": {"api_key": "jbe_live_another"},
    "career_sites (test key, http://localhost": {"api_url": "http://localhost"},
}


@pytest.mark.parametrize(("whose", "settings"), OTHERS.items(), ids=["key", "url"])
def test_pages_of_another_address_or_kind_of_key_are_a_warning_and_expire(
    tap: Tap, folder: Path, whose: str, settings: dict[str, Any]
) -> None:
    key = tap.sandbox.api_key
    tap.sandbox.api_key = settings.get("api_key", key)
    if "api_url" in settings:
        settings = {"api_url": tap.sandbox.url.replace("127.0.0.1", "localhost")}
    worth = tap.run(**settings).metrics["jobo_credits"] / 1_000
    tap.sandbox.api_key = key
    theirs = pages(folder)
    for days, is_kept in ((29.99, True), (30.01, False)):
        make_older(folder, days)
        warnings = succeeded(tap.run()).lines("WARNING")
        assert len(warnings) == is_kept
        for warning in warnings:
            assert f"3 billed pages (${worth:,.2f}) in the archive are of " in warning
            assert whose in warning
            assert "account" not in warning
        assert all(page.exists() == is_kept for page in theirs)
    assert tap.run().lines("WARNING") == []


def test_what_removed_pages_of_another_key_cost_counts_to_its_month(tap: Tap, folder: Path) -> None:
    localhost: Any = {"api_url": tap.sandbox.url.replace("127.0.0.1", "localhost")}
    state = tap.run(**localhost).state
    for count in folder.glob("v2/spent/*.json"):
        count.unlink()  # as if the run had been killed before it wrote this
    tap.run(state=state)  # the pages have arrived
    run = tap.succeed(max_credits_per_month=6_000, **localhost)
    assert run.codes("WARNING") == ["limit-reached"]
    assert tap.sandbox.rows_billed == 120


def test_expired_pages_of_another_key_are_not_counted(tap: Tap, folder: Path) -> None:
    localhost: Any = {"api_url": tap.sandbox.url.replace("127.0.0.1", "localhost")}
    tap.run(**localhost)
    tap.run(founded_after=2015, on_filter_change="resync", **localhost)
    kept = len(pages(folder)) - 3
    assert kept
    make_older(folder, 31, "000001")
    (warning,) = tap.run().messages_of("WARNING", "unused-pages")
    assert warning.startswith(f"{kept} billed page")


def test_pages_of_another_account_are_said_to_be_so(hiring: Sandbox, tmp_path: Path) -> None:
    tap = tap_of(hiring, tmp_path, "managed_jobs")
    tap.run()
    hiring.api_key = hiring.api_key[:-1] + "x"
    (warning,) = tap.succeed().lines("WARNING")
    assert " of another account, so this run can't use them." in warning


def test_pages_of_another_key_that_have_arrived_are_no_warning(tap: Tap, folder: Path) -> None:
    """The state names their sync as complete, so a new key needs no 30 days of warnings."""
    state = tap.run().state
    tap.sandbox.api_key = "jbe_live_another"
    for _ in range(2):
        run = succeeded(tap.run(state=state, api_key=tap.sandbox.api_key))
        assert "unused-pages" not in run.codes("WARNING")
        state = run.state
    assert {*folder.glob("v2/*/*/*.page")} == {*pages(folder)[-1:]}


def test_pages_that_another_run_has_locked_do_not_expire(tap: Tap, folder: Path) -> None:
    tap.run(api_url=tap.sandbox.url.replace("127.0.0.1", "localhost"))
    make_older(folder, 31)
    theirs = pages(folder)
    (lock,) = folder.glob("*.lock")
    with FileLock(lock):
        assert tap.run().returncode == 0
        assert theirs[0].exists()
    assert tap.run("--test").returncode == 0
    assert theirs[0].exists()
    assert tap.run().returncode == 0
    assert not theirs[0].exists()


def test_pages_that_were_given_up_expire_after_30_days(tap: Tap, folder: Path) -> None:
    tap.run(founded_after=1980)
    theirs = pages(folder)
    state = tap.run(on_filter_change="resync").state
    for days, is_kept in ((29.99, True), (30.01, False)):
        make_older(folder, days)
        assert succeeded(tap.run(state=state)).lines("WARNING") == []
        assert all(page.exists() == is_kept for page in theirs)


def test_a_archive_of_an_earlier_development_version_is_an_error(tap: Tap, folder: Path) -> None:
    cut_in_request(tap, 3, billed=False)
    (folder / "v2").rename(folder / "v1")
    line = tap.refuse()
    assert "The archive has 2 billed pages of career_sites from an earlier development" in line
    assert "Nothing was billed." in line
    assert line.endswith(f"if the warehouse has their rows, remove {folder}/v1.")
    shutil.rmtree(folder / "v1")
    assert len(succeeded(tap.run()).ids) == 120


def test_what_a_killed_run_was_writing_is_removed_at_the_next_start(tap: Tap, folder: Path) -> None:
    localhost: Any = {"api_url": tap.sandbox.url.replace("127.0.0.1", "localhost")}
    theirs = tap.run(state=tap.run(**localhost).state, **localhost)
    (other,) = folder.glob("v2/career_sites-*")
    own = cut_in_request(tap, 3, billed=False)
    files = [path for path in folder.glob("v2/**/*") if path.is_file()]
    for file in files:
        file.with_name(f"{file.name}.0a1b2c3d.tmp").write_bytes(file.read_bytes()[:50])
    assert {"completed.json", f"{other.name}.json"} < {file.name for file in files}
    assert archive_command(tap, "list").returncode == 0
    run = tap.run(state=own.state, max_credits_per_month=100_000)  # for which all counts are read
    assert run.returncode == 0
    left = {path for path in folder.rglob("*.tmp") if not path.name.startswith("key.json")}
    assert len(left) > 1
    assert all(other.name in str(path) for path in left)
    assert tap.run(state=theirs.state, **localhost).returncode == 0
    # A run that has no lock yet may be writing that.
    assert {path.name for path in folder.rglob("*.tmp")} == {"key.json.0a1b2c3d.tmp"}


@pytest.mark.parametrize("limit", ["max_credits_per_month", "balance"])
def test_runs_after_a_limit_is_reached_leave_no_sync(tap: Tap, folder: Path, limit: str) -> None:
    state = tap.run(state=tap.run().state).state
    credits_ = tap.sandbox.credits_billed
    if limit == "balance":
        tap.sandbox.balance = 100
    else:
        tap.settings[limit] = credits_
    for _ in range(2):
        state = tap.run(state=state).state
    assert tap.sandbox.credits_billed == credits_
    assert [*folder.glob("v2/*/completed.json")]
    assert [*folder.glob("v2/*/*/sync.json")] == []


def test_delivered_pages_are_not_reported_as_unused(tap: Tap) -> None:
    """The sync that a run replayed is complete, and the one that caught it up is in progress."""
    first = tap.run()
    for key in first.ids[:60]:
        tap.sandbox.world.touch(key)
    cut = cut_in_request(tap, 2, billed=False)  # without a state
    assert cut.bookmark["completed_sync"] == first.bookmark["completed_sync"]
    assert cut.bookmark["sync"]["rows"] == 50
    assert tap.run(state=cut.state).lines("WARNING") == []


def test_pages_of_an_abandoned_sync_expire_without_a_warning(tap: Tap, folder: Path) -> None:
    """They are older than what has arrived since: nothing is lost with them."""
    state = tap.run(state=tap.run().state).state
    cut_in_request(tap, 3, billed=False, on_missing_state="resync")  # a full refresh that is cut
    for _ in range(2):
        state = tap.run(state=state).state
    abandoned = pages(folder)[:2]
    assert {header(page).charge.credits for page in abandoned} == {2_500}
    make_older(folder, 31)
    run = tap.run(state=state)
    assert run.lines("WARNING") == []
    assert not any(page.exists() for page in abandoned)


@pytest.mark.parametrize("left", ["all of it", "a page of it"])
def test_what_a_kill_left_of_a_sync_that_has_arrived_is_not_used_or_asked_about(
    tap: Tap, folder: Path, left: str
) -> None:
    """The archive had recorded that it has arrived, and not yet removed it."""
    state = tap.run().state
    (sync,) = folder.glob("v2/*/000001")
    shutil.copytree(sync, tap.folder / "kept")
    tap.run(state=state)
    shutil.copytree(tap.folder / "kept", sync, dirs_exist_ok=True)
    if left == "a page of it":  # a power failure may take back the removal of a page
        (sync / "sync.json").unlink()
    state["bookmarks"]["career_sites"]["completed_sync"] = "5f0c"  # of another pipeline
    assert succeeded(tap.run(state=state)).codes("WARNING") == ["older-state"]
    run = tap.run(catalog=full_table())
    assert (run.lines("WARNING"), replayed(run)) == ([], 0)


# What a sync does after a replay


def test_an_old_sync_is_caught_up_after_a_replay_of_some_of_it(tap: Tap, folder: Path) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    for page in pages(folder):
        rewrite(page, started_at=hour_ago)
    tap.sandbox.world.touch(cut.ids[0], name="Changed since")
    again = tap.run()
    assert replayed(again) == 100
    assert [row["name"] for row in again.records if row["id"] == cut.ids[0]][-1] == "Changed since"
    assert tap.sandbox.feed_requests[-1].cursor is None


def test_an_older_state_than_what_is_left_of_a_lost_archive_is_resumed(
    tap: Tap, folder: Path
) -> None:
    one_page: Any = {"batch_size": 20, "max_credits": 1_000}
    first = tap.run(**one_page)
    second = tap.run(state=first.state, **one_page)
    shutil.rmtree(folder)
    tap.run(state=second.state, **one_page)
    assert replayed(tap.run(state=second.state, **one_page)) == 20  # and one page more is billed
    run = succeeded(tap.run(state=first.state))
    assert len({*first.ids, *run.ids}) == 120
    assert tap.sandbox.rows_billed == 20 + 20 + 2 * 20 + 100


def test_a_state_written_by_hand_goes_on_with_no_sync_of_another_state(tap: Tap) -> None:
    """Its rows may be older than what arrived since, so the run asks."""
    first = tap.run()
    tap.sandbox.world.touch(first.ids[0])
    tap.run(state=first.state)
    billed = tap.sandbox.rows_billed
    run = tap.run(state=state_at(tap.sandbox.now().isoformat()))
    assert "1 billed page of career_sites" in complaint(run)
    assert tap.sandbox.rows_billed == billed


def test_a_state_that_is_not_the_last_one_is_a_warning(tap: Tap) -> None:
    first = tap.run()
    second = tap.run(state=first.state)
    third = tap.run(state=second.state)
    assert third.lines("WARNING") == []
    restored = tap.run(state=first.state)
    (warning,) = restored.messages_of("WARNING", "older-state")
    assert "or another pipeline shares this archive" in warning
    assert "its own archive_dir" in warning


def test_the_state_of_a_run_without_the_archive_is_not_an_older_one(tap: Tap) -> None:
    known = tap.run(state=tap.run().state)
    tap.sandbox.clock_offset = 60
    later = with_clock(tap, timedelta(minutes=1))
    without = later.run(state=known.state, archive=False)
    assert later.run(state=without.state).lines("WARNING") == []


# The file


def test_only_the_owner_can_read_the_files(tap: Tap, folder: Path) -> None:
    before = os.umask(0)
    try:
        cut_in_request(tap, 3)
    finally:
        os.umask(before)
    files = [path for path in folder.glob("v2/**/*") if path.is_file()]
    assert len(files) == 4
    files += folder.glob("*.lock")
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    folders = {path.parent for path in files} | {folder, folder / "v2"}
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


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
        files = [path for path in (tmp_path / "archive").rglob("*") if path.is_file()]
        contents = [file.read_bytes() for file in files]
        (page,) = pages(tmp_path / "archive")
        contents.append(decode_page(page.read_bytes()).body)
        escaped = sandbox.api_key.replace("\\", "\\\\").replace('"', '\\"')
        for content in contents:
            assert sandbox.api_key.encode() not in content
            assert escaped.encode() not in content


def test_the_key_is_found_however_json_escapes_it() -> None:
    for body in (rb"jbe_1+/", rb"\u006Abe_1\u002b\/", rb"jbe\u005f1+/"):
        assert redact_body(b"\\u003c" + body, "jbe_1+/") == b"\\u003c[api_key]"


def test_a_archive_that_is_off_writes_and_reads_nothing(tap: Tap) -> None:
    first = tap.run(archive=False)
    assert len(first.ids) == 120
    assert [file.name for file in tap.folder.iterdir()] == ["config.json"]
    assert tap.succeed(state=first.state, archive=False).ids == []
    tap.run()
    assert replayed(tap.run(archive=False)) == 0


def test_a_key_has_one_form() -> None:
    """The same address has many spellings."""
    key = archive_key(CAREER_SITES, api_url="https://jobo.world/v1", api_key="jbe_live_x")
    for url in ("https://Jobo.World/v1/", "https://jobo.world:443/v1", "https://jobo.world./v1"):
        assert archive_key(CAREER_SITES, api_url=url, api_key="jbe_live_y") == key
    for url in ("http://jobo.world/v1", "https://jobo.world:8443/v1", "https://jobo.world"):
        assert archive_key(CAREER_SITES, api_url=url, api_key="jbe_live_x") != key


def test_a_key_keeps_the_name_of_its_folder() -> None:
    """Under another one, a version would not find what an earlier version was billed."""
    at: Any = {"api_url": "https://jobo.world/v1", "api_key": "jbe_live_x"}
    assert archive_key(CAREER_SITES, **at).name == "career_sites-54450b46acde9083"
    assert archive_key(MANAGED_JOBS, **at).name == "managed_jobs-bc12f44187e9f6df"


# Its folder


_WITHOUT_ACCOUNT = """
import pwd, runpy
def getpwuid(uid):
    raise KeyError(uid)
pwd.getpwuid = getpwuid
runpy.run_module("tap_jobo", run_name="__main__")
"""
"""The tap as run by a user whom the system does not know, as in some containers."""


def run_without_account(tap: Tap, **settings: Any) -> Run:
    env = tap.environment()
    del env["HOME"], env["XDG_STATE_HOME"]
    args = tap.command(settings=settings)[1:]
    return execute([sys.executable, "-c", _WITHOUT_ACCOUNT, *args], env, cwd=tap.folder)


def test_the_default_folder_is_the_users_state_folder(tap: Tap) -> None:
    tap.run(archive_dir=None)
    assert len(pages(tap.folder / "state" / "tap-jobo")) == 3


def test_without_a_home_the_tap_asks_for_a_folder(tap: Tap) -> None:
    line = complaint(run_without_account(tap, archive_dir=None))
    for part in ("HOME", "set archive_dir", "archive to false"):
        assert part in line
    assert not tap.sandbox.ledger
    assert [file.name for file in tap.folder.iterdir()] == ["config.json"]
    succeeded(run_without_account(tap))
    assert len(pages(tap.folder / "archive")) == 3


def test_the_folder_where_the_tap_runs_can_hold_the_archive(tap: Tap) -> None:
    command = tap.command(settings={"archive_dir": "."})
    succeeded(execute(command, tap.environment(), cwd=tap.folder))
    assert len(pages(tap.folder)) == 3
