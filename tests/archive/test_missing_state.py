"""A state that is lost: nothing is billed until the user decides, and the error names the price."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from tests.archive.helpers import archive_command, names, succeeded
from tests.support import Tap, complaint, complaints, error_code
from tests.support.jobs import tap_of

pytestmark = pytest.mark.slow


@pytest.fixture
def state(tap: Tap) -> Any:
    """The state after three complete syncs, of which the archive knows the second to be stored."""
    state = tap.run().state
    for _ in range(2):
        tap.sandbox.world.touch(next(iter(tap.sandbox.world.rows())))
        state = tap.run(state=state).state
    return state


def completed(folder: Path) -> dict[str, Any]:
    (file,) = folder.glob("v2/*/completed.json")
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def test_an_older_state_leaves_the_last_complete_sync_as_it_is(tap: Tap, folder: Path) -> None:
    first = tap.run().state
    (sync,) = folder.glob("v2/*/000001")
    shutil.copytree(sync, tap.folder / "kept")
    tap.run(state=tap.run(state=first).state)
    last = completed(folder)
    assert last["number"] == 2
    shutil.copytree(tap.folder / "kept", sync, dirs_exist_ok=True)  # as a kill leaves it
    tap.run(state=first)
    assert completed(folder) == last


@pytest.mark.parametrize("given", [None, {"bookmarks": {"career_sites": {}}}])
def test_a_missing_state_ends_the_run_before_its_first_request(
    tap: Tap, folder: Path, state: Any, given: Any
) -> None:
    assert state
    line = tap.refuse(state=given)
    last = completed(folder)
    assert "No state for career_sites" in line
    assert last["bookmark"] in line
    assert "(at least $6.00)" in line
    assert f"'resume:{last['id']}'" in line


def test_the_price_is_that_of_the_last_full_sync_though_a_kill_left_a_part_of_it(
    tap: Tap, folder: Path
) -> None:
    first = tap.run().state
    (sync,) = folder.glob("v2/*/000001")
    shutil.copytree(sync, tap.folder / "kept")
    second = tap.run(state=first).state
    shutil.copytree(tap.folder / "kept", sync, dirs_exist_ok=True)
    (sync / "000003.page").unlink()
    tap.run(state=second)
    assert "(at least $6.00)" in tap.refuse()


def test_there_is_no_price_if_the_archive_lacks_the_full_sync(
    tap: Tap, folder: Path, state: Any
) -> None:
    (folder / "v2").rename(folder / "old")
    for _ in range(2):
        state = tap.run(state=state).state
    assert "(each row is billed)" in tap.refuse()


@pytest.mark.parametrize("setting", ["country_codes", "start_date", "start_date after a gap"])
def test_there_is_no_price_once_the_settings_ask_for_less(tap: Tap, setting: str) -> None:
    first = tap.succeed().state
    start = "2026-11-01" if setting == "start_date" else tap.sandbox.now().isoformat()
    tap.settings |= {"country_codes": ["DE"]} if "codes" in setting else {"start_date": start}
    tap.succeed(state=tap.succeed(state=first).state)
    assert "(each row is billed)" in tap.refuse()


def test_a_refresh_that_went_in_circles_does_not_hide_that_the_state_is_lost(
    tap: Tap, state: Any
) -> None:
    assert state
    tap.sandbox.wraps_after = 1
    assert error_code(tap.run(on_missing_state="resync")) == "endless-feed"
    assert "(at least $6.00)" in tap.refuse()


def test_resume_goes_on_from_the_last_sync_and_the_archive(
    tap: Tap, folder: Path, state: Any
) -> None:
    last, billed = completed(folder), tap.sandbox.rows_billed
    key = tap.sandbox.world.add()
    run = succeeded(tap.run(on_missing_state=f"resume:{last['id']}"))
    assert key in run.ids
    assert len(run.ids) < 5
    assert tap.sandbox.rows_billed <= billed + 2  # the third sync comes from the archive
    (warning,) = run.lines("WARNING")
    assert "if the warehouse does not have its rows, or another pipeline uses this" in warning
    old = state["bookmarks"]["career_sites"]["replication_key_value"]
    assert run.bookmark["replication_key_value"] >= old
    assert tap.run(state=run.state).lines("WARNING") == []


def test_resume_with_another_id_is_an_error(tap: Tap, folder: Path, state: Any) -> None:
    """So a setting that was forgotten does not make a new warehouse incremental."""
    first = completed(folder)["id"]
    tap.run(state=state, on_missing_state=f"resume:{first}")
    line = tap.refuse(on_missing_state=f"resume:{first}")
    assert f"'resume:{completed(folder)['id']}'" in line  # without the wrong one


def test_resume_without_a_complete_sync_is_an_error(tap: Tap) -> None:
    line = tap.refuse(on_missing_state="resume:5f0c")
    assert "the archive has no such sync" in line


def test_resume_does_not_concern_a_stream_without_a_complete_sync(tmp_path: Path) -> None:
    """The jobs were killed in their first sync; their pages are replayed."""
    with Sandbox(size=20, jobs=30, seed=2) as sandbox:
        sites = tap_of(sandbox, tmp_path, "career_sites")
        state: Any = None
        for _ in range(2):
            state = sites.run(state=state).state
        both = tap_of(sandbox, tmp_path, "jobs", "career_sites")
        small: Any = {"batch_size": 1, "jobs_batch_size": 10}
        succeeded(both.run(state=state, max_credits=80, **small))
        billed = sandbox.rows_billed
        (id_,) = re.findall(r"'resume:(\S+)'", complaint(both.run(**small)))
        run = succeeded(both.run(on_missing_state=f"resume:{id_}", **small))
        assert len([each for each in run.records if "title" in each]) == 30
        assert sandbox.rows_billed == billed + 10


OTHER: Any = {"country_codes": ["FR", "US"], "batch_size": 5}


@pytest.fixture
def german(tap: Tap) -> Any:
    """The state after two complete syncs of one country."""
    return tap.run(state=tap.run(country_codes=["DE"]).state, country_codes=["DE"]).state


@pytest.mark.parametrize("budget", [250, 100_000], ids=["during", "after"])
def test_a_state_lost_in_a_resync_to_other_filters_is_missed(
    tap: Tap, folder: Path, german: Any, budget: int
) -> None:
    """The sync of the old filters can be resumed, as what it is: with the old filters."""
    part = succeeded(tap.run(state=german, on_filter_change="resync", max_credits=budget, **OTHER))
    billed = tap.sandbox.rows_billed
    for given in ("error", "resume:5f0c"):
        line = tap.refuse(on_missing_state=given, **OTHER)
        assert f"a complete sync of {completed(folder)['bookmark']} with other filters" in line
        assert "(each row is billed)" in line
    resume: Any = {"on_missing_state": f"resume:{completed(folder)['id']}"}
    assert "country_codes was DE and is FR, US" in complaint(tap.run(**resume, **OTHER))
    run = succeeded(tap.run(on_filter_change="resync", **resume, **OTHER))
    wanted = tap.run(archive=False, **OTHER)
    assert {*run.ids} == {*wanted.ids}
    assert tap.sandbox.rows_billed == billed + 2 * len(wanted.ids) - len({*part.ids})


def test_a_sync_that_continues_from_one_the_archive_lacks_proves_a_state(
    tap: Tap, folder: Path
) -> None:
    state = tap.run(batch_size=5).state
    for key in [*tap.sandbox.world.rows()][:20]:
        tap.sandbox.world.touch(key)
    one_page: Any = {"batch_size": 5, "max_credits": 250}
    state = tap.run(state=state, **one_page).state
    (folder / "v2").rename(folder / "old")
    tap.run(state=state, **one_page)
    line = tap.refuse(batch_size=5)
    assert "the archive records a sync that continues from a complete one" in line
    assert "resume:" not in line


def test_a_first_sync_that_can_not_be_replayed_proves_a_state_if_another_one_follows(
    tap: Tap, folder: Path
) -> None:
    for _ in range(2):
        tap.succeed()  # the second time, it is replayed, and a sync of what has changed follows
    assert archive_command(tap, "drop", names(folder)[0]).returncode == 0
    assert "the archive records a sync that continues from a complete one" in tap.refuse()


def test_a_first_sync_of_one_page_that_another_one_follows_is_replayed(tap: Tap) -> None:
    for _ in range(3):
        assert len(tap.succeed(country_codes=["DE"]).ids) == 13
    assert tap.sandbox.rows_billed == 13


def test_a_key_of_another_kind_proves_nothing(tap: Tap, german: Any) -> None:
    assert german
    tap.sandbox.api_key = "jbe_live_another"
    assert tap.run(country_codes=["FR"], api_key=tap.sandbox.api_key).returncode == 0


def test_resume_restores_the_start_date_of_the_sync(tap: Tap, folder: Path) -> None:
    state = tap.run(start_date="2026-11-01").state
    tap.run(state=state, start_date="2026-11-02")
    line = complaint(tap.run(on_missing_state=f"resume:{completed(folder)['id']}"))
    assert "start_date was 2026-11-01T00:00:00.000000Z and is not set" in line


def test_a_stream_that_cannot_be_resumed_is_read_again_alone(tmp_path: Path) -> None:
    """The setting is for all streams, and those that can be resumed must not be billed again."""
    with Sandbox(size=20, jobs=30, seed=2) as sandbox:
        tap = tap_of(sandbox, tmp_path, "jobs", "career_sites")
        state = tap.succeed(state=tap.succeed().state).state
        sandbox.world.touch_job(next(iter(sandbox.world.jobs())))
        tap.succeed(state=state)
        (file,) = (tmp_path / "archive").glob("v2/jobs-*/completed.json")
        file.unlink()
        sites, jobs = complaints(tap.run())
        (resume,) = re.findall(r"'(resume:\S+)'", sites)
        assert complaint(tap.run(on_missing_state=resume)) == jobs
        assert "to 'resync', in a run of this stream alone, if" in jobs
        assert "alone" not in sites
        alone = tap_of(sandbox, tmp_path, "jobs")
        assert "alone" not in complaint(alone.run())
        state = alone.succeed(on_missing_state="resync").state
        billed = sandbox.rows_billed
        tap.succeed(state=state, on_missing_state=resume)
        assert sandbox.rows_billed <= billed + 1  # the job, which the lookback reads


def test_several_streams_may_be_resumed(tmp_path: Path) -> None:
    with Sandbox(size=20, jobs=30, seed=2) as sandbox:
        tap = tap_of(sandbox, tmp_path, "jobs", "career_sites")
        state: Any = None
        for _ in range(2):
            state = tap.run(state=state).state
        lines = complaints(tap.run())
        assert len(lines) == 2  # 'resync' would decide for both
        (ids,) = {each for line in lines for each in re.findall(r"'resume:(\S+)'", line)}
        assert ids.count(",") == 1
        for one in ids.split(","):  # the other stream is still without a state
            assert f"'resume:{one}" in complaint(tap.run(on_missing_state=f"resume:{one}"))
        requests = len(sandbox.ledger)
        run = succeeded(tap.run(on_missing_state=f"resume:{ids}"))
        assert run.records == []
        assert len(sandbox.ledger) > requests
