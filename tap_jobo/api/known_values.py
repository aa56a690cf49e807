"""The filter values that Jobo lists: any other value silently matches no rows.

The lists come from free endpoints that may change without notice, so nothing depends on them: if
one is missing, slow, or broken, the check is skipped.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from tap_jobo.errors import ApiError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Mapping

    from requests import PreparedRequest

    from tap_jobo.api.client import Client
    from tap_jobo.settings.setting import Setting

    Prepare = Callable[[str, Mapping[str, str]], PreparedRequest]

_FILTERS: Final = "/api/connectors/filters"
_INDUSTRIES: Final = "/api/connectors/filter-options/industries"
_LOCATIONS: Final = "/api/connectors/locations/suggest"
_SECONDS: Final = 5.0
_MOST_CHECKED: Final = 20
"""Values of a setting, each of which may take a request."""
_SUGGESTIONS: Final = 3
_SHORTEST: Final = 2
"""Characters of a place; for fewer, the API suggests none."""
_COUNTED: Final = "sources"
"""The filter of whose values the API says how many rows have them; each row has one."""


class _Option(msgspec.Struct):
    key: str
    count: int


class _Filters(msgspec.Struct):
    enums: dict[str, list[str]]
    sources: list[_Option]


class _Industries(msgspec.Struct):
    options: list[_Option]


class _Place(msgspec.Struct):
    city: str | None = None
    region: str | None = None
    country: str | None = None


class _Locations(msgspec.Struct):
    suggestions: list[_Place]


_List = TypeVar("_List", _Filters, _Industries, _Locations)


class KnownValues:
    """Jobo's lists of filter values, fetched with free requests when they are needed.

    Args:
        client: Sends the requests, each of at most a few seconds, without retries.
        prepare: Makes a GET request from a path and a query.
        logger: Where one DEBUG line says why values are not checked.
    """

    def __init__(self, client: Client, prepare: Prepare, logger: logging.Logger) -> None:
        self._client = client
        self._prepare = prepare
        self._logger = logger
        self._is_available = True

    def warnings(self, setting: Setting, values: Any) -> list[str]:
        """Return a warning for each value of a filter that Jobo does not list.

        Raises:
            InterruptedRunError: A signal arrived.
        """
        find = {
            "filters": lambda value: self._near_filter(setting.request_parameter, value),
            "industries": self._near_industries,
            "locations": self._near_locations,
        }.get(setting.listed_by or "")
        if find is None or not values:
            return []
        what = setting.name.removeprefix("jobs_").replace("_", " ")
        near = [(value, find(value)) for value in islice(values, _MOST_CHECKED)]
        return [
            f"Setting '{setting.name}': {_shown(value)} is not one of Jobo's {what}."
            f"{_question(found)} Unknown values match no rows."
            for value, found in near
            if found is not None
        ]

    def most_rows(self, filters: Mapping[str, Any]) -> int | None:
        """Return how many jobs can match filters at most, None if that is not known.

        Args:
            filters: The filters by their request parameters.
        """
        if not self._filters:
            return None
        counts = {source.key: source.count for source in self._filters.sources}
        return sum(counts.get(value, 0) for value in filters.get(_COUNTED) or counts)

    # Each returns the listed values that are like a value: None if it is listed itself, or if that
    # is not known.

    def _near_filter(self, parameter: str, value: str) -> list[str] | None:
        if not self._filters:
            return None
        sources = {source.key for source in self._filters.sources}
        return _near(value, ({_COUNTED: sources} | self._filters.enums).get(parameter))

    def _near_industries(self, value: str) -> list[str] | None:
        listed = self._industries.options if self._industries else []
        near = _near(value, {option.key for option in listed})
        # The list may be cut off, so look for the value itself as well.
        found = None if near is None else self._fetch(_INDUSTRIES, _Industries, q=value, limit="10")
        return near if found and value not in {option.key for option in found.options} else None

    def _near_locations(self, value: Mapping[str, str]) -> list[str] | None:
        text = value.get("city") or value.get("region") or value["country"]
        found = self._fetch(_LOCATIONS, _Locations, q=text, limit="10")
        if found is None or len(text) < _SHORTEST:
            return None
        near = [{name: getattr(place, name) for name in value} for place in found.suggestions]
        if value in near:
            return None
        return [*dict.fromkeys(json.dumps(place) for place in near if None not in place.values())]

    @cached_property
    def _filters(self) -> _Filters | None:
        return self._fetch(_FILTERS, _Filters)

    @cached_property
    def _industries(self) -> _Industries | None:
        return self._fetch(_INDUSTRIES, _Industries, q="", limit="1000")

    def _fetch(self, path: str, expected: type[_List], **query: str) -> _List | None:
        """Return a list, None if there is no usable one; then no more requests are sent."""
        if not self._is_available:
            return None
        try:
            response = self._client.fetch_once(self._prepare(path, query), _SECONDS)
            return msgspec.json.decode(response.body, type=expected)
        except (ApiError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._logger.debug("Filter values are not checked, because %s failed: %s", path, error)
            self._is_available = False
            return None


def _near(value: str, listed: Collection[str] | None) -> list[str] | None:
    if not listed or value in listed:
        return None
    return [repr(each) for each in get_close_matches(value.lower(), sorted(listed), _SUGGESTIONS)]


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else json.dumps(value)


def _question(near: list[str]) -> str:
    return f" Did you mean {' or '.join(near[:_SUGGESTIONS])}?" if near else ""
