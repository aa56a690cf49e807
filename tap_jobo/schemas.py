"""The schemas of the streams, each field with its meaning."""

from __future__ import annotations

from typing import Final

from singer_sdk import typing as th

_TEXT = th.StringType(nullable=True)
_TEXTS = th.ArrayType(th.StringType(nullable=True), nullable=True)

CAREER_SITES: Final = th.PropertiesList(
    th.Property(
        "id",
        th.UUIDType,
        required=True,
        description="Stable id of the company: upsert by it, and join profiles by it.",
    ),
    th.Property("name", _TEXT, description="Display name of the company."),
    th.Property("website", _TEXT, description="URL of the company's own site."),
    th.Property("logo_url", _TEXT, description="URL of the company's logo, hosted by Jobo."),
    th.Property("summary", _TEXT, description="What the company does, in one short paragraph."),
    th.Property("industries", _TEXTS, description="One to three industry tags, such as fintech."),
    th.Property("linkedin_url", _TEXT, description="URL of the company's page at LinkedIn."),
    th.Property("crunchbase_url", _TEXT, description="URL of the company's page at Crunchbase."),
    th.Property(
        "ats",
        _TEXT,
        description=(
            "The applicant tracking system or job board that the career site runs on, such as "
            "greenhouse, lever or workday; an open set."
        ),
    ),
    th.Property("listing_url", _TEXT, description="URL where the company's jobs are listed."),
    th.Property(
        "details_url", _TEXT, description="URL of the company's full profile in the Jobo API."
    ),
    th.Property(
        "updated_at",
        th.DateTimeType(nullable=True),
        description=(
            "When Jobo last changed the row. Null as long as the API does not send it: the "
            "stream's bookmark is the start of the last complete scan, not a row's value."
        ),
    ),
)
"""`CareerSiteDto` of Jobo's documentation, and the replication key beside it."""
