"""Two runs at once: one buys, and the other loads, waits, and buys what is left."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from jobo_sandbox import Sandbox
from tap_jobo.archive.store import HeldError
from tap_jobo.errors import TapJoboError
from tap_jobo.singer.loop import StreamLoop
from tests.archive.helpers import Warehouse, change, succeeded
from tests.support import Tap, execute
from tests.support.archives import Files
from tests.support.clock import FakeClock
from tests.support.crash import BIG_PIPE, finish, held_run, rows_billed_twice, wait_until_quiet
from tests.support.loggers import LOGGER
from tests.support.systems import need_sizes

pytestmark = pytest.mark.slow

WAITS = "is buying career_sites"
SECOND: Any = {"endpoint": "career_sites", "on": 2}
"""The request of the first run that is held."""


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap without a lookback: no change is billed twice."""
    return Tap(
        sandbox, tmp_path, {"lookback_minutes": 0}, constants={"singer.loop._LOOK_EVERY": 0.05}
    )


def start_second(tap: Tap, **settings: Any) -> subprocess.Popen[str]:
    """Start a run, and return once it waits for the first one."""
    process = tap.start(pipe_size=BIG_PIPE, **settings)
    assert process.stderr
    assert any(WAITS in line for line in process.stderr)
    return process


def test_the_second_run_loads_and_gives_up_after_ten_minutes(tap: Tap) -> None:
    with held_run(tap, SECOND) as first:
        second = replace(tap, constants={}).quick.fail(code="run-in-progress")
        for once in (WAITS, " has 1 page, since "):  # although it looks 120 times
            assert len([line for line in second.lines("INFO") if once in line]) == 1
        assert len(second.ids) == 50
        assert second.bookmark["offset"] == 1
        assert len(tap.sandbox.feed_requests) == 2
        succeeded(first.end())
    again = tap.succeed(state=second.state)
    assert again.loaded == 70
    assert {*second.ids, *again.ids} == tap.sandbox.world.rows().keys()
    assert tap.sandbox.rows_billed == 120


def test_it_looks_every_five_seconds_whether_the_other_run_has_ended() -> None:
    clock, looks = FakeClock(), list[float]()

    def buy() -> None:
        looks.append(clock.passed)
        raise HeldError("career_sites", "archive")

    stream: Any = MagicMock(is_following=False, is_removed=False, seconds=None, hints=list, buy=buy)
    stream.name = "career_sites"
    with pytest.raises(TapJoboError):
        StreamLoop([stream], lambda: None, clock.sleep, clock, LOGGER).read_all()
    assert looks == [*range(0, 601, 5)]


def test_the_second_run_goes_on_once_the_first_one_is_killed(tap: Tap) -> None:
    with held_run(tap, SECOND) as first:
        process = start_second(tap)
        first.process.kill()
        finish(first.process)
        second = finish(process)
    wait_until_quiet(tap.sandbox)
    assert succeeded(second).loaded == 50
    assert len(second.ids) == 120
    assert rows_billed_twice(tap.sandbox) == 50  # the page in flight


def test_a_signal_ends_the_wait(tap: Tap, files: Files) -> None:
    with held_run(tap, SECOND) as first:
        process = start_second(tap)
        process.send_signal(signal.SIGTERM)
        second = finish(process)
        assert second.returncode == 128 + signal.SIGTERM
        assert len(second.ids) == 50
        assert second.bookmark["offset"] == 1
        assert "sync not complete" in second.summaries["career_sites"]
        succeeded(first.end())
    assert Warehouse(tap).rows_billed() == 0
    assert files.page_numbers == [1, 2, 3]


def test_of_runs_that_start_together_one_buys(tap: Tap, files: Files, tmp_path: Path) -> None:
    """As dev and prod at 02:00."""
    need_sizes()
    processes = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        started = replace(tap, folder=folder).start(
            pipe_size=BIG_PIPE, archive_dir=files.store.location
        )
        processes.append(started)
    for run in [finish(process) for process in processes]:
        assert {*succeeded(run).ids} == tap.sandbox.world.rows().keys()
        assert run.bookmark["offset"] == 3
    assert tap.sandbox.rows_billed == 120
    assert files.page_numbers == [1, 2, 3]


# One buys, others load


@pytest.fixture
def reader(tap: Tap, folder: Path) -> Iterator[list[str]]:
    """What starts a command for which a bought archive is read-only."""
    tap.succeed("--buy")
    modes = {place: place.stat().st_mode for place in (folder, *folder.rglob("*"))}
    for place, mode in modes.items():
        place.chmod(mode & ~0o222)
    yield ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    for place, mode in modes.items():
        place.chmod(mode)


def test_a_loader_needs_only_to_read(tap: Tap, reader: list[str]) -> None:
    loader = tap.command(settings={"max_credits": 0})
    run = execute([*reader, *loader], tap.environment())
    assert (run.returncode, len(run.ids), run.lines("WARNING")) == (0, 120, [])
    change(tap, run.ids[0], name="Changed since")
    buyer = execute([*reader, *tap.command("--buy")], tap.environment())
    assert (buyer.returncode, buyer.codes("CRITICAL")) == (1, ["archive-unusable"])
