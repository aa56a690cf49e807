"""Text and JSON values that databases and JSON writers accept."""

from __future__ import annotations

import math
import re
from typing import Any, Final

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def sanitize_text(text: str) -> str:
    """Remove NUL characters, and replace lone surrogates with U+FFFD."""
    if "\0" in text:
        text = text.replace("\0", "")
    if not text.isascii() and _SURROGATE.search(text):
        text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    return text


def sanitize_json(value: Any) -> Any:
    """Sanitize every string in a JSON value, including the names of members.

    Infinities and NaN, which Python's parser accepts although JSON has none, become strings.

    Raises:
        RecursionError: The value is nested too deeply.
    """
    if isinstance(value, str):
        return sanitize_text(value)
    if isinstance(value, dict):
        return {sanitize_text(name): sanitize_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [sanitize_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
