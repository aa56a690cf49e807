"""JSON bodies, read as leniently as their rows can be checked later."""

from __future__ import annotations

import json

import msgspec


class NotJsonError(ValueError):
    """A body is not JSON, or is nested more deeply than it can be read."""


def parse_json(body: bytes) -> object:
    """Read a JSON body; bytes that are not UTF-8 become U+FFFD rather than an error.

    Raises:
        NotJsonError: It is not JSON.
    """
    return parse_json_checked(body)[0]


def parse_json_checked(body: bytes) -> tuple[object, bool]:
    """Read a JSON body, and say whether it passed the strict parser, which is also the fast one.

    Raises:
        NotJsonError: It is not JSON.
    """
    try:
        return msgspec.json.decode(body), True
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass
    try:
        text = body.decode("utf-8-sig", "replace")
        return json.loads(text, parse_int=_integer), False
    except (ValueError, RecursionError) as error:
        raise NotJsonError from error


def _integer(digits: str) -> float:
    """Read an integer; one too long for Python becomes infinite, which is no field's value."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)
