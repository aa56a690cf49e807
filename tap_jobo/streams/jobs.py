"""Jobs: postings, from the whole index or the account's managed sources, and expired ids."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from singer_sdk import typing as th

from tap_jobo.settings import setting as of
from tap_jobo.settings.setting import Setting
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.streams.fields import (
    boolean,
    instant,
    key,
    nested,
    number,
    objects,
    schema,
    text,
    texts,
    uuid,
)


def _choices(name: str, *values: str) -> Setting:
    names = ", ".join(f"`{value}`" for value in values)
    return Setting(
        name=f"jobs_{name}",
        description=f"Read only jobs with these {name.replace('_', ' ')}: {names}.",
        type=of.one_or_more_of(*values),
    )


_BATCH_SIZE: Final = Setting(
    name="jobs_batch_size",
    description="Jobs per page, 1 to 1,000. A full page costs 3,000 credits ($3.00) at list price.",
    type=of.integer(1, 1_000),
    default=1_000,
)
_LOCATIONS: Final = Setting(
    name="jobs_locations",
    description=(
        "Read only jobs in one of these locations. Each has a country, a region, a city, or "
        "several of these. What you leave out matches everything. Use full names, such as Germany."
    ),
    type=of.list_of_objects("country", "region", "city"),
)
_SOURCES: Final = Setting(
    name="jobs_sources",
    description=(
        "Read only jobs from these applicant tracking systems, by Jobo's ids, such as greenhouse "
        "or lever_co. An unknown id matches nothing."
    ),
    type=of.list_of("texts, such as greenhouse"),
)
_WORK_MODELS: Final = _choices("work_models", "remote", "hybrid", "onsite")
_EMPLOYMENT_TYPES: Final = _choices(
    "employment_types", "full-time", "part-time", "contract", "internship", "freelance", "temporary"
)
_LEVELS: Final = _choices(
    "experience_levels", "intern", "entry", "mid", "senior", "lead", "executive"
)
_POSTED_AFTER: Final = Setting(
    name="jobs_posted_after",
    description=(
        "Read only jobs posted or first indexed at or after this ISO 8601 date or date-time, by "
        "default in UTC."
    ),
    type=of.past_date(),
)
_QUALIFICATIONS: Final = (
    texts("education", "Degrees and fields of study."),
    texts("certifications", "Certificates."),
    objects(
        "skills",
        "Skills.",
        text("name", "Name of the skill."),
        text("type", "Type of the skill: hard or soft."),
    ),
)
SCHEMA: Final = schema(
    key("Stable id of the job. Use it to upsert rows and to join expired_jobs."),
    text("title", "Title as posted."),
    text("normalized_title", "Normalized title, such as software_engineer."),
    nested(
        "company",
        "Company that is hiring.",
        uuid("id", "Id of the company. Use it to join companies and career_sites."),
        text("name", "Display name."),
        text("website", "URL of the company's website."),
        text("logo_url", "URL of the company's logo, hosted by Jobo."),
        text("summary", "What the company does, in one short paragraph."),
        texts("industries", "Industry tags, such as fintech."),
        texts("categories", "Categories of the business."),
        text("linkedin_url", "URL of the company's LinkedIn page."),
        text("crunchbase_url", "URL of the company's Crunchbase page."),
        text("details_url", "URL of the company's full profile in the Jobo API."),
    ),
    text("description", "Posting as sanitized HTML, several kB."),
    text("summary", "Summary of the posting. Null if the posting was indexed recently."),
    text("listing_url", "URL of the posting."),
    text("apply_url", "URL of the application form."),
    objects(
        "locations",
        "Locations of the job.",
        text("location", "Location as posted."),
        text("city", "City."),
        text("region", "Region or state."),
        text("country", "Country."),
        number("latitude", "Latitude in degrees."),
        number("longitude", "Longitude in degrees."),
    ),
    nested(
        "compensation",
        "Pay, if the posting states it.",
        number("min", "Lower end of the range."),
        number("max", "Upper end of the range."),
        text("currency", "Currency, such as USD."),
        text("period", "Period of the pay: hourly, daily, weekly, monthly, yearly, or per-diem."),
    ),
    text(
        "employment_type", "Employment type for display, such as Full-time. New values can appear."
    ),
    text("workplace_type", "Work model for display, such as On-site. New values can appear."),
    text(
        "experience_level", "Experience level for display, such as Senior. New values can appear."
    ),
    text("source", "Id of the applicant tracking system, such as greenhouse."),
    instant("created_at", "When Jobo first indexed the job."),
    instant("updated_at", "When Jobo last changed the row."),
    instant("date_posted", "When the employer posted the job."),
    instant("valid_through", "When the job closes, according to the employer."),
    nested(
        "qualifications",
        "Qualifications that the posting asks for.",
        nested("must_have", "Required qualifications.", *_QUALIFICATIONS),
        nested("preferred", "Preferred qualifications.", *_QUALIFICATIONS),
    ),
    texts("responsibilities", "What the job involves."),
    texts("benefits", "What the employer offers."),
    boolean("is_work_auth_required", "Whether a work permit is required. Null if not mentioned."),
    boolean("is_h1b_sponsor", "Whether the employer sponsors H-1B visas. Null if not mentioned."),
    boolean(
        "is_clearance_required", "Whether a security clearance is required. Null if not mentioned."
    ),
)
"""`JobDto` in Jobo's documentation, plus rescued data."""

JOBS: Final = FeedSpec(
    name="jobs",
    summary="job postings",
    path="/api/jobs/feed",
    item_key="jobs",
    schema=SCHEMA,
    since_parameter="updated_after",
    since_is_inclusive=True,
    setting_prefix="jobs_",
    filters=(_LOCATIONS, _SOURCES, _WORK_MODELS, _EMPLOYMENT_TYPES, _LEVELS, _POSTED_AFTER),
    page_cap=1_000,
    page_size_setting=_BATCH_SIZE,
    list_price=3,
    missing_charge_means_free=True,
)
MANAGED_JOBS: Final = replace(
    JOBS,
    name="managed_jobs",
    summary="job postings of the companies under Managed Job Scraping",
    path="/api/jobs/feed/managed",
    filters=(_SOURCES, _WORK_MODELS, _POSTED_AFTER),
    is_account_bound=True,
)
_EXPIRED_SCHEMA: Final = th.PropertiesList(
    key("Id of the job, as in jobs."),
    instant(
        "reported_at",
        "Start of the sync in which Jobo reported the job as expired. Jobs can reopen, so a job "
        "has expired only if this is later than both updated_at and _sdc_extracted_at in jobs.",
    ),
)
EXPIRED_JOBS: Final = FeedSpec(
    name="expired_jobs",
    summary="ids of expired jobs",
    path="/api/jobs/expired",
    item_key="job_ids",
    schema=_EXPIRED_SCHEMA,
    method="GET",
    since_parameter="expired_since",
    since_is_inclusive=True,
    longest_lookback=timedelta(days=7),
    ends_rows_of=("jobs", "managed_jobs"),
    page_cap=10_000,
    list_price=0,
    replication_key="reported_at",
    to_row=lambda item, started_at: {"id": item, "reported_at": started_at},
)
