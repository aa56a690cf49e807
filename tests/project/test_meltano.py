"""`meltano run tap-jobo target-postgres`, into a real Postgres."""

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from singer_sdk.helpers.capabilities import PluginCapabilities

from tap_jobo.streams.career_sites import FILTERS
from tests.support import (
    ARCHIVE_COMMAND,
    COMMAND,
    STREAMS,
    Run,
    environment,
    execute,
    succeed,
    tap_of,
)
from tests.support.docs import block
from tests.support.meltano import PIPELINE, Project
from tests.support.pipeline import load
from tests.support.repository import REPOSITORY

SELECT = {"TAP_JOBO__SELECT": json.dumps([f"{stream}.*" for stream in STREAMS])}
STATE = "dev:tap-jobo-to-target-postgres"
"""The id of the pipeline's state."""


@pytest.mark.slow
def test_a_run_loads_every_stream(project: Project) -> None:
    world = project.sandbox.world
    log = [*map(json.loads, project.run_block("json-log", SELECT).stderr.splitlines())]
    example = json.loads(block("json-metric"))
    wanted = example["metric_info"] | {"value": 7_500}
    (line,) = (each for each in log if each.get("metric_info") == wanted)
    documented = ("name", "level", "event")
    assert [line[name] for name in documented] == [example[name] for name in documented]
    assert project.is_current()
    tables = {stream: project.table(stream) for stream in STREAMS}
    assert tables["companies"].keys() == world.rows().keys()
    assert tables["jobs"].keys() == world.jobs().keys()
    assert tables["managed_jobs"].keys() == world.managed_jobs().keys()
    assert tables["expired_jobs"].keys() <= world.expired_jobs().keys()
    assert tables["expired_jobs"]
    credits_ = sum(page["credits"] for page in tables["billed_pages"].values())
    assert credits_ == project.sandbox.credits_billed
    fintech = [row["ats"] for row in world.rows().values() if "fintech" in row["industries"]]
    answer = {row["ats"]: row["companies"] for row in project.query(block("first-query"))}
    assert answer == Counter(fintech)
    assert len(project.query(block("changed-query"))) == 150


@pytest.mark.exhaustive
def test_kills_cost_the_pages_in_flight_and_the_table_of_bills_has_all_others(
    project: Project,
) -> None:
    """`config test` counts if it names the environment: Meltano ignores the default one."""
    sandbox = project.sandbox
    env = {"TAP_JOBO__SELECT": json.dumps(["billed_pages.*", "career_sites.*", "jobs.*"])}
    env |= {"TAP_JOBO_BATCH_SIZE": "20", "TAP_JOBO_JOBS_BATCH_SIZE": "50"}
    project.run("--environment=dev", "config", "test", "tap-jobo", env=env)
    assert sandbox.rows_billed > 0
    in_flight = 0
    for plugin in ("tap-jobo", "target-postgres"):
        project.run_and_kill(*PIPELINE, plugin=plugin, env=env)
        in_flight += sandbox.feed_requests[-1].credits  # Meltano kills the tap, too
    project.run_block("force", {**env, "TAP_JOBO_MAX_CREDITS": "2000"})
    project.run_block("cap", env)
    assert project.is_current()
    assert 150 + 120 <= sandbox.rows_billed <= 150 + 120 + 2 * 20
    days = project.query(block("spend"))
    assert {day["stream"] for day in days} == {"career_sites", "jobs"}
    assert all(day["is_confirmed"] for day in days)
    billed = 1_000 * sum(day["dollars"] for day in days)
    assert sandbox.credits_billed - in_flight <= billed <= sandbox.credits_billed

    before = sandbox.rows_billed
    refresh = ("run", "--full-refresh", *PIPELINE[1:])
    project.run_and_kill(*refresh, plugin="tap-jobo", env=env)
    sandbox.world.touch(next(iter(sandbox.world.rows())), summary="Changed since.")
    project.run(env=env)
    state = json.loads(project.run("state", "get", STATE).stdout)["singer_state"]
    assert state["bookmarks"]["career_sites"]["position"]["progress"] == []
    assert project.is_current()
    assert before < sandbox.rows_billed <= before + 2  # the row that changed, once in each run


