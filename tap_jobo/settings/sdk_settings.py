"""Checks the settings that the SDK declares, together with the tap's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from singer_sdk import typing as th

from tap_jobo.redaction import REPLACEMENT, without_key
from tap_jobo.settings.check import has_value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_LONGEST: Final = 120
"""Characters of an explanation: it repeats the value, which may be a whole map."""


def invalid_sdk_settings(
    config: Mapping[str, Any], schema: Mapping[str, Any], own: Collection[str]
) -> list[str]:
    """Return a line for each invalid value of a setting that the SDK declares.

    The SDK would report them only once the tap's own settings are valid, and would show fractions
    as `Decimal('1.5')`.

    Args:
        config: What the user set.
        schema: The JSON schema of all settings.
        own: The names of settings that are checked elsewhere.
    """
    key = str(config.get("api_key") or "")
    lines = [
        line
        for name, definition in schema["properties"].items()
        if name not in own and has_value(config.get(name))
        for line in _problems(name, config[name], definition)
    ]
    return [without_key(line.replace(key, REPLACEMENT) if key else line) for line in lines]


def _problems(name: str, value: Any, definition: Mapping[str, Any]) -> Iterator[str]:
    plain = json.loads(json.dumps(value, default=float))
    for error in th.DEFAULT_JSONSCHEMA_VALIDATOR(definition).iter_errors(plain):
        place = ".".join(map(str, (name, *error.absolute_path)))
        why = error.message
        why = why if len(why) <= _LONGEST else f"{why[:_LONGEST]}..."
        yield f"Setting '{ascii(place)[1:-1]}' is not valid: {why}."
