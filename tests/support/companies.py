"""The tap with the stream of company profiles, and what its profiles have to be."""

from __future__ import annotations

from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from jobo_sandbox import Sandbox
from jobo_sandbox.company_data import make_profile
from tests.support.catalog import Json
from tests.support.process import Run

TEXTS = """
    legal_name summary description website listing_url logo_url linkedin_url linkedin_company_id
    twitter_url facebook_url instagram_url angellist_url youtube_url github_url g2_url
    crunchbase_url headquarters_location headquarters_region country_code continent phone_number
    email_address founding_year company_size revenue primary_industry operating_status ipo_status
    company_type stock_symbol stock_exchange acquired_by_company parent_company_url funding_stage
    total_funding funds_total_formatted
"""
LISTS = """
    headquarters_regions industries categories naics_codes investors founders technology_list
    research_focus_areas subsidiary_list investor_types
"""
OBJECTS = """
    funding_rounds leadership leadership_hires layoffs ratings press_references
    h1b_annual_job_counts h1b_title_distribution tech_stack products software_used acquisitions
    exits sub_organizations featured_lists event_appearances
"""
FIELDS = {
    "id": "string",
    "name": "string",
    **dict.fromkeys(TEXTS.split(), "string"),
    **dict.fromkeys(("is_agency", "is_acquired"), "boolean"),
    "page_rank": "number",
    **dict.fromkeys((*LISTS.split(), *OBJECTS.split()), "array"),
    "_rescued_data": "string",
}
"""The fields that Jobo documents, and what holds those that it does not."""


def asked_for(sandbox: Sandbox) -> list[str | None]:
    return [entry.company_id for entry in sandbox.profile_requests]


def expected_profile(sandbox: Sandbox, company_id: str) -> Json:
    company = sandbox.world.company(company_id)
    assert company
    profile = make_profile(sandbox.seed, company)
    return {name: profile.get(name) for name in FIELDS}


def validate_profiles(run: Run) -> None:
    validator = DEFAULT_JSONSCHEMA_VALIDATOR(run.of("companies").schema_message["schema"])
    for record in run.of("companies").records:
        validator.validate(record)


def ids_of_page(sandbox: Sandbox, number: int) -> list[str]:
    """The companies of a page that was bought, in its order."""
    return sandbox.feed_requests[number - 1].row_ids
