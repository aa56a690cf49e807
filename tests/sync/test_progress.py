"""Progress: a line in the log every minute."""

import logging
from types import SimpleNamespace

import pytest

from tap_jobo.sync.report import Progress
from tests.support import Tap
from tests.support.clock import FakeClock


def test_a_line_every_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    clock = FakeClock()
    monkeypatch.setattr("tap_jobo.sync.report.time", SimpleNamespace(monotonic=clock.monotonic))
    progress = Progress("jobs", lambda: f"{clock.passed:.0f} rows", logging.getLogger("tests"))
    for clock.passed in (59, 60, 61, 119.9, 120.1):
        progress.update()
    assert caplog.messages == ["Progress: jobs: 60 rows.", "Progress: jobs: 120 rows."]


def test_each_page_of_a_feed_may_write_one(tap: Tap) -> None:
    tap.constants["sync.report._INTERVAL"] = 0
    lines = [line for line in tap.succeed().lines("INFO") if line.startswith("Progress")]
    assert lines == [  # once the rows of the page are written
        "Progress: career_sites: 50 rows, $2.50.",
        "Progress: career_sites: 100 rows, $5.00.",
        "Progress: career_sites: 120 rows, $6.00.",
    ]
