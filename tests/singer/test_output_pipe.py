"""Standard output as a pipe: nothing is lost, and short lines are never torn."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tap_jobo.errors import InterruptedRunError, OutputError
from tap_jobo.signals import ShutdownSignal
from tap_jobo.singer import output as output_module
from tap_jobo.singer.output import Output
from tests.support import kept_signals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINES = b"".join(b"%d %s\n" % (n, b"x" * (n % 300)) for n in range(2_000))


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The reading end of a pipe that is the tap's standard output."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(output_module, "sys", SimpleNamespace(stdout=stdout))
        yield reading
    os.close(reading)


def end_at_once(_since: float) -> None:
    raise InterruptedRunError(15)


def read_all(reading: int) -> bytes:
    os.set_blocking(reading, False)
    parts = []
    try:
        while part := os.read(reading, 1 << 20):
            parts.append(part)
    except BlockingIOError:
        pass
    return b"".join(parts)


def test_slow_reader_gets_every_byte(reading: int) -> None:
    received = bytearray()

    def read() -> None:
        while len(received) < len(LINES) * 2:
            received.extend(os.read(reading, 1_000))

    thread = threading.Thread(target=read)
    thread.start()
    output = Output()
    output.write(LINES)
    output.write(bytearray(LINES))
    thread.join(10)
    assert bytes(received) == LINES * 2


def test_free_pipe_takes_many_lines_at_once(reading: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[bytes] = []
    write = os.write

    def note(number: int, piece: memoryview) -> int:
        pieces.append(bytes(piece))
        return write(number, piece)

    monkeypatch.setattr(os, "write", note)
    lines = LINES[: LINES.index(b"\n", 20_000) + 1]
    is_linux = hasattr(fcntl, "F_GETPIPE_SZ")  # elsewhere, it cannot be known that it is free
    Output().write(lines)
    assert b"".join(pieces) == lines
    assert len(pieces) == 1 if is_linux else len(pieces) > 4
    Output().write(lines)  # which nobody has read so far
    assert all(len(piece) <= select.PIPE_BUF for piece in pieces[1:])
    assert read_all(reading) == lines * 2


def test_end_leaves_whole_lines(reading: int) -> None:
    output = Output()
    output.check_blocked = end_at_once
    with pytest.raises(InterruptedRunError):
        output.write(LINES)
    received = read_all(reading)
    assert LINES.startswith(received)
    assert received.endswith(b"\n")


def test_end_tears_only_a_line_that_the_pipe_took_in_part(reading: int) -> None:
    output = Output()
    output.check_blocked = end_at_once
    with pytest.raises(InterruptedRunError):
        output.write(b"first\n" + b"x" * 1_000_000 + b"\nlast\n")
    received = read_all(reading)
    assert received.startswith(b"first\nxxx")
    assert received.endswith(b"x")


def test_nothing_follows_an_end(reading: int) -> None:
    output = Output()
    output.check_blocked = end_at_once
    with pytest.raises(InterruptedRunError):
        output.write(LINES)
    read_all(reading)
    output.write(b"more\n")
    assert read_all(reading) == b""


def test_blocked_output_tells_since_when_it_took_nothing(reading: int) -> None:
    seen: list[float] = []

    def end_later(since: float) -> None:
        seen.append(since)
        if len(seen) == 1:
            read_all(reading)  # it goes on, and blocks again
        elif len(seen) == 3:
            raise InterruptedRunError(15)

    output = Output()
    output.check_blocked = end_later
    with pytest.raises(InterruptedRunError):
        output.write(LINES)
    first, second, third = seen
    assert first < second == third


def test_closed_pipe_is_an_error(reading: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, reading)
    os.close(nowhere)
    with pytest.raises(OutputError, match="Standard output"):
        Output().write(LINES)


def test_a_signal_that_ended_the_target_too_is_the_reason(reading: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, reading)
    os.close(nowhere)
    output = Output()
    with kept_signals():
        shutdown = ShutdownSignal()
        shutdown.install()
        output.check_signal = shutdown.check
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(InterruptedRunError):
            output.write(LINES)
    output.write(LINES)  # what is left goes nowhere


def test_file_is_written_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("w") as stdout:
        monkeypatch.setattr(output_module, "sys", SimpleNamespace(stdout=stdout))
        Output().write(LINES)
        assert path.read_bytes() == LINES
