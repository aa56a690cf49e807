"""SIGTERM and SIGINT: a run ends in order, between two pages, and loses nothing paid for."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Hold
from jobo_sandbox.patience import patient
from tap_jobo.errors import CutOffError, InterruptedRunError
from tap_jobo.signals import ShutdownSignal
from tap_jobo.tap import TapJobo
from tests.support import Tap, kept_signals
from tests.support.clock import FakeClock
from tests.support.crash import (
    cut_in_request,
    finish,
    rows_billed_twice,
    run_meanwhile,
    wait_for,
)
from tests.support.systems import need_sizes

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}
EITHER = {143, 130}
"""If both are sent at once, two threads may take them."""
each = pytest.mark.parametrize("signum", CODES, ids=["SIGTERM", "SIGINT", "SIGHUP"])


@each
def test_a_request_in_flight_is_answered_archived_and_delivered(
    tap: Tap, signum: signal.Signals
) -> None:
    run = cut_in_request(tap, 2, signum)
    assert run.returncode == CODES[signum]
    assert len(run.ids) == 100
    assert run.progress["rows"] == 100
    (line,) = run.lines("WARNING")
    assert str(signum.value) in line
    assert "resumes from here" in line
    assert "100 rows in 2 pages" in "".join(run.lines("INFO"))
    assert "sync not complete" in "".join(run.lines("INFO"))
    assert run.metrics["jobo_credits"] == tap.sandbox.credits_billed == 5_000
    assert run.lines("ERROR") == []
    assert "Traceback" not in run.stderr
    again = tap.run(state=None)  # all of it is on disk
    assert again.loaded == 100
    assert {*again.ids} == tap.sandbox.world.rows().keys()
    assert rows_billed_twice(tap.sandbox) == 0


def test_request_that_fails_after_the_signal_is_not_retried(tap: Tap) -> None:
    run = cut_in_request(tap, 2, signal.SIGTERM, billed=False)
    assert run.returncode == 143
    assert len(run.ids) == 50
    assert len(tap.sandbox.feed_requests) == 2


def test_further_signals_do_not_abort_a_request(tap: Tap) -> None:
    def send_both(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)

    run = run_meanwhile(tap, send_both)
    assert run.returncode in EITHER
    assert len(run.ids) == 100
    assert run.metrics["jobo_credits_unconfirmed"] == 0


def test_a_signal_ends_a_wait(tap: Tap) -> None:
    tap.sandbox.faults.add(Fault(status=503, headers={"Retry-After": "3000"}), on=3)
    process = tap.start(batch_size=10)
    assert process.stderr
    assert any("Retry in" in line for line in process.stderr)
    process.send_signal(signal.SIGTERM)
    run = finish(process)
    assert run.returncode == 143
    assert len(run.ids) == 20
    assert len(tap.sandbox.feed_requests) == 3


def test_a_signal_in_the_last_page_does_not_undo_its_completion(tap: Tap) -> None:
    run = cut_in_request(tap, 3, signal.SIGTERM)
    assert len(run.ids) == 120
    assert run.bookmark["replication_key_value"]
    assert tap.run(state=run.state).ids == []


def test_no_signal_handler_of_the_sdk_is_ever_installed(
    tap: Tap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's exits with 0, and would do so between its setting up and ours."""
    during: list[Any] = []
    load_state = TapJobo.load_state

    def look(self: TapJobo, state: dict[str, Any]) -> None:
        during.append(signal.getsignal(signal.SIGTERM))
        load_state(self, state)

    monkeypatch.setattr(TapJobo, "load_state", look)
    with kept_signals():
        made = TapJobo(
            config={"api_key": "jbe_test_key", "api_url": tap.sandbox.url, "archive": False},
            state={"bookmarks": {}},
        )
        during.append(signal.getsignal(signal.SIGTERM))
    assert len(during) == 2
    assert made._handle_termination not in during


