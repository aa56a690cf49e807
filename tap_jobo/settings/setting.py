"""A setting, declared once: its schema, its check, and its wording derive from the declaration."""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from singer_sdk import typing as th

from tap_jobo.clock import format_timestamp, parse_timestamp

# Not blank, and without lone surrogates, which UTF-8 cannot encode.
_TEXT: Final = r"^(?=\s*\S)[^\ud800-\udfff]*\Z"


def fits(schema: Mapping[str, Any], value: object) -> bool:
    """Return whether a value fits a JSON schema."""
    try:
        return bool(th.DEFAULT_JSONSCHEMA_VALIDATOR(schema).is_valid(value))
    except (AttributeError, TypeError):  # the SDK's schema of `__else__` in stream maps is broken
        return False


@dataclass(frozen=True)
class SettingType:
    """The values that a setting accepts."""

    schema: Mapping[str, Any]  # without null
    expected: str  # what is allowed, in words that complete "must be ..."
    is_valid: Callable[[Any], bool] = lambda _: True  # of what fits the schema; or ValueError
    # Returns a value, or None, in the one form that equivalent values share; TypeError or
    # ValueError for a value that is not allowed.
    normalize: Callable[[Any], Any] = lambda value: value
    # As `Setting.narrows`, for two values that are set. A wrong True loses rows.
    narrows: Callable[[Any, Any], bool] = lambda _old, _new: False

    def allows(self, value: object) -> bool:
        """Return whether a value is allowed."""
        with suppress(ValueError):
            return fits(self.schema, value) and self.is_valid(value)
        return False


@dataclass(frozen=True)
class Setting:
    """A setting of the tap."""

    name: str
    description: str
    type: SettingType
    default: str | int | None = None
    required: bool = False
    secret: bool = False

    def narrows(self, old: Any, new: Any) -> bool:
        """Return whether every row that matches a filter's new value matches the old one.

        Both are normalized, or None if not set. A state can hold an old one that is not allowed.
        """
        if old is None or old == new:
            return True
        return new is not None and fits(self.type.schema, old) and self.type.narrows(old, new)

    def added(self, old: Any, new: Any) -> list[Any]:
        """Return the values of a list that match more rows, if others match rows of the old one."""
        if not (old and isinstance(new, list) and fits(self.type.schema, old)):
            return []
        added = [value for value in new if not self.type.narrows(old, [value])]
        return added if len(added) < len(new) else []


def config_schema(settings: Iterable[Setting]) -> dict[str, Any]:
    """Return the JSON schema of a configuration with these settings, in their order."""
    properties = [
        th.Property(
            each.name,
            th.CustomType({**each.type.schema}),
            required=each.required,
            default=each.default,
            description=each.description,
            secret=each.secret,
            title=each.name.replace("_", " ").capitalize().replace("Api", "API"),
        )
        for each in settings
    ]
    return th.PropertiesList(*properties).to_dict()


def text(expected: str, pattern: str) -> SettingType:
    """Return the type of a string that a regular expression matches as a whole."""
    return SettingType({"type": ["string"], "pattern": rf"^(?:{pattern})\Z"}, expected)


def boolean() -> SettingType:
    """Return the type of true or false; `validated` also accepts the usual strings for them."""
    return SettingType({"type": ["boolean"]}, "true or false")


def choice(*values: str) -> SettingType:
    """Return the type of one of a few strings."""
    return SettingType({"type": ["string"], "enum": [*values]}, f"one of {', '.join(values)}")


def past_date() -> SettingType:
    """Return the type of a date or date-time, not in the future, from which on rows are read."""
    return SettingType(
        {"type": ["string"], "format": "date-time"},
        "an ISO 8601 date or date-time that is not in the future, such as 2026-01-31 or "
        "2026-01-31T08:00:00Z",
        lambda value: parse_timestamp(value) <= datetime.now(UTC),
        normalize=lambda value: value and format_timestamp(parse_timestamp(value)),
        narrows=lambda old, new: parse_timestamp(new) >= parse_timestamp(old),
    )


def integer(
    minimum: int, maximum: int | None = None, *, is_lower_limit: bool = False
) -> SettingType:
    """Return the type of a whole number: with `is_lower_limit`, a filter matches all from it on."""
    limits = f", {minimum} or more" if maximum is None else f" from {minimum:,} to {maximum:,}"
    return SettingType(
        th.IntegerType(minimum=minimum, maximum=maximum).to_dict(),
        f"a whole number{limits}",
        lambda value: isinstance(value, int),  # JSON schema also allows 7.0
        narrows=lambda old, new: is_lower_limit and bool(new >= old),
    )


def list_of(
    items: str,
    item_schema: Mapping[str, Any] | None = None,
    is_valid: Callable[[str], bool] = lambda _: True,
) -> SettingType:
    """Return the type of a list of strings.

    As a filter, it selects rows that have one of them. A filter that excludes those rows needs a
    type of its own: there, a shorter list matches more.
    """
    return SettingType(
        {"type": ["array"], "items": {"type": ["string"], **(item_schema or {"pattern": _TEXT})}},
        f"a list of {items}",
        lambda value: all(map(is_valid, value)),
        # A state can hold anything; TypeError for items that cannot be sorted.
        normalize=lambda value: sorted({*value}) or None if isinstance(value, list) else value,
        narrows=lambda old, new: {*new} <= {*old},
    )


def one_or_more_of(*allowed: str) -> SettingType:
    """Return the type of a list of some of a few strings."""
    return list_of(f"one or more of {', '.join(allowed)}", {"enum": [*allowed]})


def list_of_objects(*members: str) -> SettingType:
    """Return the type of a list of objects that select the rows that match all their members."""
    item = {
        "type": "object",
        "properties": {member: {"type": ["string"], "pattern": _TEXT} for member in members},
        "additionalProperties": False,
        "minProperties": 1,
    }
    return SettingType(
        {"type": ["array"], "items": item},
        f"a list of objects, each with one or more of {', '.join(members)}",
        normalize=_without_repeats,
        narrows=lambda old, new: all(
            any(wide.items() <= item.items() for wide in old) for item in new
        ),
    )


def _without_repeats(items: Any) -> Any:
    if not isinstance(items, list):
        return items
    texts = sorted({json.dumps(item, sort_keys=True) for item in items})
    return [json.loads(each) for each in texts] or None
