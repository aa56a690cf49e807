"""What the headers of a response say of its cost and of the rate limit."""

import math
from collections.abc import Mapping
from typing import Any, Final

from tap_jobo.clock import parse_http_date

_LONGEST_WAIT: Final = 86_400.0


def reported_credits(headers: Mapping[str, str], name: str = "X-Credits-Deducted") -> int | None:
    """Return the credits in a header, rounded up; None if there are none, or fewer than none."""
    found = parse_number(headers.get(name))
    return None if found is None else math.ceil(found)


def reported_balance(headers: Mapping[str, str]) -> int | None:
    """Return the balance in the headers, which is negative if the account owes; None for none."""
    text = headers.get("X-Credits-Balance", "").strip()
    found = parse_number(text.removeprefix("-"))
    if found is None:
        return None
    return math.floor(-found) if text.startswith("-") else math.ceil(found)


def reports_more(headers: Mapping[str, str]) -> bool | None:
    """Return whether more pages follow, by the headers of a page; None if they do not say."""
    return {"true": True, "false": False}.get(headers.get("X-Has-More", "").lower())


def has_plan(headers: Mapping[str, str]) -> bool:
    """Return whether a response shows a balance or a quota that can be read.

    Then a missing `X-Credits-Deducted` may mean a free page.
    """
    quota = ("X-Quota-Limit", "X-Quota-Remaining")
    has_quota = any(parse_number(headers.get(name)) is not None for name in quota)
    return has_quota or reported_balance(headers) is not None


def retry_after(headers: Mapping[str, str], facts: Mapping[str, Any]) -> float | None:
    """Return the seconds that a response asks to wait; None if it does not ask.

    A wait of more than a day is no wait but, for example, an instant or milliseconds.
    """
    header = headers.get("Retry-After")
    date = parse_http_date(header)
    asked = [
        parse_number(header),
        seconds_until(date.timestamp(), headers) if date else None,
        parse_number(facts.get("retry_after_seconds")),
        parse_number(facts.get("retry_after")),
    ]
    return next((each for each in asked if each is not None and each <= _LONGEST_WAIT), None)


def seconds_until(unix_time: float | None, headers: Mapping[str, str]) -> float | None:
    """Return the seconds from the `Date` of a response, since the local clock may be wrong."""
    date = parse_http_date(headers.get("Date"))
    if unix_time is None or date is None:
        return None
    return max(0.0, unix_time - date.timestamp())


def parse_number(value: object) -> float | None:
    """Return a number of a header or an error body; None if it is none, or negative."""
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < 1e15 else None  # noqa: PLR2004 - not infinity, not NaN
