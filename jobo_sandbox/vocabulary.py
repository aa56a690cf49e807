"""The words that companies and jobs are made of: all of `vocabulary.json`, typed."""

import json
from pathlib import Path
from typing import Any, Final

_ALL: Final[dict[str, Any]] = json.loads(
    Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
)

FIRST_WORDS: Final[list[str]] = _ALL["first_words"]
SECOND_WORDS: Final[list[str]] = _ALL["second_words"]
ENDINGS: Final[list[str]] = _ALL["endings"]
INDUSTRIES: Final[list[str]] = _ALL["industries"]
COUNTRIES: Final[dict[str, list[str]]] = _ALL["countries"]
COUNTRY_WEIGHTS: Final[list[int]] = _ALL["country_weights"]
COMPANY_SIZES: Final[list[str]] = _ALL["company_sizes"]
FUNDING_STAGES: Final[list[str]] = _ALL["funding_stages"]
# Where a company's jobs are listed, by applicant tracking system.
LISTING_URLS: Final[dict[str, str]] = _ALL["listing_urls"]
ACTIVITIES: Final[list[str]] = _ALL["activities"]
CUSTOMERS: Final[list[str]] = _ALL["customers"]
FIRST_NAMES: Final[list[str]] = _ALL["first_names"]
LAST_NAMES: Final[list[str]] = _ALL["last_names"]
TITLES: Final[list[str]] = _ALL["titles"]
INVESTORS: Final[list[str]] = _ALL["investors"]
# How likely a profile has a link to each site.
LINKS: Final[dict[str, float]] = _ALL["links"]
TECHNOLOGIES: Final[dict[str, list[str]]] = _ALL["technologies"]
# What the lists of a profile that no filter and no model looks at contain.
SIGHTINGS: Final[dict[str, dict[str, Any]]] = _ALL["sightings"]
# City, region, country, latitude and longitude.
JOB_LOCATIONS: Final[list[tuple[str, str, str, float, float]]] = [
    (city, region, country, latitude, longitude)
    for city, region, country, latitude, longitude in _ALL["job_locations"]
]
CURRENCIES: Final[dict[str, str]] = _ALL["currencies"]
JOB_TITLES: Final[list[str]] = _ALL["job_titles"]
# The values that the filters take, with the spellings that rows use.
WORK_MODELS: Final[dict[str, list[str]]] = _ALL["work_models"]
EMPLOYMENT_TYPES: Final[dict[str, list[str]]] = _ALL["employment_types"]
EMPLOYMENT_WEIGHTS: Final[list[int]] = _ALL["employment_weights"]
EXPERIENCE_LEVELS: Final[dict[str, list[str]]] = _ALL["experience_levels"]
TASKS: Final[list[str]] = _ALL["tasks"]
BENEFITS: Final[list[str]] = _ALL["benefits"]
EDUCATION: Final[list[str]] = _ALL["education"]
CERTIFICATIONS: Final[list[str]] = _ALL["certifications"]
SKILLS: Final[dict[str, str]] = _ALL["skills"]
