"""How messages write counts, amounts of money, and lines."""

from typing import Final

CREDITS_PER_DOLLAR: Final = 1_000
_FEW_CENTS: Final = 0.1  # dollars below which tenths of a cent count: a job costs three


def dollars(credits_: float) -> str:
    """Format credits as US dollars, such as `$2.50`, or `$0.003` for a job."""
    amount = credits_ / CREDITS_PER_DOLLAR
    return f"${amount:,.3f}".removesuffix("0") if amount < _FEW_CENTS else f"${amount:,.2f}"


def plural(count: int, noun: str) -> str:
    """Format a count with its noun, such as `1 page` or `1,200 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def completeness(*, is_complete: bool) -> str:
    """Return how a summary ends: monitors search the log for `sync not complete`."""
    return f"sync {'complete' if is_complete else 'not complete'}"


class Told(set[object]):
    """What was told in a run, so that it is told once."""

    def is_first(self, what: object) -> bool:
        """Return whether something is told for the first time, and note it."""
        if what in self:
            return False
        self.add(what)
        return True


class Lines(str):
    """A message whose line breaks are its template's. Any other text is one line of the log."""

    __slots__ = ()


def one_line(text: str) -> str:
    """Return a text that stays on its line: what it quotes cannot forge another one.

    Characters that are not printable, such as line breaks and those of a terminal's escape
    sequences, are escaped as in Python.
    """
    if isinstance(text, Lines) or text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
