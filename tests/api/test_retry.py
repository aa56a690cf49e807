"""How long the tap waits, and when it gives up; its clock is made up, so that no test waits."""

import logging
import re
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest
import requests

from jobo_sandbox import Fault, Sandbox
from tap_jobo.api.headers import retry_after
from tap_jobo.api.session import ApiSession
from tap_jobo.errors import ApiError, BudgetReachedError, UnreachableError
from tests.support.client import GARBAGE, FeedClient
from tests.support.clock import NOON


def fail(status: int = 503, *, times: int | None = 1, body: Any = None, **headers: str) -> Fault:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Fault(status=status, headers=named, body=body, times=times)


@pytest.fixture
def feed(sandbox: Sandbox) -> FeedClient:
    """The client against the sandbox over HTTP, both with the same clock."""
    feed = FeedClient(ApiSession(sandbox.url, sandbox.api_key))
    sandbox.clock = feed.clock.unix_time
    return feed


# What the server asks for


def date(seconds: float) -> str:
    """A date so many seconds after noon."""
    return format_datetime(NOON + timedelta(seconds=seconds), usegmt=True)


def unix_time(seconds: float) -> str:
    return str(int(NOON.timestamp() + seconds))


IN_THE_BODY = {"retry_after_seconds": 12}


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        *((fail(429, Retry_After=text), float(text)) for text in ("7", "2.5", "3600")),
        (fail(503, Retry_After="7"), 7),
        (fail(503, Retry_After=date(90)), 90),
        (fail(429, body=IN_THE_BODY), 12),
        (fail(429, body=IN_THE_BODY, Retry_After="5"), 5),
        (fail(503, X_RateLimit_Reset=unix_time(40)), 0.5),
        *((fail(503, Retry_After=text), 0.5) for text in GARBAGE),
        # More than a day is no wait: an instant, or milliseconds.
        *((fail(429, Retry_After=text), 0.5) for text in ("86401", unix_time(40))),
        (fail(429, Retry_After=date(86_500)), 0.5),
        (fail(503, body={"retry_after_seconds": int(unix_time(40))}), 0.5),
    ],
)
def test_what_the_server_asks_for_is_honored(
    sandbox: Sandbox,
    feed: FeedClient,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
    seconds: float,
) -> None:
    caplog.set_level(logging.INFO)
    sandbox.faults.add(fault)
    assert feed.waited() == pytest.approx(seconds, abs=1e-3)
    assert len(caplog.messages) == 1


def test_a_date_to_wait_for_needs_the_date_of_the_response() -> None:
    assert retry_after({"Retry-After": date(90)}, {}) is None


@pytest.mark.parametrize(
    "fault",
    [
        fail(429, Retry_After="0", times=8),
        fail(429, Retry_After=date(-3_600), times=8),
    ],
)
def test_wait_of_zero_leaves_our_own_growing_backoff(
    sandbox: Sandbox, feed: FeedClient, fault: Fault
) -> None:
    sandbox.faults.add(fault)
    assert 46 <= feed.waited() <= 92


def test_requested_waits_of_an_hour_do_not_use_up_our_own_retries(
    sandbox: Sandbox, feed: FeedClient
) -> None:
    sandbox.faults.add(fail(Retry_After="1200", times=3))
    sandbox.faults.add(fail(times=6))
    assert feed.waited() > 3_600


@pytest.mark.parametrize("asked", [["3601"], ["1800", "1801"]])
def test_wait_over_an_hour_ends_the_run_and_is_named(
    sandbox: Sandbox, feed: FeedClient, asked: list[str]
) -> None:
    for text in asked:
        sandbox.faults.add(fail(429, Retry_After=text))
    with pytest.raises(ApiError, match=f"asks to wait {int(asked[-1]):,} seconds"):
        feed.page()
    assert len(sandbox.feed_requests) == len(asked)


# Our own waits


def waits(sandbox: Sandbox) -> list[float]:
    """The seconds between the tries."""
    times = [entry.time for entry in sandbox.feed_requests]
    return [(later - earlier).total_seconds() for earlier, later in pairwise(times)]


