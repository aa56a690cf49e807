"""Standard output as a pipe: nothing is lost, and nothing follows a write that was cut off."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tap_jobo.errors import InterruptedRunError, OutputError
from tap_jobo.signals import ShutdownSignal
from tap_jobo.singer import writer as writer_module
from tap_jobo.singer.writer import StdoutWriter
from tests.support import kept_signals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROWS = [{"id": f"{number}", "name": "x" * (number % 300)} for number in range(2_000)]
LINES = b"".join(
    b'{"type":"RECORD","stream":"jobs","record":{"id":"%d","name":"%s"},'
    b'"time_extracted":"2026-01-01T12:00:00Z"}\n' % (number, b"x" * (number % 300))
    for number in range(2_000)
)


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The reading end of a pipe that is the tap's standard output."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(writer_module, "sys", SimpleNamespace(stdout=stdout))
        yield reading
    os.close(reading)


def close(reading: int) -> None:
    """Close a pipe, but keep the number of its end for the fixture."""
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, reading)
    os.close(nowhere)


def write(writer: StdoutWriter) -> None:
    """Write many records."""
    for row in ROWS:
        writer.write_record("jobs", row, NOON)


def test_a_slow_reader_gets_every_byte(reading: int) -> None:
    received = bytearray()

    def read() -> None:
        while len(received) < len(LINES) * 2:
            received.extend(os.read(reading, 1_000))

    thread = threading.Thread(target=read)
    thread.start()
    writer = StdoutWriter()
    write(writer)
    write(writer)
    writer.flush()
    thread.join(10)
    assert bytes(received) == LINES * 2


def test_nothing_follows_a_write_that_was_cut_off(reading: int) -> None:
    class EndsAtSecondPiece(ShutdownSignal):
        pieces = 0

        @contextmanager
        def abort_after(self, grace: float) -> Iterator[None]:
            assert grace == 5
            self.pieces += 1
            if self.pieces == 2:
                raise InterruptedRunError(signal.SIGTERM)
            yield

    writer = StdoutWriter()
    writer.shutdown = EndsAtSecondPiece()
    with pytest.raises(InterruptedRunError):
        write(writer)
    received = os.read(reading, 1 << 20)
    assert LINES.startswith(received)
    write(writer)
    writer.flush()
    os.set_blocking(reading, False)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)


def test_a_closed_pipe_is_an_error(reading: int) -> None:
    close(reading)
    with pytest.raises(OutputError, match="Standard output"):
        write(StdoutWriter())


def test_a_signal_that_ended_the_target_too_is_the_reason(reading: int) -> None:
    close(reading)
    writer = StdoutWriter()
    with kept_signals():
        writer.shutdown.install()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(InterruptedRunError):
            write(writer)
    write(writer)  # goes nowhere


def test_a_file_is_written_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("w") as stdout:
        monkeypatch.setattr(writer_module, "sys", SimpleNamespace(stdout=stdout))
        writer = StdoutWriter()
        write(writer)
        writer.flush()
        assert path.read_bytes() == LINES
