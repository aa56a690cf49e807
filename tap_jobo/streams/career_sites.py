"""Career sites: a directory of companies and where they list their jobs."""

from __future__ import annotations

from typing import Final

from singer_sdk import typing as th

from tap_jobo.settings.setting import Setting, boolean, integer, list_of, one_or_more_of
from tap_jobo.settings.value_hints import warn_country_code, warn_size_range, warn_snake_case
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.streams.fields import RESCUED_DATA, instant, key, text, texts

PAGE_CAP: Final = 50
LIST_PRICE: Final = 50
"""Credits per row."""

_FULL_PAGE: Final = PAGE_CAP * LIST_PRICE
BATCH_SIZE: Final = Setting(
    name="batch_size",
    title="Batch size",
    description=(
        f"Rows per page, 1 to {PAGE_CAP}. A full page of {PAGE_CAP} costs {_FULL_PAGE:,} credits "
        f"(${_FULL_PAGE / 1000:.2f})."
    ),
    type=integer(1, PAGE_CAP),
    default=PAGE_CAP,
)
FILTERS: Final = (
    Setting(
        name="industries",
        title="Industries",
        description="Read only companies with one of these industry tags, such as fintech.",
        type=list_of("texts, such as fintech"),
        hint=warn_snake_case,
        listed_by="industries",
    ),
    Setting(
        name="company_sizes",
        title="Company sizes",
        description="Read only companies in one of these employee ranges, such as 11-50.",
        type=list_of("ranges, such as 11-50"),
        hint=warn_size_range,
    ),
    Setting(
        name="country_codes",
        title="Country codes",
        description="Read only companies in these countries: ISO 3166-1 alpha-2, such as DE.",
        type=list_of(
            "country codes of two capital letters, such as DE", {"pattern": r"^[A-Z]{2}\Z"}
        ),
        hint=warn_country_code,
    ),
    Setting(
        name="funding_stages",
        title="Funding stages",
        description="Read only companies at one of these stages, such as seed or series_a.",
        type=list_of("texts, such as seed"),
        hint=warn_snake_case,
    ),
    Setting(
        name="company_types",
        title="Company types",
        description="Read only companies of these types: `for_profit`, `non_profit`.",
        type=one_or_more_of("for_profit", "non_profit"),
    ),
    Setting(
        name="founded_after",
        title="Founded after",
        description="Read only companies founded in or after this calendar year, 1800 or later.",
        type=integer(1800, is_start=True),
    ),
    Setting(
        name="is_agency",
        title="Agencies",
        description="Read only recruiting agencies (`true`) or only other companies (`false`).",
        type=boolean(),
    ),
)
"""The settings that select rows, named as in the body of the request."""

SCHEMA: Final = th.PropertiesList(
    key("Stable id of the company: upsert by it, and join profiles by it."),
    text("name", "Display name of the company."),
    text("website", "URL of the company's own site."),
    text("logo_url", "URL of the company's logo, hosted by Jobo."),
    text("summary", "What the company does, in one short paragraph."),
    texts("industries", "One to three industry tags, such as fintech."),
    text("linkedin_url", "URL of the company's page on LinkedIn."),
    text("crunchbase_url", "URL of the company's page on Crunchbase."),
    text(
        "ats",
        "The applicant tracking system or job board that the career site runs on, such as "
        "greenhouse, lever or workday; an open set.",
    ),
    text("listing_url", "URL where the company's jobs are listed."),
    text("details_url", "URL of the company's full profile in the Jobo API."),
    instant(
        "updated_at",
        "When Jobo last changed the row. Null unless the API sends it: the stream's bookmark is "
        "the start of the last complete sync, not a row's value.",
    ),
    RESCUED_DATA,
)
"""`CareerSiteDto` in Jobo's documentation, plus the replication key and rescued data."""

CAREER_SITES: Final = FeedSpec(
    name="career_sites",
    path="/api/career-sites/feed",
    item_key="career_sites",
    schema=SCHEMA,
    since="updated_after",
    filters=FILTERS,
    page_cap=PAGE_CAP,
    page_size_setting=BATCH_SIZE,
    list_price=LIST_PRICE,
    never_null=("name", "ats", "listing_url"),
    is_selected_by_default=True,
)
