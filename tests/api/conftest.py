"""The client and the tap against the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tap_jobo.api.client import ApiSession
from tests.support import Tap, discover
from tests.support.client import FeedClient
from tests.support.companies import selecting


@pytest.fixture
def feed(sandbox: Sandbox) -> FeedClient:
    """The client against the sandbox over HTTP, both with the same clock."""
    feed = FeedClient(sandbox.url, sandbox.api_key, ApiSession(sandbox.url))
    sandbox.clock = feed.clock.unix_time
    return feed


@pytest.fixture
def quick_tap(sandbox: Sandbox, tmp_path: Path) -> Tap:
    """The tap, whose waits take no time with `run_quickly`."""
    return Tap(sandbox, tmp_path, catalog=selecting(discover(tmp_path)))
