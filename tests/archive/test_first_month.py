"""What a team meets in its first month: where the archive is, and what tells that it is whole."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tap_jobo.archive.folder import Folder
from tap_jobo.archive.naming import all_keys
from tests.archive.helpers import (
    Warehouse,
    archive_command,
    change,
    damage,
    pages,
    pass_time,
    succeeded,
)
from tests.support import ARCHIVE_COMMAND, COMMAND, Tap, execute

pytestmark = pytest.mark.slow


@pytest.fixture
def warehouse(tap: Tap) -> Warehouse:
    """A warehouse that has everything."""
    warehouse = Warehouse(tap)
    warehouse.run()
    return warehouse


@pytest.mark.parametrize("where", ["variable", "current folder", "state folder"])
def test_without_a_setting_the_archive_is_in_the_project(tap: Tap, where: str) -> None:
    """So a plugin that was typed by hand keeps its pages where people look for them."""
    project = tap.folder / "project"
    here = project / "notebooks"
    here.mkdir(parents=True)
    env = tap.environment()
    archive = project / "archive/tap-jobo"
    if where == "variable":
        env["MELTANO_PROJECT_ROOT"], here = str(project), tap.folder
    elif where == "current folder":
        (project / "meltano.yml").touch()
    else:
        archive = tap.folder / "state/tap-jobo"
    given = {"api_key": tap.sandbox.api_key, "api_url": tap.sandbox.url}
    config = tap.folder / "config.json"
    config.write_text(json.dumps(given))
    run = succeeded(execute([str(COMMAND), "--config", str(config)], env, here))
    assert len(pages(archive)) == 3
    assert f"career_sites: the archive {archive} has no page yet." in run.stderr
    listed = succeeded(execute([str(ARCHIVE_COMMAND), "list"], env, here)).stdout
    assert "3 pages, 120 rows" in listed


def test_a_run_tells_what_its_archive_has(warehouse: Warehouse) -> None:
    (_, line, *_) = warehouse.run().lines("INFO")  # below the versions
    for part in ("career_sites: the archive ", " has 3 pages, since 20"):
        assert part in line


def test_a_metric_tells_whether_a_new_warehouse_would_get_as_much(warehouse: Warehouse) -> None:
    tap, folder = warehouse.tap, warehouse.tap.folder / "archive"
    assert warehouse.run().metrics["jobo_archive_complete"] == 1
    folder.rename(tap.folder / "lost")
    pass_time(tap, timedelta(minutes=1))
    run = warehouse.run()
    shown = {each["metric"]: each["value"] for each in run.points}
    assert shown["jobo_sync_complete"] == 1
    assert shown["jobo_archive_complete"] == 0
    change(tap, next(iter(warehouse.target.rows)))  # which is bought, and nothing before that
    shown = {each["metric"]: each["value"] for each in warehouse.run().points}
    assert shown["jobo_archive_complete"] == 0
    off = warehouse.run(archive=False).points
    assert "jobo_archive_complete" not in {each["metric"] for each in off}


def test_without_credits_a_run_only_loads(warehouse: Warehouse) -> None:
    tap, other = warehouse.tap, Warehouse(warehouse.tap)
    change(tap, next(iter(warehouse.target.rows)))
    billed = tap.sandbox.rows_billed
    run = other.run(max_credits=0)
    assert len(other.target.rows) == 120
    assert run.lines("WARNING") == []
    assert run.metrics["jobo_sync_complete"] == 0
    wider = Warehouse(tap).run(max_credits=0, country_codes=["DE"])  # it has read these, too
    assert wider.metrics["jobo_rows_loaded"] == 120
    assert tap.sandbox.rows_billed == billed
    assert other.rows_billed() == 1


def test_a_run_that_only_loads_waits_for_no_other_run(tap: Tap) -> None:
    Warehouse(tap).run()
    with Folder(tap.folder / "archive").lock(pages_key(tap), "career_sites"):
        run = tap.succeed(max_credits=0)
    assert len(run.ids) == 120


def test_a_question_is_a_warning_if_nothing_may_be_bought(tap: Tap) -> None:
    Warehouse(tap).run(country_codes=["DE"])
    other = Warehouse(tap)
    billed = tap.sandbox.rows_billed
    run = other.run(max_credits=0)
    assert run.codes("WARNING") == ["filters-changed"]
    assert 0 < run.metrics["jobo_rows_loaded"] == len(other.target.rows)
    assert tap.sandbox.rows_billed == billed


def test_verify_reads_every_page(warehouse: Warehouse) -> None:
    tap, folder = warehouse.tap, warehouse.tap.folder / "archive"
    assert "3 of 3 pages can be read" in succeeded(archive_command(tap, "verify")).stdout
    damage(pages(folder)[1])
    for streams in [], ["career_sites"]:
        run = archive_command(tap, "verify", *streams)
        assert run.returncode == 1
        assert "2 of 3 pages can be read" in run.stdout
        assert "Page 2 of career_sites is damaged" in run.stderr


def test_a_backup_is_verified_where_it_is(warehouse: Warehouse, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    (warehouse.tap.folder / "archive").rename(backup)
    command = [str(ARCHIVE_COMMAND), "--archive-dir", str(backup), "verify", "career_sites"]
    assert "3 of 3" in succeeded(execute(command, warehouse.tap.environment())).stdout


def test_another_name_of_the_host_is_a_warning_before_everything_is_bought(
    warehouse: Warehouse,
) -> None:
    tap = warehouse.tap
    tap.settings["api_url"] = tap.sandbox.url.replace("127.0.0.1", "localhost")
    run = tap.run()
    (line,) = run.messages_of("WARNING", "other-address")
    for part in ("127.0.0.1-", "localhost-", "$50.00 per 1,000 rows"):
        assert part in line
    assert "other-address" not in tap.run(state=run.state).codes("WARNING")


def pages_key(tap: Tap) -> str:
    """The name of the key of the only archive."""
    (name,) = all_keys(Folder(tap.folder / "archive"))
    return name
