"""Generate companies: their rows in the feed, the traits behind its filters, their profiles."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from jobo_sandbox import vocabulary as words

Json = dict[str, Any]
T = TypeVar("T")

# What the filters look at. Only the industries also appear in a row; the rest is in the profile.
TRAITS = frozenset(
    {
        *("company_size", "company_type", "country_code", "founded_year", "funding_stage"),
        *("industries", "is_agency"),
    }
)
_HIDDEN = TRAITS - {"industries"}


@dataclass(slots=True)
class Company:
    """A company in the world.

    `row` and `traits` are replaced, never modified in place, so a page that is being sent keeps
    what it was built from. `updated_at` is in microseconds since 1970.
    """

    row: Json
    traits: Json
    updated_at: int

    def change(self, changes: Json, now: int) -> None:
        """Apply new values: those named in `TRAITS` to the traits, all others to the row."""
        self.traits = self.traits | {k: v for k, v in changes.items() if k in TRAITS}
        self.row = self.row | {k: v for k, v in changes.items() if k not in _HIDDEN}
        self.updated_at = now


def make_company(rng: Random, updated_at: int) -> Company:
    """Generate the next company from `rng`."""
    name = rng.choice(words.FIRST_WORDS) + " " + rng.choice(words.SECOND_WORDS)
    slug = slug_of(name)
    identity = str(UUID(int=rng.getrandbits(128), version=4))
    row = {
        "id": identity,
        "name": name + rng.choice(words.ENDINGS),
        "website": mostly(rng, 0.97, f"https://{slug}.example"),
        "logo_url": mostly(rng, 0.9, f"https://logos.example/{identity}.png"),
        "summary": mostly(rng, 0.95, _summary(rng, name)),
        "industries": _industries(rng),
        "linkedin_url": mostly(rng, 0.8, f"https://www.linkedin.com/company/{slug}"),
        "crunchbase_url": mostly(rng, 0.5, f"https://www.crunchbase.com/organization/{slug}"),
        **_listing(rng, slug),
        "details_url": f"https://connect.jobo.world/api/companies/{identity}",
    }
    traits = {
        "industries": row["industries"],
        "company_size": rng.choice(words.COMPANY_SIZES),
        "country_code": rng.choices(list(words.COUNTRIES), words.COUNTRY_WEIGHTS)[0],
        "funding_stage": mostly(rng, 0.7, rng.choice(words.FUNDING_STAGES)),
        "company_type": mostly(rng, 0.9, "for_profit") or "non_profit",
        "founded_year": mostly(rng, 0.95, rng.randint(1950, 2024)),
        "is_agency": rng.random() < 0.08,  # noqa: PLR2004 - a probability, as above
    }
    return Company(row, traits, updated_at)


def make_change(rng: Random, company: Company) -> Json:
    """Pick a change to a company that is visible in its row."""
    row = company.row
    name = str(row["name"])
    kind = rng.randrange(3)
    while True:
        changes: Json = (
            {"summary": _summary(rng, name)},
            _listing(rng, slug_of(name)),
            {"industries": _industries(rng)},
        )[kind]
        if any(row[field] != value for field, value in changes.items()):
            return changes


def mostly(rng: Random, share: float, value: T) -> T | None:
    """Return the value with this probability, otherwise None."""
    return value if rng.random() < share else None


def slug_of(name: str) -> str:
    """Return a company's name as used in URLs: lowercase ASCII letters and digits."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "".join(c for c in plain.lower() if c.isalnum())


def _summary(rng: Random, name: str) -> str:
    activity, customers = rng.choice(words.ACTIVITIES), rng.choice(words.CUSTOMERS)
    return f"{name} {activity} {customers}, with {rng.randint(3, 900)} customers so far."


def _industries(rng: Random) -> list[str]:
    return rng.sample(words.INDUSTRIES, rng.randint(1, 3))


def _listing(rng: Random, slug: str) -> dict[str, str]:
    ats = rng.choice(list(words.LISTING_URLS))
    return {"ats": ats, "listing_url": words.LISTING_URLS[ats].format(slug=slug)}


def make_profile(seed: int, company: Company) -> Json:
    """Generate the full profile of a company. Only what changed in the company changes in it.

    Its identity comes first, from which `categories_of` reads.
    """
    rng = _source_of_profile(seed, company)
    shared = ("id", "name", "summary", "website", "listing_url", "logo_url", "linkedin_url")
    slug = slug_of(str(company.row["name"]))
    return {
        **{name: company.row[name] for name in shared},
        "crunchbase_url": company.row["crunchbase_url"],
        "industries": company.traits["industries"],
        **_identity(rng, company, slug),
        **_place(company),
        **_money(rng, company),
        **_people(rng, slug),
        **_technology(rng),
        **_family(rng),
        **{name: [item] * rng.randint(0, 2) for name, item in words.SIGHTINGS.items()},
    }


def categories_of(seed: int, company: Company) -> list[str]:
    """Return the categories of a company's profile, without the rest of it."""
    identity = _identity(_source_of_profile(seed, company), company, "")
    categories: list[str] = identity["categories"]
    return categories


