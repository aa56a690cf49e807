"""The journal: which billed pages are replayed, which have arrived, and which are kept for later.

A target that is killed loses the rows that it has not stored yet, and its state is then older than
what was billed. The pages in between are replayed from here. A sync leaves the journal only when
the state of a later run names it, or a descendant of it, as complete: no clocks are compared.

Pages are only ever created, each under its number. So two runs that a lock or lease failed to keep
apart want the same name, and the second one ends before its next request.
"""

import hashlib
import logging
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final, Self

from tap_jobo.clock import format_timestamp
from tap_jobo.errors import EndlessFeedError, FormatError, JournalError
from tap_jobo.journal import layout
from tap_jobo.journal.contents import (
    DAMAGED,
    DROPPED,
    ENDED,
    MISSING,
    Completed,
    Contents,
    DamagedFileError,
    JournaledSync,
    JournalKey,
    encode,
    usable,
)
from tap_jobo.journal.page import (
    DamagedPageError,
    JournaledPage,
    PageHeader,
    TornPageError,
    encode_page,
)
from tap_jobo.journal.store import ExistsError, MissingError, Store, StoreError
from tap_jobo.model import RawPage, Sync, hash_cursor
from tap_jobo.wording import dollars, plural

DISPUTED: Final = "disputed"  # why a page is in quarantine although its rows are delivered
_KEPT_FOR: Final = timedelta(days=30)
_MOST_DELIVERED: Final = 200  # pages that a run looks at to find out whether a feed repeats
_MOST_READ: Final = 20_000_000  # bytes of them that it reads


