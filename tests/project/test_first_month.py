"""What a team does in its first month, with the bills that the documentation states."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tests.support.docs import block
from tests.support.meltano import PIPELINE, Project
from tests.support.repository import REPOSITORY

pytestmark = pytest.mark.exhaustive

EVERYTHING = 15_000
"""Credits of the 300 career sites: $15.00."""


@pytest.fixture
def project(
    plugins: Path, postgres_port: int, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Project]:
    """The repository's project against the sandbox that the documentation shows."""
    with Sandbox(size=300, jobs=600, seed=1) as sandbox:
        name = request.node.name.removeprefix("test_")[:40]
        folder, definition = tmp_path / "project", REPOSITORY / "meltano.yml"
        yield Project.make(definition, plugins, folder, postgres_port, sandbox, name)


def test_two_environments_have_one_bill(project: Project) -> None:
    log = project.run_block("two-environments").stderr
    assert "loading 300 rows from the archive, $15.00 not billed again" in log
    assert project.is_current()
    assert project.sandbox.credits_billed == EVERYTHING


def test_a_dropped_table_or_column_is_loaded_again(project: Project) -> None:
    project.run()
    project.query("DROP TABLE career_sites")
    assert "$15.00 not billed again" in project.run_block("full-refresh").stderr
    assert project.is_current()
    project.query("ALTER TABLE career_sites DROP COLUMN summary")
    project.run_block("full-refresh")
    assert project.is_current()
    assert project.sandbox.credits_billed == EVERYTHING


def test_one_stream_is_loaded_alone(project: Project) -> None:
    both = {"TAP_JOBO__SELECT": '["career_sites.*", "jobs.*"]'}
    project.run(env=both)
    billed = project.sandbox.credits_billed
    before = project.query("SELECT max(_sdc_batched_at) AS last FROM jobs")
    project.query("DROP TABLE career_sites")
    log = project.run_block("one-stream").stderr
    print(log)
    assert project.is_current()
    assert project.query("SELECT max(_sdc_batched_at) AS last FROM jobs") == before
    assert project.sandbox.credits_billed == billed
    log = project.run(env=both).stderr
    print(log)
    assert project.sandbox.credits_billed == billed
    assert "from the archive" not in log
