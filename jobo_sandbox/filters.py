"""The filters of the feeds: what a request may ask for, and which rows pass."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from jobo_sandbox.company_data import Company, Json
from jobo_sandbox.instants import FAR_FUTURE, LONG_AGO, parse
from jobo_sandbox.job_data import Job

Row = Company | Job
_PLACE: Final = ("country", "region", "city")


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of a feed.

    Attributes:
        read: Returns the member of a request's body with this name, or None. Raises ValueError if
            the API would reject it.
        passes: Whether a row passes, given what `read` returned.
        probes: Values that show whether an API applies the filter: one that no row has, or two
            that no row has both of.
        field: The field of a row that has the values to select it by; empty if no field has.
        selecting: Returns a value that selects a row, given the row as the API returns it, or None
            if that does not show one.
    """

    read: Callable[[Json, str], Any]
    passes: Callable[[Any, Any], bool]
    probes: tuple[Any, ...]
    field: str = ""
    selecting: Callable[[Json], Any] = lambda _: None


def trait(name: str) -> Callable[[Row], Any]:
    """Return what gets a trait of a company or job."""
    return lambda row: row.traits[name]


def any_of(
    have: Callable[[Any], Any],
    pattern: str = ".*",
    probes: tuple[list[str], ...] = (["no_such_value"],),
    field: str = "",
) -> Filter:
    """Select rows that have one of some values. Requests with another value are rejected."""

    def read(body: Json, name: str) -> list[str]:
        values: list[str] = typed(body, name, list, "an array of strings") or []
        for value in values:
            if not (isinstance(value, str) and re.fullmatch(pattern, value, re.DOTALL)):
                raise ValueError(f"{name}: {value!r} is not allowed.")
        return values

    def passes(wanted: list[str], row: Row) -> bool:
        return any(each in wanted for each in values_in(have(row)))

    return Filter(read, passes, probes, field, lambda row: values_in(row.get(field))[:1])


def values_in(found: Any) -> list[Any]:
    """Return the values of a field or trait: none, one, or those of a list."""
    if isinstance(found, list):
        return found
    return [] if found is None else [found]


def at_least(number: Callable[[Any], int | None], probe: int = 10**9) -> Filter:
    """Select rows with a number or more. A row without one has 0."""
    return Filter(
        lambda body, name: typed(body, name, int, "an integer"),
        lambda wanted, row: (number(row) or 0) >= wanted,
        (probe,),
    )


def either(is_so: Callable[[Any], bool]) -> Filter:
    """Select the rows that are so, or those that are not."""
    return Filter(
        lambda body, name: typed(body, name, bool, "a boolean"),
        lambda wanted, row: is_so(row) is wanted,
        (True, False),
    )


def since(is_since: Callable[[int, Any], bool]) -> Filter:
    """Select rows by an instant, which `is_since` gets in microseconds since 1970."""
    return Filter(instant, is_since, (FAR_FUTURE,), selecting=lambda _: LONG_AGO)


def in_places(have: Callable[[Any], list[Json]]) -> Filter:
    """Select rows in one of some places. A place is a country, a region, a city, or several."""

    def passes(wanted: list[Json], row: Row) -> bool:
        return any(
            all(place.get(name) in {None, where.get(name)} for name in _PLACE)
            for place in wanted
            for where in have(row)
        )

    def selecting(row: Json) -> list[Json]:
        countries = [place.get("country") for place in row.get("locations") or ()]
        return [{"country": each} for each in countries[:1] if each]

    return Filter(_places, passes, ([{"country": "Nowhere"}],), selecting=selecting)


def _places(body: Json, name: str) -> list[Json]:
    places: list[Json] = typed(body, name, list, "an array of objects") or []
    for place in places:
        if not isinstance(place, dict):
            raise ValueError(f"{name} must be an array of objects.")  # noqa: TRY004 - a bad request
        for part in _PLACE:
            typed(place, part, str, "a string")
    return places


def typed(body: Json, name: str, kind: type, what: str) -> Any:
    """Return a member of a body, or None, and raise ValueError if its type is another."""
    value = body.get(name)
    if value is not None and type(value) is not kind:  # a bool is not an integer here
        raise ValueError(f"{name} must be {what}.")
    return value


def instant(body: Json, name: str) -> int | None:
    """Return a member of a body, or None, in microseconds since 1970."""
    text = typed(body, name, str, "a date-time")
    try:
        return None if text is None else parse(text)
    except ValueError:
        raise ValueError(f"{name} must be a date-time.") from None
