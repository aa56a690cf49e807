"""How long the tap waits, and when it gives up; its clock is made up, so that no test waits."""

from __future__ import annotations

import io
import itertools
import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import requests
from requests.adapters import BaseAdapter

from jobo_sandbox import FEED_LIMITS, Fault, Sandbox
from jobo_sandbox.core import Core
from jobo_sandbox.endpoints import answer
from tap_jobo.api import client as client_module
from tap_jobo.api.budget import Account, Budget
from tap_jobo.api.client import Client
from tap_jobo.api.page import Page, read_page
from tap_jobo.api.retry import Retry, RetryableError
from tap_jobo.api.transport import Transport
from tap_jobo.clock import Clock
from tap_jobo.errors import ApiError
from tap_jobo.signals import ShutdownSignal

if TYPE_CHECKING:
    from jobo_sandbox.limits import Limits

LOGGER = logging.getLogger("tests.waiting")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
GARBAGE = ["", "soon", "-5", "nan", "inf", "-inf", "1e999", "1e12", "0x10", "١٢"]


@dataclass
class FakeClock(Clock):
    """Time that passes only by sleeping; `passed` is in seconds since noon."""

    passed: float = 0.0

    @property
    def time(self) -> float:
        """Unix seconds."""
        return NOON.timestamp() + self.passed

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.passed += seconds


@dataclass
class FeedReader:
    """The tap's client for the feed, with a clock of the test's.

    Attributes:
        url: Where the API is.
        key: The API key.
        session: Sends the requests.
        clock: Its clock.
        budget: What it has cost, but for pages that arrived: their reader counts them.
    """

    url: str
    key: str
    session: requests.Session
    clock: FakeClock = field(default_factory=FakeClock)
    budget: Budget = field(
        default_factory=lambda: Budget(max_credits=None, alert_threshold=None, logger=LOGGER)
    )

    def __post_init__(self) -> None:
        self._account: Account = self.budget.account("career_sites", list_price=50)
        self._client = Client(
            session=self.session,
            key=self.key,
            shutdown=ShutdownSignal(self.clock),
            clock=self.clock,
            logger=LOGGER,
        )

    def page(self, cursor: str | None = None, rows: int = 50) -> Page:
        """Fetch a page; `TapJoboError` if the client gives up."""
        request = requests.Request(
            "POST",
            f"{self.url}/api/career-sites/feed",
            headers={"X-Api-Key": self.key},
            json={"batch_size": rows, "cursor": cursor},
        )
        prepared = self.session.prepare_request(request)
        return read_page(
            self._client.fetch(prepared, rows=rows, account=self._account).body, cursor
        )

    def waited(self) -> float:
        """Fetch a page and return the seconds that it took."""
        before = self.clock.passed
        assert len(self.page().rows) == 50
        return self.clock.passed - before


@pytest.fixture
def feed(sandbox: Sandbox) -> FeedReader:
    """The client against the sandbox over HTTP, both with the same clock."""
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", Transport(1))
    feed = FeedReader(sandbox.url, sandbox.api_key, session)
    sandbox.clock = lambda: feed.clock.time
    return feed


def waits(sandbox: Sandbox) -> list[float]:
    """The seconds between the requests."""
    times = [entry.time for entry in sandbox.feed_requests]
    return [(later - earlier).total_seconds() for earlier, later in pairwise(times)]


def fail(sandbox: Sandbox, status: int = 503, *, times: int | None = 1, **headers: str) -> None:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    sandbox.faults.add(Fault(status=status, headers=named, times=times))


# What the server asks for


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("text", "seconds"), [("7", 7), ("2.5", 2.5), ("3600", 3600)])
def test_retry_after_in_seconds_is_waited(
    sandbox: Sandbox, feed: FeedReader, status: int, text: str, seconds: float
) -> None:
    fail(sandbox, status, Retry_After=text)
    assert feed.waited() == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize("offset", [0, 86_400, -86_400])
