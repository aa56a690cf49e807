"""JSON bodies, parsed leniently since their rows are checked later."""

from __future__ import annotations

import json
from contextlib import suppress

import msgspec

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class NotJsonError(ValueError):
    """A body is not JSON, or is nested too deeply to parse."""


def parse_json(body: bytes) -> object:
    """Parse a JSON body; bytes that are not UTF-8 become U+FFFD rather than an error.

    Raises:
        NotJsonError: It is not JSON.
    """
    with suppress(msgspec.DecodeError, ValueError, RecursionError):
        return msgspec.json.decode(body)  # strict, and fast
    try:
        text = body.decode("utf-8-sig", "replace")
        return json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise NotJsonError from error


def members(body: bytes) -> frozenset[str]:
    """Return the names in a body that is a JSON object, of which little else is read.

    Raises:
        NotJsonError: It is not JSON.
    """
    try:
        return frozenset(_OBJECT.decode(body))
    except (msgspec.DecodeError, ValueError, RecursionError):
        data = parse_json(body)
        return frozenset(data) if isinstance(data, dict) else frozenset()


def _integer(digits: str) -> float:
    """Parse an integer; one too long for Python becomes infinity, which no field accepts."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)
