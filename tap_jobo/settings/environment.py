"""Settings from environment variables and from a `.env` file: for `--config ENV`."""

from __future__ import annotations

import json
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


def load_dotenv_file() -> None:
    """Set variables that are not set from a `.env` file here or in a parent folder.

    Raises:
        ConfigError: The file cannot be read.
    """
    from dotenv import find_dotenv, load_dotenv  # noqa: PLC0415 - only for --config ENV

    path = find_dotenv(usecwd=True)
    try:
        load_dotenv(path)
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"The file {path} must be readable text in UTF-8.") from None


def mistyped_variables(environ: Mapping[str, str], known: Collection[str]) -> list[str]:
    """Return a line for each `TAP_JOBO_...` variable that is nearly the one of a setting.

    A mistyped `TAP_JOBO_MAX_CREDITS` must not let a run spend without limit. But Meltano exports
    each setting under two prefixes, even a member of an object, and a plugin that inherits from
    this tap has variables such as `TAP_JOBO_FREQUENT_API_KEY`.

    Args:
        environ: The environment.
        known: The names of all settings, including those of the SDK.
    """
    lines = []
    for variable in sorted(environ.keys() - {variable_of(name) for name in known}):
        name = variable.removeprefix(ENV_PREFIX)
        near = get_close_matches(name.lower(), known, 1, _MISTYPED)
        if name == variable or f"MELTANO_EXTRACT_{name}" in environ or not near:
            continue
        is_inherited = name.lower().endswith(near[0]) and name[: -len(near[0])].strip("_")
        if not is_inherited:
            shown = ascii(variable)[1:-1]
            lines.append(f"Variable {shown} is not a setting: did you mean {variable_of(near[0])}?")
    return lines
