"""What `--plan` and a METRIC say of the month: what was billed, and what will be by its end."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.archive.helpers import change, pass_time
from tests.support import Tap
from tests.support.archives import Files

pytestmark = pytest.mark.slow


def month_of(tap: Tap, limit: int | None = None) -> list[str]:
    """The two lines of `--plan` on the month."""
    return tap.succeed("--plan", max_credits_per_month=limit).stdout.splitlines()[-2:]


def put_clocks(tap: Tap, day: int) -> None:
    """Put the clocks to noon of a day of a month that has not yet begun, and has 31 days."""
    now = datetime.now(UTC)
    then = datetime(now.year + 1, 12, day, 12, tzinfo=UTC)
    pass_time(tap, then - now - timedelta(seconds=tap.sandbox.clock_offset))


def test_before_the_first_run_nothing_is_billed(tap: Tap) -> None:
    so_far, end = month_of(tap, limit=10_000)
    assert so_far.endswith(": $0.00 billed so far")
    assert end == "by its end: about $0.00, at $0.00 a day for changes in the last seven days"


def test_the_month_goes_on_as_the_last_seven_days_without_the_first_sync(tap: Tap) -> None:
    tap.settings["batch_size"] = 10
    put_clocks(tap, 1)
    first = tap.succeed(max_credits=3_000)
    assert first.metrics["jobo_credits_month"] == 3_000
    so_far, end = month_of(tap)
    assert so_far[4:] == "-12: $3.00 billed so far"
    assert "about $3.00, at $0.00 a day" in end  # though the sync is in progress
    state, ids = tap.succeed(state=first.state).state, first.ids
    for day in (3, 12, 15):
        put_clocks(tap, day)
        for id_ in ids[:14]:
            change(tap, id_, name=f"Changed on day {day}")
        state = tap.succeed(state=state).state
    so_far, end = month_of(tap)
    assert so_far[4:] == "-12: $8.10 billed so far"
    assert end == "by its end: about $11.40, at $0.20 a day for changes in the last seven days"
    assert month_of(tap, limit=11_400)[1].partition(". ")[2] == ""
    year = so_far[:4]
    for limit, date in ((9_100, f"{year}-12-20"), (8_000, f"{year}-12-15")):
        reached = f"max_credits_per_month is reached on {date}"
        assert month_of(tap, limit=limit)[1].endswith(reached)


def test_a_purchase_has_the_metric_and_a_run_without_an_archive_has_not(tap: Tap) -> None:
    assert tap.succeed("--buy").metrics["jobo_credits_month"] == 6_000
    assert tap.succeed(max_credits=0).metrics["jobo_credits_month"] == 6_000
    run = tap.succeed(archive=False)
    assert "jobo_credits_month" not in run.metrics
    assert "billed so far" not in tap.succeed("--plan", archive=False).stdout


def test_a_damaged_count_ends_a_plan_with_its_message(tap: Tap, files: Files) -> None:
    tap.succeed()
    (pending,) = [name for name in files.names if "/pending/" in name]
    files.damage(pending)
    assert "jobo_credits_month" not in tap.run().metrics
    tap.fail("--plan", code="archive-damaged")
