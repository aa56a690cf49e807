"""The feed of career sites: what the tap asks for, and that all of it arrives."""

from __future__ import annotations

from importlib.metadata import version
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
