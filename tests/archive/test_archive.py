"""The archive: what was bought is kept, and any warehouse is loaded from it, free.

The traps and histories of `tests.sync` play many more scenes, in memory and with processes.
"""

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tap_jobo.redaction import redact_body
from tests.archive.helpers import (
    Warehouse,
    change,
    keys_in,
    pass_time,
    restart,
    succeeded,
)
from tests.support import ARCHIVE_COMMAND, Run, Tap, execute, tap_of
from tests.support.archives import Files, files_at
from tests.support.crash import (
    cut_in_request,
)

pytestmark = pytest.mark.slow

SMALL: Any = {"batch_size": 10}
GERMAN: Any = {"country_codes": ["DE"]}
WIDER: Any = {"country_codes": ["DE", "US"]}


def times_of(run: Run) -> dict[tuple[str, str], datetime]:
    """When each row was received last, by its stream and id."""
    return {
        (each["stream"], each["record"]["id"]): datetime.fromisoformat(each["time_extracted"])
        for each in run.messages
        if each["type"] == "RECORD"
    }


# What is loaded, free


def test_the_pages_of_a_killed_run_are_loaded(tap: Tap) -> None:
    """With a rotated key and another spelling of the address, too."""
    cut = cut_in_request(tap, 3, billed=False)
    tap.sandbox.api_key = "jbe_test_another"
    changed: Any = {"api_key": "jbe_test_another", "api_url": f"{tap.sandbox.url}/"}
    again = tap.succeed(state=cut.states[0], **changed)
    assert again.loaded == 50
    assert again.lines("WARNING") == []
    assert len(again.ids) == 70
    assert {*cut.ids[:50], *again.ids} == tap.sandbox.world.rows().keys()
    assert tap.sandbox.rows_billed == 120
    assert again.metrics["jobo_credits"] == 20 * 50


def test_a_loaded_row_keeps_its_time_however_it_is_written(tap: Tap) -> None:
    first = times_of(tap.succeed(max_credits=5_000))
    assert len(first) == 100
    tap.sandbox.clock_offset = 3_600
    again = times_of(tap.succeed(stream_maps={"career_sites": {"id": "id"}}))
    fresh = again.keys() - first.keys()
    assert len(fresh) == 20
    assert {key: again[key] for key in first} == first
    assert min(again[key] for key in fresh) > max(first.values()) + timedelta(minutes=50)


# What is loaded of a row that comes more than once, of which `tests.sync.test_traps` has more


def names_of(run: Run, key: str) -> list[str]:
    """The names under which a row is delivered, in order."""
    return [row["name"] for row in run.records if row["id"] == key]


def test_a_row_that_is_as_it_was_is_delivered_where_it_first_comes(tap: Tap, files: Files) -> None:
    """The archive may be lost halfway. What is compared is the row as it came, if it is rescued."""
    key, *_ = tap.sandbox.world.rows()
    tap.sandbox.world.touch(key, name="As it was", industries="no list", summary=["no text"])
    pass_time(tap)
    state = tap.succeed(**SMALL).state
    for name in ("Changed", "As it was"):
        change(tap, key, name=name)
        state = tap.succeed(state=state, **SMALL).state
    assert files.page_numbers == [*range(1, 15)]
    run = tap.succeed()
    assert names_of(run, key) == ["As it was", "As it was"]
    assert len({*run.ids}) == 120
    times = times_of(run)
    assert times.pop(("career_sites", key)) > max(times.values())


def test_no_state_comes_before_the_newest_version_of_a_row_that_was_skipped(tap: Tap) -> None:
    run = tap.succeed(**SMALL)
    for key in (run.ids[10], run.ids[0]):  # of pages 2 and 1, in pages 13 and 14
        change(tap, key)
        run = tap.succeed(state=run.state, **SMALL)
    offsets = [state["bookmarks"]["career_sites"]["offset"] for state in tap.succeed().states]
    assert {*offsets} == {0, 14}


