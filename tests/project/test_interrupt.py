"""Ctrl-C in a run of the tests, or SIGINT to its first process alone: nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from jobo_sandbox.patience import patient
from tests.support.crash import wait_for
from tests.support.repository import REPOSITORY

TESTS = """
import os, sys
from pathlib import Path
from jobo_sandbox import Fault, Hold
from tests.project.conftest import postgres_port
from tests.support.process import environment, execute

def test_with_a_tap_and_postgres(tap, postgres_port):
    hold = Hold()
    tap.sandbox.faults.add(Fault(hold=hold))
    process = tap.start()
    hold.wait(60)
    Path(os.environ["BEGUN"], "tap").touch()
    process.wait()

def test_with_a_command_of_the_sandbox(open_folder):
    command = 'touch "$BEGUN/command"; exec sleep 1000'
    sandbox = [sys.executable, "-m", "jobo_sandbox", "sh", "-c", command]
    execute(sandbox, environment(open_folder), open_folder)
"""


def _started_with(folder: Path) -> list[psutil.Process]:
    """The processes that have this folder for temporary files."""
    each = psutil.process_iter(["environ"])
    return [one for one in each if (one.info["environ"] or {}).get("TMPDIR") == str(folder)]


@pytest.mark.exhaustive
def test_sigint_leaves_no_process_and_no_temporary_folder(
    open_folder: Path, tmp_path: Path
) -> None:
    temporary, begun = open_folder / "tmp", tmp_path / "begun"
    temporary.mkdir()
    begun.mkdir()
    file = tmp_path / "test_inner.py"
    file.write_text(TESTS)
    options = ["-c", "pyproject.toml", "-p", "tests.conftest", "-n2", f"--basetemp={tmp_path}/base"]
    own = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST")}
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, str(file)],
        cwd=REPOSITORY,
        env=own | {"TMPDIR": str(temporary), "BEGUN": str(begun)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(lambda: len([*begun.iterdir()]) == 2, 60)
        assert len([*temporary.iterdir()]) > 2
        run.send_signal(signal.SIGINT)
        assert run.wait(patient(60)) == pytest.ExitCode.INTERRUPTED
        wait_for(lambda: not _started_with(temporary))
        assert [*temporary.iterdir()] == []
    finally:
        for process in _started_with(temporary):
            process.kill()
