"""Settings from environment variables, and from a file `.env`: for `--config ENV`."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, Final

from tap_jobo.settings.common import UNSUPPORTED

if TYPE_CHECKING:
    from collections.abc import Mapping

ENV_PREFIX: Final = "TAP_JOBO_"
BOOLEANS: Final = {"true": True, "1": True, "yes": True, "on": True} | {
    "false": False, "0": False, "no": False, "off": False
}  # fmt: skip
"""The texts that are read as booleans, in lower case."""


def read_environment(schema: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Read settings from variables `TAP_JOBO_...`, each by its type in `schema`.

    What does not read as its type stays the text it is, for `check` to refuse.

    Args:
        schema: The JSON schema of all settings.
        environ: The environment.
    """
    kinds = {name: str(item.get("type")) for name, item in schema["properties"].items()}
    return {
        name: _read(environ[variable], kind)
        for name, kind in (UNSUPPORTED | kinds).items()
        if (variable := ENV_PREFIX + name.upper()) in environ
    }


def unknown_in(environ: Mapping[str, str], schema: Mapping[str, Any]) -> list[str]:
    """Return the variables that look like a setting and are none, such as `TAP_JOBO_MAXCREDITS`.

    Those with a second underscore, such as `TAP_JOBO__SELECT`, are Meltano's.
    """
    known = {ENV_PREFIX + name.upper() for name in [*schema["properties"], *UNSUPPORTED]}
    looks = re.compile(f"{ENV_PREFIX}(?!_)")
    return [name for name in environ if looks.match(name) and name not in known]


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
    """Return the process's environment over that of a `.env` file here or in a folder above."""
    from dotenv import dotenv_values, find_dotenv  # noqa: PLC0415 - only for --config ENV

    path = find_dotenv(usecwd=True)
    values = dotenv_values(path) if path else {}
    return {name: text for name, text in values.items() if text is not None} | dict(os.environ)
