"""One run at a time: who holds the lock, and who is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.archive.helpers import replayed, succeeded
from tests.support import Tap, complaint, error_code
from tests.support.crash import run_meanwhile

pytestmark = pytest.mark.slow


def test_every_other_run_of_the_stream_is_refused(tap: Tap) -> None:
    def run_others(_: object) -> None:
        line = complaint(tap.run())
        assert "Another run of career_sites" in line
        assert "archive_dir" in line
        rotated: Any = {"api_key": "jbe_test_another"}
        for other in (rotated, {"founded_after": 1980}):
            assert error_code(tap.run(**other)) == "run-in-progress"
        assert error_code(tap.run("--test")) == "run-in-progress"
        assert len(tap.sandbox.feed_requests) == 2

    run = succeeded(run_meanwhile(tap, run_others))
    assert len(run.ids) == 120
    assert tap.run().returncode == 0


def test_a_lock_that_cannot_be_taken_is_a_warning(tap: Tap, folder: Path) -> None:
    tap.run()
    (lock,) = folder.glob("*.lock")
    lock.unlink()
    lock.mkdir()
    run = succeeded(tap.run(state={}))
    (warning,) = run.lines("WARNING")
    assert warning.startswith("No lock can be taken")
    assert "second run" in warning
    assert str(folder) in warning
    assert len(run.ids) == 120


def test_of_two_runs_without_a_working_lock_the_second_to_begin_ends(
    tap: Tap, folder: Path
) -> None:
    """As on some network file systems. Neither removes what the other has begun."""
    tap.run("--test")
    (lock,) = folder.glob("*.lock")
    lock.unlink()
    lock.mkdir()
    beside = []
    first = run_meanwhile(tap, lambda _: beside.append(tap.run()))  # before it has a page
    assert [first.returncode, beside[0].returncode] == [1, 0]
    assert "writes at the same time to the archive" in complaint(first)
    assert first.ids == []
    billed = tap.sandbox.rows_billed
    assert billed == 1 + 120 + 50
    again = tap.run()
    assert replayed(again) == 120
    assert tap.sandbox.rows_billed == billed


def test_a_run_with_a_page_goes_on_though_another_one_begins_a_sync(tap: Tap, folder: Path) -> None:
    """Without a working lock. They read different rows, so neither is in the way of the other."""
    tap.run("--test")
    (lock,) = folder.glob("*.lock")
    lock.unlink()
    lock.mkdir()
    beside = []
    german: Any = {"country_codes": ["DE"], "on_filter_change": "resync"}
    first = run_meanwhile(tap, lambda _: beside.append(tap.run(**german)), on=3)
    assert len(succeeded(first).ids) == 120
    assert len(succeeded(beside[0]).ids) == 13


def test_a_run_leaves_its_sync_to_another_one_that_has_gone_on_with_it(
    tap: Tap, folder: Path
) -> None:
    """Without a working lock. The first run has begun it in the archive, and got no page of it."""
    state = tap.succeed(max_credits=2_500, archive=False).state
    tap.run("--test")
    (lock,) = folder.glob("*.lock")
    lock.unlink()
    lock.mkdir()
    first = run_meanwhile(
        tap, lambda _: tap.succeed(state=state, max_credits=2_500), state=state, on=3
    )
    assert "it has written v2/career_sites-" in complaint(first)
    assert replayed(tap.run(state=state)) == 50
