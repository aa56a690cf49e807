"""The project of examples/kubernetes: `meltano run` where all that lasts is a bucket."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from jobo_sandbox import Fault, Hold, Sandbox
from tests.support import Run, execute
from tests.support.crash import wait_until_quiet
from tests.support.meltano import PIPELINE, environment
from tests.support.repository import REPOSITORY
from tests.support.s3 import S3, serve_s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_EXAMPLE = REPOSITORY / "examples/kubernetes/meltano.yml"
_INSTALLED = ("extractors", "loaders")


@dataclass
class Machine:
    """Makes containers of one image, each with a disk of its own.

    Attributes:
        image: The project folder with its plugins installed.
    """

    image: Path
    folder: Path
    sandbox: Sandbox
    s3: S3
    port: int
    count: int = field(default=0)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def env(self) -> dict[str, str]:
        return {
            **environment(),
            **self.s3.env,
            "JOBO_BUCKET": f"s3://{self.s3.bucket}",
            "MELTANO_STATE_BACKEND_S3_ENDPOINT_URL": self.s3.address,
            "TAP_JOBO_API_KEY": self.sandbox.api_key,
            "TAP_JOBO_API_URL": self.sandbox.url,
            "JOBO_TAP_PIP_URL": f"-e {REPOSITORY}[cloud]",
            "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": "in_a_bucket",
            "TARGET_POSTGRES_SQLALCHEMY_URL": self.url.replace("postgresql", "postgresql+psycopg"),
        }

    def container(self) -> Path:
        """A folder as the image has it."""
        self.count += 1
        folder = self.folder / f"container-{self.count}"
        (folder / ".meltano").mkdir(parents=True)
        shutil.copy(self.image / "meltano.yml", folder)
        for kind in _INSTALLED:
            (folder / ".meltano" / kind).symlink_to(self.image / ".meltano" / kind)
        return folder

    def run(self) -> Run:
        return execute(["meltano", *PIPELINE], self.env, cwd=self.container())

    def destroy_at(self, request: int) -> None:
        """Run, and destroy the container with all its files while a request is answered."""
        hold = Hold()
        self.sandbox.faults.add(Fault(hold=hold), on=len(self.sandbox.feed_requests) + request)
        folder = self.container()
        meltano = subprocess.Popen(
            ["meltano", *PIPELINE],
            env=self.env,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        hold.wait(60)
        parent = psutil.Process(meltano.pid)
        for process in [*parent.children(recursive=True), parent]:
            process.kill()
        meltano.wait()
        shutil.rmtree(folder)
        hold.release()
        wait_until_quiet(self.sandbox)
        self.s3.delete("/leases/")  # as if the minute were over

    def stored(self) -> set[str]:
        with psycopg.connect(self.url) as database:
            return {
                str(key) for (key,) in database.execute("SELECT id FROM in_a_bucket.career_sites")
            }


@pytest.fixture
def machine(tmp_path: Path, postgres_port: int) -> Iterator[Machine]:
    image = tmp_path / "image"
    image.mkdir()
    shutil.copy(_EXAMPLE, image)
    with serve_s3() as s3, Sandbox(size=300, seed=1) as sandbox:
        machine = Machine(image, tmp_path, sandbox, s3, postgres_port)
        install = execute(["meltano", "install"], machine.env, cwd=image)
        assert install.returncode == 0, install.stderr
        yield machine


def test_lost_machines_cost_the_pages_in_flight(machine: Machine) -> None:
    for request in (3, 2, 2):
        machine.destroy_at(request)
    last = machine.run()
    assert last.returncode == 0, last.stderr
    assert machine.stored() == machine.sandbox.world.rows().keys()
    assert machine.sandbox.rows_billed <= 300 + 3 * 50
    assert any(key.startswith("state/") for key in machine.s3.keys)

    billed = machine.sandbox.rows_billed
    again = machine.run()
    assert again.returncode == 0, again.stderr
    assert machine.sandbox.rows_billed == billed
    assert "Replaying" in last.stderr
    assert "Replaying" not in again.stderr
