"""A change of filters in words: what differs."""

import json
import re
from collections.abc import Callable
from typing import Final

from tap_jobo.clock import to_minute
from tap_jobo.model import Filters

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def differences(
    old: Filters, new: Filters, describe_one: Callable[[str, object, object], str]
) -> str:
    """Return which filters differ, and how.

    Args:
        old: The filters before.
        new: The filters now.
        describe_one: Says how one of them differs, given its name and both values.
    """
    return "; ".join(
        describe_one(name, old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    )


def changed(name: str, old: object, new: object) -> str:
    """Return how a filter has changed."""
    if old is None:
        return f"{name} is now {show(new)} (before: not set)"
    if new is None:
        return f"{name} is no longer set (before: {show(old)})"
    return f"{name} changed from {show(old)} to {show(new)}"


def differs(name: str, there: object, here: object) -> str:
    """Return how a filter of an archive differs from that of a run."""
    return f"{name} is {show(there)} in the archive and {show(here)} in this run"


def describe(filters: Filters, most: int | None = None) -> str:
    """Return filters as a message shows them, empty if none is set."""
    return " and ".join(f"{name}={show(value, most)}" for name, value in filters.items())


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
