"""All streams through Meltano into a real Postgres, and the extractor that runs every half hour."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.archive.helpers import archive_command
from tests.support.companies import FIELDS, OBJECTS, expected_profile
from tests.support.docs import block
from tests.support.meltano import PIPELINE, Project
from tests.support.pipeline import Pipeline

STREAMS = ("billed_pages", "career_sites", "companies", "expired_jobs", "jobs", "managed_jobs")
SELECT = {"TAP_JOBO__SELECT": json.dumps([f"{stream}.*" for stream in STREAMS])}


def test_each_stream_fills_its_table(project: Project) -> None:
    world, sandbox = project.sandbox.world, project.sandbox
    project.run(env=SELECT)
    tables = {stream: project.table(stream) for stream in STREAMS}
    assert tables["career_sites"].keys() == tables["companies"].keys() == world.rows().keys()
    assert tables["jobs"].keys() == world.jobs().keys()
    assert tables["managed_jobs"].keys() == world.managed_jobs().keys()
    assert tables["expired_jobs"].keys() <= world.expired_jobs().keys()
    assert tables["expired_jobs"]
    company = next(iter(world.rows()))
    profile = expected_profile(sandbox, company)
    named = {name: tables["companies"][company][name] for name in ("name", *OBJECTS.split())}
    assert named == {name: profile[name] for name in named}
    assert tables["companies"][company].keys() >= FIELDS.keys()
    nested = ("company", "locations", "compensation", "qualifications", "benefits", "title")
    for key, row in world.jobs().items():
        stored = tables["jobs"][key]
        assert {name: stored[name] for name in nested} == {name: row[name] for name in nested}
        assert row["company"]["id"] in tables["companies"]

    assert (
        sum(page["credits"] for page in tables["billed_pages"].values()) == sandbox.credits_billed
    )

    billed = sandbox.rows_billed
    managed = set(world.managed_jobs())
    changed, gone = next(iter(managed)), next(iter(world.jobs().keys() - managed))
    world.touch_job(changed, title="Changed since")
    world.expire_job(gone)
    site = next(iter(world.rows()))
    world.touch(site, summary="Changed since.")
    second = project.run(env=SELECT)
    assert sandbox.rows_billed == billed + 3  # the site, the job, the managed job
    assert project.table("career_sites")[site]["summary"] == "Changed since."
    assert project.table("jobs")[changed]["title"] == "Changed since"
    assert project.table("managed_jobs")[changed]["title"] == "Changed since"
    expired, job = project.table("expired_jobs")[gone], project.table("jobs")[gone]
    assert expired["reported_at"] > job["updated_at"]
    assert "1 row in 1 page" in second.stderr + second.stdout


@pytest.mark.exhaustive
def test_bill_in_postgres_agrees_with_the_ledger(project: Project) -> None:
    sandbox = project.sandbox
    env = {
        "TAP_JOBO__SELECT": json.dumps(["billed_pages.*", "career_sites.*", "jobs.*"]),
        "TAP_JOBO_BATCH_SIZE": "20",
        "TAP_JOBO_JOBS_BATCH_SIZE": "50",
    }
    project.run_and_kill(*PIPELINE, plugin="tap-jobo", at_request=4, env=env)
    in_flight = sandbox.feed_requests[-1].credits
    project.run(env={**env, "TAP_JOBO_MAX_CREDITS": "2000"})
    project.run_and_kill(*PIPELINE, plugin="target-postgres", at_request=2, env=env)
    in_flight += sandbox.feed_requests[-1].credits  # Meltano kills the tap, too
    for _ in range(2):
        project.run(env=env)
    days = project.query(block("spend"))
    assert {day["stream"] for day in days} == {"career_sites", "jobs"}
    assert all(day["is_confirmed"] for day in days)
    billed = 1_000 * sum(day["dollars"] for day in days)
    assert sandbox.credits_billed - in_flight <= billed <= sandbox.credits_billed
    assert sum(day["rows"] for day in days) >= 150 + 120


@pytest.mark.exhaustive
def test_frequent_extractor_has_a_state_of_its_own(project: Project) -> None:
    """The name `tap-jobo-jobs` would take `TAP_JOBO_JOBS_BATCH_SIZE` for its `batch_size`."""
    sandbox = project.sandbox
    project.run_block("first-sync-of-jobs", {"TAP_JOBO_JOBS_BATCH_SIZE": "70"})
    assert {entry.endpoint for entry in sandbox.ledger} >= {"jobs", "expired_jobs"}
    assert not sandbox.feed_requests
    first, *others = sandbox.requests_to("jobs")
    assert first.body == {"batch_size": 70}
    assert len(others) == 1
    assert project.table("jobs").keys() == sandbox.world.jobs().keys()
    project.run()
    assert sandbox.rows_billed == 150 + 120
    states = project.run("state", "list").stdout
    assert "dev:tap-jobo-frequent-to-target-postgres" in states
    assert "dev:tap-jobo-to-target-postgres" in states


@pytest.mark.exhaustive
def test_recipe_keeps_a_job_board_current(project: Project) -> None:
    """The SQL of docs/query/jobs.md."""
    world, sandbox = project.sandbox.world, project.sandbox

    def current_jobs() -> set[str]:
        return {str(row["id"]) for row in project.query(block("open-jobs"))}

    database = {"sqlalchemy_url": project.url, "default_target_schema": project.name}
    streams = ("jobs", "expired_jobs")
    pipeline = Pipeline(sandbox, "target-postgres", database, project.folder, streams)
    runs = 0
    summary = ""
    while "sync complete" not in summary:
        summary = pipeline.run(max_credits=240, jobs_batch_size=80).summaries["jobs"]
        world.expire_job(next(key for key in world.jobs() if key in project.table("jobs")))
        runs += 1
        assert runs < 10
    assert runs > 1
    assert sandbox.credits_billed <= runs * 240

    returns, leaves, lost, *_ = (key for key in project.table("jobs") if key in world.jobs())
    # The API may omit it.
    project.query("UPDATE jobs SET updated_at = NULL WHERE id = %s", leaves)
    for key in (returns, leaves):
        world.expire_job(key)
    pipeline.run()
    assert {returns, leaves}.isdisjoint(current_jobs())
    assert current_jobs() == world.jobs().keys()

    world.touch_job(returns, title="Open again")
    added = world.add_job()
    world.expire_job(lost, at=datetime.now(UTC) - timedelta(days=8))
    pipeline.run()
    assert {returns, added, lost} <= current_jobs() == world.jobs().keys() | {lost}
    assert leaves in project.table("jobs")

    project.query(block("delete-expired"))
    assert project.table("jobs").keys() == world.jobs().keys() | {lost}
    world.touch_job(leaves, title="Open again")
    (clock,) = project.query(block("newest-batch"))
    done = archive_command(pipeline.tap(), "restart", "jobs", "--yes")
    assert done.returncode == 0, done.stderr
    pipeline.run()
    assert leaves in current_jobs()
    project.query(block("delete-lost").replace(":start", "%s"), clock["max"])
    assert project.table("jobs").keys() == world.jobs().keys()
