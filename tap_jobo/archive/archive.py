"""The archive: billed pages in and out, one after the other.

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

from tap_jobo.archive import layout
from tap_jobo.archive.contents import ArchivedSync, ArchiveKey, Contents, Status, encode
from tap_jobo.archive.history import History
from tap_jobo.archive.month import MonthCount
from tap_jobo.archive.page import DamagedPageError, encode_page
from tap_jobo.archive.store import ExistsError, MissingError, Store, StoreError
from tap_jobo.archive.way_out import archive_command
from tap_jobo.clock import format_timestamp
from tap_jobo.errors import ArchiveError, FormatError
from tap_jobo.model import BilledPage, Sync, hash_cursor
from tap_jobo.wording import dollars, plural

DISPUTED: Final = ".disputed"  # ends the name of a page in quarantine whose rows are delivered
_MOST_DELIVERED: Final = 200  # pages that a run looks at to find out whether a feed repeats
_MOST_READ: Final = 20_000_000  # bytes of them that it reads


@dataclass(frozen=True, kw_only=True)
class Archives:
    """The archives of a run, one for each stream; they share a store and a monthly limit.

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
    def open(self, key: ArchiveKey) -> Iterator[Archive]:
        """Hold the lock of an archive key, and yield its archive.

        Raises:
            ArchiveError: The store cannot be used, another run has the lock, or the archive is of
                an earlier development version.
            FormatError: What the archive holds is damaged.
        """
        _refuse_old_layout(self.store, key.stream)
        # The same for every run, so it needs no lock. It also shows whether the store is writable.
        self.store.replace(layout.KEY.format(key.name), encode(key))
        with self.store.run_lock(key.name, key.stream, self.wait) as check:
            archive = Archive(self.store, key, self.logger)
            archive.check_lock = check
            archive.month = MonthCount(
                store=self.store,
                key=key,
                run=archive.run,
                limit=self.limit,
                now=self.now,
                check=check,
                logger=self.logger,
            )
            archive.month.include_killed_runs(archive.history.contents)
            yield archive


def _refuse_old_layout(store: Store, stream: str) -> None:
    folder = re.compile(rf"{layout.OLD_TOP}/{stream}-[0-9a-f]+/.+\.page")
    if pages := sum(bool(folder.fullmatch(name)) for name in store.list(layout.OLD_TOP)):
        where = f"{store.location}/{layout.OLD_TOP}"
        raise ArchiveError(
            f"The archive has {plural(pages, 'billed page')} of {stream} from an earlier "
            "development version of tap-jobo, which this version can't read. Nothing was billed. "
            "Complete the sync with the version that wrote them. Or, if the warehouse has their "
            f"rows, remove {where}. [archive-unusable]"
        )


