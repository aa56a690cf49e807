"""One run at a time: who holds the lock, and who is refused."""

from __future__ import annotations

from pathlib import Path

from tests.journal.helpers import replayed, succeeded
from tests.support import Tap, complaint
from tests.support.crash import run_meanwhile


def test_only_a_run_that_shares_the_journal_key_is_refused(tap: Tap) -> None:
    def run_others(_: object) -> None:
        line = complaint(tap.run())
        assert "Another run of career_sites" in line
        assert "journal_dir" in line
        assert "Another run" in complaint(tap.run(api_key="jbe_test_another"))  # a rotated key
        assert len(tap.sandbox.feed_requests) == 2
        assert replayed(tap.run(founded_after=1980)) == 0
        assert tap.run("--test").returncode == 0

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
