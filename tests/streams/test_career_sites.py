"""The feed of career sites: what the tap asks for, and that all of it arrives."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Sandbox
from tests.support import Tap

pytestmark = pytest.mark.portable

Body = dict[str, Any]

FILTERS: dict[str, Any] = {
    "industries": ["biotech", "education", "fintech", "gaming", "healthcare", "saas", "travel"],
    "company_sizes": ["1-10", "1001-5000", "11-50", "201-500", "51-200"],
    "country_codes": ["DE", "FR", "GB", "US"],
    "funding_stages": ["pre_seed", "seed", "series_a", "series_b"],
    "company_types": ["for_profit"],
    "founded_after": 1960,
    "is_agency": False,
}


def test_request_is_as_documented(tap: Tap, sandbox: Sandbox) -> None:
    tap.run()
    request = sandbox.feed_requests[0]
    assert request.endpoint == "feed"  # which is only there for a POST of the documented path
    assert request.headers["x-api-key"] == sandbox.api_key
    assert f"tap-jobo/{version('tap-jobo')}" in request.headers["user-agent"].split()
    assert request.headers["content-type"] == "application/json"
    assert request.body == {"batch_size": 50}


def test_requests_to_localhost_bypass_the_proxy(tap: Tap) -> None:
    dead = "http://127.0.0.1:1"
    proxies = {"http_proxy": dead, "HTTP_PROXY": dead, "ALL_PROXY": dead, "no_proxy": ""}
    run = tap.succeed(env=proxies)
    assert len(run.ids) == 120


def test_every_page_repeats_filters_window_and_page_size(tap: Tap, sandbox: Sandbox) -> None:
    tap.run(**FILTERS, start_date="2020-01-01", batch_size=2)
    bodies = [request.body for request in sandbox.feed_requests]
    cursors = [body.pop("cursor", None) for body in bodies]
    assert len(bodies) >= 3
    assert cursors[0] is None
    assert all(cursors[1:])
    assert len(set(cursors)) == len(cursors)
    repeated = {**FILTERS, "updated_after": "2019-12-31T23:59:59.999000Z", "batch_size": 2}
    assert bodies == [repeated] * len(bodies)


def test_full_sync_emits_every_row_once(tmp_path: Path) -> None:
    with Sandbox(size=230, seed=3, order="updated_desc") as sandbox:
        run = Tap(sandbox, tmp_path).succeed()
        rows = sandbox.world.rows()
        assert sorted(run.ids) == sorted(rows)
        assert all(rows[row["id"]] == row for row in map(_as_sent, run.records))
        assert all(row["_rescued_data"] is None for row in run.records)
        assert sandbox.rows_billed == 230


def _as_sent(record: Body) -> Body:
    """The record without what the sandbox does not send."""
    return {k: v for k, v in record.items() if k not in {"updated_at", "_rescued_data"}}


def test_page_without_more_is_the_end_despite_a_cursor(tap: Tap, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(replace=lambda body: {**body, "has_more": False}), on=2)
    run = tap.succeed()
    assert len(run.ids) == 100
    assert len(sandbox.feed_requests) == 2
