"""Standard output that cannot be written to: one line, and no further request."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobo_sandbox import Fault, Hold, Sandbox
from tap_jobo.errors import OutputError
from tap_jobo.singer.writer import check_reader
from tests.support import Run, Tap, complaint


class TestOutput:
    @pytest.mark.parametrize("pages", [1, 2])
    def test_closed_pipe_is_one_line_and_no_further_request(
        self, tap: Tap, sandbox: Sandbox, pages: int
    ) -> None:
        hold = Hold()
        sandbox.faults.add(Fault(hold=hold), on=pages)
        with tap.start() as process:
            assert process.stdout
            assert process.stderr
            hold.wait()
            process.stdout.close()
            hold.release()
            stderr = process.stderr.read()
        run = Run(process.returncode, "", stderr)
        assert "Standard output" in complaint(run)
        assert run.lines("ERROR") == []
        assert len(sandbox.feed_requests) == pages

    def test_closed_pipe_before_an_empty_page(self, tap: Tap, sandbox: Sandbox) -> None:
        hold = Hold()
        sandbox.empty_every = 2
        sandbox.faults.add(Fault(hold=hold), on=2)
        with tap.start() as process:
            assert process.stdout
            assert process.stderr
            hold.wait()
            process.stdout.close()
            hold.release()
            stderr = process.stderr.read()
        assert "Standard output" in complaint(Run(process.returncode, "", stderr))
        assert len(sandbox.feed_requests) == 2

    def test_closed_pipe_is_noticed_before_a_request(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading, writing = os.pipe()
        with os.fdopen(writing, "w") as stdout:
            monkeypatch.setattr(sys, "stdout", stdout)
            check_reader()
            os.close(reading)
            with pytest.raises(OutputError, match="Standard output"):
                check_reader()

    @pytest.mark.parametrize("args", [(), ("--test",)])
    def test_full_disk_is_one_line_and_no_request(
        self, tap: Tap, sandbox: Sandbox, args: tuple[str, ...]
    ) -> None:
        stderr = _run_on_full_disk(tap, args)
        assert "Standard output" in complaint(Run(1, "", stderr))
        assert sandbox.ledger == []

    @pytest.mark.parametrize("unbuffered", ["", "1"])
    def test_nonblocking_output_fails_with_one_line(self, tap: Tap, unbuffered: str) -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, bytes(1024))
        done = subprocess.run(
            tap.command(),
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=tap.environment({"PYTHONUNBUFFERED": unbuffered}),
        )
        os.close(writing)
        os.close(reading)
        assert "Standard output" in complaint(Run(done.returncode, "", done.stderr))

    def test_closed_output_is_one_line_and_no_request(self, tap: Tap, sandbox: Sandbox) -> None:
        command = ["sh", "-c", 'exec "$@" >&-', "sh", *tap.command()]
        done = subprocess.run(
            command, stderr=subprocess.PIPE, text=True, check=False, env=tap.environment()
        )
        assert "Standard output" in complaint(Run(done.returncode, "", done.stderr))
        assert sandbox.ledger == []


def _run_on_full_disk(tap: Tap, args: tuple[str, ...]) -> str:
    full = Path("/dev/full")
    with full.open("w") as stdout:
        done = subprocess.run(
            tap.command(*args),
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=tap.environment(),
        )
    assert done.returncode == 1
    return done.stderr
