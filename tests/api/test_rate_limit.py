"""How the tap spreads its requests over a rate limit, on a clock that is made up."""

from __future__ import annotations

import io
import json
import logging
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from jobo_sandbox import Fault, Sandbox
from jobo_sandbox.core import Core
from jobo_sandbox.endpoints import answer
from tests.support.client import GARBAGE, FeedClient
from tests.support.clock import NOON, FakeClock

if TYPE_CHECKING:
    from jobo_sandbox.limits import Limits


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


def fail(sandbox: Sandbox, status: int, **headers: str) -> None:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    sandbox.faults.add(Fault(status=status, headers=named))


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


# What the log says of a pause


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


def test_refused_request_names_the_wait(
    sandbox: Sandbox, feed: FeedClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fail(sandbox, 429, Retry_After="20")
    feed.page()
    assert caplog.messages[1] == "Jobo's rate limit is reached: waiting 20 s."
