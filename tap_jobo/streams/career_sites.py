"""Career sites: a directory of companies and where they list their jobs."""

from typing import Final

from tap_jobo.settings import setting as of
from tap_jobo.settings.setting import Setting
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.streams.fields import instant, key, schema, text, texts


def _is_country(code: str) -> bool:
    from iso3166 import countries_by_alpha2  # noqa: PLC0415 - only where countries are set

    return code in countries_by_alpha2


_BATCH_SIZE: Final = Setting(
    name="batch_size",
    description="Rows per page, 1 to 50. A full page of 50 costs 2,500 credits ($2.50).",
    type=of.integer(1, 50),
    default=50,
)
FILTERS: Final = (
    Setting(
        name="industries",
        description="Read only companies with one of these industry tags, such as fintech.",
        type=of.list_of("texts, such as fintech"),
    ),
    Setting(
        name="company_sizes",
        description="Read only companies in one of these employee ranges, such as 11-50.",
        type=of.list_of("ranges, such as 11-50"),
    ),
    Setting(
        name="country_codes",
        description="Read only companies in these countries (ISO 3166-1 alpha-2), such as DE.",
        type=of.list_of(
            "uppercase ISO 3166-1 codes, such as GB",
            {"pattern": r"^[A-Z]{2}\Z"},
            _is_country,
        ),
    ),
    Setting(
        name="funding_stages",
        description="Read only companies at one of these stages, such as seed or series_a.",
        type=of.list_of("texts in lower case, such as seed or series_a"),
    ),
    Setting(
        name="company_types",
        description="Read only companies of these types: `for_profit`, `non_profit`.",
        type=of.one_or_more_of("for_profit", "non_profit"),
    ),
    Setting(
        name="founded_after",
        description="Read only companies founded in or after this calendar year, 1800 or later.",
        type=of.integer(1800, is_lower_limit=True),
    ),
    Setting(
        name="is_agency",
        description="Read only recruiting agencies (`true`) or only other companies (`false`).",
        type=of.boolean(),
    ),
)
"""The settings that select rows, named as in the body of the request."""

SCHEMA: Final = schema(
    key("Stable id of the company. Use it to upsert rows and to join profiles."),
    text("name", "Display name of the company."),
    text("website", "URL of the company's website."),
    text("logo_url", "URL of the company's logo, hosted by Jobo."),
    text("summary", "What the company does, in one short paragraph."),
    texts("industries", "One to three industry tags, such as fintech."),
    text("linkedin_url", "URL of the company's LinkedIn page."),
    text("crunchbase_url", "URL of the company's Crunchbase page."),
    text(
        "ats",
        "Applicant tracking system or job board that the career site runs on, such as greenhouse, "
        "lever, or workday. New values can appear.",
    ),
    text("listing_url", "URL of the company's job listings."),
    text("details_url", "URL of the company's full profile in the Jobo API."),
    instant(
        "updated_at",
        "When Jobo last changed the row. Null if the API does not send it. The bookmark is the "
        "start of the last complete sync, not a value of this field.",
    ),
)
"""`CareerSiteDto` in Jobo's documentation, plus the replication key and rescued data."""

CAREER_SITES: Final = FeedSpec(
    name="career_sites",
    summary="companies and where they list their jobs",
    path="/api/career-sites/feed",
    item_key="career_sites",
    schema=SCHEMA,
    since_parameter="updated_after",
    filters=FILTERS,
    page_cap=50,
    page_size_setting=_BATCH_SIZE,
    list_price=50,
    never_null=("name", "ats", "listing_url"),
    undocumented=("updated_at",),
    is_selected_by_default=True,
)
