"""The schemas of the streams, each field with its meaning."""

from __future__ import annotations

from typing import Any, Final

from singer_sdk import typing as th

from tap_jobo.records import rescue

_TEXT = th.StringType(nullable=True)
_INTEGER = th.IntegerType(nullable=True)
_BOOLEAN = th.BooleanType(nullable=True)
_TEXTS = th.ArrayType(th.StringType(nullable=True), nullable=True)

RESCUED_DATA: Final = th.Property(
    rescue.RESCUED_DATA,
    _TEXT,
    description=(
        "JSON object of what the other fields cannot hold: fields that this version does not know, "
        "and values of the wrong type by their path, such as funding_rounds[0].raised_amount. "
        "Null if there is nothing of the kind."
    ),
)

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
    RESCUED_DATA,
)
"""`CareerSiteDto` of Jobo's documentation, the replication key and what does not fit."""


def _objects(*members: th.Property[Any]) -> th.ArrayType[Any]:
    item = th.ObjectType(*members, additional_properties=False, nullable=True)
    return th.ArrayType(item, nullable=True)


def _text(name: str, description: str) -> th.Property[Any]:
    return th.Property(name, _TEXT, description=description)


def _texts(name: str, description: str) -> th.Property[Any]:
    return th.Property(name, _TEXTS, description=description)


def _count(name: str, description: str) -> th.Property[Any]:
    return th.Property(name, _INTEGER, description=description)


_NAME = _text("name", "Name.")
_TITLE = _text("title", "Title.")
_DESCRIPTION = _text("description", "Description.")

