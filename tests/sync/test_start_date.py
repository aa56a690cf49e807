"""A start date that moves: which move leaves rows missing, and what the state records of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from tap_jobo.clock import format_timestamp
from tests.archive.helpers import replayed
from tests.support import Tap, complaint
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


def test_a_start_date_after_the_bookmark_leaves_a_gap_that_is_recorded(tap: Tap) -> None:
    state = tap.run().state
    state["bookmarks"]["career_sites"]["replication_key_value"] = "2026-01-01T00:00:00Z"
    later = tap.succeed(state=state, start_date="2026-02-01", archive=False)
    assert later.bookmark["start_date"] == "2026-02-01T00:00:00.000000Z"
    assert "start_date was 2026-02-01" in complaint(tap.run(state=later.state, archive=False))


@pytest.mark.parametrize("is_in_sync", [False, True])
def test_a_state_of_an_earlier_version_takes_the_current_start_date(
    tap: Tap, dates: list[str], *, is_in_sync: bool
) -> None:
    limit: Any = {"max_credits": 2_500} if is_in_sync else {}
    first = tap.run(start_date=dates[20], **limit)
    assert len(first.ids) == 50 if is_in_sync else 100
    state = first.state
    del state["bookmarks"]["career_sites"]["start_date"]
    run = tap.succeed(state=state, start_date=dates[20])
    assert len({*first.ids, *run.ids}) == 100
    assert run.lines("WARNING") == []
    assert "start_date was" in complaint(tap.run(state=run.state))


def test_what_a_sync_bills_after_its_replay_keeps_its_window_with_a_warning(
    tap: Tap, dates: list[str]
) -> None:
    cut = cut_in_request(tap, 3, billed=False)
    run = tap.run(state=cut.states[0], start_date=dates[100])
    assert replayed(run) == 50
    (warning,) = run.lines("WARNING")
    assert "keeps its page size (50) and window" in warning
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
