"""All streams through Meltano into a real Postgres, and the extractor that runs every half hour."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml
from psycopg.rows import dict_row

from jobo_sandbox import Sandbox
from tests.support.companies import FIELDS, OBJECTS, expected_profile
from tests.support.docs import block
from tests.support.jobs import STREAMS
from tests.support.meltano import PIPELINE, Project
from tests.support.repository import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support import Run

SELECT = {"TAP_JOBO__SELECT": json.dumps([f"{stream}.*" for stream in STREAMS])}
FREQUENT = ("run", "tap-jobo-frequent", "target-postgres")


@pytest.fixture
def hiring(
    project_folder: Path, postgres_port: int, request: pytest.FixtureRequest
) -> Iterator[Project]:
    """A sandbox of 30 companies with 120 jobs, and a schema and a state of the test's own."""
    with Sandbox(size=30, jobs=120, seed=1) as sandbox:
        name = request.node.name.removeprefix("test_")[:40]
        yield Project(project_folder, postgres_port, sandbox, name)


def run(project: Project, *command: str, **variables: str) -> Run:
    done = project.meltano(*command, env=variables)
    assert done.returncode == 0, done.stderr
    return done


def table(project: Project, name: str) -> dict[str, dict[str, Any]]:
    with psycopg.connect(project.url.replace("+psycopg", ""), row_factory=dict_row) as database:
        rows = database.execute(f'SELECT * FROM "{project.name}"."{name}"').fetchall()
    return {str(row["id"]): row for row in rows}


def test_five_streams_fill_five_tables(hiring: Project) -> None:
    world, sandbox = hiring.sandbox.world, hiring.sandbox
    run(hiring, *PIPELINE, **SELECT)
    tables = {stream: table(hiring, stream) for stream in STREAMS}
    assert tables["career_sites"].keys() == tables["companies"].keys() == world.rows().keys()
    assert tables["jobs"].keys() == world.jobs().keys()
    assert tables["managed_jobs"].keys() == world.managed_jobs().keys()
    assert tables["expired_jobs"].keys() <= world.expired_jobs().keys()
    assert tables["expired_jobs"]
    company = next(iter(world.rows()))
    profile = expected_profile(sandbox, company)
    named = {name: tables["companies"][company][name] for name in ("name", *OBJECTS)}
    assert named == {name: profile[name] for name in named}
    assert tables["companies"][company].keys() >= FIELDS.keys()
    nested = ("company", "locations", "compensation", "qualifications", "benefits", "title")
    for key, row in world.jobs().items():
        stored = tables["jobs"][key]
        assert {name: stored[name] for name in nested} == {name: row[name] for name in nested}
        assert row["company"]["id"] in tables["companies"]

    billed = sandbox.rows_billed
    managed = set(world.managed_jobs())
    changed, gone = next(iter(managed)), next(iter(world.jobs().keys() - managed))
    world.touch_job(changed, title="Changed since")
    world.expire_job(gone)
    site = next(iter(world.rows()))
    world.touch(site, summary="Changed since.")
    second = run(hiring, *PIPELINE, **SELECT)
    assert sandbox.rows_billed == billed + 3  # the site, the job, the managed job
    assert table(hiring, "career_sites")[site]["summary"] == "Changed since."
    assert table(hiring, "jobs")[changed]["title"] == "Changed since"
    assert table(hiring, "managed_jobs")[changed]["title"] == "Changed since"
    expired, job = table(hiring, "expired_jobs")[gone], table(hiring, "jobs")[gone]
    assert expired["reported_at"] > job["updated_at"]
    assert "1 row in 1 page" in second.stderr + second.stdout


def test_frequent_extractor_has_a_state_of_its_own(hiring: Project) -> None:
    """The name `tap-jobo-jobs` would take `TAP_JOBO_JOBS_BATCH_SIZE` for its `batch_size`."""
    sandbox = hiring.sandbox
    run(hiring, *FREQUENT, TAP_JOBO_JOBS_BATCH_SIZE="70")
    assert {entry.endpoint for entry in sandbox.ledger} >= {"jobs", "expired_jobs"}
    assert not sandbox.feed_requests
    first, *others = sandbox.requests_to("jobs")
    assert first.body == {"batch_size": 70}
    assert len(others) == 1
    assert table(hiring, "jobs").keys() == sandbox.world.jobs().keys()
    run(hiring, *PIPELINE)
    states = run(hiring, "state", "list").stdout
    assert "dev:tap-jobo-frequent-to-target-postgres" in states
    assert "dev:tap-jobo-to-target-postgres" in states

    billed = sandbox.rows_billed
    assert billed == 30 + 120
    sandbox.world.add_job()
    run(hiring, *FREQUENT)
    assert sandbox.rows_billed == billed + 1
    assert table(hiring, "jobs").keys() == sandbox.world.jobs().keys()


