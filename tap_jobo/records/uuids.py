"""Parses UUIDs in any notation to the one that the tap emits."""

from __future__ import annotations

import re
from typing import Final

CANONICAL_UUID: Final = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The pattern of a UUID as `parse_uuid` returns it."""
_UUID: Final = re.compile(
    r"(?:urn:uuid:)?(\{)?"
    r"([0-9a-f]{8})(-?)([0-9a-f]{4})\3([0-9a-f]{4})\3([0-9a-f]{4})\3([0-9a-f]{12})"
    r"(?(1)\})",
    re.ASCII | re.IGNORECASE,
)


def parse_uuid(value: object) -> str | None:
    """Return a UUID in lowercase with dashes, or None if the value is not a UUID.

    A UUID is a string in any case, with or without dashes, braces, and the prefix `urn:uuid:`. A
    number is not a UUID.
    """
    found = _UUID.fullmatch(value) if isinstance(value, str) else None
    return "-".join(found.group(2, 4, 5, 6, 7)).lower() if found else None
