"""`singer-check-tap`, the conformance check of the Singer community, on a sync of all streams."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from uv import find_uv_bin

from jobo_sandbox import Sandbox
from tests.support import discover
from tests.support.jobs import STREAMS, tap_of

if TYPE_CHECKING:
    from pathlib import Path

# In an environment of its own: it needs versions of its dependencies from 2016.
COMMAND = [find_uv_bin(), "tool", "run", "--quiet", "--from", "singer-tools==0.4.1"]


@pytest.fixture
def output(tmp_path: Path) -> str:
    """What the tap writes in a sync of all streams."""
    with Sandbox(size=20, jobs=60) as sandbox:
        run = tap_of(sandbox, tmp_path, discover(tmp_path), *STREAMS).run()
    assert run.returncode == 0, run.stderr
    return run.stdout


def _check(output: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "singer-check-tap"],
        input=output,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_sync_conforms_to_the_singer_specification(output: str, tmp_path: Path) -> None:
    check = _check(output, tmp_path)
    assert check.returncode == 0, check.stderr
    assert "The output is valid." in check.stdout
    assert f"messages for {len(STREAMS)} streams." in check.stdout


def test_the_check_would_notice_an_invalid_record(output: str, tmp_path: Path) -> None:
    check = _check(output.replace('"name":"', '"name":7,"_":"', 1), tmp_path)
    assert check.returncode == 1
    assert "7 is not of type" in check.stderr
