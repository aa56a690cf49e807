"""Hints about filter values that probably match nothing, by their form.

Jobo publishes no complete list for these filters, so a hint is a WARNING and never an error. Each
function returns what is wrong with a value, or None.
"""

from __future__ import annotations

import re
from typing import Final

_RANGE: Final = re.compile(r"[0-9]+-[0-9]+|[0-9]+\+")
_SNAKE_CASE: Final = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
_OTHER_CODES: Final = {"UK": "GB", "EL": "GR"}
"""Codes of the European Union that are not those of ISO 3166-1."""


def warn_size_range(text: str) -> str | None:
    """Return a warning if a value is not a size range such as `11-50` or `10001+`."""
    if _RANGE.fullmatch(text):
        return None
    digits = re.sub(r"(?<=[0-9])[,.'\s](?=[0-9]{3}(?![0-9]))", "", text)
    meant = re.sub(r"\s*(-|\u2010|\u2013|\u2014|\bto\b)\s*", "-", digits.strip())
    return f"is not a size range such as 11-50 or 10001+{_question(meant, _RANGE)}"


def warn_snake_case(text: str) -> str | None:
    """Return a warning if a value is not in lower case with underscores, such as `series_a`."""
    if _SNAKE_CASE.fullmatch(text):
        return None
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower()
    meant = re.sub(r"[^a-z0-9]+", "_", words).strip("_")
    return f"is not in lower case with underscores{_question(meant, _SNAKE_CASE)}"


def warn_country_code(text: str) -> str | None:
    """Return a warning if a value is not a country code of ISO 3166-1 alpha-2."""
    from iso3166 import countries_by_alpha2  # noqa: PLC0415 - only where countries are set

    if text in countries_by_alpha2:
        return None
    meant = _OTHER_CODES.get(text, "")
    return f"is not an ISO 3166-1 country code.{f' Did you mean {meant}?' if meant else ''}"


def _question(meant: str, form: re.Pattern[str]) -> str:
    return f". Did you mean {meant}?" if form.fullmatch(meant) else "."
