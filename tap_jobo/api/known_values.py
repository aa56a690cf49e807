"""The filter values that Jobo lists: any other value silently matches no rows.

Nothing depends on the lists, which are free: if one is missing or slow, the check is skipped.
"""

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

    def __init__(self, client: Client, prepare: Prepare) -> None:
        self._client = client
        self._prepare = prepare
        self._is_available = True
        self._fetched: dict[tuple[str, ...], Any] = {}

    def warnings(self, setting: Setting, values: Any) -> list[str]:
        """Return a warning for each value of a filter that Jobo does not list."""
        if not (setting.listed_by and values and self._is_available):
            return []
        try:
            return [
                f"Setting '{setting.name}': Jobo does not list {value!r}, so it matches no rows."
                + _suggest(value, listed)
                for value in values[:_MOST_CHECKED]
                if value not in (listed := self._listed(setting, value))
            ]
        except (ApiError, ValueError, LookupError, TypeError, AttributeError) as error:
            self._client.logger.debug("Filter values are not checked (%r).", error)
            self._is_available = False
            return []

    def _listed(self, setting: Setting, value: Any) -> list[Any]:
        """Return the listed values, at least those that are like a value."""
        if setting.listed_by == "locations":
            text = value.get("city") or value.get("region") or value["country"]
            found = self._fetch("locations/suggest", {"q": text, "limit": "10"})["suggestions"]
            places = [{name: place.get(name) for name in value} for place in found]
            return [place for place in places if None not in place.values()]
        if setting.listed_by == "filters":
            filters, parameter = self._fetch("filters"), setting.request_parameter
            if parameter == "sources":
                return [source["key"] for source in filters["sources"]] or [value]
            return [*filters["enums"].get(parameter, ())] or [value]
        path = "filter-options/industries"
        options = self._fetch(path, {"q": "", "limit": "1000"})["options"]  # may be cut off
        options = [*options, *self._fetch(path, {"q": value})["options"]]
        return [option["key"] for option in options] or [value]

    def _fetch(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return a list, fetched once per run."""
        query = query or {}
        if (key := (path, *query.values())) not in self._fetched:
            request = self._prepare(f"/api/connectors/{path}", query)
            self._fetched[key] = parse_json(self._client.fetch_once(request, _SECONDS).body)
        return self._fetched[key]


def _suggest(value: Any, listed: list[Any]) -> str:
    near = get_close_matches(repr(value).lower(), map(repr, listed), 1)
    return f" Did you mean {near[0]}?" if near else ""
