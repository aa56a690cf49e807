"""The filter values that Jobo lists: any other value silently matches no rows.

The lists come from free endpoints that may change without notice, so nothing depends on them: if
one is missing, slow, or broken, the check is skipped.
"""

import logging
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from tap_jobo.api.client import Client, Prepare
from tap_jobo.api.responses import parse_json
from tap_jobo.errors import ApiError
from tap_jobo.settings.setting import Setting

_SECONDS: Final = 5.0
_MOST_CHECKED: Final = 20  # values of a setting: each may take a request


class KnownValues:
    """Jobo's lists of filter values, fetched with free requests when they are needed."""

    def __init__(self, client: Client, prepare: Prepare, logger: logging.Logger) -> None:
        self._client = client
        self._prepare = prepare
        self._logger = logger
        self._is_available = True
        self._fetched: dict[tuple[str, ...], Any] = {}

    def warnings(self, setting: Setting, values: Any) -> list[str]:
        """Return a warning for each value of a filter that Jobo does not list."""
        if not (setting.listed_by and values and self._is_available):
            return []
        try:
            similar = [(v, self._similar(setting, v)) for v in values[:_MOST_CHECKED]]
        except (ApiError, ValueError, LookupError, TypeError, AttributeError) as error:
            self._logger.debug("Filter values are not checked (%r).", error)
            self._is_available = False
            return []
        return [
            f"Setting '{setting.name}': Jobo does not list {value!r}, so it matches no rows."
            + (f" Did you mean {' or '.join(found)}?" if found else "")
            for value, found in similar
            if found is not None
        ]

    def _similar(self, setting: Setting, value: Any) -> list[str] | None:
        """Return the listed values that are like a value, None if it is listed itself."""
        if setting.listed_by == "locations":
            return self._similar_locations(value)
        listed = self._listed(setting, value)
        if not listed or value in listed:
            return None
        return [repr(each) for each in get_close_matches(value.lower(), sorted(listed))]

    def _listed(self, setting: Setting, value: str) -> set[str]:
        if setting.listed_by == "filters":
            filters, parameter = self._fetch("filters"), setting.request_parameter
            if parameter == "sources":
                return {source["key"] for source in filters["sources"]}
            return set(filters["enums"].get(parameter, ()))
        path = "filter-options/industries"
        options = self._fetch(path, {"q": "", "limit": "1000"})["options"]  # may be cut off
        options = [*options, *self._fetch(path, {"q": value})["options"]]
        return {option["key"] for option in options}

    def _similar_locations(self, value: Mapping[str, str]) -> list[str] | None:
        text = value.get("city") or value.get("region") or value["country"]
        found = self._fetch("locations/suggest", {"q": text, "limit": "10"})["suggestions"]
        places = [{name: place.get(name) for name in value} for place in found]
        if value in places:
            return None
        listed = dict.fromkeys(str(place) for place in places if None not in place.values())
        return [*listed][:3]

    def _fetch(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return a list, fetched once per run."""
        query = query or {}
        if (key := (path, *query.values())) not in self._fetched:
            request = self._prepare(f"/api/connectors/{path}", query)
            self._fetched[key] = parse_json(self._client.fetch_once(request, _SECONDS).body)
        return self._fetched[key]
