"""What is probably wrong with the form of a filter value.

Jobo publishes no complete list for these filters, so a hint is a WARNING, never an error.
"""

from __future__ import annotations

import re


def warn_size_range(text: str) -> str | None:
    """Return a warning if a value is not a size range such as `11-50` or `10001+`."""
    is_range = re.fullmatch(r"[0-9]+(-[0-9]+|\+)", text)
    return None if is_range else "is not a size range such as 11-50 or 10001+."


def warn_snake_case(text: str) -> str | None:
    """Return a warning if a value is not in lower case with underscores, such as `series_a`."""
    meant = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return None if text == meant else f"is not in lower case with underscores, such as {meant}."


def warn_country_code(text: str) -> str | None:
    """Return a warning if a value is not a country code of ISO 3166-1 alpha-2."""
    from iso3166 import countries_by_alpha2  # noqa: PLC0415 - only where countries are set

    meant = {"UK": " Did you mean GB?", "EL": " Did you mean GR?"}.get(text, "")
    is_code = text in countries_by_alpha2
    return None if is_code else f"is not an ISO 3166-1 country code.{meant}"
