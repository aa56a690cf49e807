"""The feed of career sites: what the tap asks for, and that all of it arrives."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from jobo_sandbox import Sandbox
from tests.support import Tap

Body = dict[str, Any]


def test_request_is_as_documented(tap: Tap, sandbox: Sandbox) -> None:
    tap.run()
    request = sandbox.feed_requests[0]
    assert (
        request.endpoint == "career_sites"
    )  # which is only there for a POST of the documented path
    assert request.headers["x-api-key"] == sandbox.api_key
    assert f"tap-jobo/{version('tap-jobo')}" in request.headers["user-agent"].split()
    assert request.headers["content-type"] == "application/json"
    assert request.body == {"batch_size": 50}


def test_requests_to_localhost_bypass_the_proxy(tap: Tap) -> None:
    dead = "http://127.0.0.1:1"
    proxies = {"http_proxy": dead, "HTTP_PROXY": dead, "ALL_PROXY": dead, "no_proxy": ""}
    run = tap.succeed(env=proxies)
    assert len(run.ids) == 120


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
