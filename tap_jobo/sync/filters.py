"""The filters of a feed: how they compare, and how a message shows them."""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from tap_jobo.clock import to_minute
from tap_jobo.model import Filters
from tap_jobo.settings.setting import Setting

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_MOST: Final = 5  # values of a filter in a message
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


# Filters in words


def describe(filters: Filters) -> str:
    """Return filters as a message shows them, empty if none is set."""
    return " and ".join(f"{name}={_show(value)}" for name, value in filters.items())


def describe_settings(filters: Filters, start: str) -> str:
    """Return filters and a start date as a message shows them."""
    date = f"start_date {to_minute(start)}" if start else "no start_date"
    return f"{describe(filters) or 'no filter'} and {date}"


def _show(value: object) -> str:
    if isinstance(value, list):
        more = [f"and {len(value) - _MOST:,} more"] if len(value) > _MOST else []
        texts = [item if isinstance(item, str) else json.dumps(item) for item in value[:_MOST]]
        return " ".join([", ".join(texts), *more])
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        return to_minute(value)
    return str(value)


# How filters compare


class FilterRules:
    """Compares filters of one feed, each by its own setting.

    A load compares the same few filters at each page, and to check a long list takes longer than
    all else that it does there. So each answer is kept.
    """

    def __init__(self, settings: Iterable[Setting]) -> None:
        self._settings = {each.name: each for each in settings}
        self._wider: dict[tuple[bytes, bytes], tuple[str, ...]] = {}

    def covers(self, wide: Filters, narrow: Filters) -> bool:
        """Return whether every row that matches the narrow filters matches the wide ones.

        A filter that is set selects rows, so one that the wide ones lack does not matter. One that
        this version does not know has to be the same in both.
        """
        return not self._find_wider(wide, narrow)

    def added(self, old: Filters, new: Filters) -> Filters | None:
        """Return filters of only the rows that the new ones add to the old ones.

        None if no filters select these: only one list may have gained values.
        """
        wider = self._find_wider(old, new)
        if len(wider) != 1 or wider[0] not in self._settings:
            return None
        (name,) = wider
        values = self._settings[name].added(old.get(name), new.get(name))
        return {**new, name: values} if values else None

    def _find_wider(self, old: Filters, new: Filters) -> tuple[str, ...]:
        """Return the names of the filters that match more rows than the old ones."""
        if not old or old == new:
            return ()
        key = _ENCODER.encode(old), _ENCODER.encode(new)
        if key not in self._wider:
            self._wider[key] = tuple(
                name for name in sorted(old) if not self._narrows(name, old[name], new.get(name))
            )
        return self._wider[key]

    def _narrows(self, name: str, old: Any, new: Any) -> bool:
        setting = self._settings.get(name)
        return setting.narrows(old, new) if setting else bool(old == new)
