"""Metrics and summaries: the SDK's of HTTP requests, and counts of rows that were written."""

from __future__ import annotations

from typing import Any

from jobo_sandbox import Fault, Sandbox
from tests.support import Run, Tap, discover
from tests.support.companies import ids_of, selecting


def _points(run: Run, metric: str) -> list[dict[str, Any]]:
    return [point for point in run.points if point["metric"] == metric]


def test_each_request_is_timed_and_all_are_counted(tap: Tap, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(status=503, headers={"Retry-After": "0"}), endpoint="feed", on=2)
    run = tap.run(env={"TAP_JOBO_LOGLEVEL": "DEBUG"})
    assert run.returncode == 0
    (count,) = _points(run, "http_request_count")
    feed = "/api/career-sites/feed"
    assert (count["value"], count["tags"]) == (4, {"stream": "career_sites", "endpoint": feed})
    points = _points(run, "http_request_duration")
    timed = [point for point in points if point["tags"]["endpoint"] == feed]
    assert len(points) == len(timed) + 1  # the request that reads the API's clock
    assert [point["tags"]["http_status_code"] for point in timed] == [200, 503, 200, 200]
    assert [point["tags"]["status"] for point in timed] == [
        "succeeded", "failed", "succeeded", "succeeded",
    ]  # fmt: skip
    assert all(point["value"] >= 0 for point in timed)


def test_rows_of_a_page_whose_profiles_fail_are_counted(tap: Tap, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(status=403, times=None), endpoint="profile")
    run = tap.run(catalog=selecting(discover(), companies=True))
    assert run.returncode == 1
    # The rows of the page were written, although its state was not: the page comes again.
    assert run.metrics["record_count"] == len(ids_of(run, "career_sites")) == 50
    assert "2,500 credits" in run.stderr
    assert not _points(run, "http_request_duration")  # which are of level DEBUG
