"""Counts, durations and amounts of money as messages write them."""

from typing import Final

CREDITS_PER_DOLLAR: Final = 1_000


def dollars(credits_: float) -> str:
    """Format credits as US dollars, such as `$2.50`."""
    return f"${credits_ / CREDITS_PER_DOLLAR:,.2f}"


def plural(count: int, noun: str) -> str:
    """Format a count with its noun, such as `1 page` or `1,200 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Format a duration, such as `35 s`, `5 min` or `2.5 h`."""
    if seconds < 60:  # noqa: PLR2004
        return f"{max(seconds, 1):.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"  # noqa: PLR2004
