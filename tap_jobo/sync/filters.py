"""A change of filters in words: what differs."""

import json
import re
from typing import Final

from tap_jobo.clock import to_minute
from tap_jobo.model import Filters

_MOST: Final = 5  # values of a filter in a message
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def differences(old: Filters, new: Filters) -> str:
    """Return which filters differ, and how."""
    return "; ".join(
        f"{name} was {show(old.get(name))}, and is now {show(new.get(name))}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    )


def describe(filters: Filters) -> str:
    """Return filters as a message shows them, empty if none is set."""
    return " and ".join(f"{name}={show(value, _MOST)}" for name, value in filters.items())


def show(value: object, most: int | None = None) -> str:
    """Format a setting for a message, with at most so many items of a list."""
    if isinstance(value, list):
        more = [f"and {len(value) - most:,} more"] if most and len(value) > most else []
        texts = [item if isinstance(item, str) else json.dumps(item) for item in value[:most]]
        return " ".join([", ".join(texts), *more])
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        return to_minute(value)
    return "not set" if value is None else str(value)
