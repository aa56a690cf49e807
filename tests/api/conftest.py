"""The client against the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from tap_jobo.api.transport import Transport
from tests.support.client import FeedClient

if TYPE_CHECKING:
    from jobo_sandbox import Sandbox


@pytest.fixture
def feed(sandbox: Sandbox) -> FeedClient:
    """The client against the sandbox over HTTP, both with the same clock."""
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", Transport(1))
    feed = FeedClient(sandbox.url, sandbox.api_key, session)
    sandbox.clock = feed.clock.unix_time
    return feed