def test_a_date_is_read_against_the_answers_own(
    sandbox: Sandbox, feed: FeedReader, offset: float
) -> None:
    sandbox.clock_offset = offset
    then = NOON + timedelta(seconds=offset + 90)
    fail(sandbox, Retry_After=format_datetime(then, usegmt=True))
    assert feed.waited() == pytest.approx(90, abs=1e-3)


def test_retry_after_seconds_of_the_body_are_waited(sandbox: Sandbox, feed: FeedReader) -> None:
    sandbox.faults.add(Fault(status=429, body={"retry_after_seconds": 12}))
    assert feed.waited() == pytest.approx(12, abs=1e-3)


def test_the_header_wins_over_the_body(sandbox: Sandbox, feed: FeedReader) -> None:
    sandbox.faults.add(
        Fault(status=429, headers={"Retry-After": "5"}, body={"retry_after_seconds": 12})
    )
    assert feed.waited() == pytest.approx(5, abs=1e-3)


@pytest.mark.parametrize("offset", [0, 86_400])
def test_the_reset_of_the_rate_limit_is_read_against_the_answers_date(
    sandbox: Sandbox, feed: FeedReader, offset: float
) -> None:
    sandbox.clock_offset = offset
    fail(sandbox, 429, X_RateLimit_Reset=str(int(NOON.timestamp() + offset + 40)))
    assert feed.waited() == pytest.approx(40, abs=1e-3)


def test_the_reset_of_the_rate_limit_says_nothing_of_another_failure(
    sandbox: Sandbox, feed: FeedReader
) -> None:
    fail(sandbox, 503, X_RateLimit_Reset=str(int(NOON.timestamp() + 40)))
    assert feed.waited() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("text", GARBAGE)
def test_a_wait_that_makes_no_sense_is_as_none(
    sandbox: Sandbox, feed: FeedReader, text: str
) -> None:
    fail(sandbox, Retry_After=text)
    assert feed.waited() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("value", [None, "soon", -1, True, [1], 10**400, float("nan")])
def test_a_body_that_makes_no_sense_is_as_none(
    sandbox: Sandbox, feed: FeedReader, value: object
) -> None:
    sandbox.faults.add(Fault(status=503, body={"retry_after_seconds": value}))
    assert feed.waited() <= 1.01


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
def test_a_wait_of_no_time_leaves_our_own_which_grow(
    sandbox: Sandbox, feed: FeedReader, name: str, text: str
) -> None:
    fail(sandbox, 429, times=8, **{name: text})
    assert 46 <= feed.waited() <= 92


def test_a_date_without_one_of_the_answer_is_as_none(sandbox: Sandbox, feed: FeedReader) -> None:
    sandbox.omit_date_header = True
    fail(sandbox, Retry_After=format_datetime(NOON + timedelta(hours=20), usegmt=True))
    assert feed.waited() == pytest.approx(0.5, abs=1e-3)


def test_waits_that_were_asked_for_are_honoured_for_an_hour(
    sandbox: Sandbox, feed: FeedReader
) -> None:
    fail(sandbox, Retry_After="1200", times=3)
    assert feed.waited() == pytest.approx(3_600, abs=1e-3)


def test_waits_that_were_asked_for_leave_our_own_patience(
    sandbox: Sandbox, feed: FeedReader
) -> None:
    fail(sandbox, Retry_After="1000", times=3)
    fail(sandbox, times=6)
    assert feed.waited() > 3_000


@pytest.mark.parametrize("asked", [["3601"], ["1800", "1801"], ["999999999999"]])
def test_beyond_an_hour_the_run_ends_and_says_when_a_new_one_makes_sense(
    sandbox: Sandbox, feed: FeedReader, asked: list[str]
) -> None:
    for text in asked:
        fail(sandbox, 429, Retry_After=text)
    with pytest.raises(ApiError) as error:
        feed.page()
    assert len(sandbox.feed_requests) == len(asked)
    then = feed.clock.now() + timedelta(seconds=min(float(asked[-1]), 1e9))
    assert then.strftime("%Y-%m-%dT%H:%M") in str(error.value)


