"""The filter values that Jobo lists: any other value silently matches no rows.

Nothing depends on the lists, which are free: if one is missing or slow, the check is skipped.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Final

from tap_jobo.api.client import Client, Prepare
from tap_jobo.api.pages import parse_json
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

    def warnings(self, setting: Setting, values: Any) -> list[str]:
        """Return a warning for each value of a filter that Jobo does not list."""
        if not (setting.listed_by and values and self._is_available):
            return []
        try:
            return [
                f"Setting '{setting.name}': Jobo does not list {_shown(value)}, so it matches no "
                f"rows.{_suggest(value, listed)} [no-match]"
                for value in values[:_MOST_CHECKED]
                if value not in (listed := self._listed(setting, value))
            ]
        except (ApiError, ValueError, LookupError, TypeError, AttributeError) as error:
            self._client.logger.debug("Filter values are not checked (%r).", error)
            self._is_available = False
            return []

    def _listed(self, setting: Setting, value: Any) -> list[Any]:
        """Return the listed values, at least those that are like a value."""
        if setting.listed_by == "filters":
            return [source["key"] for source in self._sources["sources"]] or [value]
        text = value.get("city") or value.get("region") or value["country"]
        found = self._fetch("locations/suggest", {"q": text, "limit": "10"})["suggestions"]
        places = [{name: place.get(name) for name in value} for place in found]
        return [place for place in places if None not in place.values()]

    @cached_property
    def _sources(self) -> Any:
        return self._fetch("filters")

    def _fetch(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        request = self._prepare(f"/api/connectors/{path}", query)
        return parse_json(self._client.fetch_once(request, _SECONDS).body)


def _suggest(value: Any, listed: list[Any]) -> str:
    near = get_close_matches(_shown(value).lower(), map(_shown, listed))
    names = " Use full names, such as Germany." if isinstance(value, dict) else ""
    return f" Did you mean {near[0]}?" if near else names


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={ascii(part)[1:-1]}" for name, part in value.items())
    return ascii(value)
