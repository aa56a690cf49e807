"""The kinds of settings: each has a JSON type, a check, and a description of what it allows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.settings.formats import is_past_date, is_text, is_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def _never(_old: Any, _new: Any) -> bool:
    return False


def _no_doubt(_item: str) -> None:
    return None


@dataclass(frozen=True)
class Kind:
    """The values that a setting accepts.

    Attributes:
        json_type: Their type in the JSON schema of the configuration.
        words: What is allowed, in words that complete "must be ...".
        allows: Returns whether a value is allowed.
        narrows: Returns, for the old and the new value of a filter, both normalized and set,
            whether every row that matches the new one matches the old one. A wrong True loses
            rows, so the default is False: changing the value is then never only a narrowing.
        doubt: Returns what is probably wrong with an item of a list that is allowed, or None.
    """

    json_type: th.JSONTypeHelper[Any]
    words: str
    allows: Callable[[object], bool]
    narrows: Callable[[Any, Any], bool] = _never
    doubt: Callable[[str], str | None] = _no_doubt

    def normalize(self, value: Any) -> Any:
        """Return a value in the one form that equivalent values share; None if it is empty.

        Raises:
            TypeError: The value is not one that this kind allows.
            ValueError: The same.
        """
        return value


class Text(Kind):
    """A string in a certain format, such as a path."""

    def __init__(
        self,
        check: Callable[[str], bool],
        words: str,
        narrows: Callable[[Any, Any], bool] = _never,
    ) -> None:
        super().__init__(
            th.StringType(), words, lambda value: isinstance(value, str) and check(value), narrows
        )


class Url(Text):
    """The base URL of an API that the key may be sent to."""

    def __init__(self) -> None:
        super().__init__(
            is_url,
            "an https:// URL without user, query or fragment; "
            "http:// only on this machine (127.0.0.1, [::1], localhost)",
        )


class PastDate(Text):
    """A date or a date-time that is not in the future, from which on rows are read."""

    def __init__(self) -> None:
        super().__init__(
            is_past_date,
            "an ISO 8601 date or date-time that is not in the future, such as 2026-01-31 or "
            "2026-01-31T08:00:00Z",
            narrows=lambda old, new: parse_timestamp(new) >= parse_timestamp(old),
        )

    def normalize(self, value: Any) -> Any:
        """Return it as ISO 8601 UTC."""
        return None if value is None else format_timestamp(parse_timestamp(value))


class Integer(Kind):
    """A whole number, with an optional unit, such as credits, or meaning for its description.

    Args:
        minimum: The smallest that is allowed; a maximum needs one.
        maximum: The largest that is allowed.
        unit: What it counts, in the plural.
        meaning: What it is.
        is_start: Whether it is a filter that only numbers from this one on match.
    """

    def __init__(
        self,
        minimum: int | None = None,
        maximum: int | None = None,
        *,
        unit: str = "",
        meaning: str = "",
        is_start: bool = False,
    ) -> None:
        limits = "" if minimum is None else f", {minimum} or more"
        if maximum is not None:
            limits = f" from {minimum:,} to {maximum:,}"
        super().__init__(
            th.IntegerType(minimum=minimum, maximum=maximum),
            "a whole number"
            + (f" of {unit}" if unit else "")
            + limits
            + (f": {meaning}" if meaning else ""),
            lambda value: (
                isinstance(value, int)
                and not isinstance(value, bool)
                and (minimum is None or value >= minimum)
                and (maximum is None or value <= maximum)
            ),
            (lambda old, new: bool(new >= old)) if is_start else _never,
        )


class Boolean(Kind):
    """True or false; `check` also accepts the usual strings for them."""

    def __init__(self) -> None:
        super().__init__(th.BooleanType(), "true or false", lambda value: isinstance(value, bool))


class Choice(Kind):
    """One of a few strings."""

    def __init__(self, values: Sequence[str]) -> None:
        super().__init__(
            th.StringType(allowed_values=[*values]),
            _either(values),
            lambda value: isinstance(value, str) and value in values,
        )


class ListOf(Kind):
    """A list of strings in a certain format. As a filter, it selects rows that have one of them.

    A filter that excludes the rows that have one of them needs a kind of its own: there, a shorter
    list matches more.

    Args:
        items: What the items are, in the plural.
        check: Returns whether an item is allowed.
        example: An example item.
        allowed: All allowed items, if there are few.
        most: Maximum number of items.
        doubt: Returns what is probably wrong with an allowed item, or None; see `forms`.
    """

    def __init__(  # noqa: PLR0913 - each says one thing about the items
        self,
        items: str = "texts",
        check: Callable[[str], bool] = is_text,
        *,
        example: str = "",
        allowed: Sequence[str] = (),
        most: int | None = None,
        doubt: Callable[[str], str | None] = _no_doubt,
    ) -> None:
        super().__init__(
            th.ArrayType(th.StringType(allowed_values=[*allowed] or None)),
            "a list of "
            + (f"at most {most:,} " if most else "")
            + (f"one or more of {', '.join(allowed)}" if allowed else items)
            + (f", such as {example}" if example else ""),
            lambda value: (
                isinstance(value, list)
                and (most is None or len(value) <= most)
                and all(
                    isinstance(item, str) and check(item) and (not allowed or item in allowed)
                    for item in value
                )
            ),
            lambda old, new: {*new} <= {*old},
            doubt,
        )

    def normalize(self, value: Any) -> Any:
        """Return the list sorted, without repeated items."""
        return sorted(set(value)) or None if isinstance(value, list) else value


class ListOfObjects(Kind):
    """A list of objects, each with at least one of a few string members.

    As a filter, it selects rows that match all the members of one of them.
    """

    def __init__(self, members: Sequence[str], *, example: Mapping[str, str]) -> None:
        def is_item(item: object) -> bool:
            return (
                isinstance(item, dict)
                and bool(item)
                and item.keys() <= {*members}
                and all(isinstance(text, str) and is_text(text) for text in item.values())
            )

        properties = [th.Property(member, th.StringType) for member in members]
        super().__init__(
            th.ArrayType(th.ObjectType(*properties, additional_properties=False)),
            f"a list of objects with {_either(members)}, such as {json.dumps([example])}",
            lambda value: isinstance(value, list) and all(map(is_item, value)),
            lambda old, new: all(any(wide.items() <= item.items() for wide in old) for item in new),
        )

    def normalize(self, value: Any) -> Any:
        """Return the list sorted by its items' JSON, without repeated items."""
        if not isinstance(value, list):
            return value
        return [
            json.loads(item)
            for item in sorted({json.dumps(item, sort_keys=True) for item in value})
        ] or None


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
