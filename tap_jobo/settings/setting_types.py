"""The types of settings: each has a JSON schema, which the SDK's validator checks, and a format."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.settings.formats import is_past_date, is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def _unchanged(value: Any) -> Any:
    return value


def _never(_old: Any, _new: Any) -> bool:
    return False


def _no_hint(_item: str) -> None:
    return None


@dataclass(frozen=True)
class SettingType:
    """The values that a setting accepts.

    Attributes:
        json_type: Their type in the JSON schema of the configuration.
        expected: What is allowed, in words that complete "must be ...".
        has_format: Returns whether a value that the JSON schema allows has the right format.
        normalize: Returns a set value in the one form that equivalent values share; None if it is
            empty. Raises TypeError or ValueError for a value that is not allowed.
        narrows: Returns, for the old and the new value of a filter, both normalized and set,
            whether every row that matches the new one matches the old one. A wrong True loses
            rows, so the default is False: changing the value is then never only a narrowing.
        hint: Returns what is probably wrong with an allowed item of a list, or None.
    """

    json_type: th.JSONTypeHelper[Any]
    expected: str
    has_format: Callable[[Any], bool]
    normalize: Callable[[Any], Any] = _unchanged
    narrows: Callable[[Any, Any], bool] = _never
    hint: Callable[[str], str | None] = _no_hint

    def allows(self, value: object) -> bool:
        """Return whether a value is allowed."""
        validator = th.DEFAULT_JSONSCHEMA_VALIDATOR(self.json_type.to_dict())
        return bool(validator.is_valid(value) and self.has_format(value))


def text(has_format: Callable[[str], bool], expected: str) -> SettingType:
    """Return the type of a string in a certain format, such as a path."""
    return SettingType(th.StringType(), expected, has_format)


def past_date() -> SettingType:
    """Return the type of a date or date-time, not in the future, from which on rows are read."""
    return SettingType(
        th.DateTimeType(),
        "an ISO 8601 date or date-time that is not in the future, such as 2026-01-31 or "
        "2026-01-31T08:00:00Z",
        is_past_date,
        normalize=lambda value: format_timestamp(parse_timestamp(value)),
        narrows=lambda old, new: parse_timestamp(new) >= parse_timestamp(old),
    )


def integer(
    minimum: int, maximum: int | None = None, *, unit: str = "", is_start: bool = False
) -> SettingType:
    """Return the type of a whole number.

    Args:
        minimum: The smallest that is allowed.
        maximum: The largest that is allowed, None for no limit.
        unit: What it counts, in the plural.
        is_start: Whether it is a filter that only numbers from this one on match.
    """
    limits = f", {minimum} or more" if maximum is None else f" from {minimum:,} to {maximum:,}"
    return SettingType(
        th.IntegerType(minimum=minimum, maximum=maximum),
        "a whole number" + (f" of {unit}" if unit else "") + limits,
        lambda value: isinstance(value, int),  # JSON schema also allows 7.0
        narrows=(lambda old, new: bool(new >= old)) if is_start else _never,
    )


def boolean() -> SettingType:
    """Return the type of true or false; `check` also accepts the usual strings for them."""
    return SettingType(th.BooleanType(), "true or false", lambda _: True)


def choice(*values: str) -> SettingType:
    """Return the type of one of a few strings."""
    return SettingType(th.StringType(allowed_values=[*values]), _either(values), lambda _: True)


def list_of(  # noqa: PLR0913 - each says one thing about the items
    items: str = "texts",
    has_format: Callable[[str], bool] = is_text,
    *,
    example: str = "",
    allowed: Sequence[str] = (),
    most: int | None = None,
    hint: Callable[[str], str | None] = _no_hint,
) -> SettingType:
    """Return the type of a list of strings. As a filter, it selects rows that have one of them.

    A filter that excludes the rows that have one of them needs a type of its own: there, a shorter
    list matches more.

    Args:
        items: What the items are, in the plural.
        has_format: Returns whether an item has the right format.
        example: An example item.
        allowed: All allowed items, if there are few.
        most: Maximum number of items.
        hint: Returns what is probably wrong with an allowed item, or None; see `value_hints`.
    """
    schema = th.ArrayType(th.StringType(allowed_values=[*allowed] or None)).to_dict()
    return SettingType(
        th.CustomType(schema | ({"maxItems": most} if most else {})),
        "a list of "
        + (f"at most {most:,} " if most else "")
        + (f"one or more of {', '.join(allowed)}" if allowed else items)
        + (f", such as {example}" if example else ""),
        lambda value: all(map(has_format, value)),
        # A state can hold anything; TypeError for items that cannot be sorted.
        normalize=lambda value: sorted({*value}) or None if isinstance(value, list) else value,
        narrows=lambda old, new: {*new} <= {*old},
        hint=hint,
    )


def list_of_objects(*members: str, example: Mapping[str, str]) -> SettingType:
    """Return the type of a list of objects, each with at least one of a few string members.

    As a filter, it selects rows that match all the members of one of them.
    """
    properties = [th.Property(member, th.StringType, required=False) for member in members]
    return SettingType(
        th.ArrayType(th.ObjectType(*properties, additional_properties=False)),
        f"a list of objects with {_either(members)}, such as {json.dumps([example])}",
        lambda value: all(item and all(_is_set(part) for part in item.values()) for item in value),
        normalize=_without_repeats,
        narrows=lambda old, new: all(
            any(wide.items() <= item.items() for wide in old) for item in new
        ),
    )


def _without_repeats(items: Any) -> Any:
    """Return a list sorted by the JSON of its items, each once; None if it is empty."""
    if not isinstance(items, list):
        return items
    texts = sorted({json.dumps(item, sort_keys=True) for item in items})
    return [json.loads(each) for each in texts] or None


def _is_set(part: str | None) -> bool:
    return part is not None and is_text(part)


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
