"""How long the tap waits, and when it gives up; its clock is made up, so that no test waits."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest
import requests

from jobo_sandbox import Fault, Sandbox
from tap_jobo.api import retry
from tap_jobo.api.retry import FailedTryError, Retry
from tap_jobo.errors import ApiError
from tests.support.client import GARBAGE, FeedClient
from tests.support.clock import NOON


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


@pytest.mark.parametrize("value", [None, "soon", -1, [1], 10**400, float("nan")])
def test_invalid_wait_in_the_body_is_ignored(
    sandbox: Sandbox, feed: FeedClient, value: object
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


def test_backoff_without_jitter_doubles_up_to_30_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda _, most: most)
    retry = Retry(120, is_paid=True)
    failure = FailedTryError("Jobo responded with 503")
    took = [retry.wait_after(failure, 0) for _ in range(8)]
    assert took == [0.5, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(("seconds", "tries"), [(299.5, 2), (299.6, 1), (100, 3)])
def test_time_spent_on_tries_counts_to_the_second(
    sandbox: Sandbox, feed: FeedClient, seconds: float, tries: int
) -> None:
    fail(sandbox, times=None)
    take_time(feed, seconds)
    with pytest.raises(ApiError, match="given up after"):
        feed.page()
    assert len(sandbox.feed_requests) == tries


def test_each_page_has_its_own_retry_time(sandbox: Sandbox, feed: FeedClient) -> None:
    fail(sandbox, times=10)
    page = feed.page()
    fail(sandbox, times=10)
    assert len(feed.page(page.next_cursor).items) == 50


def test_host_that_goes_away_ends_the_run_after_five_minutes(
    sandbox: Sandbox, feed: FeedClient
) -> None:
    sandbox.close()
    with pytest.raises(ApiError, match="cannot be reached"):
        feed.page()
    assert 240 <= feed.clock.passed <= 300
    assert feed.budget.credits == 0


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