class Archive:
    """The billed pages of one archive key, and their history. Without a store, it is empty.

    `Archives.open` opens one.

    Raises `ArchiveError` if the store cannot be read, `FormatError` if what it holds is damaged.
    """

    month: MonthCount | None = None

    def __init__(self, store: Store | None, key: ArchiveKey, logger: logging.Logger) -> None:
        self.history = History(Contents(store) if store else None, key, logger)
        self.is_on = store is not None
        self.quarantined = 0  # rows, by this run
        self.failure = ""  # why the last page is not in the archive
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
        archived = ArchivedSync(self._key.name, sync.from_start, format_timestamp(now))
        self.history.syncs[sync.number] = archived
        self._create(archived.name, archived.content)
        self._begun = sync.number
        try:
            self._verify_alone(archived)
        except ArchiveError:
            self._store.remove([archived.name])
            raise
        return sync

    def remove_unused(self) -> None:
        """Remove, when a run ends, the sync that it has begun last, if no page of it came.

        Otherwise, each run after a limit is reached would leave one, which later runs would read.
        """
        archived = self.history.syncs.get(self._begun or 0)
        if archived and not (archived.pages or self.failure):
            with suppress(ArchiveError):  # it expires
                self.check_lock()
                pages = Contents(self._store).pages(self._key.name)[archived.sync.number]
                if not pages and self._is_present(archived):  # or they are another run's
                    self._store.remove([archived.name])

    def end(self, sync: Sync) -> None:
        """Record that a sync was ended because its pages went in circles."""
        if archived := self.history.syncs.get(sync.number):
            archived.status = Status.ENDED
            with suppress(StoreError):  # a later run reads its pages again and ends it
                self._store.replace(archived.name, archived.content)

    # Pages out

    def find(self, sync: Sync) -> BilledPage | None:
        """Return the sync's next page if it has been billed."""
        archived, number = self.history.syncs.get(sync.number), sync.pages + 1
        if archived is None:
            return None
        if number not in archived.pages and number > max(archived.pages, default=0):
            return None
        try:
            page = self._contents.page(archived, number)
        except DamagedPageError as error:
            raise self._damaged(archived, number, error) from None
        if page.header.cursor != hash_cursor(sync.cursor):
            raise self._damaged(archived, number, "does not follow the page before it")
        archived.total = page.header.total_credits  # or the next page would read it from the store
        return page

    def delivered(self, sync: Sync) -> list[BilledPage]:
        """Return the first and the last pages of a sync that earlier runs have delivered.

        Only the first one and the newest 20 MB are read. The others have an empty body.
        """
        archived = self.history.syncs.get(sync.number)
        if not (archived and sync.pages):
            return []
        pages, size = [], 0
        newest = range(sync.pages, max(1, sync.pages - _MOST_DELIVERED), -1)
        for number in (*newest, 1):
            with suppress(DamagedPageError, StoreError):
                if size < _MOST_READ or number == 1:
                    pages.append(self._contents.page(archived, number))
                    size += len(pages[-1].body)
                elif header := self._contents.header(archived, number):
                    pages.append(BilledPage(header, b""))
        return pages[::-1]

    def report_replay(self, sync: Sync, page: BilledPage) -> None:
        """Log that the pages of a sync are replayed, from its next one on."""
        remaining = sum(number > sync.pages for number in self.history.syncs[sync.number].pages)
        self._logger.info(
            "Replaying %s from the archive %s, free (billed since %s).",
            plural(remaining, "page"),
            self._store.location,
            page.header.received_at,
        )

    def _damaged(self, archived: ArchivedSync, number: int, what: object) -> FormatError:
        page = archived.sync.page_id(number)
        dropped = sum(each >= number for each in archived.pages)
        cost = self._contents.credits(archived, number)
        price = f"about {dollars(cost)}" if cost else "at a price that cannot be read"
        return FormatError(
            f"The page {page} in the archive {self._store.location} {what}. The stream ends before "
            "anything of this stream is billed. Restore the file, or drop the page and those "
            f"behind it with {self.command('drop', page)}: {plural(dropped, 'page')} would be "
            f"billed again, {price}. [archive-damaged]"
        )

    def command(self, command: str, *arguments: str) -> str:
        """Return the command line of `tap-jobo-archive` for this archive, for a message."""
        return archive_command(command, *arguments, location=self._store.location)

    # Pages in

    def put(self, sync: Sync, page: BilledPage) -> BilledPage:
        """Write a page that was just billed, and return it as the archive holds it.

        If that fails, `check_written` raises.
        """
        archived, number = self.history.syncs.get(sync.number), sync.pages + 1
        cost = page.header.charge.credits
        before = archived.total if archived else None
        total = cost + (self.history.credits_of(sync) if before is None else before)
        spent = self.month.with_page(cost) if self.month else {}
        header = replace(page.header, run=self.run, total_credits=total, spent=spent)
        page = replace(page, header=header)
        if archived:
            archived.total = total
            try:
                self._create(archived.page_name(number), encode_page(page))
                self._verify_present(archived, archived.page_name(number))
                archived.pages.add(number)
                if number == 1 and sync.number == self._begun:
                    self._verify_alone(archived)
            except StoreError as error:
                self.failure = (
                    f"The page {sync.page_id(number)}, worth {dollars(cost)}, could not be written "
                    f"to the archive {self._store.location} ({error.why}). "
                )
        return page

    def is_replayed(self, page: BilledPage) -> bool:
        """Return whether an earlier run was billed for a page."""
        return page.header.run != self.run

    def check_written(self) -> None:
        """Raise `ArchiveError` if a page that is delivered could not be written."""
        if self.failure:
            raise ArchiveError(
                f"{self.failure}Its rows were emitted, and the run ends. If the target has not "
                "stored them, they are billed again. Make room, or change archive_dir, and run "
                "again. [archive-unusable]"
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
            if not self.failure:  # the page is in the archive, and is replayed
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

    def _verify_alone(self, archived: ArchivedSync) -> None:
        """Check, once a sync or its first page is written, that no other run has gone on meanwhile.

        Of two runs that begin at once, one sees the sync of the other, or its first page.
        """
        contents = Contents(self._store)
        completed = contents.completed(self._key.name)
        newest = contents.highest_number(self._key.name)
        if completed:
            newest = max(newest, completed.number + 1)
        if newest > archived.sync.number:
            raise self._fenced("has begun a sync")
        known = self.history.syncs
        for number, pages in contents.pages(self._key.name).items():
            if number in known and pages - known[number].pages:
                raise self._fenced("reads another sync")

    def _verify_present(self, archived: ArchivedSync, name: str) -> None:
        """Check, once a page is written, that no other run has removed its sync."""
        if not self._is_present(archived):
            self._store.remove([name])
            raise self._fenced(f"has removed the sync {archived.sync.id}")

    def _is_present(self, archived: ArchivedSync) -> bool:
        """Return whether the store has a sync, and no other one of the same number."""
        try:
            return archived.sync.id.encode() in self._store.read(archived.name)
        except MissingError:
            return False

    def _fenced(self, what: str) -> ArchiveError:
        return ArchiveError(
            f"Another run of {self._key.stream} writes at the same time to the archive "
            f"{self._store.location}: it {what}. This run ends, and its last page may be billed "
            "again. Run again once the other run has ended, or give each pipeline its own "
            "archive_dir. [run-in-progress]"
        )
