"""What a request for a page of the feed asks for, and what the API refuses in it."""

import re
from dataclasses import dataclass
from typing import Any

from jobo_sandbox.companies import Json
from jobo_sandbox.instants import parse

MAX_BATCH_SIZE = 50
# Each list filter, and the trait that must be (or hold) one of its values.
_LISTS = {
    "industries": "industries",
    "company_sizes": "company_size",
    "country_codes": "country_code",
    "funding_stages": "funding_stage",
    "company_types": "company_type",
}
_ALLOWED = {"country_codes": "[A-Z]{2}", "company_types": "for_profit|non_profit"}
# An instant before every update.
_ALWAYS = 0


@dataclass(frozen=True, slots=True)
class Query:
    """A scan through the feed.

    Attributes:
        filters: The filters that were given, by their names in the body.
        newer_than: Rows updated at this instant (microseconds since 1970) or before are left out.
        batch_size: Rows a page.
    """

    filters: Json
    newer_than: int
    batch_size: int

    def matches(self, traits: Json) -> bool:
        """Whether a company with these traits belongs into the scan."""
        return all(_passes(name, wanted, traits) for name, wanted in self.filters.items())


def read_query(body: Json) -> Query:
    """Read the first request of a scan.

    Raises:
        ValueError: With a sentence for the user, if the API would refuse it.
    """
    filters = {name: _list(body, name) for name in _LISTS}
    filters["founded_after"] = _typed(body, "founded_after", int, "an integer")
    filters["is_agency"] = _typed(body, "is_agency", bool, "a boolean")
    after = _typed(body, "updated_after", str, "a date-time")
    size = _typed(body, "batch_size", int, "an integer")
    size = MAX_BATCH_SIZE if size is None else size
    if not 1 <= size <= MAX_BATCH_SIZE:
        raise ValueError(f"batch_size must be between 1 and {MAX_BATCH_SIZE}.")
    try:
        newer_than = _ALWAYS if after is None else parse(after)
    except ValueError:
        raise ValueError("updated_after must be a date-time.") from None
    given = {name: value for name, value in filters.items() if value not in (None, [])}
    return Query(given, newer_than, size)


def _typed(body: Json, name: str, kind: type, what: str) -> Any:
    value = body.get(name)
    if value is not None and type(value) is not kind:  # a bool is no integer here
        raise ValueError(f"{name} must be {what}.")
    return value


def _list(body: Json, name: str) -> list[str]:
    values: list[str] = _typed(body, name, list, "an array of strings") or []
    pattern = re.compile(_ALLOWED.get(name, ".*"), flags=re.DOTALL)
    for value in values:
        if not (isinstance(value, str) and pattern.fullmatch(value)):
            raise ValueError(f"{name}: {value!r} is not allowed.")
    return values


def _passes(name: str, wanted: Any, traits: Json) -> bool:
    if name == "founded_after":
        return bool((traits["founded_year"] or 0) >= wanted)
    if name == "is_agency":
        return bool(traits["is_agency"] == wanted)
    trait = traits[_LISTS[name]]
    return any(value in wanted for value in (trait if name == "industries" else [trait]))
