"""A Meltano project against a sandbox and a Postgres."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from filelock import FileLock

from jobo_sandbox import Sandbox
from jobo_sandbox.postgres import running_postgres
from tests.support import succeed
from tests.support.meltano import Project, install_plugins
from tests.support.repository import REPOSITORY
from tests.support.warehouses import Postgres

MakeOnce = Callable[[str, Callable[[Path], object]], Path]
"""Makes a folder of a name with a function, once for all workers, and returns it."""


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> MakeOnce:
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder = shared / name
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                fill(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def plugins(make_once: MakeOnce) -> Path:
    """A project folder whose plugins are installed."""
    return make_once("image", install_plugins)


@pytest.fixture(scope="session")
def wheel(make_once: MakeOnce) -> Path:
    """The wheel of the tap."""

    def build(folder: Path) -> None:
        command = ["uv", "build", "--wheel", "--out-dir", str(folder), str(REPOSITORY)]
        succeed(command, os.environ)

    (wheel,) = make_once("dist", build).glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def postgres_port() -> Iterator[int]:
    """A Postgres, by its port."""
    with (
        TemporaryDirectory(prefix="tap-jobo-") as folder,  # not pytest's own, closed to others
        running_postgres(Path(folder, "data")) as port,
    ):
        server = Postgres.on(port, Path(folder))  # whose machine never loses power
        server.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield port


@pytest.fixture
def project(
    plugins: Path, postgres_port: int, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Project]:
    """The repository's project, and a schema of the test's own.

    By default, there are 150 companies with 120 jobs.
    """
    size, jobs = getattr(request, "param", (150, 120))
    with Sandbox(size=size, jobs=jobs, seed=1) as sandbox:
        name = request.function.__name__.removeprefix("test_")[:40]
        project = Project(tmp_path / "project", postgres_port, sandbox, name)
        project.make(plugins)
        yield project


@pytest.fixture
def postgres(postgres_port: int, tmp_path: Path) -> Postgres:
    """A new database, always of the same name, so that what dbt parsed stays valid."""
    server = Postgres.on(postgres_port, tmp_path)
    server.execute("DROP DATABASE IF EXISTS jobo WITH (FORCE)", "CREATE DATABASE jobo")
    return Postgres.on(postgres_port, tmp_path, "jobo")
