"""Reads a run's input files: `--config`, `--state`, `--catalog`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from tap_jobo.redaction import without_key

if TYPE_CHECKING:
    from tap_jobo.errors import TapJoboError

_KINDS: Final = {list: "a list", str: "text", bool: "true or false", type(None): "null"}


class _UnusableFileError(Exception):
    """Completes "config.json ...", without any of the content: that may be the key."""


def read_object(path: str, option: str, error_class: type[TapJoboError]) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Args:
        path: The file's path, as given on the command line.
        option: The command-line option, for messages.
        error_class: The error to raise.

    Raises:
        TapJoboError: It cannot be read, is not JSON, or is not an object. The message shows
            nothing of its content.
    """
    if not path or "{" in path or "jbe_" in path:  # the settings themselves, or the key
        raise error_class(f"Option {option} must be the path of a file that holds a JSON object.")
    try:
        return _parse(_read(path))
    except _UnusableFileError as error:
        raise error_class(f"Option {option}: {path} {error}.") from None


def _read(path: str) -> str:
    """Return a file's text, without the byte order mark that Windows editors put before it.

    Raises:
        _UnusableFileError: It cannot be read.
    """
    try:
        return Path(path).read_text("utf-8-sig")
    except FileNotFoundError:
        raise _UnusableFileError("does not exist") from None
    except OSError as error:
        raise _UnusableFileError(f"cannot be read ({error.strerror})") from None
    except ValueError:
        raise _UnusableFileError("must hold a JSON object, and is not text in UTF-8") from None


def _parse(text: str) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        _UnusableFileError: It is not one.
    """
    if not text.strip():
        raise _UnusableFileError("must hold a JSON object, and is empty")
    try:
        found = json.loads(text, parse_constant=_refuse, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at").rstrip(": ")
        place = f"line {error.lineno}, column {error.colno}"
        raise _UnusableFileError(f"is not valid JSON ({place}: {what})") from None
    except (RecursionError, ValueError):  # nested without end, or a number of thousands of digits
        raise _UnusableFileError("is too deeply nested, or has too long a number") from None
    if not isinstance(found, dict):
        kind = _KINDS.get(type(found), "a number")
        raise _UnusableFileError(f"must hold a JSON object, not {kind}")
    return found


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, but not with one of two values: it could be the wrong `max_credits`.

    Raises:
        _UnusableFileError: A name occurs twice.
    """
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise _UnusableFileError(f"has the name {without_key(twice)!a} twice in one object")
    return found


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and infinities, which Python's JSON reads although they are not JSON.

    Raises:
        _UnusableFileError: Always.
    """
    raise _UnusableFileError(f"is not valid JSON, which has no {constant}")