# Our own waits


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(sandbox: Sandbox, feed: FeedReader, status: int) -> None:
    fail(sandbox, status)
    assert len(feed.page().rows) == 50
    assert feed.budget.credits == 0


def test_own_waits_grow_from_half_a_second_to_30_with_jitter_for_five_minutes(
    sandbox: Sandbox, feed: FeedReader
) -> None:
    fail(sandbox, times=None)
    with pytest.raises(ApiError, match="503"):
        feed.page()
    took = waits(sandbox)
    assert 0.5 <= took[0] <= 1
    assert min(took) >= 0.499
    assert max(took) <= 30.001
    for n, wait in enumerate(took):
        longest = min(30, 0.5 * 2**n)
        assert longest / 2 - 0.001 <= wait <= longest + 0.001
    assert len(set(took[7:])) == len(took[7:])  # no two alike
    assert 240 <= sum(took) <= 300
    assert feed.budget.credits == 0


def test_own_waits_without_jitter_double_up_to_30_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda _, most: most)
    retry = Retry(120, is_paid=True)
    took = [
        retry.after_failure(RetryableError("Jobo answered 503"), spent=0, now=NOON)
        for _ in range(8)
    ]
    assert took == [0.5, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(("seconds", "tries"), [(299.5, "2 tries"), (299.6, "1 try")])
def test_patience_of_five_minutes_ends_to_the_second(
    sandbox: Sandbox, feed: FeedReader, seconds: float, tries: str
) -> None:
    def take_time(response: requests.Response, **_: object) -> requests.Response:
        feed.clock.passed += seconds
        return response

    fail(sandbox, times=None)
    feed.session.hooks["response"] = [take_time]
    with pytest.raises(ApiError, match=f" {tries} "):
        feed.page()
    assert len(sandbox.feed_requests) == int(tries[0])


def test_the_time_that_tries_take_is_counted(sandbox: Sandbox, feed: FeedReader) -> None:
    def take_time(response: requests.Response, **_: object) -> requests.Response:
        feed.clock.passed += 100
        return response

    sandbox.faults.add(Fault(status=500, times=None))
    feed.session.hooks["response"] = [take_time]
    with pytest.raises(ApiError):
        feed.page()
    assert len(sandbox.feed_requests) == 3


def test_each_page_has_patience_of_its_own(sandbox: Sandbox, feed: FeedReader) -> None:
    fail(sandbox, times=10)
    page = feed.page()
    fail(sandbox, times=10)
    assert len(feed.page(page.next_cursor).rows) == 50


def test_an_api_that_is_away_is_given_up_after_five_minutes(
    sandbox: Sandbox, feed: FeedReader
) -> None:
    sandbox.close()
    with pytest.raises(ApiError, match="cannot be reached"):
        feed.page()
    assert 240 <= feed.clock.passed <= 300
    assert feed.budget.credits == 0


# Answers that may be paid for


BROKEN = {
    "truncated": Fault(truncate=0.5, times=None),
    "empty": Fault(garbage=b"", times=None),
    "garbage": Fault(garbage="<html>Welcome</html>", times=None),
    "drop": Fault(drop=True, billed=True, times=None),
    "hang": Fault(hang=True, billed=True, times=None),
}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
def test_an_answer_that_broke_is_tried_twice_more_and_counted_as_paid(
    sandbox: Sandbox, feed: FeedReader, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_TIMEOUT", (10, 0.1))
    sandbox.faults.add(fault)
    sandbox.omit_credit_headers = True  # an answer that names a price is a page
    with pytest.raises(ApiError, match="billed"):
        feed.page()
    assert len(sandbox.feed_requests) == 3
    assert feed.budget.credits == sandbox.credits_billed == 7_500


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
def test_an_answer_that_broke_once_costs_a_page(
    sandbox: Sandbox, feed: FeedReader, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_TIMEOUT", (10, 0.1))
    sandbox.faults.add(fault)
    sandbox.omit_credit_headers = True
    original = sandbox.faults.take
    answers = itertools.count()
    monkeypatch.setattr(
        sandbox.faults, "take", lambda entry: None if next(answers) else original(entry)
    )
    assert len(feed.page().rows) == 50
    assert feed.budget.credits == 2_500


def test_failures_in_between_leave_the_tries_that_may_be_paid_at_two(
    sandbox: Sandbox, feed: FeedReader
) -> None:
    for _ in range(3):
        sandbox.faults.add(Fault(truncate=0.5))
        fail(sandbox, 503)
    with pytest.raises(ApiError, match="billed"):
        feed.page()
    assert len(sandbox.feed_requests) == 5
    assert feed.budget.credits == 7_500


def test_jobos_timeouts_are_those_it_asks_for() -> None:
    assert client_module._TIMEOUT == (10, 120)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 410, 422, 451])
def test_any_other_refusal_is_final(sandbox: Sandbox, feed: FeedReader, status: int) -> None:
    fail(sandbox, status, times=None, Retry_After="1")
    with pytest.raises(ApiError, match=str(status)):
        feed.page()
    assert len(sandbox.feed_requests) == 1
    assert feed.clock.passed == 0


def test_an_error_whose_text_breaks_off_is_judged_by_its_status(
    sandbox: Sandbox, feed: FeedReader
) -> None:
    sandbox.faults.add(Fault(status=401, truncate=0.5))
    with pytest.raises(ApiError, match="401"):
        feed.page()
    assert feed.budget.credits == 0


# Pacing


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
        body = json.loads(request.body or b"null")
        entry = self._core.book.open(self._core.now(), "feed", headers, body=body)
        reply = answer(self._core, entry, None)
        self._core.book.close()
        assert reply
        date = format_datetime(self._core.now(), usegmt=True)
        self._clock.passed += self._latency / 2
        response = requests.Response()
        response.status_code = reply.status
        response.headers.update({"Date": date} | reply.headers)
        response.raw = io.BytesIO(reply.payload())
        response.url = request.url or ""
        return response

    def close(self) -> None:
        pass


def paced(limits: Limits | None, latency: float, **options: Any) -> tuple[FeedReader, Core]:
    """A client and an API with rate limits, both by the same made-up clock."""
    clock = FakeClock()
    core = Core(size=1, clock=lambda: clock.time, rate_limits=limits, balance=10**9, **options)
    session = requests.Session()
    session.mount("https://", InProcess(core, clock, latency))
    session.trust_env = False
    return FeedReader("https://jobo.example", core.api_key, session, clock), core


@pytest.mark.parametrize(("latency", "offset"), [(0.05, 0), (0.2, 0.5), (0.45, 7200.3)])
def test_pacing_uses_95_percent_of_a_minutes_rate_and_next_to_no_429(
    latency: float, offset: float
) -> None:
    minutes = 10
    feed, core = paced([(120, 60)], latency, clock_offset=offset)
    end = minutes * 60
    while feed.clock.passed < end:
        feed.page(rows=1)
    answered = [entry.status for entry in core.feed_requests]
    assert answered.count(200) >= 0.95 * 120 * minutes
    assert answered.count(429) <= 0.01 * len(answered)


def test_pacing_uses_95_percent_of_an_hours_rate_and_next_to_no_429() -> None:
    hours = 2
    feed, core = paced(FEED_LIMITS, 0.1)
    end = hours * 3_600
    while feed.clock.passed < end:
        feed.page(rows=1)
    answered = [entry.status for entry in core.feed_requests]
    assert answered.count(200) >= 0.95 * 5_000 * hours
    assert answered.count(429) <= 0.01 * len(answered)


def test_the_first_half_of_an_allowance_is_not_paced() -> None:
    feed, core = paced([(120, 60)], 0.1)
    for _ in range(60):
        feed.page(rows=1)
    assert len(core.feed_requests) == 60
    assert feed.clock.passed == pytest.approx(6)
    for _ in range(10):
        feed.page(rows=1)
    assert feed.clock.passed > 10


def test_without_headers_nothing_is_paced() -> None:
    feed, _ = paced([(120, 60)], 0.1, omit_rate_headers=True)
    for _ in range(120):
        feed.page(rows=1)
    assert feed.clock.passed == pytest.approx(12)


@pytest.mark.parametrize(("seconds", "waited"), [(3_600, 1_800), (3_601, 0), (-1, 0)])
def test_the_rest_of_an_allowance_is_spread_over_an_hour_at_most(
    sandbox: Sandbox, feed: FeedReader, seconds: int, waited: float
) -> None:
    reset = str(int(NOON.timestamp()) + seconds)
    allowance = {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset": reset}
    sandbox.faults.add(Fault(headers=allowance))
    cursor = feed.page().next_cursor
    feed.page(cursor)
    assert feed.clock.passed == pytest.approx(waited, abs=1e-3)


@pytest.mark.parametrize("text", GARBAGE)
@pytest.mark.parametrize("name", ["X-RateLimit-Remaining", "X-RateLimit-Reset"])
def test_headers_that_make_no_sense_pace_nothing(
    sandbox: Sandbox, feed: FeedReader, name: str, text: str
) -> None:
    sensible = {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "1"}
    reset = {"X-RateLimit-Reset": str(int(NOON.timestamp()) + 60)}
    sandbox.faults.add(Fault(headers=sensible | reset | {name: text}))
    cursor = feed.page().next_cursor
    feed.page(cursor)
    assert feed.clock.passed == 0


# What the log says of a pause


@pytest.mark.parametrize(
    ("named", "seconds"),
    [
        ("60 requests per minute", 20),
        ("120 requests per minute", 60),
        ("360 requests per minute", 6),
        ("1,000 requests per hour", 61),
        ("5,000 requests per hour", 20),
        ("10,000 requests per hour", 3_600),
        ("50,000 requests per day", 20),
    ],
)
def test_a_pause_for_the_rate_limit_is_logged(
    sandbox: Sandbox, feed: FeedReader, caplog: pytest.LogCaptureFixture, named: str, seconds: int
) -> None:
    caplog.set_level(logging.INFO)
    allowance = {
        "X-RateLimit-Limit": named.split(maxsplit=1)[0].replace(",", ""),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(NOON.timestamp()) + seconds),
    }
    sandbox.faults.add(Fault(headers=allowance))
    feed.page(feed.page().next_cursor)
    assert caplog.messages == [f"Jobo's rate limit reached ({named}): waiting {seconds:,} s."]


def test_a_refused_request_tells_of_the_limit_too(
    sandbox: Sandbox, feed: FeedReader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fail(sandbox, 429, Retry_After="20", X_RateLimit_Limit="120")
    feed.page()
    refused, told = caplog.messages
    assert "429" in refused
    assert told == "Jobo's rate limit reached (120 requests per minute): waiting 20 s."


def test_a_refused_request_without_a_limit_tells_of_the_wait(
    sandbox: Sandbox, feed: FeedReader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fail(sandbox, 429, Retry_After="20")
    feed.page()
    assert caplog.messages[1] == "Jobo's rate limit reached: waiting 20 s."


def test_a_pause_of_five_seconds_is_not_logged(
    sandbox: Sandbox, feed: FeedReader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reset = str(int(NOON.timestamp()) + 5)
    used_up = {"X-RateLimit-Limit": "120", "X-RateLimit-Remaining": "0"}
    sandbox.faults.add(Fault(headers=used_up | {"X-RateLimit-Reset": reset}))
    feed.page(feed.page().next_cursor)
    assert feed.clock.passed == 5
    assert caplog.messages == []


def test_a_wait_for_another_failure_is_no_rate_limit(
    sandbox: Sandbox, feed: FeedReader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fail(sandbox, 503, Retry_After="20", X_RateLimit_Limit="120")
    feed.page()
    assert len(caplog.messages) == 1
    assert "rate limit" not in caplog.text
