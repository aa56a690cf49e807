"""A tap as the SDK's template makes it: correct on a good day, and with none of the promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.typing import DateTimeType, StringType

if TYPE_CHECKING:
    from collections.abc import Sequence

_TEXTS = (
    "name",
    "website",
    "logo_url",
    "summary",
    "linkedin_url",
    "crunchbase_url",
    "ats",
    "listing_url",
    "details_url",
)


class CareerSites(RESTStream[str]):
    """Career sites."""

    name = "career_sites"
    path = "/api/career-sites/feed"
    http_method = "POST"
    primary_keys = ("id",)
    replication_key = "updated_at"
    records_jsonpath = "$.career_sites[*]"
    next_page_token_jsonpath = "$.next_cursor"  # noqa: S105
    schema = th.PropertiesList(
        th.Property("id", StringType, required=True),
        *(th.Property(name, StringType) for name in _TEXTS),
        th.Property("industries", th.ArrayType(StringType)),
        th.Property("updated_at", DateTimeType),
    ).to_dict()

    @property
    def url_base(self) -> str:
        """The API's address."""
        return str(self.config["api_url"])

    @property
    def authenticator(self) -> APIKeyAuthenticator:
        """The header that carries the key."""
        return APIKeyAuthenticator(key="X-Api-Key", value=self.config["api_key"])

    def prepare_request_payload(self, context: Any, next_page_token: str | None) -> dict[str, Any]:
        """Return the body of a request."""
        body: dict[str, Any] = {"batch_size": 50}
        if start := self.get_starting_timestamp(context):
            body["updated_after"] = start.isoformat()
        if next_page_token:
            body["cursor"] = next_page_token
        return body


class PlainTap(Tap):
    """The tap."""

    name = "tap-plain"
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property("api_key", StringType, required=True, secret=True),
        th.Property("api_url", StringType, required=True),
    ).to_dict()

    def discover_streams(self) -> Sequence[CareerSites]:
        """Return the streams."""
        return [CareerSites(self)]


if __name__ == "__main__":
    PlainTap.cli()
