"""One run at a time: who holds the lock, who is refused, and what frees it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobo_sandbox import Fault, Hold
from tests.support import Tap, complaint
from tests.support.crash import cut_in_request, finish


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


def test_a_second_run_is_refused(tap: Tap) -> None:
    with under_way(tap):
        line = complaint(tap.run())
        assert len(tap.sandbox.feed_requests) == 2
    assert "Another run of career_sites" in line
    assert "journal_dir" in line
    assert tap.sandbox.rows_billed == 120


def test_runs_with_other_filters_go_side_by_side(tap: Tap) -> None:
    with under_way(tap):
        other = tap.run(founded_after=1980)
    assert other.returncode == 0, other.stderr
    assert other.ids


def test_a_second_run_is_refused_with_a_rotated_key_too(tap: Tap) -> None:
    with under_way(tap):
        assert "Another run" in complaint(tap.run(api_key="jbe_test_another"))


def test_a_second_run_works_once_the_first_has_ended(tap: Tap) -> None:
    with under_way(tap):
        assert tap.run().returncode == 1
    assert tap.run().returncode == 0


def test_a_kill_frees_the_lock(tap: Tap) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    assert tap.run(state=cut.state).returncode == 0


def test_test_mode_takes_no_lock(tap: Tap) -> None:
    with under_way(tap):
        assert tap.run("--test").returncode == 0


def test_a_lock_that_cannot_be_taken_is_a_warning(tap: Tap, folder: Path) -> None:
    tap.run()
    (lock,) = folder.glob("*.lock")
    lock.unlink()
    lock.mkdir()
    run = tap.run(state={})
    assert run.returncode == 0, run.stderr
    (warning,) = run.lines("WARNING")
    assert warning.startswith("No lock can be taken")
    assert "second run" in warning
    assert str(folder) in warning
    assert len(run.ids) == 120
