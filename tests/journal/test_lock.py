"""One run at a time: who holds the lock, who is refused, and what frees it."""

from __future__ import annotations

import json
import re
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from jobo_sandbox import Fault, Hold
from tests.support import complaint
from tests.support.crash import cut_in_request, finish

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support import Tap


@contextmanager
def under_way(tap: Tap, **settings: Any) -> Iterator[subprocess.Popen[str]]:
    """A run in its second request, which comes to a good end afterwards."""
    hold = Hold()
    tap.sandbox.faults.add(Fault(hold=hold), on=len(tap.sandbox.feed_requests) + 2)
    process = tap.start(**settings)
    hold.wait()
    try:
        yield process
    finally:
        hold.release()
        run, _ = finish(process, [])
    assert run.returncode == 0, run.stderr


def the_lock(folder: Path) -> Path:
    """The only lock beside the journal's files."""
    (lock,) = folder.glob("*.lock")
    return lock


def test_a_second_run_is_refused(tap: Tap) -> None:
    with under_way(tap) as first:
        line = complaint(tap.run())
        assert len(tap.sandbox.feed_requests) == 2
    assert "Another run of career_sites" in line
    assert "journal_dir" in line
    who = rf"\(process {first.pid} on {re.escape(socket.gethostname())}, since 20\d\d-\S+Z\)"
    assert re.search(who, line)
    assert tap.sandbox.rows_billed == 120


@pytest.mark.parametrize("change", ["rotated key", "name of this machine"])
def test_a_second_run_is_refused_under_another_spelling(tap: Tap, change: str) -> None:
    settings: dict[str, Any] = {
        "rotated key": {"api_key": "jbe_test_another"},
        "name of this machine": {"api_url": tap.sandbox.url.replace("127.0.0.1", "localhost")},
    }[change]
    with under_way(tap):
        assert "Another run" in complaint(tap.run(**settings))


def test_runs_with_other_filters_go_side_by_side(tap: Tap) -> None:
    with under_way(tap):
        other = tap.run(founded_after=1980)
    assert other.returncode == 0, other.stderr
    assert other.ids


def test_a_second_run_works_once_the_first_has_ended(tap: Tap, folder: Path) -> None:
    with under_way(tap):
        assert tap.run().returncode == 1
    assert tap.run().returncode == 0
    assert not the_lock(folder).with_suffix(".json").exists()


def test_a_kill_frees_the_lock(tap: Tap, folder: Path) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    holder = the_lock(folder).with_suffix(".json")
    assert json.loads(holder.read_text())["host"] == socket.gethostname()
    assert tap.run(state=cut.state).returncode == 0
    assert not holder.exists()


@pytest.mark.parametrize("content", ["", "[]", '{"pid": 1}'])
def test_a_second_run_is_refused_whoever_holds_the_lock(
    tap: Tap, folder: Path, content: str
) -> None:
    with under_way(tap):
        the_lock(folder).with_suffix(".json").write_text(content)
        assert "filters is in progress: both" in complaint(tap.run())


def test_test_mode_takes_no_lock(tap: Tap) -> None:
    with under_way(tap):
        assert tap.run("--test").returncode == 0


def test_test_mode_leaves_no_lock(tap: Tap, folder: Path) -> None:
    assert tap.run("--test").returncode == 0
    assert not folder.exists()


def test_discovery_takes_no_lock(tap: Tap) -> None:
    with under_way(tap):
        assert tap.run("--discover").returncode == 0


def test_a_journal_that_is_off_needs_no_lock(tap: Tap) -> None:
    with under_way(tap, journal=False):
        assert tap.run(journal=False).returncode == 0


def test_a_lock_that_cannot_be_taken_is_a_warning(tap: Tap, folder: Path) -> None:
    tap.run()
    lock = the_lock(folder)
    lock.unlink()
    lock.mkdir()
    run = tap.run(state={})
    assert run.returncode == 0, run.stderr
    (warning,) = run.lines("WARNING")
    assert warning.startswith("No lock can be taken")
    assert "second run" in warning
    assert str(folder) in warning
    assert len(run.ids) == 120