class Journal:
    """The billed pages of one journal key."""

    def __init__(self, store: Store | None, key: JournalKey, logger: logging.Logger) -> None:
        self._key = key
        self._logger = logger
        self._run = secrets.token_hex(8)
        self._syncs: dict[int, JournaledSync] = {}
        self._quarantined: set[str] = set()
        self.completed: Completed | None = None
        self.quarantined = 0  # rows, by this run
        self.is_on = store is not None
        self._damage: list[FormatError] = []  # of other filters, addresses, and kinds of key
        self.failure = ""  # why the last page is not in the journal
        if store:
            self._store = store

    def prepare(self) -> None:
        """Check that the journal can be written. Raises `JournalError` if it cannot be."""
        if self.is_on:
            with usable(self._store):
                self._store.replace(layout.KEY.format(self._key.name), encode(self._key.content))

    def read(self, contents: Contents | None = None) -> Self:
        """Read what the journal holds. Raises `JournalError` if it cannot be read."""
        if self.is_on:
            name = self._key.name
            with usable(self._store):
                self._contents = contents or Contents(self._store)
                self._syncs = self._contents.syncs(name)
                self.completed = self._contents.completed(name)
                for each in self._syncs.values():
                    is_left = each.sync.number <= self._last_number  # of a removed one
                    if each.status == DAMAGED or (each.status == MISSING and not is_left):
                        raise DamagedFileError(each.name, each.sync.id)
            self._quarantined = self._contents.quarantined[name]
            self._highest = max(self._last_number, self._contents.highest_number(name))
        return self

    # What has arrived

    def acknowledge(self, completed: str, bookmark: datetime, start_date: str | None) -> None:
        """Remove the complete sync of a state, and its ancestors: they have arrived.

        `completed.json` is written before. If that fails, nothing is removed.
        """
        if not (completed and self.is_on):
            return
        ids = {completed}
        for each in reversed(self._syncs.values()):  # ancestors have begun before
            if each.sync.id in ids:
                ids |= {each.sync.parent_id, each.sync.replaces}
        arrived = [each for each in self._syncs.values() if each.sync.id in ids]
        kept, last = self._newest(completed), self.completed
        if last is None or (kept and kept.sync.number > last.number):
            new = [each for each in arrived if each.sync.number > self._last_number]
            full = [each for each in new if each.sync.is_full]
            cost = self._contents.credits(full[0]) if full else last.credits if last else 0
            number = kept.sync.number if kept else self._highest
            last = Completed(number, completed, format_timestamp(bookmark), cost, start_date)
            with usable(self._store):
                self._store.replace(layout.COMPLETED.format(self._key.name), encode(asdict(last)))
            self.completed = last
        self._remove(arrived)

    def acknowledge_elsewhere(
        self, completed: str, bookmark: datetime, start_date: str | None
    ) -> None:
        """Acknowledge a sync of other filters, which the state names after they have changed."""
        for other in self._elsewhere:
            if completed in other.sync_ids:
                with usable(self._store), self._store.exclusive_lock(other._key.name):  # noqa: SLF001
                    other.read().acknowledge(completed, bookmark, start_date)

    def are_pages_waiting_elsewhere(self, completed: str) -> bool:
        """Return whether billed pages of other filters continue from a state's complete sync."""
        return any(
            completed and each.sync.parent_id == completed and self._contents.credits(each)
            for other in self._elsewhere
            for each in other._syncs.values()  # noqa: SLF001 - of the same class
        )

    def others(self) -> Iterator[Self]:
        """Yield the journals of the stream under other filters. Raises `FormatError`."""
        own = {**self._key.content, "filters": None}
        elsewhere = self._elsewhere
        if self._damage:
            raise self._damage[0]
        for other in elsewhere:
            if {**other._key.content, "filters": None} == own:  # noqa: SLF001 - of the same class
                yield other

    @cached_property
    def _elsewhere(self) -> list[Self]:
        """The journals of the stream with other filters, addresses, or kinds of key."""
        found = []
        for name in self._contents.keys if self.is_on else ():
            if name != self._key.name and name.rpartition("-")[0] == self._key.stream:
                try:
                    with usable(self._store):
                        key = self._contents.key(name)
                    found.append(type(self)(self._store, key, self._logger).read(self._contents))
                except FormatError as error:
                    self._damage.append(error)
        return found

    @property
    def filters(self) -> dict[str, Any]:
        """The filters of its syncs that are set."""
        return self._key.content["filters"]

    @property
    def sync_ids(self) -> set[str]:
        """The ids of its syncs, and of its last complete one."""
        ids = {each.sync.id for each in self._syncs.values()}
        return ids | {self.completed.id if self.completed else ""}

    @property
    def parent_ids(self) -> set[str]:
        """The ids of the complete syncs that its syncs continue from; empty for none."""
        return {each.sync.parent_id for each in self._syncs.values()} - {""}

    def expire(self, now: datetime, used: Sync) -> None:
        """Warn of syncs that the run does not use; remove those that are older than 30 days."""
        if not self.is_on:
            return
        line = {used.id, used.replaces} - {""}
        before = {used.parent_id, used.replaces}  # which are delivered
        for each in self._syncs.values():  # in the order in which they began
            if not line.isdisjoint({each.sync.parent_id, each.sync.replaces}):
                line.add(each.sync.id)
        for each in reversed(self._syncs.values()):
            if each.sync.id in before:
                before |= {each.sync.parent_id, each.sync.replaces}
        unused = [each for each in self._syncs.values() if each.sync.id not in line | before]
        self._warn_of_unused(unused, "another lookback_minutes, start_date, or state")
        oldest = format_timestamp(now - _KEPT_FOR)
        self._remove_old(unused, oldest)
        for other in self._elsewhere:
            other._expire_elsewhere(oldest)  # noqa: SLF001 - of the same class
        for error in self._damage:
            self._logger.warning("%s", error)

    def _expire_elsewhere(self, oldest: str) -> None:
        """Expire all syncs of a key that is not that of this run."""
        what = f"another api_url, kind of key, or filters ({self._key.description})"
        self._warn_of_unused(self._syncs.values(), what)
        if any(self._is_old(each, oldest) for each in self._syncs.values()):
            # Not while another run has the lock. It may have changed since it was read.
            lock = self._store.exclusive_lock(self._key.name)
            with suppress(JournalError, FormatError), usable(self._store), lock:
                self.read()
                self._remove_old([*self._syncs.values()], oldest)

    def _warn_of_unused(self, unused: Iterable[JournaledSync], what: str) -> None:
        worth = [each for each in unused if each.pages and each.sync.number > self._last_number]
        if worth:
            self._logger.warning(
                "The journal holds %s, worth %s, of %s that this run does not use, because they "
                "belong to %s. To use them, set that again. They expire 30 days after the last of "
                "them.",
                plural(sum(len(each.pages) for each in worth), "page"),
                dollars(sum(map(self._contents.credits, worth))),
                self._key.stream,
                what,
            )

    def _is_old(self, kept: JournaledSync, oldest: str) -> bool:
        is_empty = not (kept.pages or kept.status)  # its run ended before its first page
        return is_empty or self._contents.last_used(kept) < oldest

    def _remove_old(self, syncs: Sequence[JournaledSync], oldest: str) -> None:
        self._remove([each for each in syncs if self._is_old(each, oldest)])
        with usable(self._store):
            self._store.remove(self._contents.temporary[self._key.name])

    # What to resume

    def go_on(self, pending: Sync) -> Sync | None:
        """Return the sync to go on with when a state has a sync in progress. Raises as `resume`.

        That is this sync, or the one that replaced it because its cursor was rejected, whatever the
        API says of the cursor now. None if the user has dropped it.
        """
        for each in reversed(self._syncs.values()):
            if each.sync.replaces == pending.id and each.status != DROPPED:
                return self.go_on(each.sync)
        kept = self._newest(pending.id)
        if kept is None:
            return pending
        if kept.status == DROPPED:
            return None
        self._refuse_ended(kept)
        if min(kept.pages, default=0) > pending.pages + 1:  # begun by a later state, after a loss
            return pending
        return replace(
            kept.sync,
            started_at=pending.started_at,
            cursor=pending.cursor,
            rows=pending.rows,
            pages=pending.pages,
        )

    def resume(self, sync: Sync, bookmark: datetime | None, *, is_refresh: bool = False) -> Sync:
        """Return the journaled sync to resume in place of a new one, or the new one.

        That is the newest sync that continues from the same completed sync as the new one, with
        the same window or one that is wider only by the lookback. No other sync is resumed: its
        rows may be older than what arrived since, and the rest of it may cost a whole backfill.
        But without a state, there is no bookmark that a full sync could move too far.
        Raises `EndlessFeedError` if its pages went in circles.
        """
        for kept in reversed(self._syncs.values()):
            if self._can_stand_for(kept, sync, bookmark):
                if kept.status == ENDED and is_refresh and sync.is_full:
                    continue
                self._refuse_ended(kept)
                return replace(kept.sync, restarts=max(kept.sync.restarts, sync.restarts))
        return sync

    def _can_stand_for(self, kept: JournaledSync, sync: Sync, bookmark: datetime | None) -> bool:
        """Return whether a sync may be resumed from its start in place of a new one."""
        old = kept.sync
        is_parent = old.parent_id == sync.parent_id or not (bookmark or sync.parent_id)
        if (old.is_full, old.filters) != (sync.is_full, sync.filters) or not is_parent:
            return False
        if kept.status == DROPPED or 1 not in kept.pages or sync.replaces not in ("", old.replaces):
            return False
        if sync.is_full and old.number <= self._last_number:
            return False  # it was abandoned: its rows are older than those that arrived since
        since, wanted = old.since or "", sync.since or ""
        is_lookback = bookmark is not None and since and wanted <= format_timestamp(bookmark)
        return since == wanted or bool(is_lookback and since < wanted)

    def _refuse_ended(self, kept: JournaledSync) -> None:
        if kept.status == ENDED:
            raise EndlessFeedError(
                f"An earlier run ended the sync {kept.sync.id} of {self._key.stream}, because its "
                "pages repeated without an end. Nothing is billed until you drop it with "
                f"`tap-jobo-journal drop {kept.sync.id}` ({dollars(self._contents.credits(kept))} "
                "may then be billed again), or run without a state and with on_missing_state set "
                "to 'resync', which reads everything again."
            )

    def warn_if_restored(self, completed: str, pending: Sync | None) -> None:
        """Warn if a state is older than what the journal knows to have arrived."""
        last = self.completed
        if last is None or completed == last.id:
            return
        named = [self._newest(completed), self._newest(pending.id if pending else "")]
        if max((each.sync.number for each in named if each), default=0) < last.number:
            self._logger.warning(
                "The state of %s is older than the last complete sync in the journal (of %s), so "
                "rows are billed again. Either it was restored, or another pipeline shares this "
                "journal: give each pipeline its own journal_dir.",
                self._key.stream,
                last.bookmark,
            )

    def credits_of(self, sync: Sync) -> int:
        """Return what the journaled pages of a sync have cost."""
        kept = self._syncs.get(sync.number)
        return self._contents.credits(kept) if kept else 0

    def begin(self, sync: Sync, now: datetime) -> Sync:
        """Write a sync under a number of its own, before its first request."""
        if not self.is_on or sync.number:
            return sync
        self._highest += 1
        sync = replace(sync, number=self._highest)
        start = replace(sync, started_at=None, cursor=None, rows=0, pages=0)
        kept = JournaledSync(self._key.name, start, self._run, format_timestamp(now))
        self._syncs[sync.number] = kept
        with usable(self._store):
            self._create(kept.name, kept.content)
            self._verify_newest(kept)
        return sync

    def find(self, sync: Sync) -> JournaledPage | None:
        """Return the sync's next page if it has been billed."""
        kept, number = self._syncs.get(sync.number), sync.pages + 1
        if kept is None or number > kept.last:
            return None
        try:
            with usable(self._store):
                page = self._contents.page(kept, number)
        except DamagedPageError as error:
            if not isinstance(error, TornPageError) or number < kept.last:
                raise self._damaged(kept, number, error) from None
            with usable(self._store):  # the page that a run was writing when it was killed
                self._store.remove([kept.page_name(number)])
            kept.pages.discard(number)
            kept.last = max(kept.pages, default=0)
            return None
        if page.header.cursor != hash_cursor(sync.cursor):
            raise self._damaged(kept, number, "does not follow the page before it")
        kept.total = page.header.total_credits
        return page

    def delivered(self, sync: Sync) -> list[JournaledPage]:
        """Return the first and the last pages of a sync that earlier runs have delivered.

        Only the first one and the newest 20 MB are read. The others have an empty body.
        """
        kept = self._syncs.get(sync.number)
        if not (kept and sync.pages):
            return []
        found, size = [], 0
        for number in [*range(sync.pages, max(1, sync.pages - _MOST_DELIVERED), -1), 1]:
            with suppress(DamagedPageError, StoreError):
                if size < _MOST_READ or number == 1:
                    found.append(self._contents.page(kept, number))
                    size += len(found[-1].body)
                elif header := self._contents.header(kept, number):
                    found.append(JournaledPage(kept.page_id(number), header, b""))
        return found[::-1]

    def report_replay(self, sync: Sync, page: JournaledPage) -> None:
        """Log that the pages of a sync are replayed, from its next one on."""
        self._logger.info(
            "Replaying %s from the journal %s, free. They were billed since %s, and the state "
            "does not cover them.",
            plural(sum(number > sync.pages for number in self._syncs[sync.number].pages), "page"),
            self._store.location,
            page.header.received_at,
        )

    def put(self, sync: Sync, raw: RawPage) -> JournaledPage:
        """Write a page that was just billed. If that fails, `check_written` raises."""
        kept, number = self._syncs.get(sync.number), sync.pages + 1
        before = kept.total if kept else 0
        total = raw.cost + (self.credits_of(sync) if before is None else before)
        header = PageHeader(
            self._run,
            hash_cursor(sync.cursor),
            sync.started_at or raw.started_at,
            format_timestamp(raw.received_at),
            raw.cost,
            total,
            raw.has_more,
            raw.deducted,
        )
        if kept:
            kept.total = total
            try:
                self._create(kept.page_name(number), encode_page(header, raw.body))
                self._verify_present(kept, kept.page_name(number))
                kept.pages.add(number)
                kept.last = number
            except StoreError as error:
                self.failure = (
                    f"The page {kept.page_id(number)}, worth {dollars(raw.cost)}, could not be "
                    f"written to the journal {self._store.location} ({error}). "
                )
        return JournaledPage(f"{sync.id}.{number}", header, raw.body, raw)

    def check_written(self) -> None:
        """Raise `JournalError` if a page that is delivered could not be written."""
        if self.failure:
            raise JournalError(
                f"{self.failure}Its rows were emitted, and the run ends. If the target has not "
                "stored them, they are billed again. Make room, or change journal_dir, and run "
                "again."
            )

    def quarantine(self, rows: Sequence[bytes], reason: str = "") -> None:
        """Keep raw rows that cannot be delivered; the reason is part of their names."""
        for name, row in _quarantine_names(rows, reason).items() if self.is_on else ():
            if name not in self._quarantined:
                with usable(self._store):  # at once: it must be safe before the state moves past it
                    self._store.replace(layout.QUARANTINE.format(self._key.name, name), row)
                self._quarantined.add(name)
                self.quarantined += reason != DISPUTED

    def end(self, sync: Sync) -> None:
        """Record that a sync was ended because its pages went in circles."""
        if kept := self._syncs.get(sync.number):
            kept.status = ENDED
            with suppress(StoreError):  # a later run reads its pages again and ends it
                self._store.replace(kept.name, kept.content)

    # The fence

    def _create(self, name: str, content: bytes) -> None:
        try:
            self._store.create(name, content)
        except ExistsError as error:
            raise self._fenced(f"has written {error}") from None

    def _verify_newest(self, kept: JournaledSync) -> None:
        """Check, once a sync is written, that no other run has gone on in the meantime."""
        contents = Contents(self._store)
        completed = contents.completed(self._key.name)
        newest = contents.highest_number(self._key.name)
        if max(newest, completed.number + 1 if completed else 0) > kept.sync.number:
            self._store.remove([kept.name])
            raise self._fenced("has begun a sync")

    def _verify_present(self, kept: JournaledSync, name: str) -> None:
        """Check, once a page is written, that no other run has removed its sync."""
        with suppress(MissingError):
            if kept.sync.id.encode() in self._store.read(kept.name):
                return
        self._store.remove([name])
        raise self._fenced(f"has removed the sync {kept.sync.id}")

    def _fenced(self, what: str) -> JournalError:
        return JournalError(
            f"Another run of {self._key.stream} writes at the same time to the journal "
            f"{self._store.location}: it {what}. This run ends, or both would be billed for the "
            "same pages. The page in flight may be billed again. Run again once no other run is in "
            "progress, or give each pipeline its own journal_dir."
        )

    @property
    def _last_number(self) -> int:
        return self.completed.number if self.completed else 0

    def _newest(self, id_: str) -> JournaledSync | None:
        """Return a sync by its id; one that the journal had lost may be there twice."""
        return next((each for each in reversed(self._syncs.values()) if each.sync.id == id_), None)

    def _remove(self, syncs: Iterable[JournaledSync]) -> None:
        for kept in syncs:
            with usable(self._store):
                self._store.remove(kept.names)
            del self._syncs[kept.sync.number]

    def _damaged(self, kept: JournaledSync, number: int, what: object) -> FormatError:
        page = kept.page_id(number)
        pages = [each for each in kept.pages if each >= number]
        cost = self._contents.credits(kept, number)
        price = f"about {dollars(cost)}" if cost else "at a price that cannot be read"
        return FormatError(
            f"The page {page} in the journal {self._store.location} {what}. The stream ends before "
            "anything of this stream is billed. Restore the file, or drop the page and those "
            f"behind it with `tap-jobo-journal drop {page}`: {plural(len(pages), 'page')} would "
            f"be billed again, {price}."
        )


def _quarantine_names(rows: Sequence[bytes], reason: str) -> dict[str, bytes]:
    suffix = f".{reason}" if reason else ""
    return {f"{hashlib.sha256(row).hexdigest()[:32]}{suffix}": row for row in rows}
