"""Checks the settings and reports all problems at once, before any request."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tap_jobo.errors import ConfigError
from tap_jobo.redaction import REPLACEMENT, without_key
from tap_jobo.settings.bucket_url import is_like_url
from tap_jobo.settings.common import UNSUPPORTED
from tap_jobo.settings.environment import BOOLEANS, variable_of
from tap_jobo.settings.kinds import Url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tap_jobo.settings.setting import Setting


def check(
    config: Mapping[str, Any], settings: Sequence[Setting], problems: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the settings that have a value, checked.

    Null, an empty string, and an empty list count as no value: Meltano and shells pass them for
    settings that are not set. Boolean settings also accept the usual strings for booleans, and no
    others: `ja` must not become false.

    Args:
        config: What the user set.
        settings: All settings of the tap, the key first.
        problems: Problems found elsewhere, to report together with the rest.

    Raises:
        ConfigError: Settings are missing or invalid. Each has a line that names it and says what
            is allowed; none shows the key.
    """
    given = {name: value for name, value in config.items() if has_value(value)}
    for setting in settings:
        if setting.is_boolean and setting.name in given:
            value = given[setting.name]
            given[setting.name] = BOOLEANS.get(str(value).strip().lower(), value)
    if found := [*_problems(given, settings), *problems]:
        raise ConfigError("\n".join(found))
    return given


def has_value(value: object) -> bool:
    """Return whether a setting is set: null, an empty string, and an empty list do not count."""
    return value not in (None, "", [])


def _problems(given: Mapping[str, Any], settings: Sequence[Setting]) -> Iterator[str]:
    for setting in settings:
        name = setting.name
        if name in given and not setting.allows(given[name]):
            yield f"Setting '{name}' must be {setting.words}{_instead_of(setting, given)}."
        elif setting.required and name not in given:
            yield (
                f"Setting '{name}' is missing: set the variable {variable_of(name)} and use "
                f"--config ENV, or set {name} in the file of --config."
            )
    for name in UNSUPPORTED:
        if given.get(name):
            yield (
                f"Setting '{name}' is not supported: remove it. Rows must be written before the "
                "state that covers them, and a sync may span several runs."
            )
    if "company_ids" in given and "company_ids_file" in given:
        yield "Settings 'company_ids' and 'company_ids_file' are mutually exclusive: set only one."


def _instead_of(setting: Setting, given: Mapping[str, Any]) -> str:
    """Return what was given, without the key, which may have been put into any setting."""
    value = given[setting.name]
    if setting.secret or isinstance(setting.kind, Url) or is_like_url(str(value)):
        return ""  # a URL may hold a password
    shown = _as_json(value)
    if key := given.get("api_key"):
        shown = shown.replace(_as_json(str(key))[1:-1], REPLACEMENT)
    return f", not {_shorten(without_key(shown))}"


def _as_json(value: object) -> str:
    """Return a value as one printable line, as it appears in a configuration file."""
    text = json.dumps(
        value, default=lambda odd: float(odd) if isinstance(odd, Decimal) else str(odd)
    )
    return text.replace("\x7f", r"\u007f")


def _shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[:limit] + "..."
