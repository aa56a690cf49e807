"""The client against the sandbox."""

import pytest

from jobo_sandbox import Sandbox
from tap_jobo.api.session import ApiSession
from tests.support.client import FeedClient


@pytest.fixture
def feed(sandbox: Sandbox) -> FeedClient:
    """The client against the sandbox over HTTP, both with the same clock."""
    feed = FeedClient(ApiSession(sandbox.url, sandbox.api_key))
    sandbox.clock = feed.clock.unix_time
    return feed
