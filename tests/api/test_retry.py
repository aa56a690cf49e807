"""How long the tap waits, and when it gives up; its clock is made up, so that no test waits."""

from __future__ import annotations

import io
import json
import logging
from datetime import timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from jobo_sandbox import Fault, Sandbox
from jobo_sandbox.core import Core
from jobo_sandbox.endpoints import answer
from jobo_sandbox.limits import Limits
from tap_jobo.api import retry
from tap_jobo.errors import ApiError
from tests.support.client import GARBAGE, FeedClient
from tests.support.clock import NOON, FakeClock


def fail(sandbox: Sandbox, status: int = 503, *, times: int | None = 1, **headers: str) -> None:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    sandbox.faults.add(Fault(status=status, headers=named, times=times))


def take_time(feed: FeedClient, seconds: float) -> None:
    """Make each try of a request take some seconds, by the clock of the test."""

    class SlowAdapter(requests.adapters.HTTPAdapter):
        def send(self, *args: Any, **kwargs: Any) -> requests.Response:
            response = super().send(*args, **kwargs)
            feed.clock.passed += seconds
            return response

    feed.session.mount("http://", SlowAdapter())


def test_limits_are_those_that_the_documentation_names() -> None:
    assert (retry.CONNECT_SECONDS, retry.READ_SECONDS) == (10, 120)
    assert (retry.RETRY_SECONDS, retry.RETRY_AFTER_MAX) == (300, 3_600)


# What the server asks for


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("text", "seconds"), [("7", 7), ("2.5", 2.5), ("3600", 3600)])
def test_retry_after_in_seconds_is_honored(
    sandbox: Sandbox, feed: FeedClient, status: int, text: str, seconds: float
) -> None:
    fail(sandbox, status, Retry_After=text)
    assert feed.waited() == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize("offset", [0, 86_400, -86_400])
def test_retry_after_date_is_relative_to_the_response(
    sandbox: Sandbox, feed: FeedClient, offset: float
) -> None:
    sandbox.clock_offset = offset
    then = NOON + timedelta(seconds=offset + 90)
    fail(sandbox, Retry_After=format_datetime(then, usegmt=True))
    assert feed.waited() == pytest.approx(90, abs=1e-3)


@pytest.mark.parametrize(("headers", "seconds"), [({}, 12), ({"Retry-After": "5"}, 5)])
def test_retry_after_seconds_in_the_body_are_honored_unless_a_header_overrides_them(
    sandbox: Sandbox, feed: FeedClient, headers: dict[str, str], seconds: float
) -> None:
    sandbox.faults.add(Fault(status=429, headers=headers, body={"retry_after_seconds": 12}))
    assert feed.waited() == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize(("status", "seconds"), [(429, 40), (503, 0.5)])
def test_rate_limit_reset_applies_to_429_and_is_relative_to_the_response(
    sandbox: Sandbox, feed: FeedClient, status: int, seconds: float
) -> None:
    sandbox.clock_offset = 86_400
    fail(sandbox, status, X_RateLimit_Reset=str(int(NOON.timestamp() + 86_400 + 40)))
    assert feed.waited() == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize("text", GARBAGE)
def test_invalid_retry_after_is_ignored(sandbox: Sandbox, feed: FeedClient, text: str) -> None:
    fail(sandbox, Retry_After=text)
    assert feed.waited() == pytest.approx(0.5, abs=1e-3)


PASSED = NOON - timedelta(hours=1)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Retry-After", "0"),
        ("Retry-After", format_datetime(PASSED, usegmt=True)),
        ("X-RateLimit-Reset", str(int(PASSED.timestamp()))),
    ],
    ids=["none", "a date that has passed", "a reset that has passed"],
)
def test_wait_of_zero_leaves_our_own_growing_backoff(
    sandbox: Sandbox, feed: FeedClient, name: str, text: str
) -> None:
    fail(sandbox, 429, times=8, **{name: text})
    assert 46 <= feed.waited() <= 92


def test_retry_after_date_without_a_date_header_is_ignored(
    sandbox: Sandbox, feed: FeedClient
) -> None:
    sandbox.omit_date_header = True
    fail(sandbox, Retry_After=format_datetime(NOON + timedelta(hours=20), usegmt=True))
    assert feed.waited() == pytest.approx(0.5, abs=1e-3)


def test_requested_waits_of_an_hour_do_not_use_up_our_own_retries(
    sandbox: Sandbox, feed: FeedClient
) -> None:
    fail(sandbox, Retry_After="1200", times=3)
    fail(sandbox, times=6)
    assert feed.waited() > 3_600


@pytest.mark.parametrize("asked", [["3601"], ["1800", "1801"], ["999999999999"]])
def test_wait_over_an_hour_ends_the_run_and_is_named(
    sandbox: Sandbox, feed: FeedClient, asked: list[str]
) -> None:
    for text in asked:
        fail(sandbox, 429, Retry_After=text)
    with pytest.raises(ApiError, match=f"asks to wait {int(asked[-1]):,} seconds"):
        feed.page()
    assert len(sandbox.feed_requests) == len(asked)


# Our own waits


def test_backoff_grows_to_30_seconds_with_jitter(sandbox: Sandbox, feed: FeedClient) -> None:
    fail(sandbox, times=None)
    with pytest.raises(ApiError, match="503"):
        feed.page()
    times = [entry.time for entry in sandbox.feed_requests]
    took = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert min(took) >= 0.499
    for n, wait in enumerate(took):
        longest = min(30, 0.5 * 2**n)
        assert longest / 2 - 0.001 <= wait <= max(0.5, longest) + 0.001
    assert len(set(took[7:])) == len(took[7:])  # no two alike
    assert 240 <= sum(took) <= 300
    assert feed.budget.credits == 0


