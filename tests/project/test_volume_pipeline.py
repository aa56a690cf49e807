"""`meltano run` in containers where all that lasts is a volume: see docs/run/containers.md."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tests.support.meltano import IN_A_BUCKET, PIPELINE, Project

pytestmark = pytest.mark.exhaustive


def test_state_and_archive_last_on_a_volume(
    plugins: Path, postgres_port: int, tmp_path: Path
) -> None:
    volume = tmp_path / "data"
    volume.mkdir()
    variables = {
        "MELTANO_STATE_BACKEND_URI": f"file://{volume}/state",  # also overrides the definition's
        "TAP_JOBO_ARCHIVE_DIR": f"{volume}/archive",
    }
    with Sandbox(size=300, seed=1) as sandbox:
        first, second, third = (
            Project.make(
                IN_A_BUCKET,
                plugins,
                tmp_path / name,
                postgres_port,
                sandbox,
                "on_a_volume",
                variables,
            )
            for name in ("first", "second", "third")
        )
        first.run_and_kill(*PIPELINE, at_request=3)
        shutil.rmtree(first.folder)
        assert "from the archive" in second.run().stderr
        assert second.is_current()
        assert sandbox.rows_billed <= 300 + 50
        assert list(volume.glob("state/*/state.json"))
        shutil.rmtree(second.folder)

        billed = sandbox.rows_billed
        assert "from the archive" not in third.run().stderr
        assert sandbox.rows_billed == billed