COMPANIES: Final = th.PropertiesList(
    th.Property(
        "id",
        th.UUIDType,
        required=True,
        description="Stable id of the company, the same as in career_sites.",
    ),
    _text("name", "Display name."),
    _text("legal_name", "Registered name."),
    _text("summary", "What the company does, in one short paragraph."),
    _text("description", "What the company does, at length."),
    _text("website", "URL of the company's own site."),
    _text("listing_url", "URL where the company's jobs are listed."),
    _text("logo_url", "URL of the company's logo, hosted by Jobo."),
    _text("linkedin_url", "URL of the page at LinkedIn."),
    _text("linkedin_company_id", "Id at LinkedIn."),
    _text("twitter_url", "URL of the page at X, formerly Twitter."),
    _text("facebook_url", "URL of the page at Facebook."),
    _text("instagram_url", "URL of the page at Instagram."),
    _text("angellist_url", "URL of the page at AngelList."),
    _text("youtube_url", "URL of the channel at YouTube."),
    _text("github_url", "URL of the organization at GitHub."),
    _text("g2_url", "URL of the page at G2."),
    _text("crunchbase_url", "URL of the page at Crunchbase."),
    _text("headquarters_location", "City, region and country of the headquarters."),
    _text("headquarters_region", "Region of the headquarters."),
    _text("country_code", "Country of the headquarters, ISO 3166-1 alpha-2."),
    _text("continent", "Continent of the headquarters."),
    _text("phone_number", "Telephone number."),
    _text("email_address", "Address for mail."),
    _text("founding_year", "Calendar year of the foundation, as text."),
    _text("company_size", "Band of employees, such as 11-50."),
    _text("revenue", "Band of yearly revenue."),
    _text("primary_industry", "Main industry."),
    _text("operating_status", "Whether the company is active or closed."),
    _text("ipo_status", "Whether the company is private or public."),
    _text("company_type", "for_profit or non_profit."),
    _text("stock_symbol", "Symbol at the stock exchange."),
    _text("stock_exchange", "Stock exchange."),
    _text("acquired_by_company", "Name of the company that acquired this one."),
    _text("parent_company_url", "URL of the parent company."),
    _text("funding_stage", "Stage of the last funding, such as seed or series_a."),
    _text("total_funding", "Sum of all funding."),
    _text("funds_total_formatted", "Sum of all funding, written for people."),
    th.Property("is_agency", _BOOLEAN, description="Whether it is a recruiting agency."),
    th.Property("is_acquired", _BOOLEAN, description="Whether another company acquired it."),
    th.Property("page_rank", th.NumberType(nullable=True), description="Rank of the website."),
    _texts("headquarters_regions", "Regions that the headquarters belong to."),
    _texts("industries", "Industry tags, such as fintech."),
    _texts("categories", "Categories of the business."),
    _texts("naics_codes", "Codes of the North American Industry Classification System."),
    _texts("investors", "Names of investors."),
    _texts("founders", "Names of founders."),
    _texts("technology_list", "Technologies in use."),
    _texts("research_focus_areas", "Fields of research."),
    _texts("subsidiary_list", "Names of subsidiaries."),
    _texts("investor_types", "Kinds of investor, where the company is one."),
    th.Property(
        "funding_rounds",
        _objects(
            _text("investment_type", "Kind of round, such as seed."),
            _text("announced_on", "Day of the announcement."),
            _text("raised_amount", "Amount raised."),
            _text("post_money_valuation", "Valuation after the round."),
            _count("investor_count", "Number of investors."),
            _text("lead_investor", "Name of the lead investor."),
        ),
        description="Rounds of funding.",
    ),
    th.Property(
        "leadership",
        _objects(
            _NAME,
            _TITLE,
            _text("linkedin_url", "URL of the profile at LinkedIn."),
            _text("avatar_url", "URL of the portrait."),
        ),
        description="People who lead the company.",
    ),
    th.Property(
        "leadership_hires",
        _objects(_text("date", "Day of the hire.")),
        description="Hires into the leadership.",
    ),
    th.Property(
        "layoffs", _objects(_text("date", "Day of the layoff.")), description="Known layoffs."
    ),
    th.Property(
        "ratings",
        _objects(
            _text("source", "Site of the rating."),
            _text("rating", "The rating."),
            _text("url", "URL of the rating."),
            _count("review_count", "Number of reviews."),
        ),
        description="Ratings at review sites.",
    ),
    th.Property(
        "press_references",
        _objects(
            _text("url", "URL of the article."),
            _text("posted_on", "Day of publication."),
            _TITLE,
            _text("publisher", "Publisher."),
        ),
        description="Articles in the press.",
    ),
    th.Property(
        "h1b_annual_job_counts",
        _objects(_text("year", "Calendar year."), _count("count", "Number of jobs.")),
        description="H-1B jobs by year.",
    ),
    th.Property(
        "h1b_title_distribution",
        _objects(_TITLE, _count("count", "Number of jobs.")),
        description="H-1B jobs by title.",
    ),
    th.Property(
        "tech_stack",
        _objects(_NAME, _texts("categories", "Categories.")),
        description="Technologies of the website, with their categories.",
    ),
    th.Property("products", _objects(_NAME, _DESCRIPTION), description="Products."),
    th.Property("software_used", _objects(_NAME, _DESCRIPTION), description="Software in use."),
    th.Property(
        "acquisitions",
        _objects(_text("acquiree_name", "Name of the acquired company."), _TITLE),
        description="Companies that this one acquired.",
    ),
    th.Property("exits", _objects(_NAME, _DESCRIPTION), description="Exits of investments."),
    th.Property(
        "sub_organizations",
        _objects(_NAME, _text("ownership_type", "Kind of ownership."), _TITLE),
        description="Organizations that belong to the company.",
    ),
    th.Property(
        "featured_lists",
        _objects(
            _TITLE,
            _count("org_num", "Number of organizations in the list."),
            _text("funding_total_formatted", "Sum of their funding, written for people."),
            _count("funding_total_usd", "Sum of their funding, in US dollars."),
        ),
        description="Lists that feature the company.",
    ),
    th.Property(
        "event_appearances",
        _objects(
            _text("appearance_type", "Kind of appearance."),
            _text("event", "Name of the event."),
            _text("event_starts_on", "First day of the event."),
            _text("image", "URL of a picture."),
        ),
        description="Appearances at events.",
    ),
    RESCUED_DATA,
)
"""The company profile of Jobo's documentation."""
