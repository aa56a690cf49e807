"""Settings from environment variables and from a `.env` file: for `--config ENV`."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.errors import ConfigError
from tap_jobo.settings.common import UNSUPPORTED

if TYPE_CHECKING:
    from collections.abc import Mapping

ENV_PREFIX: Final = "TAP_JOBO_"
BOOLEANS: Final = {"true": True, "1": True, "yes": True, "on": True} | {
    "false": False, "0": False, "no": False, "off": False
}  # fmt: skip
"""The strings that are read as booleans, in lowercase."""


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
    kinds = {name: str(item.get("type")) for name, item in schema["properties"].items()}
    return {
        name: _read(environ[variable], kind)
        for name, kind in (UNSUPPORTED | kinds).items()
        if (variable := variable_of(name)) in environ
    }


def _read(text: str, kind: str) -> object:
    if "boolean" in kind:
        return BOOLEANS.get(text.strip().lower(), text)
    if "integer" in kind and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text):
        return int(text)
    if "object" in kind or ("array" in kind and text.lstrip().startswith("[")):
        try:
            return json.loads(text)
        except ValueError:
            return text
    if "array" in kind:
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
    except OSError as error:
        raise ConfigError(f"The file {path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The file {path} must be text in UTF-8.") from None
    return {name: text for name, text in values.items() if text is not None} | dict(os.environ)
