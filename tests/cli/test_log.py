"""What a run logs at INFO: nothing that its user need not read."""

from __future__ import annotations

import re

from singer_sdk import metrics

from tests.support import Tap

OF_THE_SDK = {
    metrics.Metric.RECORD_COUNT,
    metrics.Metric.SYNC_DURATION,
}


def test_the_simplest_run_logs_at_most_six_lines_of_its_own(tap: Tap) -> None:
    run = tap.succeed()
    lines = [re.sub(r"METRIC.*\"metric\":\"(\w+)\".*", r"\1", each) for each in run.lines("INFO")]
    own = [line for line in lines if line not in OF_THE_SDK]
    assert len(own) == 5
    assert own[0].startswith("tap-jobo v")
    assert own[1] == "career_sites: everything; at most 1,000,000,000 credits ($1,000,000.00)"
    assert own[2].startswith("Summary: career_sites: 120 rows in 3 pages")
    assert own[3:] == ["jobo_credits", "jobo_credits_balance"]
    assert len(lines) == len(own) + len(OF_THE_SDK) == len(run.stderr.splitlines())