def _source_of_profile(seed: int, company: Company) -> Random:
    return Random(f"{seed}:profile:{company.row['id']}")  # noqa: S311 - nothing here is secret


def _identity(rng: Random, company: Company, slug: str) -> Json:
    traits, row = company.traits, company.row
    year = traits["founded_year"]
    industries, links = traits["industries"] or [None], words.LINKS.items()
    return {
        "legal_name": mostly(rng, 0.8, f"{row['name']} Holding"),
        "description": row["summary"] and f"{row['summary']} Founded to last.",
        "founding_year": year and str(year),
        "company_size": traits["company_size"],
        "company_type": traits["company_type"],
        "is_agency": traits["is_agency"],
        "primary_industry": industries[0],
        "categories": rng.sample(words.INDUSTRIES, rng.randint(0, 3)),
        "naics_codes": [str(rng.randint(110_000, 999_999)) for _ in range(rng.randint(0, 2))],
        "operating_status": mostly(rng, 0.9, "active"),
        "page_rank": mostly(rng, 0.8, round(rng.uniform(0, 10), 2)),
        "phone_number": mostly(rng, 0.4, f"+1-555-{rng.randint(0, 9999):04}"),
        "email_address": mostly(rng, 0.5, f"hello@{slug}.example"),
        "linkedin_company_id": mostly(rng, 0.7, str(rng.randint(1_000, 99_999_999))),
        **{f"{n}_url": mostly(rng, p, f"https://{n}.example/{slug}") for n, p in links},
        "research_focus_areas": rng.sample(words.INDUSTRIES, rng.randint(0, 1)),
    }


def _place(company: Company) -> Json:
    code = company.traits["country_code"]
    city, continent = words.COUNTRIES.get(code, (None, None))
    return {
        "country_code": code,
        "continent": continent,
        "headquarters_location": city and f"{city}, {code}",
        "headquarters_region": continent,
        "headquarters_regions": [name for name in (continent, "Remote") if name],
    }


def _money(rng: Random, company: Company) -> Json:
    stage = company.traits["funding_stage"]
    millions = rng.randint(1, 400)
    rounds = [
        {
            "investment_type": stage,
            "announced_on": _day(rng),
            "raised_amount": f"${millions}M",
            "post_money_valuation": mostly(rng, 0.3, f"${millions * 5}M"),
            "investor_count": rng.randint(1, 9),
            "lead_investor": mostly(rng, 0.7, rng.choice(words.INVESTORS)),
        }
    ]
    public = stage == "ipo"
    return {
        "funding_stage": stage,
        "funding_rounds": rounds if stage else [],
        "total_funding": stage and str(millions * 1_000_000),
        "funds_total_formatted": stage and f"${millions}M",
        "revenue": mostly(rng, 0.5, f"${millions * 2}M to ${millions * 4}M"),
        "investors": rng.sample(words.INVESTORS, rng.randint(1, 3)) if stage else [],
        "investor_types": ["venture_capital"] if stage else [],
        "ipo_status": "public" if public else "private",
        "stock_symbol": str(company.row["name"])[:4].upper() if public else None,
        "stock_exchange": "NYSE" if public else None,
    }


def _people(rng: Random, slug: str) -> Json:
    names = [
        f"{rng.choice(words.FIRST_NAMES)} {rng.choice(words.LAST_NAMES)}"
        for _ in range(rng.randint(1, 4))
    ]
    leadership = [
        {
            "name": name,
            "title": title,
            "linkedin_url": f"https://www.linkedin.com/in/{slug_of(name)}-{slug}",
            "avatar_url": mostly(rng, 0.5, f"https://avatars.example/{slug_of(name)}.png"),
        }
        for name, title in zip(names, words.TITLES, strict=False)
    ]
    return {
        "founders": names[:2],
        "leadership": leadership,
        "leadership_hires": _some(rng, lambda: {"date": _day(rng)}),
        "layoffs": _some(rng, lambda: {"date": _day(rng)}),
    }


def _technology(rng: Random) -> Json:
    names = rng.sample(list(words.TECHNOLOGIES), rng.randint(0, 4))
    described = [{"name": name, "description": mostly(rng, 0.5, "In daily use.")} for name in names]
    return {
        "technology_list": names,
        "tech_stack": [{"name": n, "categories": words.TECHNOLOGIES[n]} for n in names],
        "products": _some(rng, lambda: {"name": "Platform", "description": "The main product."}),
        "software_used": described,
    }


def _family(rng: Random) -> Json:
    acquirer = mostly(rng, 0.1, "Lakeside Holding")
    return {
        "is_acquired": acquirer is not None,
        "acquired_by_company": acquirer,
        "parent_company_url": acquirer and "https://lakeside-holding.example",
        "subsidiary_list": ["Spinoff Labs"][: rng.randint(0, 1)],
    }


def _some(rng: Random, make: Callable[[], Json]) -> list[Json]:
    return [make() for _ in range(rng.randint(0, 2))]


def _day(rng: Random) -> str:
    return f"{rng.randint(2015, 2024)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
