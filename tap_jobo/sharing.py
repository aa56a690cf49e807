"""How positions are stored: each filters once, in a list, and by their place in it elsewhere.

A position names its filters in each read, and a list of locations can be long.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from tap_jobo.model import Filters

_TABLE: Final = "filter_sets"
_MEMBERS: Final = ("filters", "reads")
_T = TypeVar("_T", bound=msgspec.Struct)


def share_filters(stored: msgspec.Struct) -> dict[str, Any]:
    """Return a struct as JSON has it, with its filters in a list.

    Meltano merges objects key by key, and never removes a key, but replaces a list as a whole.
    """
    table: list[Filters] = []

    def shorten(name: str, value: Any) -> Any:
        if name not in _MEMBERS or not isinstance(value, dict):
            return _walk(value, shorten)
        if value not in table:
            table.append(value)
        return table.index(value)

    members = _walk(msgspec.to_builtins(stored), shorten)
    return {**members, _TABLE: table}


def expand_filters(raw: dict[str, Any], to: type[_T]) -> _T:
    """Return the struct that `share_filters` was given. Raises `ValueError` if there is none."""
    table = raw.get(_TABLE)

    def lengthen(name: str, value: Any) -> Any:
        if name not in _MEMBERS or not isinstance(value, int):
            return _walk(value, lengthen)
        if not isinstance(table, list) or not 0 <= value < len(table):
            raise ValueError(f"`{_TABLE}` has no item {value}")
        return table[value]

    members = {name: value for name, value in raw.items() if name != _TABLE}
    return msgspec.convert(_walk(members, lengthen), to)


def _walk(value: Any, change: Callable[[str, Any], Any]) -> Any:
    """Return a value of JSON in which each member of an object is changed."""
    if isinstance(value, dict):
        return {name: change(name, each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(each, change) for each in value]
    return value