def test_of_two_versions_in_a_page_the_last_one_stays(tap: Tap) -> None:
    def repeat(body: dict[str, Any]) -> dict[str, Any]:
        first, *others = body["career_sites"]
        return body | {"career_sites": [first | {"name": "Old"}, *others, first | {"name": "New"}]}

    tap.sandbox.faults.add(Fault(replace=repeat), on=1)
    key = tap.succeed().ids[0]
    run = tap.succeed()
    assert names_of(run, key)[-1] == "New"
    assert len({*run.ids}) == 120


# Orders, filters, and other pipelines


def ran(warehouse: Warehouse, **settings: Any) -> tuple[int, int, list[str]]:
    """Run the tap: the rows billed, the rows emitted, and the codes of the warnings."""
    before = warehouse.tap.sandbox.rows_billed
    run = warehouse.run(**settings)
    billed = warehouse.tap.sandbox.rows_billed - before
    return billed, len(run.ids), run.codes("WARNING")


def test_a_restart_without_rows_hides_no_older_page_and_is_still_ordered(
    warehouse: Warehouse,
) -> None:
    restart(warehouse.tap)
    nothing: Any = {"career_sites": [], "next_cursor": None, "has_more": False}
    warehouse.tap.sandbox.faults.add(Fault(status=200, body=nothing), endpoint="career_sites")
    assert ran(warehouse) == (0, 0, ["missing-rows"])
    assert Warehouse(warehouse.tap).rows_billed(max_credits=0) == 0
    assert ran(warehouse) == (120, 120, [])
    assert ran(warehouse) == (0, 0, [])


def test_pipelines_of_other_filters_never_stop_each_other(tap: Tap) -> None:
    prod, dev = Warehouse(tap), Warehouse(tap)
    germans, others = keys_in(tap, "DE"), keys_in(tap, "US")
    assert ran(prod, **GERMAN)[:2] == (len(germans), len(germans))
    pass_time(tap)
    added, emitted, _ = ran(dev, on_filter_change="resync", **WIDER)
    assert (added, emitted) == (len(others), len(germans | others))
    for codes in (["other-rows"], []):  # it is told once
        pass_time(tap)
        assert ran(prod, **GERMAN)[0::2] == (0, codes)
        change(tap, next(iter(others)))
        pass_time(tap)
        assert ran(dev, **WIDER)[0] == 1
    change(tap, next(iter(germans)), next(iter(others)))
    assert ran(prod, **GERMAN) == (1, 2, [])
    assert ran(dev, **WIDER)[0] == 2
    assert {*dev.target.rows} == germans | others


def test_an_archive_that_is_behind_is_told_once_though_nothing_has_to_be_bought(
    hiring: Sandbox, tmp_path: Path
) -> None:
    """An empty page is then an entry, so that the state has a place in the archive."""
    tap = tap_of(hiring, tmp_path, "jobs")
    tap.settings["lookback_minutes"] = 0
    state = tap.succeed().state
    key = next(iter(hiring.world.jobs()))
    hiring.world.touch_job(key, title="Changed")
    pass_time(tap)
    state = tap.succeed(state=state, archive=False).state
    hiring.world.expire_job(key)
    pass_time(tap)
    run = tap.succeed(state=state)
    assert (run.codes("WARNING"), run.records) == (["archive-behind"], [])
    again = tap.succeed(state=run.state)
    assert (again.lines("WARNING"), again.state) == ([], run.state)


# What is stored


def test_a_run_without_changes_leaves_no_entry(warehouse: Warehouse, files: Files) -> None:
    """A year of hourly runs would leave 8,760 files."""
    names, state = files.names, warehouse.state
    for _ in range(2):
        run = warehouse.run()
        assert (run.ids, run.state) == ([], state)
        assert run.lines("WARNING") == []
    assert files.names == names
    assert len(warehouse.tap.sandbox.feed_requests) == 5


