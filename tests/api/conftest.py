"""The client against the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tap_jobo.api.client import ApiSession
from tests.support.client import FeedClient

if TYPE_CHECKING:
    from jobo_sandbox import Sandbox


@pytest.fixture
def feed(sandbox: Sandbox) -> FeedClient:
    """The client against the sandbox over HTTP, both with the same clock."""
    feed = FeedClient(sandbox.url, sandbox.api_key, ApiSession(sandbox.url))
    sandbox.clock = feed.clock.unix_time
    return feed
