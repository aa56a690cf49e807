"""The gate: no request is sent while billed pages would become unusable, unless the user says so.

Each case is something that a user did and that once billed rows again without a question.
"""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from tests.archive.helpers import archive_command, damage, name_of, pages, replayed, succeeded
from tests.support import Run, Tap, complaint, complaints
from tests.support.crash import cut_in_request, rows_billed_twice
from tests.support.jobs import tap_of

pytestmark = pytest.mark.slow

BOTH: Any = {"country_codes": ["DE", "US"], "batch_size": 5}
GERMAN: Any = BOTH | {"country_codes": ["DE"]}
QUESTION = "whose rows may not have arrived, and no run could use them after this one, because "


@pytest.fixture
def folder(tap: Tap) -> Path:
    return tap.folder / "archive"


def refused(tap: Tap, **given: Any) -> str:
    """The complaint of a run that ends before anything is billed."""
    requests = len(tap.sandbox.feed_requests)
    line = complaint(tap.run(**given))
    assert len(tap.sandbox.feed_requests) == requests
    return line


@pytest.fixture
def cut(tap: Tap) -> Run:
    """A first sync that dies before its first state is stored."""
    return cut_in_request(tap, 3, billed=False, **BOTH)


def test_dropped_pages_ask_nothing(tap: Tap, cut: Run) -> None:
    assert cut.ids
    (ids,) = re.findall(r"`tap-jobo-archive drop ([^`]+)`", refused(tap, **GERMAN))
    assert archive_command(tap, "drop", *ids.split()).returncode == 0
    assert succeeded(tap.run(**GERMAN)).lines("WARNING") == []


def test_a_state_of_a_sync_that_was_dropped_cannot_use_a_later_one(tap: Tap, cut: Run) -> None:
    state = cut.state
    sync = state["bookmarks"]["career_sites"]["sync"]["id"]
    assert archive_command(tap, "drop", sync).returncode == 0
    cut_in_request(tap, 2, billed=False, **BOTH)
    line = refused(tap, state=state, **BOTH)
    assert f"{QUESTION}the state is of another sync. Nothing was billed." in line


def test_dropped_pages_take_what_continues_from_them_along(
    tap: Tap, folder: Path, cut: Run
) -> None:
    """Otherwise it would seem to have lost its state.

    The page of the second sync is given up, and the third one was killed before its first.
    """
    assert cut.ids
    (sync,) = folder.glob("v2/*/000001/sync.json")
    content = json.loads(sync.read_text())
    for number, given_up in ((2, 1), (3, 0)):
        content |= {"parent_id": content["id"], "id": f"{number:016x}", "is_full": False}
        begun = sync.parent.with_name(f"00000{number}") / "sync.json"
        begun.parent.mkdir()
        begun.write_text(json.dumps(content | {"given_up": given_up}))
    shutil.copy(pages(folder)[0], folder / "v2" / sync.parts[-3] / "000002")
    (ids,) = re.findall(r"`tap-jobo-archive drop ([^`]+)`", refused(tap, **GERMAN))
    assert archive_command(tap, "drop", *ids.split()).returncode == 0
    succeeded(tap.run(**GERMAN))


def test_pages_whose_sync_lacks_its_start_ask_nothing(tap: Tap, folder: Path) -> None:
    """No run could use them: the archive was lost before them, and the state after them."""
    one_page: Any = {"max_credits": 2_500}
    state = tap.run(**one_page).state
    shutil.rmtree(folder)
    tap.run(state=state, **one_page)
    assert len(pages(folder)) == 1
    assert len(tap.succeed().ids) == 120


def test_an_increment_is_replayed_with_a_start_date_after_the_bookmark(tap: Tap) -> None:
    state = tap.run().state
    for key in [*tap.sandbox.world.rows()][:30]:
        tap.sandbox.world.touch(key)
    assert len(tap.run(state=state).ids) == 30  # whose state the target loses
    billed = tap.sandbox.rows_billed
    assert replayed(tap.run(state=state, start_date=tap.sandbox.now().isoformat())) == 30
    assert tap.sandbox.rows_billed == billed


def test_an_increment_since_a_start_date_after_the_bookmark_is_replayed_too(tap: Tap) -> None:
    state, now = tap.run().state, tap.sandbox.now()
    state["bookmarks"]["career_sites"]["replication_key_value"] = _ago(now, hours=2)
    tap.sandbox.world.touch(next(iter(tap.sandbox.world.rows())))
    begun = _ago(now, hours=1)
    tap.run(state=state, start_date=begun)  # whose state the target loses
    for start_date in (begun, _ago(now, hours=0.5)):
        run = tap.run(state=state, start_date=start_date)
        assert replayed(run)
        assert datetime.fromisoformat(run.bookmark["start_date"]).isoformat() == begun