@pytest.mark.parametrize(
    ("status", "jitter", "expected"),
    [
        (503, min, [0.5, 0.5, 1, 2, 4, 8, 15, 15]),
        (503, max, [0.5, 1, 2, 4, 8, 16, 30, 30]),
        (502, min, [4.5, 27]),  # which may have been billed
        (502, max, [5.5, 33]),
    ],
)
def test_backoff_grows_to_30_seconds(  # noqa: PLR0913, PLR0917
    sandbox: Sandbox,
    feed: FeedClient,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    jitter: Callable[[float, float], float],
    expected: list[float],
) -> None:
    monkeypatch.setattr("random.uniform", jitter)
    sandbox.faults.add(fail(status, times=len(expected)))
    feed.page()
    assert waits(sandbox) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("is_paid", "seconds", "timeouts"),
    [
        (False, 100, [120, 120, 99]),
        (False, 149.5, [120, 120, 1]),
        (True, 149.5, [120, 120, 120]),
        (True, 299.5, [120, 120]),
        (True, 299.6, [120]),
    ],
)
def test_tries_take_five_minutes_beyond_which_only_a_page_is_waited_for(
    feed: FeedClient,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    timeouts: list[float],
    *,
    is_paid: bool,
) -> None:
    monkeypatch.setattr("random.uniform", min)
    given: list[tuple[float, float]] = []

    class NoConnection(requests.adapters.HTTPAdapter):
        def send(self, *_args: Any, timeout: Any = None, **_options: Any) -> requests.Response:
            given.append(timeout)
            feed.clock.passed += seconds
            raise requests.ConnectionError

    feed.session.mount("http://", NoConnection())
    request = feed.session.build("")
    with pytest.raises(UnreachableError):
        feed.client.fetch(request, cost=feed.cost if is_paid else None)
    assert given == [(min(10, timeout), timeout) for timeout in timeouts]


# Responses that may have been billed


def test_other_failures_add_no_retries_of_broken_responses(
    sandbox: Sandbox, feed: FeedClient, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        sandbox.faults.add(Fault(truncate=0.5))
        sandbox.faults.add(fail(503))
    with pytest.raises(ApiError, match="billed"):
        feed.page()
    assert len(sandbox.feed_requests) == 5
    assert feed.budget.credits == 7_500
    counts = [re.findall(r"Retry(?: (\d of \d))? in", line) for line in caplog.messages]
    assert counts == [["1 of 2"], [""], ["2 of 2"], [""]]


# Within the rate limit


LIMIT = {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "0"}
RESET = "X-RateLimit-Reset"


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({RESET: unix_time(3_600)}, 3_600),
        ({RESET: unix_time(60), "X-RateLimit-Remaining": "1"}, 0),
        ({RESET: unix_time(3_601)}, 0),
        ({RESET: unix_time(-1)}, 0),
        *(({RESET: text}, 0) for text in GARBAGE),
        *(({RESET: unix_time(60), "X-RateLimit-Remaining": text}, 0) for text in GARBAGE),
    ],
)
def test_an_allowance_that_is_used_up_is_waited_for_an_hour_at_most(
    sandbox: Sandbox, feed: FeedClient, headers: dict[str, str], waited: float
) -> None:
    sandbox.faults.add(Fault(headers=LIMIT | headers))
    feed.page(feed.page().next_cursor)
    assert feed.clock.passed == pytest.approx(waited, abs=1e-3)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(headers=LIMIT | {RESET: unix_time(3_600)}),
        fail(503, Retry_After="3600"),
    ],
)
def test_limits_are_checked_before_and_after_a_wait(
    sandbox: Sandbox, feed: FeedClient, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    asked_at: list[float] = []

    def reserve(_: int) -> None:
        asked_at.append(feed.clock.passed)
        if feed.clock.passed > 1_800:  # the month is another one
            raise BudgetReachedError("career_sites: the month is used up")

    monkeypatch.setattr(feed.cost, "reserve", reserve)
    sandbox.faults.add(fault)
    with pytest.raises((BudgetReachedError, ApiError)):
        feed.page(feed.page().next_cursor)
    assert asked_at == [0, 0, 0, 3_600]
    assert len(sandbox.feed_requests) == 1


@pytest.mark.parametrize("seconds", [60, 61])
def test_a_pause_is_told_if_it_is_longer_than_a_minute(
    sandbox: Sandbox, feed: FeedClient, caplog: pytest.LogCaptureFixture, seconds: int
) -> None:
    caplog.set_level(logging.INFO)
    sandbox.faults.add(Fault(headers=LIMIT | {RESET: unix_time(seconds + 0.5)}))
    feed.page()
    assert feed.waited() == pytest.approx(seconds, abs=2)
    assert len(caplog.messages) == (seconds > 60)


def test_no_pause_ends_earlier_because_of_another(feed: FeedClient) -> None:
    feed.clock.passed = 100
    for seconds in (5, 11, 7, 22, 16):
        feed.client.pause(seconds)
    feed.client.wait_for_allowance()
    assert feed.clock.passed == pytest.approx(122)
