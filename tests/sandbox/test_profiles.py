from typing import Any

from jobo_sandbox import Sandbox

from .helpers import profile

TEXTS = """
    legal_name summary description website listing_url logo_url linkedin_url linkedin_company_id
    twitter_url facebook_url instagram_url angellist_url youtube_url github_url g2_url
    crunchbase_url headquarters_location headquarters_region country_code continent phone_number
    email_address founding_year company_size revenue primary_industry operating_status ipo_status
    company_type stock_symbol stock_exchange acquired_by_company parent_company_url funding_stage
    total_funding funds_total_formatted
"""
TEXT_LISTS = """
    headquarters_regions industries categories naics_codes investors founders technology_list
    research_focus_areas subsidiary_list investor_types
"""
# The members of the objects in each list; unless it says otherwise, a member is text.
OBJECT_LISTS: dict[str, dict[str, type]] = {
    "funding_rounds": {
        "investment_type": str,
        "announced_on": str,
        "raised_amount": str,
        "post_money_valuation": str,
        "investor_count": int,
        "lead_investor": str,
    },
    "leadership": {"name": str, "title": str, "linkedin_url": str, "avatar_url": str},
    "leadership_hires": {"date": str},
    "layoffs": {"date": str},
    "ratings": {"source": str, "rating": str, "url": str, "review_count": int},
    "press_references": {"url": str, "posted_on": str, "title": str, "publisher": str},
    "h1b_annual_job_counts": {"year": str, "count": int},
    "h1b_title_distribution": {"title": str, "count": int},
    "tech_stack": {"name": str, "categories": list},
    "products": {"name": str, "description": str},
    "software_used": {"name": str, "description": str},
    "acquisitions": {"acquiree_name": str, "title": str},
    "exits": {"name": str, "description": str},
    "sub_organizations": {"name": str, "ownership_type": str, "title": str},
    "featured_lists": {
        "title": str,
        "org_num": int,
        "funding_total_formatted": str,
        "funding_total_usd": int,
    },
    "event_appearances": {
        "appearance_type": str,
        "event": str,
        "event_starts_on": str,
        "image": str,
    },
}
FIELDS: dict[str, Any] = (
    {"id": str, "name": str, "is_agency": bool, "is_acquired": bool, "page_rank": float}
    | dict.fromkeys(TEXTS.split(), str)
    | dict.fromkeys(TEXT_LISTS.split(), list)
    | dict.fromkeys(OBJECT_LISTS, list)
)


def test_profiles_have_all_fields_of_the_contract_and_no_other(sandbox: Sandbox) -> None:
    seen = set()
    for key in sandbox.world.rows():
        body = profile(sandbox, key).json()
        assert body["id"] == key
        assert set(body) == set(FIELDS)
        for name, value in body.items():
            assert value is None or isinstance(value, FIELDS[name]), name
            if value:
                seen.add(name)
        for name in TEXT_LISTS.split():
            assert all(isinstance(item, str) for item in body[name])
        for name, members in OBJECT_LISTS.items():
            for item in body[name]:
                assert set(item) == set(members), name
                for member, kind in members.items():
                    assert item[member] is None or isinstance(item[member], kind)
    assert seen == set(FIELDS)  # none is always null or empty


def test_a_profile_fits_its_row_and_its_filters(sandbox: Sandbox) -> None:
    for key, row in list(sandbox.world.rows().items())[:10]:
        company = sandbox.world.company(key)
        assert company is not None
        body = profile(sandbox, key).json()
        for name in row.keys() - {"ats", "details_url"}:
            assert body[name] == row[name]
        for name in ("country_code", "company_size", "company_type", "funding_stage"):
            assert body[name] == company.traits[name]


def test_a_profile_is_the_same_until_its_company_changes(sandbox: Sandbox) -> None:
    key = next(iter(sandbox.world.rows()))
    before = profile(sandbox, key).json()
    assert profile(sandbox, key).json() == before
    sandbox.world.touch(key, summary="Something new.", funding_stage="seed")
    after = profile(sandbox, key).json()
    assert (after["summary"], after["funding_stage"]) == ("Something new.", "seed")
    assert after["founders"] == before["founders"]


def test_a_company_that_is_unknown_or_gone_is_not_found(sandbox: Sandbox) -> None:
    key = next(iter(sandbox.world.rows()))
    assert profile(sandbox, "00000000-0000-4000-8000-000000000000").status_code == 404
    sandbox.company_gone(key)
    assert profile(sandbox, key).status_code == 404
    assert key in sandbox.world.rows()
