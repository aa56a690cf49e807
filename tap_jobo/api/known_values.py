"""The filter values that Jobo currently supports: any other value silently matches nothing.

The list comes from an endpoint that may change without notice, so nothing depends on it: if it is
missing, slow, or broken, the check is skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.api.json_body import parse_json
from tap_jobo.errors import ApiError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Mapping

    from requests import PreparedRequest

    from tap_jobo.api.client import Client

FILTERS_PATH: Final = "/api/connectors/filters"
_SECONDS: Final = 5.0
_ENUMS: Final = ("work_models", "employment_types", "experience_levels")
_SUGGESTIONS: Final = 3
_COUNTED: Final = "sources"
"""The filter of whose values the API says how many rows have them; each row has one."""


@dataclass(frozen=True, slots=True)
class KnownValues:
    """What the API says about the filters.

    Attributes:
        values: The values of each filter, by its request parameter; None if unknown.
        counts: How many rows each source has, None if unknown.
    """

    values: Mapping[str, frozenset[str] | None]
    counts: Mapping[str, int] | None = None

    def most_rows(self, filters: Mapping[str, Any]) -> int | None:
        """Return how many rows can match filters at most, None if that is not known.

        Args:
            filters: The filters by their request parameters.
        """
        if self.counts is None:
            return None
        return sum(self.counts.get(value, 0) for value in filters.get(_COUNTED) or self.counts)


def fetch_known_values(
    client: Client, prepare: Callable[[], PreparedRequest], logger: logging.Logger
) -> KnownValues:
    """Fetch the values of the jobs filters with one free request of at most a few seconds.

    Args:
        client: Sends the request.
        prepare: Makes it.
        logger: Where one DEBUG line says that not all of them are known.

    Raises:
        InterruptedRunError: A signal arrived.
    """
    try:
        known = _read(parse_json(client.fetch_once(prepare(), _SECONDS).body))
        missing = ", ".join(name for name, values in known.values.items() if values is None)
        why = f"the answer has no {missing}" if missing else ""
    except ApiError as error:
        known, why = _read(None), str(error)
    if why:
        logger.debug("Filter values are not checked against Jobo's (%s).", why.rstrip("."))
    return known


def describe_unknown_values(
    setting: str, values: Iterable[str], known: frozenset[str] | None
) -> list[str]:
    """Return a warning for each value of a setting that Jobo does not know.

    Args:
        setting: Its name, such as `jobs_sources`.
        values: Its values.
        known: The values that Jobo knows, None to skip the check.
    """
    if known is None:
        return []
    what = setting.removeprefix("jobs_").replace("_", " ")
    return [
        f"Setting '{setting}': {value!r} is not one of Jobo's {what}{_question(value, known)} "
        "Unknown values match nothing."
        for value in values
        if value not in known
    ]


def _question(value: str, known: frozenset[str]) -> str:
    near = get_close_matches(value.lower(), sorted(known), _SUGGESTIONS)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else "."


def _read(data: Any) -> KnownValues:
    """Read the parts of a response that have the expected format."""
    answer = data if isinstance(data, dict) else {}
    enums, sources = answer.get("enums"), answer.get("sources")
    each = sources if isinstance(sources, list) else []
    keys = _texts([_get(source, "key") for source in each])
    counts = {source["key"]: source.get("count") for source in each} if keys else {}
    is_counted = counts and all(type(count) is int for count in counts.values())
    return KnownValues(
        {_COUNTED: keys} | {name: _texts(_get(enums, name)) for name in _ENUMS},
        counts if is_counted else None,
    )


def _get(data: Any, name: str) -> Any:
    return data.get(name) if isinstance(data, dict) else None


def _texts(values: Any) -> frozenset[str] | None:
    """Return the strings of a list; None if it is empty or has anything else."""
    if isinstance(values, list) and values and all(isinstance(each, str) for each in values):
        return frozenset(values)
    return None
