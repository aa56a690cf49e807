"""A Meltano project against a sandbox and a Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobo_sandbox import Sandbox
from jobo_sandbox.postgres import running_postgres
from tests.support.meltano import Project
from tests.support.repository import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def project_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder, whose plugins are installed once."""
    folder = tmp_path_factory.mktemp("project")
    text = (REPOSITORY / "meltano.yml").read_text()
    (folder / "meltano.yml").write_text(text.replace("pip_url: -e .", f"pip_url: -e {REPOSITORY}"))
    return folder


@pytest.fixture(scope="module")
def postgres_port(open_folder: Path) -> Iterator[int]:
    """A Postgres, by its port."""
    with running_postgres(open_folder / "data") as port:
        yield port


@pytest.fixture
def project(
    project_folder: Path, postgres_port: int, request: pytest.FixtureRequest
) -> Iterator[Project]:
    """A sandbox of 300 companies, and a schema and a state of the test's own."""
    with Sandbox(size=300, seed=1) as sandbox:
        name = request.node.name.removeprefix("test_")[:40]
        yield Project(project_folder, postgres_port, sandbox, name)