@pytest.mark.exhaustive
def test_variables_are_read_or_refused_but_never_ignored(project: Project) -> None:
    """Also those of a parent, of `.env`, and those that the plugin's own values override.

    Meltano must not turn invalid ones into false, today's date, or no filter.
    """
    sandbox = project.sandbox
    variables = {
        "TAP_JOBO_IS_AGENCY": "ja",
        "TAP_JOBO_START_DATE": "2 days ago",
        "TAP_JOBO_JOBS_POSTED_AFTER": "",
        "TAP_JOBO_COUNTRY_CODES": "[]",
        "TAP_JOBO_MAX_CREDIT": "100",
    }
    run = project.meltano(*PIPELINE, env=variables)
    assert run.returncode != 0
    for line in (
        r"'is_agency' .* \[invalid-setting\]",
        r"'start_date' .* \[invalid-setting\]",
        r"'jobs_posted_after' .* \[invalid-setting\]",
        r"'country_codes' .* \[invalid-setting\]",
        r"TAP_JOBO_MAX_CREDIT .* TAP_JOBO_MAX_CREDITS\? \[ignored-variable\]",
    ):
        assert re.search(line, run.stderr + run.stdout)
    file = project.folder / "meltano.yml"
    text = file.read_text("utf-8")
    file.write_text(text.replace("- name: max_credits\n", "- name: other_name\n"))
    for plugin in ("tap-jobo", "tap-jobo-frequent"):
        # Otherwise, it would spend without the limit that it is meant to set.
        limit = {"TAP_JOBO_MAX_CREDITS": "2500"}
        run = project.meltano("run", plugin, "target-postgres", env=limit)
        assert run.returncode != 0
        output = run.stderr + run.stdout
        assert re.search(r"TAP_JOBO_MAX_CREDITS\..*\[ignored-variable\]", output)
    file.write_text(text)
    assert not sandbox.ledger

    (project.folder / ".env").write_text("TAP_JOBO_BATCH_SIZE=40\nTAP_JOBO_MAX_CREDITS=90000\n")
    project.run("config", "set", "tap-jobo-frequent", "is_agency", "false")
    variables = {
        "TAP_JOBO_IS_AGENCY": "yes",
        "TAP_JOBO_COUNTRY_CODES": '["DE", "AT"]',
        "TAP_JOBO_START_DATE": "2020-01-01",
        "TAP_JOBO_STREAM_MAPS": '{"jobs": {"title": "md5(title)"}}',
        "TAP_JOBO_FREQUENT_MAX_CREDITS": "50000",
        "TAP_JOBO_FREQUENT_JOBS_BATCH_SIZE": "70",
    }
    project.run_block("first-sync-of-jobs", variables)
    # The name `tap-jobo-jobs` would take `TAP_JOBO_JOBS_BATCH_SIZE` for its `batch_size`.
    assert not sandbox.feed_requests
    first, *others = sandbox.requests_to("jobs")
    assert first.body == {"batch_size": 70, "updated_after": "2020-01-01T00:00:00.000000Z"}
    assert len(others) == 1
    assert project.table("jobs").keys() == sandbox.world.jobs().keys()
    assert sandbox.credits_billed == 3 * 120
    project.run_block("change")
    assert sandbox.feed_requests[0].body["country_codes"] == ["AT", "DE"]
    assert sandbox.feed_requests[0].body["batch_size"] == 40
    states = project.run("state", "list").stdout
    assert "dev:tap-jobo-frequent-to-target-postgres" in states
    assert STATE in states


def test_definitions_say_what_about_says(tmp_path: Path) -> None:
    command = [str(COMMAND), "--about", "--format", "json"]
    about = json.loads(execute(command, environment(tmp_path)).stdout)
    plugins = yaml.safe_load((REPOSITORY / "meltano.yml").read_text("utf-8"))["plugins"]
    project = plugins["extractors"][0]
    plugin = yaml.safe_load((REPOSITORY / "plugin.yaml").read_text("utf-8"))
    (variant,) = plugin.pop("variants")
    plugin = variant | plugin
    del project["pip_url"]
    assert {name: plugin[name] for name in project} == project
    assert plugin["name"] == plugin["pip_url"] == about["name"]
    assert plugin["supported_python_versions"] == about["supported_python_versions"]

    properties = about["settings"]["properties"]
    for each in properties.values():
        assert not re.search(r"\.\s*\.|^$", each["description"])  # the Hub's tools parse sentences
    assert about["settings"]["required"] == ["api_key"]
    assert not any("default" in properties[setting.name] for setting in FILTERS)
    assert plugin["capabilities"] == about["capabilities"]
    assert PluginCapabilities.BATCH.value not in plugin["capabilities"]
    assert plugin["settings_group_validation"] == [about["settings"]["required"]]


@pytest.mark.exhaustive
def test_recipe_keeps_a_job_board_current(project: Project) -> None:
    """The SQL of docs/query/jobs.md."""
    world, sandbox = project.sandbox.world, project.sandbox

    def current_jobs() -> set[str]:
        return {str(row["id"]) for row in project.query(block("open-jobs"))}

    tap, state = tap_of(sandbox, project.folder, "jobs", "expired_jobs"), None

    def run(**settings: Any) -> Run:
        """As Meltano does, which is slower."""
        nonlocal state
        run = tap.succeed(state=state, **settings)
        database = {"sqlalchemy_url": project.url, "default_target_schema": project.name}
        load(run, "target-postgres", database, project.folder)
        state = run.state
        return run

    for summary in ("sync not complete", "sync complete"):
        assert summary in run(max_credits=240, jobs_batch_size=80).summaries["jobs"]
        world.expire_job(next(key for key in world.jobs() if key in project.table("jobs")))

    returns, leaves, lost, *_ = (key for key in project.table("jobs") if key in world.jobs())
    # The API may omit it.
    project.query("UPDATE jobs SET updated_at = NULL WHERE id = %s", leaves)
    for key in (returns, leaves):
        world.expire_job(key)
    run()
    assert {returns, leaves}.isdisjoint(current_jobs())
    assert current_jobs() == world.jobs().keys()

    world.touch_job(returns, title="Open again")
    added = world.add_job()
    world.expire_job(lost, at=datetime.now(UTC) - timedelta(days=8))
    run()
    assert {returns, added, lost} <= current_jobs() == world.jobs().keys() | {lost}
    assert leaves in project.table("jobs")

    project.query(block("delete-expired"))
    assert project.table("jobs").keys() == world.jobs().keys() | {lost}
    world.touch_job(leaves, title="Open again")
    (clock,) = project.query(block("newest-batch"))
    restart = [str(ARCHIVE_COMMAND), "restart", "jobs", "--yes"]
    archive = {"TAP_JOBO_ARCHIVE_DIR": str(project.folder / "archive")}
    succeed(restart, tap.environment(archive))
    run()
    assert leaves in current_jobs()
    project.query(block("delete-lost").replace(":start", "%s"), clock["max"])
    assert project.table("jobs").keys() == world.jobs().keys()
