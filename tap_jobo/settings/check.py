"""Checks the settings and reports all problems at once, before any request."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from singer_sdk import typing as th

from tap_jobo.errors import ConfigError
from tap_jobo.redaction import without_key
from tap_jobo.settings.environment import BOOLEANS, variable_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tap_jobo.settings.setting import Setting

_SIMILAR: Final = 0.75
"""Similarity from which an unknown name counts as a misspelled setting."""


def check(
    config: Mapping[str, Any],
    settings: Sequence[Setting],
    schema: Mapping[str, Any],
    problems: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the settings that have a value, checked; null counts as no value.

    Boolean settings also accept the usual strings for booleans, and no others: `ja` must not
    become false.

    Args:
        config: What the user set.
        settings: The tap's own settings, the key first.
        schema: The JSON schema of all settings, including those of the SDK.
        problems: Problems found elsewhere, to report together with the rest.

    Raises:
        ConfigError: Settings are missing or invalid. Each has a line that names it and says what
            is allowed; none shows a value, which may hold the key.
    """
    given = {name: value for name, value in config.items() if value is not None}
    for setting in settings:
        if setting.is_boolean and setting.name in given:
            value = given[setting.name]
            given[setting.name] = BOOLEANS.get(str(value).strip().lower(), value)
    if found := [*_problems(given, settings, schema["properties"]), *problems]:
        raise ConfigError("\n".join(map(without_key, found)))
    return given


def _problems(
    given: Mapping[str, Any], settings: Sequence[Setting], schemas: Mapping[str, Any]
) -> Iterator[str]:
    for setting in settings:
        name, value = setting.name, given.get(setting.name)
        if value is None and setting.required:
            yield (
                f"Setting '{name}' is missing: set it in the file of --config, or set the variable "
                f"{variable_of(name)} and pass --config ENV."
            )
        elif value in ("", []):  # such as the variable of a CI secret that is not set
            advice = "set it to" if setting.required else "remove it, or set it to"
            yield f"Setting '{name}' is empty: {advice} {setting.type.expected}."
        elif value is not None and not setting.type.allows(value):
            yield f"Setting '{name}' must be {setting.type.expected}."
    own = {setting.name for setting in settings}
    for name in [name for name in schemas if name in given and name not in own]:
        yield from _problems_of_sdk(name, schemas[name], given[name])
    for name in sorted(given.keys() - schemas.keys()):
        near = get_close_matches(name.lower(), schemas, 1, _SIMILAR)
        advice = f"did you mean {near[0]}?" if near else "remove it."
        yield f"Setting '{ascii(name)[1:-1]}' does not exist: {advice}"
    if "company_ids" in given and "company_ids_file" in given:
        yield "Settings 'company_ids' and 'company_ids_file' are mutually exclusive: set only one."


def _problems_of_sdk(name: str, schema: Mapping[str, Any], value: object) -> Iterator[str]:
    try:
        errors = [*th.DEFAULT_JSONSCHEMA_VALIDATOR(schema).iter_errors(value)]
        paths = [".".join(map(str, (name, *error.absolute_path))) for error in errors]
    except (AttributeError, TypeError):  # the SDK's schema of `__else__` in stream maps is broken
        paths = [name]
    for path in paths:
        yield f"Setting '{path}' is not valid: see the Singer SDK's documentation of {name}."
