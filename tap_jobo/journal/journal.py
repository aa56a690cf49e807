"""The journal: billed pages in and out, one after the other.

Pages are only ever created, each under its number. So two runs that a lock or lease failed to keep
apart want the same name, and the second one ends before its next request.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tap_jobo.clock import format_timestamp
from tap_jobo.errors import FormatError, JournalError
from tap_jobo.journal import layout
from tap_jobo.journal.contents import Contents, JournaledSync, JournalKey, Status, encode
from tap_jobo.journal.history import History
from tap_jobo.journal.month import MonthCount
from tap_jobo.journal.page import DamagedPageError, encode_page
from tap_jobo.journal.store import ExistsError, MissingError, Store, StoreError
from tap_jobo.journal.way_out import journal_command
from tap_jobo.model import BilledPage, Sync, hash_cursor
from tap_jobo.wording import dollars, plural

DISPUTED: Final = ".disputed"  # ends the name of a page in quarantine whose rows are delivered
_MOST_DELIVERED: Final = 200  # pages that a run looks at to find out whether a feed repeats
_MOST_READ: Final = 20_000_000  # bytes of them that it reads


@dataclass(frozen=True, kw_only=True)
class Journals:
    """The journals of a run, one for each stream; they share a store and a monthly limit.

    Attributes:
        store: The store.
        limit: `max_credits_per_month`, None if it is not set.
        now: Returns the time by the API's clock.
        wait: Waits some seconds, and raises if the run ends.
        logger: Where decisions are reported.
    """

    store: Store
    limit: int | None
    now: Callable[[], datetime]
    wait: Callable[[float], None]
    logger: logging.Logger

    @contextmanager
    def open(self, key: JournalKey) -> Iterator[Journal]:
        """Hold the lock of a journal key, and yield its journal.

        Raises:
            JournalError: The store cannot be used, another run has the lock, or the journal is of
                an earlier development version.
            FormatError: What the journal holds is damaged.
        """
        _refuse_old_layout(self.store, key.stream)
        # The same for every run, so it needs no lock. It also shows whether the store is writable.
        self.store.replace(layout.KEY.format(key.name), encode(key))
        with self.store.run_lock(key.name, key.stream, self.wait) as check:
            journal = Journal(self.store, key, self.logger)
            journal.check_lock = check
            journal.month = MonthCount(
                store=self.store,
                key=key,
                run=journal.run,
                limit=self.limit,
                now=self.now,
                check=check,
                logger=self.logger,
            )
            journal.month.include_killed_runs(journal.history.contents)
            yield journal


def _refuse_old_layout(store: Store, stream: str) -> None:
    folder = re.compile(rf"{layout.OLD_TOP}/{stream}-[0-9a-f]+/.+\.page")
    if pages := sum(bool(folder.fullmatch(name)) for name in store.list(layout.OLD_TOP)):
        where = f"{store.location}/{layout.OLD_TOP}"
        raise JournalError(
            f"The journal has {plural(pages, 'billed page')} of {stream} from an earlier "
            "development version of tap-jobo, which this version can't read. Nothing was billed. "
            "Complete the sync with the version that wrote them. Or, if the warehouse has their "
            f"rows, remove {where}. [journal-unusable]"
        )


class Journal:
    """The billed pages of one journal key, and their history. Without a store, it is empty.

    `Journals.open` opens one.

    Raises `JournalError` if the store cannot be read, `FormatError` if what it holds is damaged.
    """

    month: MonthCount | None = None

    def __init__(self, store: Store | None, key: JournalKey, logger: logging.Logger) -> None:
        self.history = History(Contents(store) if store else None, key, logger)
        self.is_on = store is not None
        self.quarantined = 0  # rows, by this run
        self.failure = ""  # why the last page is not in the journal
        self.run = secrets.token_hex(8)
        self.check_lock: Callable[[], None] = lambda: None  # raises if another run may have it
        self._begun: int | None = None  # the number of the last sync that this run has begun
        self._key = key
        self._logger = logger
        if store:
            self._store = store
            self._contents = self.history.contents

    def begin(self, sync: Sync, now: datetime) -> Sync:
        """Write a sync under a number of its own, before its first request."""
        if not self.is_on or sync.number:
            return sync
        sync = replace(sync, number=self.history.highest_number + 1)
        journaled = JournaledSync(self._key.name, sync.from_start, format_timestamp(now))
        self.history.syncs[sync.number] = journaled
        self._create(journaled.name, journaled.content)
        self._begun = sync.number
        try:
            self._verify_alone(journaled)
        except JournalError:
            self._store.remove([journaled.name])
            raise
        return sync

    def remove_unused(self) -> None:
        """Remove, when a run ends, the sync that it has begun last, if no page of it came.

        Otherwise, each run after a limit is reached would leave one, which later runs would read.
        """
        journaled = self.history.syncs.get(self._begun or 0)
        if journaled and not (journaled.pages or self.failure):
            with suppress(JournalError):  # it expires
                self.check_lock()
                pages = Contents(self._store).pages(self._key.name)[journaled.sync.number]
                if not pages and self._is_present(journaled):  # or they are another run's
                    self._store.remove([journaled.name])

    def end(self, sync: Sync) -> None:
        """Record that a sync was ended because its pages went in circles."""
        if journaled := self.history.syncs.get(sync.number):
            journaled.status = Status.ENDED
            with suppress(StoreError):  # a later run reads its pages again and ends it
                self._store.replace(journaled.name, journaled.content)

    # Pages out

    def find(self, sync: Sync) -> BilledPage | None:
        """Return the sync's next page if it has been billed."""
        journaled, number = self.history.syncs.get(sync.number), sync.pages + 1
        if journaled is None:
            return None
        if number not in journaled.pages and number > max(journaled.pages, default=0):
            return None
        try:
            page = self._contents.page(journaled, number)
        except DamagedPageError as error:
            raise self._damaged(journaled, number, error) from None
        if page.header.cursor != hash_cursor(sync.cursor):
            raise self._damaged(journaled, number, "does not follow the page before it")
        journaled.total = page.header.total_credits  # or the next page would read it from the store
        return page

    def delivered(self, sync: Sync) -> list[BilledPage]:
        """Return the first and the last pages of a sync that earlier runs have delivered.

        Only the first one and the newest 20 MB are read. The others have an empty body.
        """
        journaled = self.history.syncs.get(sync.number)
        if not (journaled and sync.pages):
            return []
        pages, size = [], 0
        newest = range(sync.pages, max(1, sync.pages - _MOST_DELIVERED), -1)
        for number in (*newest, 1):
            with suppress(DamagedPageError, StoreError):
                if size < _MOST_READ or number == 1:
                    pages.append(self._contents.page(journaled, number))
                    size += len(pages[-1].body)
                elif header := self._contents.header(journaled, number):
                    pages.append(BilledPage(header, b""))
        return pages[::-1]

    def report_replay(self, sync: Sync, page: BilledPage) -> None:
        """Log that the pages of a sync are replayed, from its next one on."""
        remaining = sum(number > sync.pages for number in self.history.syncs[sync.number].pages)
        self._logger.info(
            "Replaying %s from the journal %s, free (billed since %s).",
            plural(remaining, "page"),
            self._store.location,
            page.header.received_at,
        )

    def _damaged(self, journaled: JournaledSync, number: int, what: object) -> FormatError:
        page = journaled.sync.page_id(number)
        dropped = sum(each >= number for each in journaled.pages)
        cost = self._contents.credits(journaled, number)
        price = f"about {dollars(cost)}" if cost else "at a price that cannot be read"
        return FormatError(
            f"The page {page} in the journal {self._store.location} {what}. The stream ends before "
            "anything of this stream is billed. Restore the file, or drop the page and those "
            f"behind it with {self.command('drop', page)}: {plural(dropped, 'page')} would be "
            f"billed again, {price}. [journal-damaged]"
        )

    def command(self, command: str, *arguments: str) -> str:
        """Return the command line of `tap-jobo-journal` for this journal, for a message."""
        return journal_command(command, *arguments, location=self._store.location)

    # Pages in

    def put(self, sync: Sync, page: BilledPage) -> BilledPage:
        """Write a page that was just billed, and return it as the journal holds it.

        If that fails, `check_written` raises.
        """
        journaled, number = self.history.syncs.get(sync.number), sync.pages + 1
        cost = page.header.charge.credits
        before = journaled.total if journaled else None
        total = cost + (self.history.credits_of(sync) if before is None else before)
        spent = self.month.with_page(cost) if self.month else {}
        header = replace(page.header, run=self.run, total_credits=total, spent=spent)
        page = replace(page, header=header)
        if journaled:
            journaled.total = total
            try:
                self._create(journaled.page_name(number), encode_page(page))
                self._verify_present(journaled, journaled.page_name(number))
                journaled.pages.add(number)
                if number == 1 and sync.number == self._begun:
                    self._verify_alone(journaled)
            except StoreError as error:
                self.failure = (
                    f"The page {sync.page_id(number)}, worth {dollars(cost)}, could not be written "
                    f"to the journal {self._store.location} ({error.why}). "
                )
        return page

    def is_replayed(self, page: BilledPage) -> bool:
        """Return whether an earlier run was billed for a page."""
        return page.header.run != self.run

    def check_written(self) -> None:
        """Raise `JournalError` if a page that is delivered could not be written."""
        if self.failure:
            raise JournalError(
                f"{self.failure}Its rows were emitted, and the run ends. If the target has not "
                "stored them, they are billed again. Make room, or change journal_dir, and run "
                "again. [journal-unusable]"
            )

    def quarantine(self, rows: Sequence[bytes], suffix: str = "") -> bool:
        """Keep raw rows that cannot be delivered, or with `DISPUTED`, a page that is.

        Returns:
            Whether they are kept. If the store has refused the page, it may refuse its rows, which
            must not keep the other ones from being delivered.
        """
        if not self.is_on:
            return False
        try:
            for row in rows:
                self._quarantine(row, suffix)
        except StoreError:
            if not self.failure:  # the page is in the journal, and is replayed
                raise
            return False
        return True

    def _quarantine(self, row: bytes, suffix: str) -> None:
        digest = hashlib.sha256(row).hexdigest()[:32]
        name = layout.QUARANTINE.format(self._key.name, digest + suffix)
        if name not in self._contents.rows:
            self._store.replace(name, row)  # at once, before the state moves past it
            self._contents.rows.add(name)
            self.quarantined += suffix != DISPUTED

    # The fence

    def _create(self, name: str, content: bytes) -> None:
        try:
            self._store.create(name, content)
        except ExistsError as error:
            raise self._fenced(f"has written {error}") from None

    def _verify_alone(self, journaled: JournaledSync) -> None:
        """Check, once a sync or its first page is written, that no other run has gone on meanwhile.

        Of two runs that begin at once, one sees the sync of the other, or its first page.
        """
        contents = Contents(self._store)
        completed = contents.completed(self._key.name)
        newest = contents.highest_number(self._key.name)
        if completed:
            newest = max(newest, completed.number + 1)
        if newest > journaled.sync.number:
            raise self._fenced("has begun a sync")
        known = self.history.syncs
        for number, pages in contents.pages(self._key.name).items():
            if number in known and pages - known[number].pages:
                raise self._fenced("reads another sync")

    def _verify_present(self, journaled: JournaledSync, name: str) -> None:
        """Check, once a page is written, that no other run has removed its sync."""
        if not self._is_present(journaled):
            self._store.remove([name])
            raise self._fenced(f"has removed the sync {journaled.sync.id}")

    def _is_present(self, journaled: JournaledSync) -> bool:
        """Return whether the store has a sync, and no other one of the same number."""
        try:
            return journaled.sync.id.encode() in self._store.read(journaled.name)
        except MissingError:
            return False

    def _fenced(self, what: str) -> JournalError:
        return JournalError(
            f"Another run of {self._key.stream} writes at the same time to the journal "
            f"{self._store.location}: it {what}. This run ends, and its last page may be billed "
            "again. Run again once the other run has ended, or give each pipeline its own "
            "journal_dir. [run-in-progress]"
        )
