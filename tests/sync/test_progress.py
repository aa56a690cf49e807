"""Progress: a bar where a person watches."""

from __future__ import annotations

import contextlib
import fcntl
import io
import logging
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobo_sandbox import Fault, Hold
from tap_jobo.sync.report import Progress, Reading
from tests.support import Tap
from tests.support.clock import FakeClock
from tests.support.process import Run

LOGGER = logging.getLogger("tests.progress")


class Terminal:
    """A terminal; its program writes to `stream`."""

    def __init__(self, columns: int = 100) -> None:
        self._screen, program = pty.openpty()
        fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("4H", 30, columns, 0, 0))
        self.stream = os.fdopen(program, "w", encoding="utf-8")

    def read(self) -> str:
        """What the program has written since the last time; nothing once it is over."""
        try:
            return os.read(self._screen, 65_536).decode()
        except OSError:
            return ""

    def rest(self) -> str:
        """What was written until every writer has closed it."""
        self.stream.close()
        text = ""
        while more := self.read():
            text += more
        os.close(self._screen)
        return text


class Stream:
    """A stream whose rows a test counts, with a progress of its own."""

    def __init__(self, total: int | None = None) -> None:
        self.rows = 0
        self.total = total
        self.clock = FakeClock()
        self.progress = Progress("jobs", self._read, LOGGER)
        self.progress.start()

    def after(self, seconds: float, rows: int) -> None:
        """Deliver rows, so many seconds later."""
        self.clock.passed += seconds
        self.rows += rows
        self.progress.update()

    def _read(self) -> Reading:
        return self.rows, "rows", self.total, "$1.00"


@contextlib.contextmanager
def watched(terminal: Terminal) -> Iterator[None]:
    """Let a person watch this process: standard error is the terminal, and standard output not."""
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stderr(terminal.stream),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        patch.setenv("TERM", "xterm")
        patch.delenv("CI", raising=False)
        yield


def test_a_person_sees_a_bar_and_no_lines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    terminal = Terminal(columns=72)
    with watched(terminal):
        monkeypatch.setattr("tqdm.std.time", lambda: 0.0)
        stream = Stream()
        monkeypatch.setattr(stream.progress._bar, "_time", stream.clock.monotonic)
        stream.after(20, 2_000)
        stream.after(0.01, 999)  # too soon
        stream.total = 4_040
        stream.after(10, 21)
        stream.progress.close()
    *bars, wiped, end = terminal.rest().split("\r")
    first, second, third = (bar.rstrip() for bar in bars if bar.strip())
    assert first == "jobs: 0 rows [00:00, ? rows/s]"
    assert second == "jobs: 2000 rows [00:20, 100.00 rows/s, $1.00]"
    assert re.fullmatch(
        r"jobs:  75%\|█+\S? *\| 3020/4040 \[00:30<00:10, 10\d\.\d\d rows/s, \$1\.00\]", third
    )
    assert wiped.isspace()
    assert end == ""
    assert caplog.messages == []


@pytest.mark.parametrize("why", ["no size", "messages", "dumb", "CI", "quiet"])
def test_there_is_no_bar_where_nobody_watches(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, why: str
) -> None:
    caplog.set_level(logging.WARNING if why == "quiet" else logging.INFO)
    terminal = Terminal(columns=0 if why == "no size" else 100)
    with watched(terminal):
        if why == "messages":
            monkeypatch.setattr(sys, "stdout", terminal.stream)
        elif why in {"dumb", "CI"}:
            monkeypatch.setenv({"dumb": "TERM", "CI": "CI"}[why], why)
        Stream().after(10, 1)
    assert terminal.rest() == ""


def screen(output: str) -> list[str]:
    """What a wide terminal shows after this output."""
    shown: list[str] = []
    for line in output.replace("\r\n", "\n").split("\n"):
        cells: list[str] = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        shown.append("".join(cells).rstrip())
    return shown


def test_lines_do_not_tear_the_bar_and_none_is_left(tap: Tap, tmp_path: Path) -> None:
    hold = Hold()
    tap.sandbox.faults.add(Fault(status=503), on=2)
    tap.sandbox.faults.add(Fault(hold=hold), on=4)
    terminal, messages = Terminal(), tmp_path / "messages"
    with messages.open("w") as stdout:
        process = subprocess.Popen(
            tap.command(settings={"batch_size": 20}),
            stdout=stdout,
            stderr=terminal.stream,
            env=tap.environment({"TERM": "xterm", "CI": ""}),
        )
    terminal.stream.close()
    output = ""
    while not re.search(r"career_sites: 40 rows \[.* rows/s, \$2\.00\]", output):
        output += terminal.read()
    assert "trying again" in screen(output)[-2]
    assert screen(output)[-1].startswith("career_sites: 40 rows [")
    hold.wait()
    process.send_signal(signal.SIGINT)
    hold.release()
    output += terminal.rest()
    run = Run(process.wait(60), messages.read_text(), "\n".join(screen(output)))
    assert run.returncode == 130
    assert len(run.ids) == run.metrics["record_count"] == 60
    assert run.metrics["jobo_credits"] == tap.sandbox.credits_billed
    *lines, last, end = run.stderr.split("\n")
    assert "CRITICAL" in last
    assert "signal 2 (SIGINT)" in last
    assert end == ""  # the bar is gone
    assert all(line.count(" | ") >= 3 for line in lines)  # and tore no line
