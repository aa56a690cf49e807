"""The project of examples/kubernetes: `meltano run` where all that lasts is a bucket."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tests.support.meltano import IN_A_BUCKET, PIPELINE, Project
from tests.support.s3 import S3, serve_moto

pytestmark = pytest.mark.exhaustive


def test_lost_machines_cost_the_pages_in_flight(
    plugins: Path, postgres_port: int, tmp_path: Path
) -> None:
    with serve_moto() as s3, Sandbox(size=300, seed=1) as sandbox:
        containers = (
            _container(tmp_path / str(number), plugins, postgres_port, sandbox, s3)
            for number in range(4)
        )
        for request in (3, 2):
            lost = next(containers)
            lost.run_and_kill(*PIPELINE, at_request=request)
            shutil.rmtree(lost.folder)
            s3.delete("/leases/")  # as if the minute were over
        last = next(containers)
        log = last.run().stderr
        assert "from the archive" in log
        assert last.is_current()
        assert sandbox.rows_billed <= 300 + 2 * 50
        assert any(key.startswith("state/") for key in s3.keys)

        billed = sandbox.rows_billed
        assert "from the archive" not in next(containers).run().stderr
        assert sandbox.rows_billed == billed


def _container(folder: Path, plugins: Path, port: int, sandbox: Sandbox, s3: S3) -> Project:
    """A container of the image, with a disk of its own."""
    variables = {
        **s3.env,
        "JOBO_BUCKET": f"s3://{s3.bucket}",
        "MELTANO_STATE_BACKEND_S3_ENDPOINT_URL": s3.address,
    }
    return Project.make(IN_A_BUCKET, plugins, folder, port, sandbox, "in_a_bucket", variables)
