"""`time_extracted` of a RECORD: when its page was received, in whichever run that was."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.support import Run, Tap


def times_of(run: Run) -> dict[str, datetime]:
    """When each row was extracted, by its id."""
    assert run.returncode == 0, run.stderr
    return {
        message["record"]["id"]: datetime.fromisoformat(message["time_extracted"])
        for message in run.messages
        if message["type"] == "RECORD"
    }


def test_a_replayed_row_keeps_its_time_however_it_is_written(tap: Tap) -> None:
    first = times_of(tap.run(max_credits=5_000))
    assert len(first) == 100
    tap.sandbox.clock_offset = 3_600
    again = times_of(tap.run(stream_maps={"career_sites": {"id": "id"}}))
    fresh = again.keys() - first.keys()
    assert len(fresh) == 20
    assert {key: again[key] for key in first} == first
    assert min(again[key] for key in fresh) > max(first.values()) + timedelta(minutes=50)
