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
_JOB_TEXTS = (
    "title",
    "normalized_title",
    "description",
    "summary",
    "listing_url",
    "apply_url",
    "employment_type",
    "workplace_type",
    "experience_level",
    "source",
)
_JOB_TIMES = ("created_at", "updated_at", "date_posted", "valid_through")
_JOB_BOOLEANS = ("is_work_auth_required", "is_h1b_sponsor", "is_clearance_required")
_PLACE = th.ObjectType(
    *(th.Property(name, StringType) for name in ("location", "city", "region", "country")),
    *(th.Property(name, th.NumberType) for name in ("latitude", "longitude")),
)
_COMPANY = th.ObjectType(
    *(th.Property(name, StringType) for name in ("id", "name", "website", "logo_url", "summary")),
    *(th.Property(name, th.ArrayType(StringType)) for name in ("industries", "categories")),
    *(th.Property(f"{name}_url", StringType) for name in ("linkedin", "crunchbase", "details")),
)
_COMPENSATION = th.ObjectType(
    *(th.Property(name, th.NumberType) for name in ("min", "max")),
    *(th.Property(name, StringType) for name in ("currency", "period")),
)
_SKILL = th.ObjectType(*(th.Property(name, StringType) for name in ("name", "type")))
_QUALIFICATIONS = th.ObjectType(
    *(th.Property(name, th.ArrayType(StringType)) for name in ("education", "certifications")),
    th.Property("skills", th.ArrayType(_SKILL)),
)


class Feed(RESTStream[str]):
    """A feed of Jobo."""

    http_method = "POST"
    primary_keys = ("id",)
    replication_key = "updated_at"
    next_page_token_jsonpath = "$.next_cursor"  # noqa: S105
    page_size = 50

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
        body: dict[str, Any] = {"batch_size": self.page_size}
        if start := self.get_starting_timestamp(context):
            body["updated_after"] = start.isoformat()
        if next_page_token:
            body["cursor"] = next_page_token
        return body


class CareerSites(Feed):
    """Career sites."""

    name = "career_sites"
    path = "/api/career-sites/feed"
    records_jsonpath = "$.career_sites[*]"
    schema = th.PropertiesList(
        th.Property("id", StringType, required=True),
        *(th.Property(name, StringType) for name in _TEXTS),
        th.Property("industries", th.ArrayType(StringType)),
        th.Property("updated_at", DateTimeType),
    ).to_dict()


class Jobs(Feed):
    """Jobs."""

    name = "jobs"
    path = "/api/jobs/feed"
    records_jsonpath = "$.jobs[*]"
    page_size = 1_000
    schema = th.PropertiesList(
        th.Property("id", StringType, required=True),
        *(th.Property(name, StringType) for name in _JOB_TEXTS),
        *(th.Property(name, DateTimeType) for name in _JOB_TIMES),
        *(th.Property(name, th.ArrayType(StringType)) for name in ("responsibilities", "benefits")),
        *(th.Property(name, th.BooleanType) for name in _JOB_BOOLEANS),
        th.Property("locations", th.ArrayType(_PLACE)),
        th.Property("company", _COMPANY),
        th.Property("compensation", _COMPENSATION),
        th.Property(
            "qualifications",
            th.ObjectType(
                th.Property("must_have", _QUALIFICATIONS),
                th.Property("preferred", _QUALIFICATIONS),
            ),
        ),
    ).to_dict()


class PlainTap(Tap):
    """The tap."""

    name = "tap-plain"
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property("api_key", StringType, required=True, secret=True),
        th.Property("api_url", StringType, required=True),
        th.Property("stream", StringType, default="career_sites"),
    ).to_dict()

    def discover_streams(self) -> Sequence[Feed]:
        """Return the stream that is compared."""
        return [Jobs(self) if self.config["stream"] == "jobs" else CareerSites(self)]


if __name__ == "__main__":
    PlainTap.cli()
