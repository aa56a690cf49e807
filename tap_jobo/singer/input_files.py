"""The files of `--config`, `--catalog`, and `--state`, with an error that shows nothing of them."""

import json
from pathlib import Path
from typing import Any

import click

from tap_jobo.errors import ConfigError
from tap_jobo.messages import message
from tap_jobo.redaction import without_key


def read_input_file(
    _ctx: click.Context, param: click.Parameter, path: str | None
) -> dict[str, Any] | None:
    """Return what is in the file of an option; a state may be as `meltano state get` prints it."""
    if path is None:
        return None
    found = read_object(path, f"--{param.name}")
    wrapped = found.get("singer_state")
    if param.name == "state" and len(found) == 1 and isinstance(wrapped, dict):
        found = wrapped
    return found


def read_object(path: str, option: str) -> dict[str, Any]:
    """Return the JSON object in the file of a command-line option."""
    try:
        text = Path(path).read_text("utf-8")
        found = json.loads(text)
        # NaN and a lone surrogate would fail later.
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
        if isinstance(found, dict):
            return found
        why = f"must be a JSON object, not a JSON {type(found).__name__}"
    except OSError as error:
        why = f"can't be read ({error.strerror or error})"
    except (RecursionError, ValueError) as error:
        why = f"is not JSON ({error})"
    path = "" if "{" in path else f" {without_key(path)}"  # settings instead of a path
    fact = f"{option}{path} {why}. Nothing was billed."
    raise ConfigError(message("invalid-file", fact))
