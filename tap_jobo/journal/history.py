"""What a start decides: which syncs have arrived, which one is resumed, and which expire.

A target that is killed loses the rows that it has not stored yet, and its state is then older than
what was billed. The pages in between are replayed. A sync leaves the journal only when the state of
a later run names it, or a descendant of it, as complete: no clocks are compared.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final, Self

from msgspec import structs

from tap_jobo.clock import format_timestamp
from tap_jobo.errors import EndlessFeedError, FormatError, JournalError
from tap_jobo.journal import layout
from tap_jobo.journal.contents import Completed, Contents, JournaledSync, JournalKey, Status, encode
from tap_jobo.journal.store import DamagedFileError
from tap_jobo.model import Sync
from tap_jobo.wording import dollars, plural

_EXPIRES_AFTER: Final = timedelta(days=30)


class History:
    """The syncs of one journal key; none if there are no contents, because the journal is off.

    Raises `JournalError` if the store cannot be read, `FormatError` if a small file is damaged.
    """

    def __init__(self, contents: Contents | None, key: JournalKey, logger: logging.Logger) -> None:
        self.key = key
        self.syncs: dict[int, JournaledSync] = {}  # by number, in the order in which they began
        self.completed: Completed | None = None
        self._logger = logger
        self._damage: list[FormatError] = []  # of other filters, addresses, and kinds of key
        self._is_on = contents is not None
        if contents:
            self._read(contents)

    def _read(self, contents: Contents) -> None:
        self.contents = contents
        self.syncs = contents.syncs(self.key.name)
        self.completed = contents.completed(self.key.name)
        for journaled in self.syncs.values():
            is_new = journaled.sync.number > self._last_number  # no rest of a removed one
            if journaled.status == Status.DAMAGED and (
                is_new or journaled.name in contents.files[self.key.name]
            ):
                raise DamagedFileError(journaled.name, contents.store.location)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep runs of this key out, and read its syncs again: they may have changed."""
        with self.contents.store.exclusive_lock(self.key.name):
            self._read(Contents(self.contents.store))
            yield

    @property
    def highest_number(self) -> int:
        """The highest number of a sync so far, also of removed ones."""
        in_store = self.contents.highest_number(self.key.name)
        return max(self._last_number, in_store, *self.syncs)

    def credits_of(self, sync: Sync) -> int:
        """Return what the journaled pages of a sync have cost."""
        journaled = self.syncs.get(sync.number)
        return self.contents.credits(journaled) if journaled else 0

    # What has arrived

    def acknowledge(self, completed: str, bookmark: datetime, start_date: str | None) -> None:
        """Remove the complete sync of a state, and its ancestors: they have arrived.

        `completed.json` is written before. If that fails, nothing is removed.
        """
        if not (completed and self._is_on):
            return
        ids = self._with_ancestors({completed})
        arrived = [journaled for journaled in self.syncs.values() if journaled.sync.id in ids]
        named, last = self.find(completed), self.completed
        if last is None or (named and named.sync.number > last.number):
            cost = last.credits if last else 0
            for journaled in arrived:
                if journaled.sync.is_full and journaled.sync.number > self._last_number:
                    cost = self.contents.credits(journaled)
            number = named.sync.number if named else self.highest_number
            last = Completed(number, completed, format_timestamp(bookmark), cost, start_date)
            name = layout.COMPLETED.format(self.key.name)
            self.contents.store.replace(name, encode(last))
            self.completed = last
        self._remove(arrived)

    def acknowledge_elsewhere(
        self, completed: str, bookmark: datetime, start_date: str | None
    ) -> None:
        """Acknowledge a sync of other filters, which the state names after they have changed."""
        for other in self._elsewhere:
            if other.find(completed):
                with other.locked():
                    other.acknowledge(completed, bookmark, start_date)

    def warn_if_restored(self, completed: str, pending: Sync | None) -> None:
        """Warn if a state is older than what the journal knows to have arrived."""
        last = self.completed
        named = [self.find(completed), self.find(pending.id if pending else "")]
        newest = max((journaled.sync.number for journaled in named if journaled), default=0)
        if last and completed != last.id and newest < last.number:
            self._logger.warning(
                "The state of %s is older than the last complete sync in the journal (of %s), so "
                "rows are billed again. Either it was restored, or another pipeline shares this "
                "journal: give each pipeline its own journal_dir.",
                self.key.stream,
                last.bookmark,
            )

    # What to resume

    def go_on(self, pending: Sync) -> Sync | None:
        """Return the sync to go on with when a state has a sync in progress. Raises as `resume`.

        That is this sync, or the one that replaced it because its cursor was rejected, whatever the
        API says of the cursor now. None if the user has dropped it.
        """
        for journaled in reversed(self.syncs.values()):
            if journaled.sync.replaces == pending.id and journaled.status != Status.DROPPED:
                return self.go_on(journaled.sync)
        named = self.find(pending.id)
        if named is None:
            return pending
        if named.status == Status.DROPPED:
            return None
        self._refuse_ended(named)
        if min(named.pages, default=0) > pending.pages + 1:  # begun by a later state, after a loss
            return pending
        return replace(
            named.sync,
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
        for journaled in reversed(self.syncs.values()):
            if self._can_stand_for(journaled, sync, bookmark):
                if journaled.status == Status.ENDED and is_refresh and sync.is_full:
                    continue
                self._refuse_ended(journaled)
                return replace(journaled.sync, restarts=max(journaled.sync.restarts, sync.restarts))
        return sync

    def _can_stand_for(
        self, journaled: JournaledSync, sync: Sync, bookmark: datetime | None
    ) -> bool:
        """Return whether a sync may be resumed from its start in place of a new one."""
        old = journaled.sync
        has_start = journaled.status != Status.DROPPED and 1 in journaled.pages
        is_alike = (old.is_full, old.filters) == (sync.is_full, sync.filters)
        is_successor = sync.replaces in ("", old.replaces)
        has_same_parent = old.parent_id == sync.parent_id or not (bookmark or sync.parent_id)
        # The rows of an abandoned full sync are older than those that arrived since.
        is_abandoned = sync.is_full and old.number <= self._last_number
        if is_abandoned or not (has_start and is_alike and is_successor and has_same_parent):
            return False
        if old.since == sync.since:
            return True
        latest = format_timestamp(bookmark) if bookmark else ""
        return bool(old.since and old.since < (sync.since or "") <= latest)

    def _refuse_ended(self, journaled: JournaledSync) -> None:
        if journaled.status == Status.ENDED:
            id_, price = journaled.sync.id, dollars(self.contents.credits(journaled))
            raise EndlessFeedError(
                f"An earlier run ended the sync {id_} of {self.key.stream}, because its pages "
                "repeated without an end. Nothing is billed until you drop it with "
                f"`tap-jobo-journal drop {id_}` ({price} may then be billed again), or run without "
                "a state and with on_missing_state set to 'resync', which reads everything again."
            )

    # What expires

    def expire(self, now: datetime, used: Sync) -> None:
        """Warn of syncs that the run does not use; remove those that are older than 30 days."""
        if not self._is_on:
            return
        delivered = self._with_ancestors({used.parent_id, used.replaces})
        to_replay = {used.id, used.replaces} - {""}
        for journaled in self.syncs.values():
            if not to_replay.isdisjoint({journaled.sync.parent_id, journaled.sync.replaces}):
                to_replay.add(journaled.sync.id)
        unused = [each for each in self.syncs.values() if each.sync.id not in delivered | to_replay]
        oldest = format_timestamp(now - _EXPIRES_AFTER)
        self._warn_of_unused(unused, "this start_date, lookback_minutes, or state")
        self._remove(self._old(unused, oldest))
        for other in self._elsewhere:
            other.expire_elsewhere(oldest)
        for error in self._damage:
            self._logger.warning("Not of this run's filters or API key: %s", error)

    def expire_elsewhere(self, oldest: str) -> None:
        """Expire all syncs of a key that is not that of this run."""
        what = f"this api_url, kind of key, or filters. They belong to {self.key.description}"
        self._warn_of_unused(self.syncs.values(), what)
        if self._old(self.syncs.values(), oldest):
            with suppress(JournalError, FormatError), self.locked():  # unless a run has the lock
                self._remove(self._old(self.syncs.values(), oldest))

    def _warn_of_unused(self, syncs: Iterable[JournaledSync], what: str) -> None:
        credits_of, last = self.contents.credits, self._last_number
        unused = [each for each in syncs if credits_of(each) and each.sync.number > last]
        if unused:
            self._logger.warning(
                "%s (%s) of %s in the journal can't be used with %s. Restore the old value to "
                "replay them free; they expire 30 days after they were billed.",
                plural(sum(len(journaled.pages) for journaled in unused), "billed page"),
                dollars(sum(map(credits_of, unused))),
                self.key.stream,
                what,
            )

    def _old(self, syncs: Iterable[JournaledSync], oldest: str) -> list[JournaledSync]:
        """Return those last used before `oldest`, or whose run ended before their first page."""
        return [
            journaled
            for journaled in syncs
            if not (journaled.pages or journaled.status)
            or self.contents.last_used(journaled) < oldest
        ]

    # Other filters, addresses, and kinds of key

    def are_pages_waiting_elsewhere(self, completed: str) -> bool:
        """Return whether billed pages of other filters continue from a state's complete sync."""
        return any(
            completed and journaled.sync.parent_id == completed and self.contents.credits(journaled)
            for other in self._elsewhere
            for journaled in other.syncs.values()
        )

    def others(self) -> list[Self]:
        """Return the histories of the stream under other filters. Raises `FormatError`."""
        own = structs.replace(self.key, filters={}, name="")
        histories = self._elsewhere
        if self._damage:
            raise self._damage[0]
        return [each for each in histories if structs.replace(each.key, filters={}, name="") == own]

    @cached_property
    def _elsewhere(self) -> list[Self]:
        """The histories of the stream with other filters, addresses, or kinds of key."""
        histories = []
        for name in self.contents.keys if self._is_on else ():
            if name != self.key.name and name.rpartition("-")[0] == self.key.stream:
                try:
                    key = self.contents.key(name)
                    histories.append(type(self)(self.contents, key, self._logger))
                except FormatError as error:
                    self._damage.append(error)
        return histories

    @property
    def _last_number(self) -> int:
        return self.completed.number if self.completed else 0

    def find(self, id_: str) -> JournaledSync | None:
        """Return a sync by its id; one that the journal had lost may be there twice."""
        named = [journaled for journaled in self.syncs.values() if journaled.sync.id == id_]
        return named[-1] if named else None

    def _with_ancestors(self, ids: set[str]) -> set[str]:
        """Return ids of syncs, with those that they continue from, or replace."""
        for journaled in reversed(self.syncs.values()):  # ancestors began before
            if journaled.sync.id in ids:
                ids = ids | {journaled.sync.parent_id, journaled.sync.replaces}
        return ids

    def _remove(self, syncs: Iterable[JournaledSync]) -> None:
        for journaled in syncs:
            self.contents.store.remove(journaled.names)
            del self.syncs[journaled.sync.number]
