"""Make companies: the row that the feed shows, and the traits that its filters look at."""

import unicodedata
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from jobo_sandbox import vocabulary as words

Json = dict[str, Any]
T = TypeVar("T")

# Filters look at these; all but the industries show in the profile alone, never in a row.
TRAITS = frozenset(
    {
        "company_size",
        "company_type",
        "country_code",
        "founded_year",
        "funding_stage",
        "industries",
        "is_agency",
    }
)
_HIDDEN = TRAITS - {"industries"}


@dataclass(slots=True)
class Company:
    """A company of the sandbox's world.

    Neither `row` nor `traits` is ever changed in place: a page that is being written keeps the
    one it saw. `updated_at` is in microseconds since 1970.
    """

    row: Json
    traits: Json
    updated_at: int

    def change(self, changes: Json, now: int) -> None:
        """Take over new values: those named in `TRAITS` as traits, the others into the row."""
        self.traits = self.traits | {k: v for k, v in changes.items() if k in TRAITS}
        self.row = self.row | {k: v for k, v in changes.items() if k not in _HIDDEN}
        self.updated_at = now


def make_company(rng: Random, updated_at: int) -> Company:
    """Make the company that comes next out of `rng`."""
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
        "is_agency": rng.random() < 0.08,  # noqa: PLR2004 - a share like those above
    }
    return Company(row, traits, updated_at)


def make_change(rng: Random, company: Company) -> Json:
    """Think of something that visibly changes at a company as time passes."""
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
    """The value in this share of the cases, else None."""
    return value if rng.random() < share else None


def slug_of(name: str) -> str:
    """A company's name as it stands in addresses: plain lower-case ASCII, no blanks."""
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
