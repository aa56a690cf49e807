"""The journal: which paid pages are replayed, which have arrived, and which are kept for later.

A target that is killed loses the rows that it has not stored yet, and its state is then older than
what was billed. The pages in between are replayed from here instead of being billed again. A page
is acknowledged only by the identity of its scan: when the state of a later run names that scan or
a later one. This never depends on comparing clocks.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import JournalError
from tap_jobo.journal.page_store import Entry, NoStore, StoreError, summary
from tap_jobo.journal.schema import hash_cursor
from tap_jobo.wording import plural

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from tap_jobo.journal.page_store import PageStore
    from tap_jobo.scan import Scan

_KEPT_FOR: Final = timedelta(days=30)
_LOOP: Final = "-loop"
"""What follows an owner's name where the loop guard's tally is, next to the gate's."""


class Journal:
    """The paid pages of one owner.

    Args:
        store: Where they are.
        owner: Hash of feed, address, filters and kind of key.
        logger: Where replays and store failures are reported.
    """

    def __init__(self, store: PageStore, owner: str, logger: logging.Logger) -> None:
        self._store = store
        self._owner = owner
        self._owners = [owner]
        self._logger = logger
        self._is_failing = False
        self._replayed: set[tuple[str, str, str]] = set()
        self._pages = {_key(entry): entry for entry in self._read_entries()}
        self._count = max((entry.number for entry in self._pages.values()), default=0)
        self.quarantined = 0
        """Rows that this run has put into quarantine."""

    def _read_entries(self) -> list[Entry]:
        try:
            return sorted(self._store.entries(), key=lambda entry: entry.number)
        except StoreError as error:
            raise self._unreadable(error) from error

    def take_over(self, old_owner: str) -> None:
        """Adopt the pages that an earlier version kept for this owner."""
        old = [entry for entry in self._pages.values() if entry.owner == old_owner]
        if not old:
            return
        if self._try_to_write(lambda: self._store.rename_owner(old_owner, self._owner)):
            self._forget(old)
            renamed = [replace(entry, owner=self._owner) for entry in old]
            self._pages |= {_key(entry): entry for entry in renamed}
        else:
            self._owners.append(old_owner)

    def acknowledge(self, completed: str, pending: Scan | None) -> None:
        """Drop the pages that have arrived according to the state, whatever the current filters.

        Args:
            completed: Id of the last complete scan: it has arrived, and those before it.
            pending: The scan under way: its pages before its cursor have arrived, and the scans
                before it.
        """
        seeds = {completed} if completed else set()
        arrived: list[Entry] = []
        if pending:
            seeds |= self._before(pending.id)
            arrived += self._pages_before(pending)
        scans = self._with_ancestors(seeds) - {pending.id if pending else ""}
        arrived += [entry for entry in self._pages.values() if entry.scan in scans]
        self._remove(arrived)
        self._forget(arrived)  # even if a later run has to remove them: this one needs them no more

    def resume(self, scan: Scan, bookmark: datetime | None) -> Scan:
        """Return the journaled scan to resume in place of a new one, or the new one.

        That is the newest scan that continues from the same completed scan as the new one, with
        the same window or one that is wider only by the lookback. No other scan is resumed: its
        rows may be older than what arrived since, and the rest of it may cost a whole backfill.

        Args:
            scan: The new scan.
            bookmark: The bookmark that it continues from, None for a full sync.
        """
        for entry in reversed(self._first_pages()):
            is_successor = not scan.replaces or entry.replaces == scan.replaces
            if is_successor and _can_stand_for(entry, scan, bookmark):
                return replace(
                    scan,
                    id=entry.scan,
                    since=entry.since or None,
                    batch_size=entry.batch_size,
                    started_at=entry.started_at,
                    restarts=max(scan.restarts, entry.restarts),
                    replaces=entry.replaces,
                )
        return scan

    def find(self, scan: Scan) -> Entry | None:
        """Return the scan's next page if it has already been billed."""
        keys = [(owner, scan.id, hash_cursor(scan.cursor)) for owner in self._owners]
        return next((self._pages[key] for key in keys if key in self._pages), None)

    def load(self, entry: Entry) -> bytes:
        """Return the raw body of a page.

        Raises:
            JournalError: It cannot be read. Fetching it again would bill it again.
        """
        self._replayed.add(_key(entry))
        try:
            return self._store.load(entry)
        except StoreError as error:
            raise self._unreadable(error, entry) from error

    def sample(self) -> bytes | None:
        """Return the raw body of a page with rows, None if there is no such page.

        Raises:
            JournalError: It cannot be read.
        """
        entry = next((entry for entry in self._mine() if entry.rows), None)
        return self.load(entry) if entry else None

    def put(self, scan: Scan, body: bytes, *, cost: int, received_at: datetime) -> Entry:
        """Store a page that was just billed, before anything parses it.

        If it cannot be written, the run continues with one warning, and the journal is tried
        again with the next page.
        """
        entry = Entry(
            owner=self._owner,
            scan=scan.id,
            base=scan.base,
            replaces=scan.replaces,
            restarts=scan.restarts,
            since=scan.since or "",
            started_at=scan.started_at or "",
            batch_size=scan.batch_size,
            number=self._count + 1,
            cursor=hash_cursor(scan.cursor),
            following=None,
            rows=None,
            credits=cost,
            received_at=format_timestamp(received_at),
        )
        if self._try_to_write(lambda: self._store.save(entry, body)):
            self._pages[_key(entry)] = entry
            self._count = entry.number
        return entry

    def holds(self, entry: Entry) -> bool:
        """Return whether a page is kept, so that a later run can read it again."""
        return _key(entry) in self._pages and not isinstance(self._store, NoStore)

    def holds_any(self, scan: Scan) -> bool:
        """Return whether pages of a scan are kept, so that a later run could resume it."""
        return any(entry.scan == scan.id and self.holds(entry) for entry in self._mine())

    def pages_of_others_after(self, completed: str) -> list[Entry]:
        """Return the pages of other filters that were billed since a scan and have not arrived.

        Those without a row are skipped: nothing was billed.

        Args:
            completed: Id of the last complete scan, empty for none.
        """
        bases = {completed, f"full-{completed}"} if completed else set()
        others = (entry for entry in self._pages.values() if entry.owner not in self._owners)
        return [entry for entry in others if entry.base in bases and entry.rows != 0]

    def note(self, entry: Entry, *, following: str | None, rows: int, tally: str) -> None:
        """Record what parsing a page has shown, so that later runs need not parse it again."""
        noted = replace(entry, following=hash_cursor(following), rows=rows, tally=tally)
        if _key(entry) in self._pages and noted != entry:
            self._pages[_key(entry)] = noted
            self._try_to_write(lambda: self._store.annotate(noted))

    def quarantine(self, rows: Sequence[bytes]) -> None:
        """Keep raw rows that could not be delivered, until the user exports or drops them."""
        if rows:
            self._try_to_write(lambda: self._quarantine(rows))

    def _quarantine(self, rows: Sequence[bytes]) -> None:
        self.quarantined += self._store.quarantine(self._owner, rows)

    def tally(self) -> str:
        """Return the gate's count from earlier runs."""
        try:
            return self._store.tally(self._owner)
        except StoreError as error:
            raise self._unreadable(error) from error

    def set_tally(self, tally: str) -> None:
        """Keep the gate's count."""
        self._try_to_write(lambda: self._store.set_tally(self._owner, tally))

    def loop_memory(self) -> str:
        """Return what the loop guard of an earlier run has left, empty for nothing.

        Raises:
            JournalError: It cannot be read.
        """
        try:
            return self._store.tally(self._owner + _LOOP)
        except StoreError as error:
            raise self._unreadable(error) from error

    def set_loop_memory(self, memory: str) -> None:
        """Keep what the loop guard of the next run has to know."""
        self._try_to_write(lambda: self._store.set_tally(self._owner + _LOOP, memory))

    def expire(self, now: datetime, api_now: datetime | None) -> None:
        """Drop pages that are older than 30 days by both the local and the API's clock.

        A wrong clock must not wipe the journal, so both must agree. Pages that this run has
        replayed stay until a later state shows that they arrived.
        """
        if api_now is None:
            return
        age = min(now, api_now) - _KEPT_FOR
        old = [
            entry
            for key, entry in self._pages.items()
            if key not in self._replayed
            # Another feed of this run may be about to replay its own: those get twice as long.
            and parse_timestamp(entry.received_at)
            < (age if entry.owner in self._owners else age - _KEPT_FOR)
        ]
        if old:
            self._logger.warning(
                "Dropping %s from the journal: older than 30 days, and no state has shown that "
                "they arrived.",
                summary(old),
            )
            self._remove(old)

    def report_replay(self, scan: Scan) -> None:
        """Log which pages of the scan will be replayed from the journal, if any."""
        pages = list(self._chain(scan))
        if pages:
            known = sum(entry.rows or 0 for entry in pages)
            self._logger.info(
                "Replaying %s in %s from the journal, free of charge: they were billed "
                "since %s, and the state of this run does not cover them. To fetch (and pay for) "
                "them again instead, delete %s or set journal to false.",
                plural(known, "row"),
                plural(len(pages), "page"),
                min(entry.received_at for entry in pages),
                self._store.place,
            )

    def unused(self, chosen: Scan, previous: Scan | None, completed: str = "") -> tuple[int, int]:
        """Return how many billed rows this run does not use, and their credits.

        Args:
            chosen: The scan that the run starts with; scans that continue from it are used too.
            previous: The scan of the state that changed filters rule out, if any.
            completed: Id of the state's last complete scan, empty for none.
        """
        used = {chosen.id, chosen.replaces} - {""}
        for entry in self._mine():  # in the order in which they arrived
            if entry.base in used or entry.replaces in used:
                used.add(entry.scan)
        left = [entry for entry in self._mine() if entry.scan not in used]
        others = self.pages_of_others_after(completed)
        if previous:
            others += [entry for entry in self._pages.values() if entry.scan == previous.id]
        left += {_key(entry): entry for entry in others}.values()
        return sum(entry.rows or 0 for entry in left), sum(entry.credits for entry in left)

    def _chain(self, scan: Scan) -> Iterator[Entry]:
        """Yield the scan's consecutive journaled pages, starting at its cursor."""
        pages = {entry.cursor: entry for entry in self._mine() if entry.scan == scan.id}
        entry = pages.pop(hash_cursor(scan.cursor), None)
        while entry:
            yield entry
            entry = pages.pop(entry.following, None) if entry.following else None

    def _pages_before(self, pending: Scan) -> list[Entry]:
        """Return the pages that lead to the cursor of a scan, from the last one back."""
        leading = {
            entry.following: entry for entry in self._pages.values() if entry.scan == pending.id
        }
        found: list[Entry] = []
        entry = leading.pop(hash_cursor(pending.cursor), None)
        while entry:
            found.append(entry)
            entry = leading.pop(entry.cursor, None) if entry.cursor else None
        return found

    def _before(self, scan: str) -> set[str]:
        """Return the ids of the scans that a scan continues from or replaces."""
        pages = [entry for entry in self._pages.values() if entry.scan == scan]
        return {link for entry in pages for link in (entry.base, entry.replaces) if link}

    def _with_ancestors(self, scans: Iterable[str]) -> set[str]:
        known: set[str] = set()
        left = set(scans)
        while left:
            scan = left.pop()
            known.add(scan)
            left |= self._before(scan) - known
        return known

    def _mine(self) -> Iterator[Entry]:
        return (entry for entry in self._pages.values() if entry.owner in self._owners)

    def _first_pages(self) -> list[Entry]:
        return [entry for entry in self._mine() if not entry.cursor]

    def _remove(self, entries: list[Entry]) -> None:
        if entries and self._try_to_write(lambda: self._store.remove(entries)):
            self._forget(entries)

    def _forget(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._pages.pop(_key(entry), None)

    def _try_to_write(self, write: Callable[[], object]) -> bool:
        """Write, and log once when writing starts to fail and once when it works again."""
        try:
            write()
        except StoreError as error:
            if not self._is_failing:
                self._logger.warning(
                    "The journal %s cannot be written (%s). The run continues and tries again "
                    "with each page; until then a crash may bill pages again. Make room, or set "
                    "journal_dir to a place that can be written.",
                    self._store.place,
                    error,
                )
            self._is_failing = True
            return False
        if self._is_failing:
            self._logger.info("The journal %s can be written again.", self._store.place)
        self._is_failing = False
        return True

    def _unreadable(self, error: StoreError, entry: Entry | None = None) -> JournalError:
        what, name = ("the page", entry.name) if entry else ("its pages", "--all")
        return JournalError(
            f"The journal {self._store.place} cannot be read ({error}). The run ends, since what "
            "is in it would be billed again. Repair it, or run again later if it is only out of "
            f"reach; or drop {what} with `python -m tap_jobo.journal drop {name}`, move the file "
            "away, or set journal to false."
        )


def _key(entry: Entry) -> tuple[str, str, str]:
    return entry.owner, entry.scan, entry.cursor


def _can_stand_for(entry: Entry, scan: Scan, bookmark: datetime | None) -> bool:
    """Return whether the scan of a first page may be resumed in place of a new one."""
    since, wanted = entry.since, scan.since or ""
    if entry.base is None:  # from a version that did not record it
        return since == wanted
    if entry.base != scan.base:
        return False
    is_lookback = bookmark is not None and since and wanted <= format_timestamp(bookmark)
    return since == wanted or bool(is_lookback and since < wanted)
