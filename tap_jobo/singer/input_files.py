"""Reads a run's input files: `--config`, `--state`, `--catalog`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_jobo.redaction import without_key

if TYPE_CHECKING:
    from tap_jobo.errors import TapJoboError


def read_object(path: str, option: str, error_class: type[TapJoboError]) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Args:
        path: The file's path, as given on the command line.
        option: The command-line option, for messages.
        error_class: The error to raise.

    Raises:
        TapJoboError: The file cannot be read, or does not hold a JSON object. The message shows
            nothing of its content, which may be the key.
    """
    try:
        found = json.loads(Path(path).read_text("utf-8-sig"))  # Windows editors write a BOM
        why = f"it holds a JSON {type(found).__name__}"
    except OSError as error:
        found, why = None, str(error.strerror)
    except json.JSONDecodeError as error:
        found, why = None, f"line {error.lineno}, column {error.colno} is not valid JSON"
    except (RecursionError, ValueError) as error:
        found, why = None, f"it is not JSON in UTF-8 ({type(error).__name__})"
    if isinstance(found, dict):
        return found
    instead = "" if "{" in path else f", not {without_key(path)}"  # or settings instead of a path
    raise error_class(
        f"Option {option} must be the path of a file with a JSON object{instead}: {why}."
    )