def test_a_sync_that_began_before_the_lookback_is_followed_by_what_changed(tap: Tap) -> None:
    first = tap.succeed(max_credits=2_500)
    change(tap, first.ids[0])
    run = tap.succeed(state=first.state)
    assert len({*run.ids} - {*first.ids}) == 70
    assert names_of(run, first.ids[0]) == ["Changed"]


def test_a_page_without_rows_that_was_billed_is_an_entry(
    warehouse: Warehouse, files: Files
) -> None:
    billed = Fault(headers={"X-Credits-Deducted": "50"})
    warehouse.tap.sandbox.faults.add(billed, endpoint="career_sites")
    warehouse.run()
    assert files.page_numbers == [1, 2, 3, 4]


def test_an_empty_page_in_the_middle_of_a_sync_is_an_entry(tap: Tap, files: Files) -> None:
    tap.sandbox.empty_every = 2
    assert len(tap.succeed().ids) == 120
    rows = [len(files.entry(page).body) > 1_000 for page in files.pages]
    assert rows == [True, False, True, False, True]
    assert tap.succeed().loaded == 120
    assert tap.sandbox.rows_billed == 120


def test_an_archive_of_a_development_version_is_an_error(tap: Tap, folder: Path) -> None:
    tap.succeed()
    (stream,) = folder.glob("v4/*/career_sites")
    (folder / "v3").mkdir()
    stream.rename(folder / "v3" / "career_sites-0a")
    shutil.rmtree(folder / "v4")
    for _ in range(2):
        line = tap.refuse(code="archive-unusable")
        assert f" {folder}/v3. " in line
    shutil.rmtree(folder / "v3")
    assert len(tap.succeed().ids) == 120


@pytest.mark.parametrize("api_key", ["jbe_test_" + "x" * 24, 'quoted"and\\escaped/key'])
def test_no_file_holds_the_key_even_if_a_response_quotes_it(
    tap: Tap, files: Files, api_key: str
) -> None:
    tap.sandbox.api_key = tap.settings["api_key"] = api_key

    def quote(body: dict[str, Any]) -> dict[str, Any]:
        body["career_sites"][0]["summary"] = f"Your key is {api_key}."
        return body

    tap.sandbox.faults.add(Fault(replace=quote))
    run = cut_in_request(tap, 2)
    assert len(run.ids) == 50
    assert api_key not in run.records[0]["summary"]
    (page,) = files.pages
    for content in (*files.copy().values(), files.entry(page).body):
        assert api_key.encode() not in content
        assert json.dumps(api_key)[1:-1].encode() not in content


def test_the_key_is_found_however_json_escapes_it() -> None:
    for body in (rb"jbe_1+/", rb"\u006Abe_1\u002b\/", rb"jbe\u005f1+/"):
        assert redact_body(b"\\u003c" + body, "jbe_1+/") == b"\\u003c[api_key]"


@pytest.mark.parametrize(
    ("project", "variables", "folder"),
    [
        (None, {}, "state/tap-jobo"),
        (".", {}, "archive/tap-jobo"),
        (None, {"MELTANO_PROJECT_ROOT": "elsewhere"}, "elsewhere/archive/tap-jobo"),
    ],
)
def test_the_default_folder_is_in_the_meltano_project_or_the_users_state_folder(
    tap: Tap, project: str | None, variables: dict[str, str], folder: str
) -> None:
    """So a plugin that was typed by hand keeps its pages where people look, and its command."""
    here = tap.folder / "here"
    here.mkdir()
    if project:
        (tap.folder / project / "meltano.yml").touch()
    env = tap.environment({name: str(tap.folder / path) for name, path in variables.items()})
    run = succeeded(execute(tap.command(settings={"archive_dir": None}), env, cwd=here))
    assert f"career_sites: the archive {tap.folder / folder} has no page yet." in run.stderr
    assert files_at(str(tap.folder / folder)).page_numbers == [1, 2, 3]
    assert " 3 pages, " in succeeded(execute([str(ARCHIVE_COMMAND), "list"], env, cwd=here)).stdout
