"""The journal: which billed pages are replayed, which have arrived, and which are kept for later.

A target that is killed loses the rows that it has not stored yet, and its state is then older than
what was billed. The pages in between are replayed from here instead of being billed again. A sync
leaves the journal only when the state of a later run names it, or a descendant of it, as complete.
This depends on ids alone: clocks are never compared.

Pages are only ever created, each under its number. So two runs that a lock or lease failed to keep
apart want the same name, and the second one ends before its next request.
"""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import JournalError
from tap_jobo.journal.contents import (
    DROPPED,
    ENDED,
    TOP,
    Completed,
    Contents,
    JournaledSync,
    encode,
)
from tap_jobo.journal.page import (
    DamagedPageError,
    JournaledPage,
    PageHeader,
    TornPageError,
    decode_page,
    encode_page,
    hash_cursor,
)
from tap_jobo.journal.store import ExistsError, MissingError, StoreError
from tap_jobo.journal.write_queue import WriteQueue
from tap_jobo.wording import dollars, plural

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from tap_jobo.journal.key import JournalKey
    from tap_jobo.journal.store import Store
    from tap_jobo.sync_id import Sync

_KEPT_FOR: Final = timedelta(days=30)


class Journal:
    """The billed pages of one journal key.

    Args:
        store: Where they are; None if the journal is off.
        key: The journal key.
        logger: Where replays and failures are reported.
    """

    def __init__(self, store: Store | None, key: JournalKey, logger: logging.Logger) -> None:
        self._key = key
        self._logger = logger
        self._run = secrets.token_hex(8)
        self._syncs: dict[int, JournaledSync] = {}
        self._totals: dict[int, int] = {}
        self._quarantined: set[str] = set()
        self.completed: Completed | None = None
        self.quarantined = 0
        """Rows that this run has put into quarantine."""
        self.is_on = store is not None
        if store:
            self._store = store
            self._queue = WriteQueue(store, logger)

    def read(self, contents: Contents | None = None) -> Self:
        """Read what the journal holds.

        Raises:
            JournalError: It cannot be read.
        """
        if not self.is_on:
            return self
        name = self._key.name
        try:
            self._contents = contents or Contents(self._store)
            self._syncs = self._contents.syncs(name)
            self.completed = self._contents.completed(name)
        except StoreError as error:
            raise self._unreadable(error) from error
        self._quarantined = self._contents.quarantined[name]
        last = self.completed.number if self.completed else 0
        self._highest = max(last, self._contents.highest_number(name))
        return self

    def prepare(self) -> None:
        """Check that the journal can be written, before anything is billed.

        Raises:
            JournalError: It cannot be, and not only for lack of room.
        """
        if not self.is_on:
            return
        try:
            self._store.replace(f"{self._top}/key.json", encode(self._key.content))
        except StoreError as error:
            if not error.is_full:
                raise JournalError(
                    f"The journal {self._store.location} cannot be used ({error}). The run ends "
                    "before anything is billed, because a crash could bill pages again. Make it a "
                    "place that this user can read and write, set journal_dir to another one, or "
                    "set journal to false."
                ) from error
            self._queue.report_failure(error)

    # What has arrived

    def acknowledge(self, completed: str, bookmark: datetime | None) -> None:
        """Remove the syncs that have arrived: the complete sync of a state, and its ancestors.

        `completed.json` is written before. If that fails, nothing is removed.

        Args:
            completed: Id of the last complete sync in the state, empty for none.
            bookmark: Its start.
        """
        if not (completed and bookmark and self.is_on):
            return
        ids = self._with_ancestors(completed)
        arrived = [each for each in self._syncs.values() if each.sync.id in ids]
        last, kept = self.completed, self._newest(completed)
        if last is None or (kept and kept.sync.number > last.number):
            new = [each for each in arrived if last is None or each.sync.number > last.number]
            is_full = any(each.sync.is_full for each in new)
            cost = sum(map(self._contents.credits, new))
            cost += last.credits if last and not is_full else 0
            number = kept.sync.number if kept else self._highest
            last = Completed(number, completed, format_timestamp(bookmark), cost)
            try:
                self._store.replace(f"{self._top}/completed.json", encode(asdict(last)))
            except StoreError as error:
                self._queue.report_failure(error)
                return
            self.completed = last
        self._remove(arrived)

    def acknowledge_elsewhere(self, completed: str, bookmark: datetime | None) -> None:
        """Acknowledge a sync of other filters, which the state names after they have changed."""
        for other in self._others():
            if other._newest(completed):  # noqa: SLF001 - of the same class
                other.acknowledge(completed, bookmark)

    def warn_if_restored(self, completed: str, pending: Sync | None) -> None:
        """Warn if a state is older than what the journal knows to have arrived."""
        last = self.completed
        if last is None or completed == last.id:
            return
        named = [self._newest(completed), self._newest(pending.id if pending else "")]
        if max((each.sync.number for each in named if each), default=0) < last.number:
            self._logger.warning(
                "The state of %s is not that of the last complete sync in the journal %s (%s, of "
                "%s): the state was restored, or another pipeline shares this journal. Rows since "
                "then are billed again. Give each pipeline its own journal_dir.",
                self._key.stream,
                self._store.location,
                last.id,
                last.bookmark,
            )

    def expire(self, now: datetime, used: Sync) -> None:
        """Remove the syncs whose last page came more than 30 days ago and that no run uses.

        Those of the stream's other keys, which another pipeline may be about to replay, get twice
        as long.

        Args:
            now: The API's clock.
            used: The sync that this run starts with. It stays, and so do its descendants.
        """
        if not self.is_on:
            return
        line = self._line(used)
        self._expire(now - _KEPT_FOR, line)
        with suppress(JournalError):  # one that cannot be read is no concern of this run
            for other in self._others():
                other._expire(now - 2 * _KEPT_FOR, set())  # noqa: SLF001 - of the same class

    def _expire(self, oldest: datetime, line: set[str]) -> None:
        old = [
            each
            for each in self._syncs.values()
            if each.sync.id not in line
            and parse_timestamp(each.created_at) < oldest  # which spares reading its last page
            and self._last_used(each) < oldest
        ]
        if worth := [each for each in self._not_superseded(old) if each.pages]:
            self._logger.warning(
                "Dropping %s from the journal: older than 30 days, and no state has shown that "
                "their rows arrived.",
                self._describe(worth),
            )
        self._remove(old)

    def _last_used(self, kept: JournaledSync) -> datetime:
        header = self._contents.last_header(kept)
        return parse_timestamp(header.received_at if header else kept.created_at)

    # What to resume

    def go_on(self, pending: Sync) -> Sync | None:
        """Return the sync to go on with when a state has a sync in progress.

        That is this sync, or the one that replaced it because its cursor was rejected, whatever the
        API says of the cursor now. None if the user has dropped it.

        Raises:
            JournalError: It was ended because its pages went in circles.
        """
        kept = self._newest(pending.id)
        successors = [
            each
            for each in self._syncs.values()
            if each.sync.replaces == pending.id and each.status != DROPPED
        ]
        if successors:
            return self.go_on(successors[-1].sync)
        if kept is None:
            return pending
        if kept.status == DROPPED:
            return None
        self._refuse_ended(kept)
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

        Args:
            sync: The new sync.
            bookmark: The bookmark that it continues from, None for a full sync.
            is_refresh: Whether the user has asked to read everything again.

        Raises:
            JournalError: That sync was ended because its pages went in circles.
        """
        for kept in reversed(self._syncs.values()):
            is_successor = not sync.replaces or kept.sync.replaces == sync.replaces
            if is_successor and self._can_stand_for(kept, sync, bookmark):
                if kept.status == ENDED and is_refresh and sync.is_full:
                    continue
                self._refuse_ended(kept)
                return replace(kept.sync, restarts=max(kept.sync.restarts, sync.restarts))
        return sync

    def _can_stand_for(self, kept: JournaledSync, sync: Sync, bookmark: datetime | None) -> bool:
        """Return whether a sync may be resumed from its start in place of a new one."""
        old = kept.sync
        if (old.parent_id, old.is_full) != (sync.parent_id, sync.is_full):
            return False
        if kept.status == DROPPED or 1 not in kept.pages:
            return False
        if sync.is_full and self.completed and old.number <= self.completed.number:
            return False  # it was abandoned: its rows are older than those that arrived since
        since, wanted = old.since or "", sync.since or ""
        is_lookback = bookmark is not None and since and wanted <= format_timestamp(bookmark)
        return since == wanted or bool(is_lookback and since < wanted)

    def _refuse_ended(self, kept: JournaledSync) -> None:
        if kept.status == ENDED:
            raise JournalError(
                f"An earlier run ended the sync {kept.sync.id} of {self._key.stream}, because its "
                "pages repeated without an end. Nothing is billed until you decide. To start a new "
                f"sync, drop it with `tap-jobo-journal drop {kept.sync.id}`: its "
                f"{dollars(self._contents.credits(kept))} may then be billed again. Or read "
                "everything again, with on_missing_state set to resync and without a state. Ask "
                "Jobo if it happens again."
            )

    def waiting_elsewhere(self, completed: str, pending: Sync | None) -> list[JournaledSync]:
        """Return the syncs of other filters whose billed pages a state does not cover.

        Args:
            completed: Id of the last complete sync in the state, empty for none.
            pending: The sync in progress in the state.
        """
        waiting = [
            each
            for other in self._others()
            for each in other._syncs.values()  # noqa: SLF001 - of the same class
            if (completed and each.sync.parent_id == completed)
            or (pending and each.sync.id == pending.id)
        ]
        return [each for each in waiting if self._contents.credits(each)]

    def warn_unused(self, chosen: Sync, elsewhere: Sequence[JournaledSync]) -> None:
        """Warn of billed pages that a run does not use, and that no later sync has superseded.

        Args:
            chosen: The sync that the run starts with; syncs that continue from it are used too.
            elsewhere: Syncs of other filters that are not used either.
        """
        line = self._line(chosen)
        mine = self._not_superseded(self._syncs.values())
        unused = [each for each in mine if each.sync.id not in line and each.pages]
        unused += elsewhere
        if unused:
            self._logger.warning(
                "The journal holds %s of %s that this run does not use: they belong to a sync with "
                "other filters, a shorter lookback_minutes, a later start_date, or another state. "
                "To use them, run with those settings or that state.",
                self._describe(unused),
                self._key.stream,
            )

    def credits_of(self, sync: Sync) -> int:
        """Return what the journaled pages of a sync have cost."""
        kept = self._syncs.get(sync.number)
        return self._contents.credits(kept) if kept else 0

    # Pages

    def begin(self, sync: Sync, now: datetime) -> Sync:
        """Write a sync under a number of its own, before its first request.

        Raises:
            JournalError: Another run goes on at the same time.
        """
        if not self.is_on or sync.number:
            return sync
        # Those of runs that ended before their first page are of no use.
        self._remove([each for each in self._syncs.values() if not (each.pages or each.status)])
        self._highest += 1
        sync = replace(sync, number=self._highest)
        kept = JournaledSync(self._key.name, sync, self._run, format_timestamp(now))
        self._syncs[sync.number] = kept
        self._write(kept.name, kept.content, kept)
        return sync

    def find(self, sync: Sync) -> JournaledPage | None:
        """Return the sync's next page if it has been billed.

        Raises:
            JournalError: It is damaged or missing, or not the page that comes next. To fetch it
                again would bill it again.
        """
        kept = self._syncs.get(sync.number)
        number = sync.pages + 1
        if kept is None or number > max(kept.pages, default=0):
            return None
        try:
            page = decode_page(_page_name(sync, number), self._store.read(kept.page_name(number)))
        except TornPageError:
            if number == max(kept.pages):
                self._remove_torn(kept, number)
                return None
            raise self._damaged(kept, number, "is damaged") from None
        except DamagedPageError:
            raise self._damaged(kept, number, "is damaged") from None
        except MissingError:
            raise self._damaged(kept, number, "is missing") from None
        except StoreError as error:
            raise self._unreadable(error) from error
        if page.header.cursor != hash_cursor(sync.cursor):
            raise self._damaged(kept, number, "does not follow the page before it")
        self._totals[sync.number] = page.header.total_credits
        return page

    def sample(self) -> bytes | None:
        """Return the raw body of a billed page, None if there is none; nothing is changed."""
        for kept in reversed(self._syncs.values()):
            for number in sorted(kept.pages):
                with suppress(DamagedPageError, TornPageError, MissingError, StoreError):
                    page = decode_page("", self._store.read(kept.page_name(number)))
                    if page.header.credits:
                        return page.body
        return None

    def report_replay(self, sync: Sync, page: JournaledPage) -> None:
        """Log that the pages of a sync are replayed, from its next one on."""
        count = sum(number > sync.pages for number in self._syncs[sync.number].pages)
        self._logger.info(
            "Replaying %s from the journal %s, free: billed since %s, and not covered by the state "
            "of this run. To fetch and pay for them again instead, run `tap-jobo-journal drop %s`.",
            plural(count, "page"),
            self._store.location,
            page.header.received_at,
            page.name,
        )

    def put(  # noqa: PLR0913 - what is known of a page
        self,
        sync: Sync,
        body: bytes,
        *,
        started_at: str,
        cost: int,
        received_at: datetime,
        has_more: bool | None,
    ) -> JournaledPage:
        """Write a page that was just billed, before anything parses it.

        If it cannot be written, it waits in memory and is written with one of the next pages.

        Raises:
            JournalError: Another run has written this page, or too much waits.
        """
        kept, number = self._syncs.get(sync.number), sync.pages + 1
        if kept and sync.number not in self._totals:
            self._totals[sync.number] = self._contents.credits(kept)
        total = self._totals.get(sync.number, 0) + cost
        self._totals[sync.number] = total
        header = PageHeader(
            self._run,
            hash_cursor(sync.cursor),
            started_at,
            format_timestamp(received_at),
            cost,
            total,
            has_more,
        )
        if kept:
            kept.pages.add(number)
            self._write(kept.page_name(number), encode_page(header, body), kept, cost)
        return JournaledPage(_page_name(sync, number), header, body)

    def quarantine(self, rows: Sequence[bytes], reason: str = "") -> None:
        """Keep rows that cannot be delivered, until the user exports or drops them.

        Args:
            rows: The rows, as received.
            reason: What they have in common; part of their names.
        """
        for name, row in _quarantine_names(rows, reason).items() if self.is_on else ():
            if name not in self._quarantined:
                self._quarantined.add(name)
                self.quarantined += 1
                self._queue.write(f"{self._top}/quarantine/{name}", row, is_urgent=False)

    def keep_as_evidence(self, body: bytes) -> None:
        """Keep the raw body of a page whose charge is disputed, with the quarantined rows."""
        for name, content in _quarantine_names([body], "disputed").items() if self.is_on else ():
            self._queue.write(f"{self._top}/quarantine/{name}", content, is_urgent=False)

    def quarantined_with(self, rows: Sequence[bytes], reason: str) -> int:
        """Return how many rows are in quarantine for a reason, or would be with these."""
        known = {name for name in self._quarantined if name.endswith(f".{reason}")}
        return len(known.union(_quarantine_names(rows, reason)))

    def end(self, sync: Sync) -> None:
        """Record that a sync was ended because its pages went in circles."""
        if kept := self._syncs.get(sync.number):
            kept.status = ENDED
            try:
                self._store.replace(kept.name, kept.content)
            except StoreError as error:
                self._queue.report_failure(error)

    def close(self) -> None:
        """Try once more to write what waits."""
        if self.is_on:
            self._queue.close()

    # The fence

    def _write(self, name: str, content: bytes, kept: JournaledSync, cost: int = 0) -> None:
        verify = self._verify_newest if name == kept.name else self._verify_present
        try:
            self._queue.write(name, content, lambda: verify(kept, name), cost=cost)
        except ExistsError:
            raise self._fenced(f"has written {name}") from None

    def _verify_newest(self, kept: JournaledSync, name: str) -> None:
        """Check, once a sync is written, that no other run has gone on in the meantime."""
        contents = Contents(self._store)
        completed = contents.completed(self._key.name)
        newest = contents.highest_number(self._key.name)
        if max(newest, completed.number + 1 if completed else 0) > kept.sync.number:
            self._store.remove([name])
            raise self._fenced("has begun a sync")

    def _verify_present(self, kept: JournaledSync, name: str) -> None:
        """Check, once a page is written, that no other run has removed its sync."""
        try:
            is_there = kept.sync.id.encode() in self._store.read(kept.name)
        except MissingError:
            is_there = False
        if not is_there:
            self._store.remove([name])
            raise self._fenced(f"has removed the sync {kept.sync.id}")

    def _fenced(self, what: str) -> JournalError:
        return JournalError(
            f"Another run of {self._key.stream} goes on at the same time in the journal "
            f"{self._store.location}: it {what}. This run ends, because both would be billed for "
            "the same pages. The page that it was just billed for may be billed again. Run it "
            "again once no other run is in progress, or give each pipeline its own journal_dir."
        )

    # The rest

    @property
    def _top(self) -> str:
        return f"{TOP}/{self._key.name}"

    def _others(self) -> list[Journal]:
        """Return the journals of the stream's other keys."""
        if not self.is_on:
            return []
        keys = [replace(self._key, name=name) for name in self._contents.keys]
        return [
            Journal(self._store, key, self._logger).read(self._contents)
            for key in keys
            if key.stream == self._key.stream and key.name != self._key.name
        ]

    def _newest(self, id_: str) -> JournaledSync | None:
        """Return a sync by its id; one that the journal had lost may be there twice."""
        found = [each for each in self._syncs.values() if id_ and each.sync.id == id_]
        return found[-1] if found else None

    def _with_ancestors(self, id_: str) -> set[str]:
        known: set[str] = set()
        left = {id_}
        while left:
            known.add(each := left.pop())
            if kept := self._newest(each):
                left |= {kept.sync.parent_id, kept.sync.replaces} - known - {""}
        return known

    def _line(self, chosen: Sync) -> set[str]:
        """Return the ids of a sync, of what it replaces, and of its descendants."""
        line = {chosen.id, chosen.replaces} - {""}
        for kept in self._syncs.values():  # in the order in which they began
            if not line.isdisjoint({kept.sync.parent_id, kept.sync.replaces}):
                line.add(kept.sync.id)
        return line

    def _not_superseded(self, syncs: Iterable[JournaledSync]) -> list[JournaledSync]:
        last = self.completed.number if self.completed else 0
        return [each for each in syncs if each.sync.number > last]

    def _describe(self, syncs: Sequence[JournaledSync]) -> str:
        pages = sum(len(each.pages) for each in syncs)
        cost = sum(self._contents.credits(each) for each in syncs)
        return f"{plural(pages, 'page')}, worth {dollars(cost)},"

    def _remove(self, syncs: Iterable[JournaledSync]) -> None:
        """Remove syncs, ancestors first, each as a whole."""
        for kept in sorted(syncs, key=lambda each: each.sync.number):
            try:
                self._store.remove(kept.names)
            except StoreError as error:
                self._queue.report_failure(error)
                return
            del self._syncs[kept.sync.number]

    def _remove_torn(self, kept: JournaledSync, number: int) -> None:
        """Remove the page that a run was writing when it was killed."""
        try:
            self._store.remove([kept.page_name(number)])
        except StoreError as error:
            raise self._unreadable(error) from error
        kept.pages.discard(number)

    def _damaged(self, kept: JournaledSync, number: int, what: str) -> JournalError:
        page = _page_name(kept.sync, number)
        pages = [each for each in kept.pages if each >= number]
        cost = self._contents.credits(kept, number)
        price = f"about {dollars(cost)}" if cost else "at a price that cannot be read"
        return JournalError(
            f"The page {page} in the journal {self._store.location} {what}. The run ends before "
            "anything of this stream is billed. Restore the file, or drop the page and those "
            f"behind it with `tap-jobo-journal drop {page}`: {plural(len(pages), 'page')} would "
            f"be billed again, {price}. With journal set to false, everything that the state does "
            "not cover would be."
        )

    def _unreadable(self, error: StoreError) -> JournalError:
        return JournalError(
            f"The journal {self._store.location} cannot be read ({error}). The run ends before "
            "anything is billed, because pages in it would be billed again. Repair it, or run "
            "again later if it is only out of reach. Otherwise move it away, or set journal to "
            "false: its pages are then billed again."
        )


def _page_name(sync: Sync, number: int) -> str:
    return f"{sync.id}.{number}"


def _quarantine_names(rows: Sequence[bytes], reason: str) -> dict[str, bytes]:
    suffix = f".{reason}" if reason else ""
    return {f"{hashlib.sha256(row).hexdigest()[:32]}{suffix}": row for row in rows}
