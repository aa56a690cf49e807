"""A start date that moves: which move leaves rows missing, and what the state records of it.

`test_decisions` has what each move asks and bills.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tap_jobo.clock import format_timestamp
from tests.archive.helpers import loaded
from tests.support import Tap, complaint, error_code, state_at
from tests.support.crash import cut_in_request
from tests.support.jobs import tap_of

pytestmark = pytest.mark.slow


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=120, seed=1, rows_with_updated_at=True) as sandbox:
        yield sandbox


@pytest.fixture
def dates(sandbox: Sandbox) -> list[str]:
    """When each row changed last, in order."""
    return sorted(row["updated_at"] for row in sandbox.world.rows().values())


@pytest.mark.parametrize("archive", [True, False])
def test_a_start_date_after_the_bookmark_leaves_a_gap_that_is_recorded(
    tap: Tap, *, archive: bool
) -> None:
    tap.settings["archive"] = archive
    state = tap.succeed().state
    part = state["bookmarks"]["career_sites"]
    part["replication_key_value"] = "2026-01-01T00:00:00.000000Z"
    part |= {"archive": None, "offset": 0, "entry": None}
    tap.settings["archive_dir"] = str(tap.folder / "another")  # which goes on from the state
    later = tap.succeed(state=state, start_date="2026-02-01")
    assert later.bookmark["start_date"] == "2026-02-01T00:00:00.000000Z"
    again = tap.run(state=later.state)
    assert again.codes("CRITICAL") == ["filters-changed"]
    line = complaint(again)
    assert "start_date" in line
    assert "2026-02-01T00:00Z" in line


def test_a_state_of_another_tap_takes_the_start_date_of_the_settings(
    tap: Tap, dates: list[str]
) -> None:
    run = tap.succeed(state=state_at(dates[100]), start_date=dates[20], lookback_minutes=0)
    assert len(run.ids) == 19
    assert run.bookmark["start_date"] == dates[20]
    assert error_code(tap.run(state=run.state)) == "filters-changed"
    tap.succeed(state=run.state, start_date=dates[20])


def test_a_sync_keeps_its_window_after_pages_of_the_archive(tap: Tap, dates: list[str]) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    run = tap.run(state=cut.states[0], start_date=dates[100])
    assert loaded(run) == 50
    assert run.lines("WARNING") == []
    assert len({*cut.ids, *run.ids}) == 120


def test_an_earlier_start_date_of_a_free_feed_needs_no_decision(
    hiring: Sandbox, tmp_path: Path
) -> None:
    tap = tap_of(hiring, tmp_path, "expired_jobs")
    now = hiring.now()
    late = tap.run(start_date=format_timestamp(now))
    early = tap.succeed(state=late.state, start_date=format_timestamp(now - timedelta(days=5)))
    assert len(early.records) > len(late.records) == 0
    assert early.lines("WARNING") == []
