"""Standard output: nothing is lost, and nothing follows a write that was cut off."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from jobo_sandbox.patience import patient
from tap_jobo.errors import InterruptedRunError
from tap_jobo.signals import ShutdownSignal
from tap_jobo.singer import writer as writer_module
from tap_jobo.singer.writer import StdoutWriter
from tests.support import Run, Tap
from tests.support.clock import NOON
from tests.support.crash import held_run
from tests.support.systems import need_sizes, resize, size_of

pytestmark = pytest.mark.slow

ROWS = [{"id": f"{number}", "name": "x" * (number % 300)} for number in range(2_000)]
LINES = b"".join(
    b'{"type":"RECORD","stream":"jobs","record":{"id":"%d","name":"%s"},'
    b'"time_extracted":"2026-01-01T12:00:00Z"}\n' % (number, b"x" * (number % 300))
    for number in range(2_000)
)


def write(writer: StdoutWriter) -> None:
    """Write many records."""
    for row in ROWS:
        writer.write_records("jobs", [row], NOON)


def test_nothing_follows_a_write_that_was_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    class EndsAtSecondPiece(ShutdownSignal):
        pieces = 0

        @contextmanager
        def abort_after(self, grace: float, seconds: float = 0) -> Iterator[None]:
            assert (grace, seconds) == (5, 0)
            self.pieces += 1
            if self.pieces == 2:
                raise InterruptedRunError(signal.SIGTERM)
            yield

    reading, writing = os.pipe()
    writer = StdoutWriter()
    writer.shutdown = EndsAtSecondPiece()
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(writer_module, "sys", SimpleNamespace(stdout=stdout))
        with pytest.raises(InterruptedRunError):
            write(writer)
        received = os.read(reading, 1 << 20)
        assert LINES.startswith(received)
        write(writer)
        writer.flush()
    assert os.read(reading, 1) == b""
    os.close(reading)


# As a process


@pytest.mark.parametrize(("chosen", "size"), [(None, 1 << 20), (4096, 4096)])
def test_a_pipe_is_as_wide_as_linux_allows_or_as_its_reader_chose(
    tap: Tap, chosen: int | None, size: int
) -> None:
    need_sizes()
    reading, writing = os.pipe()
    if chosen:
        resize(reading, chosen)
    with subprocess.Popen(tap.command(), stdout=writing, env=tap.environment()) as process:
        os.close(writing)
        while os.read(reading, 1 << 16):
            pass
    assert process.returncode == 0
    assert size_of(reading) == size
    os.close(reading)


def run_without_reader(tap: Tap, *, signum: int | None = None) -> Run:
    """Run the tap, whose reader goes away during the request of page 2."""
    with held_run(tap, {"on": 2}) as held, held.process as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        if signum:
            process.send_signal(signum)
        held.hold.release()
        return Run(process.wait(patient(60)), "", process.stderr.read())


@pytest.mark.parametrize("is_empty", [False, True])
def test_a_reader_that_goes_away_ends_the_run_with_one_line(tap: Tap, *, is_empty: bool) -> None:
    tap.sandbox.empty_every = 2 if is_empty else 0
    run = run_without_reader(tap)
    assert "Standard output" in run.complaint
    assert run.lines("ERROR") == []
    assert len(tap.sandbox.feed_requests) == 2
    billed = tap.sandbox.rows_billed
    assert tap.run().loaded == billed


def test_a_run_that_is_ended_with_its_target_was_stopped_by_the_signal(tap: Tap) -> None:
    run = run_without_reader(tap, signum=signal.SIGTERM)
    assert run.returncode == 128 + signal.SIGTERM