def test_sighup_that_is_ignored_stays_so(tap: Tap) -> None:
    """As `nohup` starts its command."""
    hold = Hold()
    tap.sandbox.faults.add(Fault(hold=hold), on=2)
    command = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *tap.command()]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=tap.environment(),
    )
    hold.wait()
    process.send_signal(signal.SIGHUP)
    hold.release()
    run = finish(process)
    assert run.returncode == 0, run.stderr
    assert len(run.ids) == 120


# Output that nobody reads


def start_blocked(tap: Tap) -> subprocess.Popen[str]:
    """Start the tap, and return when its output fills a pipe that nobody reads."""
    need_sizes()
    process = tap.start(pipe_size=4_096, archive=False)
    waits_in = Path(f"/proc/{process.pid}/wchan")  # the kernel's function, as `ps -o wchan` says
    wait_for(lambda: "pipe_write" in waits_in.read_text())
    return process


def test_a_signal_ends_a_run_whose_output_is_not_read(tap: Tap) -> None:
    tap.oddities["TEST_WAITS"] = "short"
    process = start_blocked(tap)
    process.send_signal(signal.SIGTERM)
    assert process.wait(patient(60)) == 143
    run = finish(process)
    assert "signal 15" in run.lines("WARNING")[-1]
    assert "Traceback" not in run.stderr
    assert run.whole_messages[0]["type"] == "SCHEMA"
    assert len(run.whole_messages) < 50
    assert len(tap.sandbox.feed_requests) == 1
    assert 0 < run.metrics["record_count"] <= 50
    assert run.metrics["jobo_credits"] == tap.sandbox.credits_billed == 2_500
    assert "signal 15" in run.stderr.splitlines()[-1]  # the reason comes last


def test_a_reader_that_reads_on_gets_the_page_whole(tap: Tap) -> None:
    process = start_blocked(tap)
    process.send_signal(signal.SIGTERM)
    run = finish(process)
    assert run.returncode == 143
    assert len(run.ids) == 50
    assert run.messages[-1]["type"] == "STATE"


# How long a request or a write may still take


@pytest.fixture
def alarms(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """After how many seconds each alarm would abort what is in progress, 0 for never."""
    alarms = [0.0]
    monkeypatch.setattr(signal, "setitimer", lambda _, seconds, __: alarms.append(seconds))
    return alarms


@pytest.fixture
def shutdown(alarms: list[float]) -> Iterator[ShutdownSignal]:
    """The signals of this process, for the time being."""
    with kept_signals():
        shutdown = ShutdownSignal(FakeClock())
        shutdown.install()
        yield shutdown
    assert alarms[-1] == 0


def test_a_request_has_its_time_and_a_second(shutdown: ShutdownSignal, alarms: list[float]) -> None:
    with pytest.raises(CutOffError):
        shutdown.request(lambda: signal.raise_signal(signal.SIGALRM), 300)
    assert alarms[:2] == [0, 301]


def test_a_request_has_ten_seconds_after_a_signal(
    shutdown: ShutdownSignal, alarms: list[float]
) -> None:
    def send() -> None:
        signal.raise_signal(signal.SIGHUP)
        assert alarms[-1] == 10
        signal.raise_signal(signal.SIGALRM)

    with pytest.raises(InterruptedRunError):
        shutdown.request(send, 300)


def test_blocked_output_has_five_seconds_after_a_signal(
    shutdown: ShutdownSignal, alarms: list[float]
) -> None:
    with shutdown.abort_after(5):
        assert not any(alarms)
        signal.raise_signal(signal.SIGINT)
        assert alarms[-1] == 5
    assert alarms[-1] == 0
    with shutdown.abort_after(5):  # the target has read what was written before
        assert alarms[-1] == 5
        with pytest.raises(InterruptedRunError):
            signal.raise_signal(signal.SIGALRM)


def test_a_signal_while_an_alarm_is_set_still_ends_blocked_output(
    shutdown: ShutdownSignal, alarms: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_alarm, calls = shutdown._set_alarm, list[float]()

    def interrupted(seconds: float) -> None:
        calls.append(seconds)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGTERM)
        set_alarm(seconds)

    monkeypatch.setattr(shutdown, "_set_alarm", interrupted)
    with shutdown.abort_after(5):
        assert alarms[-1] == 5