@pytest.mark.parametrize(("seconds", "tries"), [(299.5, 2), (299.6, 1), (100, 3)])
def test_time_spent_on_tries_counts_to_the_second(
    sandbox: Sandbox, feed: FeedClient, seconds: float, tries: int
) -> None:
    fail(sandbox, times=None)
    take_time(feed, seconds)
    with pytest.raises(ApiError, match="given up after"):
        feed.page()
    assert len(sandbox.feed_requests) == tries


# Responses that may have been billed


def test_other_failures_add_no_retries_of_broken_responses(
    sandbox: Sandbox, feed: FeedClient
) -> None:
    for _ in range(3):
        sandbox.faults.add(Fault(truncate=0.5))
        fail(sandbox, 503)
    with pytest.raises(ApiError, match="billed"):
        feed.page()
    assert len(sandbox.feed_requests) == 5
    assert feed.budget.credits == 7_500


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 405, 410, 422, 451])
def test_other_errors_are_final_and_free(sandbox: Sandbox, feed: FeedClient, status: int) -> None:
    fail(sandbox, status, times=None, Retry_After="1")
    with pytest.raises(ApiError, match=str(status)):
        feed.page()
    assert len(sandbox.feed_requests) == 1
    assert feed.clock.passed == 0
    assert feed.budget.credits == 0


def test_truncated_error_is_judged_by_its_status(sandbox: Sandbox, feed: FeedClient) -> None:
    sandbox.faults.add(Fault(status=401, truncate=0.5))
    with pytest.raises(ApiError, match="401"):
        feed.page()
    assert feed.budget.credits == 0


# Within the rate limit


class InProcess(BaseAdapter):
    """Brings requests to the sandbox's API without HTTP: hours of them in a moment.

    Args:
        core: The API.
        clock: The clock of both sides.
        latency: Seconds that an answer takes.
    """

    def __init__(self, core: Core, clock: FakeClock, latency: float) -> None:
        super().__init__()
        self._core = core
        self._clock = clock
        self._latency = latency

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        self._clock.passed += self._latency / 2
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = json.loads(request.body.read())  # type: ignore[union-attr]
        entry = self._core.book.open(self._core.now(), "feed", headers, body=body)
        reply = answer(self._core, entry, None)
        self._core.book.close()
        assert reply
        date = format_datetime(self._core.now(), usegmt=True)
        self._clock.passed += self._latency / 2
        response = requests.Response()
        response.status_code = reply.status
        response.headers.update({"Date": date} | reply.headers)
        response.raw = HTTPResponse(io.BytesIO(reply.payload()), preload_content=False)
        response.url = request.url or ""
        return response

    def close(self) -> None:
        pass


def paced(limits: Limits | None, latency: float, **options: Any) -> tuple[FeedClient, Core]:
    """A client and an API with rate limits, both by the same made-up clock."""
    clock = FakeClock()
    core = Core(size=1, clock=clock.unix_time, rate_limits=limits, balance=10**9, **options)
    session = requests.Session()
    session.mount("https://", InProcess(core, clock, latency))
    session.trust_env = False
    return FeedClient("https://jobo.example", core.api_key, session, clock), core


@pytest.mark.parametrize(("latency", "offset"), [(0.05, 0), (0.2, 0.5), (0.45, 7200.3)])
def test_pacing_uses_a_minutes_rate_with_almost_no_429(latency: float, offset: float) -> None:
    minutes = 10
    feed, core = paced([(120, 60)], latency, clock_offset=offset)
    end = minutes * 60
    while feed.clock.passed < end:
        feed.page(rows=1)
    answered = [entry.status for entry in core.feed_requests]
    assert answered.count(200) >= 0.95 * 120 * minutes
    assert answered.count(429) <= 0.01 * len(answered)


def test_first_half_of_an_allowance_is_not_paced() -> None:
    feed, core = paced([(120, 60)], 0.1)
    for _ in range(60):
        feed.page(rows=1)
    assert len(core.feed_requests) == 60
    assert feed.clock.passed == pytest.approx(6)
    for _ in range(10):
        feed.page(rows=1)
    assert feed.clock.passed > 10


@pytest.mark.parametrize(("seconds", "waited"), [(3_600, 1_800), (3_601, 0), (-1, 0)])
def test_rest_of_an_allowance_is_spread_over_at_most_an_hour(
    sandbox: Sandbox, feed: FeedClient, seconds: int, waited: float
) -> None:
    reset = str(int(NOON.timestamp()) + seconds)
    allowance = {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset": reset}
    sandbox.faults.add(Fault(headers=allowance))
    cursor = feed.page().next_cursor
    feed.page(cursor)
    assert feed.clock.passed == pytest.approx(waited, abs=1e-3)


@pytest.mark.parametrize("text", GARBAGE)
@pytest.mark.parametrize("name", ["X-RateLimit-Remaining", "X-RateLimit-Reset"])
def test_invalid_headers_pace_nothing(
    sandbox: Sandbox, feed: FeedClient, name: str, text: str
) -> None:
    sensible = {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "1"}
    reset = {"X-RateLimit-Reset": str(int(NOON.timestamp()) + 60)}
    sandbox.faults.add(Fault(headers=sensible | reset | {name: text}))
    cursor = feed.page().next_cursor
    feed.page(cursor)
    assert feed.clock.passed == 0


def test_pause_for_the_rate_limit_is_logged(
    sandbox: Sandbox, feed: FeedClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    allowance = {
        "X-RateLimit-Limit": "120",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(NOON.timestamp()) + 3_600),
    }
    sandbox.faults.add(Fault(headers=allowance))
    feed.page(feed.page().next_cursor)
    assert caplog.messages == ["Jobo's rate limit is reached: waiting 3,600 s."]
