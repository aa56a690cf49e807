"""What a team does in its first month, with the bills that the documentation states."""

import json
from pathlib import Path

import pytest

from tests.support.docs import block
from tests.support.meltano import PIPELINE, Project

pytestmark = [
    pytest.mark.exhaustive,
    # The sandbox that the documentation shows.
    pytest.mark.parametrize("project", [(300, 600)], indirect=True, ids=["300 companies"]),
]

EVERYTHING = 15_000
"""Credits of the 300 career sites: $15.00."""
GERMANY = {"TAP_JOBO_COUNTRY_CODES": '["DE"]'}


def test_two_environments_have_one_bill_also_if_one_narrows_its_filters(project: Project) -> None:
    project.run_block("two-environments")
    project.run("--environment=dev", *PIPELINE, env=GERMANY)
    project.run("--environment=prod", *PIPELINE)
    project.run("--environment=dev", *PIPELINE)
    assert project.is_current()
    assert project.sandbox.credits_billed == EVERYTHING


def test_what_is_lost_or_moves_is_loaded_again_and_a_restart_buys_it_once(project: Project) -> None:
    project.run()
    project.query("DROP TABLE career_sites")
    assert "$15.00 not billed again" in project.run_block("full-refresh").stderr
    assert project.is_current()
    project.query("ALTER TABLE career_sites DROP COLUMN summary")
    project.run_block("full-refresh")
    assert project.is_current()
    project.run("run", "tap-jobo", "target-jsonl")
    (file,) = project.folder.glob("**/career_sites*.jsonl")
    assert len(file.read_text("utf-8").splitlines()) == 300
    assert project.sandbox.credits_billed == EVERYTHING

    project.run("invoke", "tap-jobo:archive", "restart", "career_sites", "--yes")
    for _ in range(2):
        project.run()
        assert project.is_current()
        assert project.sandbox.credits_billed == 2 * EVERYTHING

    other = f"{project.name}_later"
    move = block("set-schema").replace("public.", f"{project.name}.").replace("jobo;", f"{other};")
    project.query(move)
    project.sandbox.world.touch(next(iter(project.sandbox.world.rows())), summary="Changed since.")
    project.name = other
    project.run_block("new-schema")
    assert project.is_current()
    assert project.sandbox.credits_billed == 2 * EVERYTHING + 50


def test_one_stream_is_loaded_alone_and_the_bill_of_a_week_gives_that_of_a_month(
    project: Project,
) -> None:
    streams = {"TAP_JOBO__SELECT": '["career_sites.*", "jobs.*", "billed_pages.*"]'}
    project.run(env=streams)
    assert "$15.00 billed" in project.run("invoke", "tap-jobo:archive", "list").stdout
    billed = project.sandbox.credits_billed
    before = project.query("SELECT max(_sdc_batched_at) AS last FROM jobs")
    project.query("DROP TABLE career_sites")
    project.run_block("one-stream")
    assert project.is_current()
    assert project.query("SELECT max(_sdc_batched_at) AS last FROM jobs") == before
    assert project.sandbox.credits_billed == billed

    for company in list(project.sandbox.world.rows())[:40]:
        project.sandbox.world.touch(company)
    changed = next(iter(project.sandbox.world.jobs()))
    project.sandbox.world.touch_job(changed, title="Changed since")
    project.run_block("spread", streams)
    assert project.sandbox.credits_billed == billed + 40 * 50 + 3
    assert project.table("jobs")[changed]["title"] == "Changed since"
    assert "$2.00 a day for changes" in project.run_block("plan-month", streams).stdout


def test_ten_dollars_are_kept_and_narrower_filters_cost_their_rows(project: Project) -> None:
    """A limit that ends a sync early is an alert, although the run succeeds."""
    assert "sync not complete" in project.run_block("ten-dollars").stderr
    assert len(project.query(block("look-at-ten-dollars"))) > 10
    assert project.sandbox.credits_billed == 10_000
    run = project.meltano(*PIPELINE, env=GERMANY)
    assert run.returncode == 1
    assert "filters-changed" in run.stderr
    assert project.sandbox.credits_billed == 10_000
    project.run(env=GERMANY | {"TAP_JOBO_ON_FILTER_CHANGE": "resync"})
    assert project.sandbox.credits_billed == 11_500

    alert = "A limit ended a sync early."
    for limit, is_early in (("2500", True), ("2500", False)):
        log = project.run_block("alert-complete", {"TAP_JOBO_MAX_CREDITS": limit}).stdout
        assert (alert in log) is is_early
    assert project.is_current()
    assert project.sandbox.credits_billed == 11_500 + 5_000


def test_jobs_later_are_estimated_for_the_price_of_a_row(project: Project) -> None:
    project.run(env=GERMANY)
    assert project.sandbox.credits_billed == 1_500
    log = project.run_block("estimate-jobs", GERMANY)
    assert "about 600 jobs match: $1.80" in log.stdout + log.stderr
    assert project.sandbox.credits_billed == 1_503
    project.run(env=GERMANY | {"TAP_JOBO__SELECT": '["career_sites.*", "jobs.*"]'})
    assert project.sandbox.credits_billed == 1_503 + 1_800


def test_without_meltano_the_files_of_the_pages_work(project: Project, tmp_path: Path) -> None:
    project.run_block("dotenv")
    project.run()
    assert project.sandbox.credits_billed == 10_000
    project.run()
    (project.folder / "archive" / "tap-jobo").rename(tmp_path / "archive")
    config = json.loads(block("config-json"))
    config |= {"api_key": project.sandbox.api_key, "api_url": project.sandbox.url}
    del config["country_codes"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    project.folder = tmp_path
    assert "6 pages from the archive, free" in project.run_block("config-env").stdout
    project.run_block("buyer")
    project.run_block("adopt")
    (tmp_path / "archive").rename(tmp_path / "tap-jobo")
    (tmp_path / "archive").mkdir()
    (tmp_path / "tap-jobo").rename(tmp_path / "archive" / "tap-jobo")
    project.run_block("analyst")
    assert len((tmp_path / "career_sites.jsonl").read_text("utf-8").splitlines()) == 300
    assert project.sandbox.credits_billed == EVERYTHING