def test_a_start_date_that_a_replayed_increment_does_not_need_leaves_no_gap(tap: Tap) -> None:
    state, now = tap.run().state, tap.sandbox.now()
    state["bookmarks"]["career_sites"]["replication_key_value"] = _ago(now, hours=2)
    tap.sandbox.world.touch(next(iter(tap.sandbox.world.rows())))
    tap.run(state=state)  # whose state the target loses
    run = tap.run(state=state, start_date=_ago(now, hours=1))
    assert replayed(run) == 1
    assert succeeded(tap.run(state=run.state)).lines("WARNING") == []  # without the start date


def _ago(now: datetime, hours: float) -> str:
    return (now - timedelta(hours=hours)).isoformat()


def test_the_question_about_filters_names_what_each_choice_gives_up(tap: Tap) -> None:
    state = tap.run(country_codes=["DE"]).state
    for key in [*tap.sandbox.world.rows()]:
        tap.sandbox.world.touch(key)
    billed = len(tap.run(state=state, country_codes=["DE"]).ids)
    line = refused(tap, state=state, country_codes=["US"])
    gives_up = f", and 1 billed page (${billed / 20:,.2f}) can't be used any more."
    assert line.count(gives_up) == 2
    assert "'resync' reads all matching rows: each row is billed" in line
    bookmark = state["bookmarks"]["career_sites"]["replication_key_value"]
    assert f" 'keep' continues from {bookmark}: rows that only the new filters match" in line
    assert line.endswith("Otherwise, change the filters back and complete that sync first.")


def test_a_difference_that_is_given_up_says_what_it_is_worth(tap: Tap) -> None:
    """The rows that were delivered are billed again; those of the archive are a loss, too."""
    resync: Any = {"on_filter_change": "resync", "batch_size": 5}
    state = tap.run(country_codes=["DE"]).state
    part = cut_in_request(tap, 3, state=state, billed=False, **resync | BOTH)
    first = next(each for each in part.states if each["bookmarks"]["career_sites"]["sync"]["rows"])
    more: Any = resync | {"country_codes": ["DE", "US", "FR"]}
    run = succeeded(tap.run(state=first, **more))
    dropped = "is given up after 5 rows ($0.25 at list price), because the filters or start_date"
    assert sum(dropped in line for line in run.lines("WARNING")) == 1
    (loss,) = (line for line in run.lines("WARNING") if "gives up" in line)
    assert re.match(
        r"The archive has 1 billed page of career_sites \(\$0\.25, since [\d-]+T\d\d:\d\dZ\) ", loss
    )
    again = refused(tap, state=first, country_codes=["DE"])
    assert f"{QUESTION}country_codes was DE, FR, US and is DE" in again


@pytest.mark.parametrize("new", [["DE", "US"], ["US"]], ids=["added", "replaced"])
def test_the_messages_lead_to_the_free_way_on(tap: Tap, new: list[str]) -> None:
    """The pages that wait are of the new filters, and the state is of the old ones."""
    state = tap.run(country_codes=["DE"], batch_size=5).state
    wider: Any = {"country_codes": new, "batch_size": 5}
    cut_in_request(tap, 3, state=state, billed=False, on_filter_change="resync", **wider)
    back = refused(tap, state=state, **GERMAN)
    assert "change that back, set on_filter_change to 'resync', and run until the sync" in back
    line = refused(tap, state=state, **wider)
    free = ", except for 2 billed pages ($0.50) of the archive, which are free"
    assert free in line.partition(" 'keep' ")[0]
    assert line.endswith("Otherwise, change the filters back.")
    run = succeeded(tap.run(state=state, on_filter_change="resync", **wider))
    assert replayed(run) == 10
    assert any(free in warning for warning in run.lines("WARNING"))
    assert rows_billed_twice(tap.sandbox) <= len(GERMAN)


def test_the_message_leads_to_the_free_way_on_with_pages_that_keep_has_read(tap: Tap) -> None:
    state = tap.succeed(**GERMAN).state
    tap.sandbox.world.add(country_code="DE")
    tap.succeed(state=state, on_filter_change="keep", **BOTH)  # whose state the target loses
    back = refused(tap, state=state, **GERMAN)
    (decision,) = re.findall(r"change that back, set on_filter_change to '(\w+)', and run", back)
    assert replayed(tap.run(state=state, on_filter_change=decision, **BOTH)) == 1


def test_the_question_says_that_the_start_before_the_pages_was_dropped(
    tap: Tap, folder: Path
) -> None:
    state = tap.succeed().state
    for _ in range(2):  # the second run replays the first one, and catches up
        tap.sandbox.world.touch(next(iter(tap.sandbox.world.rows())))
        tap.succeed(state=state)
    start = name_of(pages(folder)[0])
    assert archive_command(tap, "drop", start).returncode == 0
    line = refused(tap, state=state)
    assert f"{QUESTION}the archive lacks the start of the sync that they continue from." in line
    (ids,) = re.findall(r"`tap-jobo-archive drop ([^`]+)`", line)
    assert archive_command(tap, "drop", *ids.split()).returncode == 0
    assert tap.succeed(state=state).lines("WARNING") == []


