"""The known forms of filter values in open sets: a value of another form probably matches nothing.

Jobo lists no values for these filters, so a doubt is a warning and never an error. Each function
returns what is wrong with a value, or None.
"""

from __future__ import annotations

import re
from typing import Final

_BAND: Final = re.compile(r"[0-9]+-[0-9]+|[0-9]+\+")
_TAG: Final = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
_OTHER_CODES: Final = {"UK": "GB", "EL": "GR"}
"""Codes of the European Union that are not those of ISO 3166-1."""


def doubt_band(text: str) -> str | None:
    """Doubt a value that is no band of numbers, such as `11-50` or `10001+`."""
    if _BAND.fullmatch(text):
        return None
    digits = re.sub(r"(?<=[0-9])[,.'\s](?=[0-9]{3}(?![0-9]))", "", text)
    meant = re.sub(r"\s*(-|\u2010|\u2013|\u2014|\bto\b)\s*", "-", digits.strip())
    return f"is not a band such as 11-50 or 10001+{_question(meant, _BAND)}"


def doubt_tag(text: str) -> str | None:
    """Doubt a value that is not in lower case with underscores, such as `series_a`."""
    if _TAG.fullmatch(text):
        return None
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower()
    meant = re.sub(r"[^a-z0-9]+", "_", words).strip("_")
    return f"is not in lower case with underscores{_question(meant, _TAG)}"


def doubt_country(text: str) -> str | None:
    """Doubt a value that is no country of ISO 3166-1 alpha-2."""
    from iso3166 import countries_by_alpha2  # noqa: PLC0415 - only where countries are set

    if text in countries_by_alpha2:
        return None
    meant = _OTHER_CODES.get(text, "")
    return f"is not a country code of ISO 3166-1{f'; did you mean {meant}?' if meant else '.'}"


def _question(meant: str, form: re.Pattern[str]) -> str:
    return f"; did you mean {meant}?" if form.fullmatch(meant) else "."
