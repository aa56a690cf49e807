"""A tap as the SDK's template makes it: correct on a good day, and with none of the promises.

With `resume`, it also writes the cursor to its state after each page.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from singer_sdk import RESTStream, Tap
from singer_sdk.authenticators import APIKeyAuthenticator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

url, path, rows, size, schema = sys.argv[1:6]
resumes, options = sys.argv[6:7] == ["resume"], sys.argv[6:]


class Feed(RESTStream[str]):
    """A feed of Jobo."""

    name = rows
    path = path
    url_base = url
    http_method = "POST"
    primary_keys = ("id",)
    replication_key = "updated_at"
    records_jsonpath = f"$.{rows}[*]"
    next_page_token_jsonpath = "$.next_cursor"  # noqa: S105
    schema = json.loads(schema)

    @property
    def authenticator(self) -> APIKeyAuthenticator:
        """The header that carries the key."""
        return APIKeyAuthenticator(key="X-Api-Key", value=os.environ["JOBO_API_KEY"])

    def prepare_request_payload(self, context: Any, next_page_token: str | None) -> dict[str, Any]:
        """Return the body of a request."""
        body: dict[str, Any] = {"batch_size": int(size)}
        if start := self.get_starting_timestamp(context):
            body["updated_after"] = start.isoformat()
        if next_page_token:
            body["cursor"] = next_page_token
        return body


class ResumingFeed(Feed):
    """The feed, resumed from the cursor in the state."""

    def prepare_request_payload(self, context: Any, next_page_token: str | None) -> dict[str, Any]:
        """Return the body of a request."""
        token = next_page_token or self.stream_state.get("cursor")
        return super().prepare_request_payload(context, token)

    def parse_response(self, response: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows of a page, and write the state once they are written."""
        yield from super().parse_response(response)
        self.stream_state["cursor"] = response.json()["next_cursor"]
        self.state_manager.is_flushed = False
        self._write_state_message()


class PlainTap(Tap):
    """The tap."""

    name = "tap-plain"

    def discover_streams(self) -> Sequence[Feed]:
        """Return the stream that is compared."""
        return [ResumingFeed(self) if resumes else Feed(self)]


PlainTap.cli(options[resumes:])