# The SQL of docs/how-to/job-board.md


def query(project: Project, sql: str, *values: object) -> list[dict[str, Any]]:
    url = project.url.replace("+psycopg", "")
    options = f"-c search_path={project.name} -c timezone=UTC"
    with psycopg.connect(url, options=options, row_factory=dict_row) as database:
        cursor = database.execute(sql.encode(), values)
        return cursor.fetchall() if cursor.description else []


def current_jobs(project: Project) -> set[str]:
    return {str(row["id"]) for row in query(project, block("open-jobs"))}


def test_recipe_keeps_a_job_board_current(hiring: Project) -> None:
    world, sandbox = hiring.sandbox.world, hiring.sandbox
    small = {"TAP_JOBO_MAX_CREDITS": "150", "TAP_JOBO_JOBS_BATCH_SIZE": "50"}
    runs = 0
    output = ""
    while "Summary: jobs" not in output or "sync complete" not in _summary(output):
        done = run(hiring, *FREQUENT, **small)
        output = done.stdout + done.stderr
        world.expire_job(next(key for key in world.jobs() if key in table(hiring, "jobs")))
        runs += 1
        assert runs < 10
    assert runs > 1
    assert sandbox.credits_billed <= runs * 150

    returns, leaves, *_ = (key for key in table(hiring, "jobs") if key in world.jobs())
    # The API may omit it.
    query(hiring, "UPDATE jobs SET updated_at = NULL WHERE id = %s", leaves)
    for key in (returns, leaves):
        world.expire_job(key)
    run(hiring, *FREQUENT)
    assert {returns, leaves}.isdisjoint(current_jobs(hiring))
    assert current_jobs(hiring) == world.jobs().keys()

    world.touch_job(returns, title="Open again")
    added = world.add_job()
    run(hiring, *FREQUENT)
    assert {returns, added} <= current_jobs(hiring) == world.jobs().keys()
    assert leaves in table(hiring, "jobs")

    query(hiring, block("delete-expired"))
    assert table(hiring, "jobs").keys() == world.jobs().keys()
    world.touch_job(leaves, title="Open again")
    run(hiring, *FREQUENT)
    assert leaves in current_jobs(hiring)


def _summary(output: str) -> str:
    return next(line for line in output.splitlines() if "Summary: jobs" in line)


def test_full_refresh_of_the_recipe_finds_lost_expiries(hiring: Project) -> None:
    world = hiring.sandbox.world
    run(hiring, *FREQUENT)
    lost = next(iter(world.jobs()))
    world.expire_job(lost, at=datetime.now(UTC) - timedelta(days=8))
    run(hiring, *FREQUENT)
    assert lost in table(hiring, "jobs")
    (clock,) = query(hiring, "SELECT now()::timestamp AS start")
    refresh = ("run", "--full-refresh", "tap-jobo-frequent", "target-postgres")
    run(hiring, *refresh, TAP_JOBO_ON_MISSING_STATE="resync")
    query(hiring, block("delete-lost").replace(":start", "%s"), clock["start"])
    assert table(hiring, "jobs").keys() == world.jobs().keys()


@pytest.mark.parametrize("file", ["meltano.yml", "plugin.yaml"])
def test_definition_has_a_line_to_select_each_stream(file: str) -> None:
    lines = [line.strip() for line in (REPOSITORY / file).read_text("utf-8").splitlines()]
    assert "- career_sites.*" in lines
    for stream in STREAMS[1:]:
        assert any(line.startswith(f"# - {stream}.* # ") for line in lines), stream


def test_jobs_are_scheduled_every_half_hour() -> None:
    project = yaml.safe_load((REPOSITORY / "meltano.yml").read_text("utf-8"))
    _, frequent = project["plugins"]["extractors"]
    assert frequent["name"] == "tap-jobo-frequent"
    assert frequent["select"] == ["jobs.*", "expired_jobs.*"]
    jobs = {job["name"]: job["tasks"] for job in project["jobs"]}
    (schedule,) = (each for each in project["schedules"] if each["interval"] == "*/30 * * * *")
    assert jobs[schedule["job"]] == ["tap-jobo-frequent target-postgres"]
