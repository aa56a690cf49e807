"""What pages of an archive have, and what loading them saves."""

from dataclasses import dataclass

from tap_jobo.model import EntryHeader
from tap_jobo.wording import dollars, plural


@dataclass
class Contents:
    """What pages of an archive have, and what they have cost.

    A dropped page has nothing: what it cost may not even be known.
    """

    pages: int = 0
    rows: int = 0
    credits: int = 0

    def note(self, header: EntryHeader, rows: int) -> None:
        """Take up a page, with the number of its rows."""
        if header.dropped:
            return
        self.pages += 1
        self.rows += rows
        self.credits += header.cost(rows)

    @property
    def as_load(self) -> str:
        """What a load gets, and what that saves."""
        saved = f"{dollars(self.credits)} not billed again" if self.credits else "free"
        return f"{plural(self.pages, 'page')} from the archive, {saved}"
