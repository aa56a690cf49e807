"""The API's clock, read once before anything is billed."""

import logging
import re
from datetime import timedelta
from email.utils import format_datetime
from unittest.mock import Mock

import pytest

from jobo_sandbox import Fault
from tap_jobo.api.api_clock import ApiClock
from tap_jobo.api.responses import ApiResponse
from tests.support import Tap
from tests.support.clock import NOON, FakeClock

LOGGER = logging.getLogger("tests.api_clock")
SECOND = timedelta(seconds=1)
DAY = 24 * 3600


def read_at_noon(local: FakeClock) -> ApiClock:
    """Return a clock that has read the API's, which shows noon."""
    clock = ApiClock(local)
    response = ApiResponse(b"", 404, {"Date": format_datetime(NOON)})
    client = Mock(fetch=Mock(return_value=response), logger=LOGGER)
    client.session.build.return_value.headers = {}
    clock.read(client)
    return clock


@pytest.mark.parametrize("status", [307, 401, 503])
def test_any_status_shows_the_clock_without_a_wait(tap: Tap, status: int) -> None:
    fault = Fault(status=status, headers={"Retry-After": "600"}, times=None)
    tap.sandbox.faults.add(fault, endpoint="clock")
    run = tap.succeed()
    assert run.lines("WARNING") == []
    assert len(tap.sandbox.requests_to("clock")) == 1


@pytest.mark.parametrize("args", [(), ("--test",)])
def test_an_unreachable_host_ends_the_run_within_a_minute(tap: Tap, args: tuple[str, ...]) -> None:
    tap.sandbox.close()
    run = tap.quick.fail(*args, code="api-unavailable")
    (seconds,) = re.findall(r"after (\d+) s\.", run.complaint)
    assert int(seconds) <= 60


class TestClock:
    @pytest.mark.parametrize(("ahead", "before_noon"), [(0, 0), (-60, 60), (7_200, 0)])
    def test_sync_starts_by_the_earlier_clock_plus_the_time_that_has_passed(
        self, ahead: float, before_noon: int
    ) -> None:
        local = FakeClock(skew=timedelta(seconds=ahead))
        clock = read_at_noon(local)
        assert clock.earlier() == NOON - before_noon * SECOND
        local.passed += 90
        local.skew += timedelta(days=3)  # it is set, which no longer matters
        assert clock.earlier() == NOON - before_noon * SECOND + 90 * SECOND
        assert clock.now() == NOON + 90 * SECOND

    def test_it_is_the_local_clock_until_the_other_one_was_read(self) -> None:
        clock = ApiClock(FakeClock(skew=3 * SECOND))
        assert clock.now() == clock.earlier() == NOON + 3 * SECOND

    def test_future_begins_after_the_resolution_of_the_date(self) -> None:
        clock = read_at_noon(FakeClock())
        assert not clock.is_future(NOON + SECOND)
        assert clock.is_future(NOON + SECOND + timedelta(microseconds=1))

    @pytest.mark.parametrize(
        ("ahead", "shown"),
        [(300, []), (-300, []), (-300.001, ["11:54"]), (360, ["12:06"]), (DAY, ["12:00"])],
    )
    def test_clocks_over_five_minutes_apart_are_reported(
        self, caplog: pytest.LogCaptureFixture, ahead: float, shown: list[str]
    ) -> None:
        read_at_noon(FakeClock(skew=timedelta(seconds=ahead)))
        found = [time for text in caplog.messages for time in re.findall(r"\d\d:\d\d", text)]
        assert found == [*shown, *(["12:00"] if shown else [])]
