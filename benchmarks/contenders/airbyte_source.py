"""A source of the Airbyte CDK for Python: an `HttpStream`, and messages on standard output.

The CDK makes it a resumable full refresh, with a state after each page.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airbyte_cdk.entrypoint import launch
from airbyte_cdk.models import ConnectorSpecification
from airbyte_cdk.sources import AbstractSource
from airbyte_cdk.sources.streams.http import HttpStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

url, path, rows, size = sys.argv[1:5]


class Feed(HttpStream):  # type: ignore[misc]
    """The feed."""

    name = rows
    url_base = url
    primary_key = "id"
    http_method = "POST"

    def path(self, **_: Any) -> str:
        """Return the path of the endpoint."""
        return path

    def request_headers(self, **_: Any) -> Mapping[str, Any]:
        """Return the header that carries the key."""
        return {"X-Api-Key": os.environ["JOBO_API_KEY"]}

    def request_body_json(
        self, next_page_token: Mapping[str, Any] | None = None, **_: Any
    ) -> Mapping[str, Any]:
        """Return the body of a request."""
        return {"batch_size": int(size), **(next_page_token or {})}

    def next_page_token(self, response: Any) -> Mapping[str, Any] | None:
        """Return the cursor of the next page."""
        page = response.json()
        return {"cursor": page["next_cursor"]} if page["has_more"] else None

    def parse_response(self, response: Any, **_: Any) -> Iterable[Mapping[str, Any]]:
        """Return the rows of a page."""
        found: list[dict[str, Any]] = response.json()[rows]
        return found

    def get_json_schema(self) -> Mapping[str, Any]:
        """Return a schema that leaves the rows as they are."""
        return {"type": "object", "properties": {"id": {"type": "string"}}}


class Source(AbstractSource):  # type: ignore[misc]
    """The source."""

    def check_connection(self, logger: Any, config: Any) -> tuple[bool, None]:  # noqa: ARG002
        """Return that there is nothing to check."""
        return True, None

    def streams(self, config: Any) -> list[Feed]:  # noqa: ARG002
        """Return the one stream."""
        return [Feed()]

    def spec(self, logger: Any) -> ConnectorSpecification:  # noqa: ARG002
        """Return a specification without settings."""
        return ConnectorSpecification(connectionSpecification={"type": "object"})


stream = {"name": rows, "json_schema": {}, "supported_sync_modes": ["full_refresh"]}
selected = {"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "append"}
with tempfile.TemporaryDirectory() as folder:
    config, catalog = Path(folder) / "config.json", Path(folder) / "catalog.json"
    config.write_text("{}")
    catalog.write_text(json.dumps({"streams": [selected]}))
    launch(Source(), ["read", "--config", str(config), "--catalog", str(catalog), *sys.argv[5:]])