def test_what_follows_a_replayed_sync_is_not_left_without_a_question(tap: Tap) -> None:
    """It was read with a later start date, and could not be resumed without it."""
    no_lookback: Any = {"lookback_minutes": 0}
    state = tap.run(**no_lookback).state
    for key in [*tap.sandbox.world.rows()][:19]:
        tap.sandbox.world.touch(key)
    tap.run(state=state, **no_lookback)  # whose state the target loses
    later = (tap.sandbox.now() - timedelta(milliseconds=1)).isoformat()
    for key in [*tap.sandbox.world.rows()][:30]:
        tap.sandbox.world.touch(key)
    run = tap.run(state=state, start_date=later, **no_lookback)
    assert len(run.ids) == 19 + 30
    line = refused(tap, state=state, **no_lookback)
    assert f"{QUESTION}start_date: this run reads rows changed since " in line


def test_a_lost_state_does_not_decide_for_a_stream_that_nobody_mentioned(
    hiring: Sandbox, tmp_path: Path
) -> None:
    sites = tap_of(hiring, tmp_path, "career_sites")
    sites.run(state=sites.run().state)
    tap_of(hiring, tmp_path, "jobs").run(max_credits=30, jobs_batch_size=10)
    both = tap_of(hiring, tmp_path, "career_sites", "jobs")
    ours, theirs = complaints(both.run(jobs_batch_size=10, jobs_work_models=["remote"]))
    assert "No state for career_sites" in ours
    assert " of jobs (" in theirs
    assert QUESTION in theirs


def test_pages_whose_price_cannot_be_read_are_worth_a_question(
    tap: Tap, folder: Path, cut: Run
) -> None:
    assert cut.ids
    for page in pages(folder):
        damage(page, 30)  # in its header
    assert QUESTION in refused(tap, **GERMAN)


def test_a_decision_is_recorded_for_all_streams_before_the_first_is_read(
    hiring: Sandbox, tmp_path: Path
) -> None:
    tap = tap_of(hiring, tmp_path, "career_sites", "jobs")
    small: Any = {"batch_size": 2, "jobs_batch_size": 10}
    tap.run(max_credits=100, **small)
    tap_of(hiring, tmp_path, "jobs").run(max_credits=30, **small)
    change: Any = small | {"country_codes": ["DE"], "jobs_work_models": ["remote"]}
    assert len(complaints(tap.run(**change))) == 2
    number = len(hiring.feed_requests) + 1
    cut_in_request(tap, number, billed=False, on_filter_change="resync", **change)
    assert succeeded(tap.run(**change)).lines("ERROR") == []


def test_a_permanent_decision_is_a_warning_with_its_price(tap: Tap) -> None:
    state = tap.run(country_codes=["DE"]).state
    for choice, then in {
        "keep": "continues from the bookmark: rows that only the new filters match stay missing",
        "resync": "reads the rows with country_codes US, then what changed since the bookmark: "
        "each row is billed, $50.00 per 1,000 at list price. Remove the setting once",
    }.items():
        run = succeeded(tap.run(state=state, country_codes=["DE", "US"], on_filter_change=choice))
        (warning,) = run.lines("WARNING")
        assert f"and on_filter_change is '{choice}'. So this run {then}" in warning


def test_a_second_pipeline_in_the_folder_is_not_refused_every_night(tap: Tap) -> None:
    """Its pages continue from another state. One archive_dir a pipeline is the advice, no rule."""
    german: Any = {"country_codes": ["DE"]}
    ours = tap.run().state
    theirs = tap.run(on_missing_state="resync", on_filter_change="keep", **german).state
    for _ in range(2):
        for key in [*tap.sandbox.world.rows()][:10]:
            tap.sandbox.world.touch(key)
        ours = succeeded(tap.run(state=ours)).state
        theirs = succeeded(tap.run(state=theirs, **german)).state


def test_what_another_pipeline_has_completed_hides_no_pages(tap: Tap) -> None:
    german: Any = {"country_codes": ["DE"]}
    ours = tap.run().state
    theirs = tap.run(on_missing_state="resync", on_filter_change="keep", **german).state
    for key in [*tap.sandbox.world.rows()][:10]:
        tap.sandbox.world.touch(key)
    tap.run(state=ours)  # whose state the target loses
    for _ in range(2):
        theirs = succeeded(tap.run(state=theirs, **german)).state
    assert f"{QUESTION}country_codes was not set and is DE" in refused(tap, state=ours, **german)


def test_a_sync_without_pages_stays(tap: Tap, folder: Path) -> None:
    """A run beside this one may just have begun it, where locks do not work."""
    state = tap.run().state
    (sync,) = folder.glob("v2/*/000001/sync.json")
    other = json.loads(sync.read_text()) | {"id": "0123456789abcdef", "is_full": False}
    other["parent_id"] = state["bookmarks"]["career_sites"]["completed_sync"]
    (sync.parent.parent / "000002").mkdir()
    begun = sync.parent.parent / "000002" / "sync.json"
    begun.write_text(json.dumps(other))
    succeeded(tap.run(state=state))
    assert begun.exists()
