"""Where billed pages are kept: the protocol that every page store implements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from tap_jobo.wording import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_CREDITS_PER_DOLLAR: Final = 1_000
"""As in `wording`, which the journal must not import."""


class StoreError(Exception):
    """The store cannot complete an operation: the disk is full, read-only, or not mounted."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal knows about a page without reading it.

    Attributes:
        owner: Hash of what a scan belongs to: feed, address, filters, kind of key.
        scan: Id of the page's scan.
        base: Id of the completed scan that it continues from; empty for a full sync, None if the
            version that kept the page did not record it.
        replaces: Id of the scan that it replaces, if any.
        restarts: How often the sync was started over.
        since: Start of its window, empty for all rows.
        started_at: When it started (ISO 8601 UTC), which becomes the bookmark.
        batch_size: Rows per page.
        number: Its position in the order in which the owner's pages arrived.
        cursor: Hash of the cursor that it was requested with, empty for a first page.
        following: Hash of the cursor that it leads to, empty at the end of the scan; None until
            the page has been read.
        rows: How many rows it has; None until the page has been read.
        credits: What it cost.
        received_at: When it arrived (ISO 8601 UTC), by the API's clock if known.
        tally: The gate's count before the page, for reading it again.
    """

    owner: str
    scan: str
    base: str | None
    replaces: str
    restarts: int
    since: str
    started_at: str
    batch_size: int
    number: int
    cursor: str
    following: str | None
    rows: int | None
    credits: int
    received_at: str
    tally: str = ""

    @property
    def name(self) -> str:
        """What the journal command and messages call the page."""
        return f"{self.scan}.{self.number}"


def summary(entries: Sequence[Entry]) -> str:
    """Summarize pages, such as `2 pages (100 rows, worth $5.00)`."""
    rows = sum(entry.rows or 0 for entry in entries)
    dollars = sum(entry.credits for entry in entries) / _CREDITS_PER_DOLLAR
    return f"{plural(len(entries), 'page')} ({plural(rows, 'row')}, worth ${dollars:,.2f})"


class PageStore(Protocol):
    """Keeps pages, quarantined rows and the gate's counts.

    Every method may raise `StoreError`. Once `save` returns, the page survives even a power
    failure.
    """

    @property
    def place(self) -> str:
        """Where it is, for messages."""

    def entries(self) -> list[Entry]:
        """Return all pages of all owners, in the order of their numbers."""

    def load(self, entry: Entry) -> bytes:
        """Return a page's raw body."""

    def save(self, entry: Entry, body: bytes) -> None:
        """Keep a page."""

    def annotate(self, entry: Entry) -> None:
        """Record what parsing a page has shown: `following`, `rows`, and `tally`."""

    def remove(self, entries: Sequence[Entry]) -> None:
        """Remove pages."""

    def rename_owner(self, old: str, new: str) -> None:
        """Move the pages of one owner to another."""

    def quarantine(self, owner: str, rows: Iterable[bytes]) -> int:
        """Keep rows that could not be delivered, without duplicates; return how many are new."""

    def quarantined(self, owner: str | None = None) -> list[bytes]:
        """Return the quarantined rows, of one owner or of all."""

    def drop_quarantined(self) -> int:
        """Remove all quarantined rows, and return how many there were."""

    def tally(self, owner: str) -> str:
        """Return the gate's count, empty if there is none."""

    def set_tally(self, owner: str, tally: str) -> None:
        """Keep the gate's count."""

    def close(self) -> None:
        """Close files and connections."""


class NoStore:
    """Keeps nothing: for a journal that is off and for feeds that are free."""

    place = "nowhere"

    def entries(self) -> list[Entry]:
        """Return nothing."""
        return []

    def load(self, entry: Entry) -> bytes:
        """Return no page, since there is none.

        Raises:
            StoreError: Always.
        """
        raise StoreError(entry.name)

    def save(self, entry: Entry, body: bytes) -> None:
        """Keep nothing."""

    def annotate(self, entry: Entry) -> None:
        """Note nothing."""

    def remove(self, entries: Sequence[Entry]) -> None:
        """Remove nothing."""

    def rename_owner(self, old: str, new: str) -> None:
        """Rename nothing."""

    def quarantine(self, owner: str, rows: Iterable[bytes]) -> int:  # noqa: ARG002
        """Keep nothing."""
        return 0

    def quarantined(self, owner: str | None = None) -> list[bytes]:  # noqa: ARG002
        """Return nothing."""
        return []

    def drop_quarantined(self) -> int:
        """Remove nothing."""
        return 0

    def tally(self, owner: str) -> str:  # noqa: ARG002
        """Return nothing."""
        return ""

    def set_tally(self, owner: str, tally: str) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """Do nothing."""
