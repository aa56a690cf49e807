"""Settings from environment variables and from a `.env` file: for `--config ENV`."""

from __future__ import annotations

import json
import os
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

ENV_PREFIX: Final = "TAP_JOBO_"
BOOLEANS: Final = {"true": True, "1": True, "yes": True, "on": True} | {
    "false": False, "0": False, "no": False, "off": False
}  # fmt: skip
"""The strings that are read as booleans, in lowercase."""
_MISTYPED: Final = 0.8
"""Similarity from which a variable counts as a mistyped setting."""


def variable_of(name: str) -> str:
    """Return the environment variable of a setting, such as `TAP_JOBO_MAX_CREDITS`."""
    return ENV_PREFIX + name.upper()


def read_environment(schema: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Read settings from `TAP_JOBO_...` variables, each as its type in `schema`.

    A value that cannot be parsed as its type stays a string, which `check` rejects.

    Args:
        schema: The JSON schema of all settings, including those of the SDK.
        environ: The environment.
    """
    return {
        name: _parse(environ[variable], str(definition.get("type")))
        for name, definition in schema["properties"].items()
        if (variable := variable_of(name)) in environ
    }


def _parse(text: str, types: str) -> object:
    if "boolean" in types:
        return BOOLEANS.get(text.strip().lower(), text)
    if "integer" in types and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text):
        return int(text)
    if "object" in types or ("array" in types and text.lstrip().startswith("[")):
        try:
            return json.loads(text)
        except ValueError:
            return text
    if "array" in types:
        return [item for part in text.split(",") if (item := part.strip())]
    return text


def load_dotenv_environment() -> dict[str, str]:
    """Return the environment; a `.env` file here or in a parent folder supplies defaults.

    Raises:
        ConfigError: The file cannot be read.
    """
    from dotenv import dotenv_values, find_dotenv  # noqa: PLC0415 - only for --config ENV

    path = find_dotenv(usecwd=True)
    try:
        values = dotenv_values(path) if path else {}
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"The file {path} must be readable text in UTF-8.") from None
    return {name: text for name, text in values.items() if text is not None} | dict(os.environ)


def mistyped_variables(environ: Mapping[str, str], known: Collection[str]) -> list[str]:
    """Return a line for each `TAP_JOBO_...` variable that is nearly the one of a setting.

    A mistyped `TAP_JOBO_MAX_CREDITS` must not let a run spend without limit, however the tap was
    started.

    Args:
        environ: The environment.
        known: The names of all settings, including those of the SDK.
    """
    lines = []
    for variable in sorted(environ.keys() - {variable_of(name) for name in known}):
        name = variable.removeprefix(ENV_PREFIX)
        # Meltano exports each setting under both prefixes, even a member of an object.
        if name == variable or f"MELTANO_EXTRACT_{name}" in environ:
            continue
        near = get_close_matches(name.lower(), known, 1, _MISTYPED)
        if near and not _is_inherited(name.lower(), known):
            lines.append(
                f"Variable {ascii(variable)[1:-1]} is not a setting: did you mean "
                f"{variable_of(near[0])}?"
            )
    return lines


def _is_inherited(name: str, known: Collection[str]) -> bool:
    """Return whether a variable may belong to a Meltano plugin that inherits from this tap.

    The variables of `tap-jobo-frequent` have names such as `TAP_JOBO_FREQUENT_API_KEY`.
    """
    return any(
        name.endswith(f"_{setting}") and name.removesuffix(setting).strip("_") for setting in known
    )
