"""What a start decides: which syncs have arrived, which one is resumed, and which expire.

A target that is killed loses the rows that it has not stored yet, and its state is then older than
what was billed. The pages in between are replayed. A sync leaves the archive only when the state of
a later run names it, or a descendant of it, as complete: no clocks are compared.

A replay may overwrite rows of later syncs with older ones. If it dies, a state that names these may
come back, above all after a run without a state. So the archive records which syncs a replay may
overwrite, for good: backups may bring back state and rows. A run whose state names such a sync goes
on from the state before it, see `recover_state`.
"""

import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tap_jobo.archive import layout
from tap_jobo.archive.contents import ArchivedSync, ArchiveKey, Completed, Contents, Status, encode
from tap_jobo.archive.month import count_killed_runs
from tap_jobo.archive.page import DamagedPageError
from tap_jobo.archive.store import DamagedFileError
from tap_jobo.archive.way_out import archive_command
from tap_jobo.clock import format_timestamp, parse_timestamp
from tap_jobo.errors import ArchiveError, EndlessFeedError, FormatError
from tap_jobo.model import Filters, Sync
from tap_jobo.wording import dollars, plural

_EXPIRES_AFTER: Final = timedelta(days=30)
Follow = Callable[[Sync], Sync]
"""Returns the sync that follows a replayed one."""


class History:
    """The syncs of one archive key; none if there are no contents, because the archive is off.

    Raises `ArchiveError` if the store cannot be read, `FormatError` if a small file is damaged.
    """

    def __init__(self, contents: Contents | None, key: ArchiveKey, logger: logging.Logger) -> None:
        self.key = key
        self.syncs: dict[int, ArchivedSync] = {}  # by number, in the order in which they began
        self.completed: Completed | None = None
        self.overwritten: dict[str, datetime] = {}  # see `Contents.overwritten`
        self._logger = logger
        self._is_on = contents is not None
        if contents:
            self._read(contents)

    def _read(self, contents: Contents) -> None:
        self.contents = contents
        self.syncs = contents.syncs(self.key.name)
        self.completed = contents.completed(self.key.name)
        self.overwritten = contents.overwritten(self.key.name)
        for archived in self.syncs.values():
            is_new = archived.sync.number > self._last_number  # no rest of a removed one
            if archived.status == Status.DAMAGED and (
                is_new or archived.name in contents.files[self.key.name]
            ):
                raise DamagedFileError(archived.name, contents.store.location)

    @property
    def highest_number(self) -> int:
        """The highest number of a sync so far, also of removed ones."""
        in_store = self.contents.highest_number(self.key.name)
        return max(self._last_number, in_store, *self.syncs)

    def credits_of(self, sync: Sync) -> int:
        """Return what the archived pages of a sync have cost."""
        archived = self.syncs.get(sync.number)
        return self.contents.credits(archived) if archived else 0

    # What has arrived

    def acknowledge(
        self, completed: str, bookmark: datetime, start_date: str | None, filters: Filters
    ) -> None:
        """Remove the complete sync of a state, and its ancestors: they have arrived.

        Unless its rows may have been overwritten. `completed.json` is written before. If that
        fails, nothing is removed.
        """
        if not (completed and self._is_on) or completed in self.overwritten:
            return
        ids = self._with_ancestors({completed})
        arrived = [archived for archived in self.syncs.values() if archived.sync.id in ids]
        named, last = self.find(completed), self.completed
        if last is None or (named and named.sync.number > last.number):
            is_alike = last and (last.filters, last.start_date) == (filters, start_date)
            cost = last.full_sync_credits if last and is_alike else 0
            for archived in arrived:
                if archived.sync.is_full and archived.sync.number > self._last_number:
                    cost = self.contents.credits(archived)
            number = named.sync.number if named else self.highest_number
            at = format_timestamp(bookmark)
            last = Completed(number, completed, at, start_date, filters, cost)
            name = layout.COMPLETED.format(self.key.name)
            self.contents.store.replace(name, encode(last))
            self.completed = last
        self._remove(arrived)

    def warn_if_restored(
        self, bookmark: datetime | None, completed: str, pending: Sync | None
    ) -> None:
        """Warn if a state is older than what the archive knows to have arrived.

        One with a later bookmark is of a run without this archive.
        """
        last = self.completed
        if last and bookmark and bookmark > parse_timestamp(last.bookmark):
            return
        named = [self.find(completed), self.find(pending.id if pending else "")]
        newest = max((archived.sync.number for archived in named if archived), default=0)
        if last and completed != last.id and newest < last.number:
            self._logger.warning(
                "The state of %s is older than the last complete sync in the archive (of %s), so "
                "rows are billed again. Either it was restored, or another pipeline shares this "
                "archive: give each pipeline its own archive_dir. [older-state]",
                self.key.stream,
                last.bookmark,
            )

    # What to resume

    def go_on(self, pending: Sync) -> Sync | None:
        """Return the sync to go on with when a state has a sync in progress. Raises as `resume`.

        That is this sync, or the one that replaced it because its cursor was rejected, whatever the
        API says of the cursor now; if that has no page in the archive, it was begun in vain. None
        if the user has dropped it, or if it has to start over and has no page there, so that
        another sync may cost less.
        """
        for archived in reversed(self.syncs.values()):
            is_replacement = archived.sync.replaces == pending.id
            if is_replacement and archived.pages and archived.status != Status.DROPPED:
                return self.go_on(archived.sync)
        named = self.find(pending.id)
        if not (pending.cursor or (named and named.pages)):
            return None
        if named is None:
            return pending
        if named.status == Status.DROPPED:
            return None
        self._refuse_ended(named)
        if named.pages and min(named.pages) > pending.pages + 1:
            return pending  # it was begun by a later state, after a loss of the archive
        return replace(
            named.sync,
            started_at=pending.started_at,
            cursor=pending.cursor,
            rows=pending.rows,
            pages=pending.pages,
            selected=pending.selected,
            added=pending.added,
        )

    def resume(self, sync: Sync, bookmark: datetime | None, *, is_refresh: bool = False) -> Sync:
        """Return the archived sync to resume in place of a new one, or the new one.

        That is the newest sync that continues from the same completed sync as the new one, with
        the same filters, and with the same window or, after a bookmark, one that starts early
        enough. No other sync is resumed: its rows may be older than what arrived since, and the
        rest of it may cost a whole backfill.
        But without a state, there is no bookmark that a full sync could move too far.
        Raises `EndlessFeedError` if its pages went in circles.
        """
        for archived in reversed(self.syncs.values()):
            if self._can_stand_for(archived, sync, bookmark):
                if archived.status == Status.ENDED and is_refresh and sync.is_full:
                    continue
                self._refuse_ended(archived)
                return replace(archived.sync, restarts=max(archived.sync.restarts, sync.restarts))
        return sync

    def _can_stand_for(self, archived: ArchivedSync, sync: Sync, bookmark: datetime | None) -> bool:
        """Return whether a sync may be resumed from its start in place of a new one."""
        old = archived.sync
        if archived.status == Status.DROPPED or 1 not in archived.pages:
            return False  # there is no start to resume it from
        if not old.reads_like(sync) or sync.replaces not in ("", old.replaces):
            return False
        if old.parent_id != sync.parent_id and (bookmark or sync.parent_id):
            return False
        if sync.is_full and old.number <= self._last_number:
            return False  # it was abandoned: its rows are older than those that arrived since
        if bookmark:  # the lookback is no reason to read again
            return (old.since or "") <= max(sync.since or "", format_timestamp(bookmark))
        return old.since == sync.since

    def _refuse_ended(self, archived: ArchivedSync) -> None:
        if archived.status == Status.ENDED:
            id_, price = archived.sync.id, dollars(self.contents.credits(archived))
            drop = archive_command("drop", id_, location=self.contents.store.location)
            raise EndlessFeedError(
                f"An earlier run ended the sync {id_} of {self.key.stream}, because its pages "
                f"repeated without an end. Nothing is billed until you drop it with {drop} "
                f"({price} may then be billed again), or run without a state and with "
                "on_missing_state set to 'resync', which reads everything again. [endless-feed]"
            )

    # What a run does not use

    def unused(self, used: Sync, delivered: Sync | None, follow: Follow) -> list[ArchivedSync]:
        """Return the syncs with pages that no run can use after one that uses a sync.

        They continue from the same complete sync, or from one another. Without a state, these are
        all that are newer than the last complete one. Those of other states are not concerned.

        Args:
            used: The sync that the run goes on with.
            delivered: The sync in progress of the state, as far as the state has its rows.
            follow: Returns the sync that follows a replayed one.
        """
        replayed = self._replayed(used, follow)
        kept = replayed | self._with_ancestors({used.parent_id, used.replaces})
        unused, line = [], {used.parent_id, *replayed}
        for archived in self.syncs.values():
            sync, first = archived.sync, self.first_unused(archived, delivered)
            is_new = sync.number > self._last_number
            if not (sync.parent_id in line if used.parent_id else is_new):
                continue  # of another state
            if sync.id in kept or _is_superseded(sync, used):
                continue
            if min(archived.pages, default=first) > first:
                continue  # without its start, no run could use it either
            unused.append(archived)
            line.add(sync.id)
        return unused

    def refreshes(self, used: Sync) -> list[ArchivedSync]:
        """Return the syncs without a state that a run with a state can't use.

        They may be of another pipeline, so they are no question.
        """
        if not used.parent_id:
            return []
        refreshes, kept = [], self._with_ancestors({used.id, used.parent_id})
        for archived in self.syncs.values():
            sync, is_new = archived.sync, archived.sync.number > self._last_number
            if sync.is_full and not sync.parent_id and is_new and sync.id not in kept:
                refreshes.append(archived)
        return refreshes

    @staticmethod
    def first_unused(archived: ArchivedSync, delivered: Sync | None) -> int:
        """Return the number of a sync's first page that is neither delivered nor given up."""
        pages = delivered.pages if delivered and delivered.id == archived.sync.id else 0
        return max(archived.given_up, pages) + 1

    def record_decision(self, used: Sync, unused: Iterable[ArchivedSync], follow: Follow) -> None:
        """Record which pages are given up, so that no later run asks, and which are in use again.

        So a decision for one run is enough, and pages that are billed after it are asked about.
        """
        given_up = {archived.sync.number for archived in unused}
        replayed = self._replayed(used, follow)
        for number, archived in self.syncs.items():
            pages = archived.given_up
            if number in given_up:
                pages = max(archived.pages, default=0)
            elif archived.sync.id in replayed:
                pages = 0
            if pages != archived.given_up:
                archived.given_up = pages
                self.contents.store.replace(archived.name, archived.content)

    def record_overwritten(self, used: Sync, delivered: Sync | None, *, has_state: bool) -> None:
        """Record which newer syncs the rows of a sync may overwrite, if a state may name them.

        Without a state, any may be named by one that comes back. With a state, only its sync in
        progress is, if the run goes on with an older one. Raises `StoreError`.
        """
        newer = [each.sync for each in self.syncs.values() if each.sync.number > used.number > 0]
        if has_state:
            newer = [sync for sync in newer if delivered and sync.id == delivered.id]
        if not newer:
            return
        try:  # not its header alone, which hides that the store fails
            first = self.contents.page(self.syncs[used.number], 1)
        except DamagedPageError:  # nothing can be replayed
            return
        start = parse_timestamp(first.header.started_at)
        overwritten = dict(self.overwritten)
        for sync in newer:
            overwritten[sync.id] = min(start, overwritten.get(sync.id, start))
        if overwritten != self.overwritten:
            name = layout.OVERWRITTEN.format(self.key.name)
            self.contents.store.replace(name, encode(overwritten))
            self.overwritten = overwritten

    def expire(self, now: datetime, used: Sync, completed: str) -> None:
        """Remove syncs that the run does not use and that are older than 30 days.

        Args:
            now: The time by the API's clock.
            used: The sync that the run goes on with.
            completed: The id of the complete sync of the state, which has arrived.
        """
        if self._is_on:
            kept = self._replayed(used) | self._with_ancestors({used.parent_id, used.replaces})
            unused = [each for each in self.syncs.values() if each.sync.id not in kept]
            self._remove(self._expired(unused, now))
            for name in self.contents.keys:
                if name != self.key.name and name.rpartition("-")[0] == self.key.stream:
                    self._remove_done(name, now, completed)
                    self._warn_of_other_key(name)

    def _expired(self, syncs: Iterable[ArchivedSync], now: datetime) -> list[ArchivedSync]:
        oldest = format_timestamp(now - _EXPIRES_AFTER)
        return [each for each in syncs if self.contents.last_used(each) < oldest]

    def _remove_done(self, name: str, now: datetime, completed: str) -> None:
        """Remove the syncs of another key that have arrived or expired, if no run needs them."""
        if not self._done(name, now, completed):
            return
        with suppress(ArchiveError), self.contents.store.exclusive_lock(name):
            self.contents = Contents(self.contents.store)  # a run may have used them meanwhile
            count_killed_runs(self.contents, name, self._logger)
            for archived in self._done(name, now, completed):
                self.contents.store.remove(archived.names)
            self.contents = Contents(self.contents.store)

    def _done(self, name: str, now: datetime, completed: str) -> list[ArchivedSync]:
        """Return the syncs of another key that have arrived or expired."""
        syncs = self.contents.syncs(name).values()
        arrived = _with_ancestors({completed} - {""}, syncs)
        expired = {each.sync.id for each in self._expired(syncs, now)}
        return [each for each in syncs if each.sync.id in arrived | expired]

    def _warn_of_other_key(self, name: str) -> None:
        """Warn of pages under another address, account, or kind of key."""
        syncs = self.contents.syncs(name).values()
        if cost := sum(map(self.contents.credits, syncs)):
            self._logger.warning(
                "%s (%s) in the archive are of %s, so this run can't use them. They expire 30 "
                "days after they were billed. [unused-pages]",
                plural(sum(len(archived.pages) for archived in syncs), "billed page"),
                dollars(cost),
                self._describe_other_key(name),
            )

    def _describe_other_key(self, name: str) -> str:
        try:
            key = self.contents.key(name)
        except FormatError:
            return f"the folder {name}"
        account = " of another account" if key.account != self.key.account else ""
        return f"{key.description}{account}"

    def _replayed(self, used: Sync, follow: Follow | None = None) -> set[str]:
        """Return the ids of a sync, and of those that the run replays after it.

        These can stand for what `follow` returns.
        """
        to_replay = {used.id, used.replaces} - {""}
        for archived in self.syncs.values():
            each = archived.sync
            is_alike = not each.is_full and each.selected == used.selected
            if each.replaces in to_replay or (
                is_alike and each.parent_id in to_replay and self._follows(archived, follow)
            ):
                to_replay.add(each.id)
        return to_replay

    def _follows(self, archived: ArchivedSync, follow: Follow | None) -> bool:
        """Return whether a sync is resumed after the one that it continues from."""
        parent = self.find(archived.sync.parent_id)
        header = self.contents.header(parent, 1) if parent else None
        if follow is None or parent is None or header is None or not archived.pages:
            return True
        start = header.started_at
        new = follow(replace(parent.sync, started_at=start))
        return self._can_stand_for(archived, new, parse_timestamp(start))

    @property
    def _last_number(self) -> int:
        return self.completed.number if self.completed else 0

    def find(self, id_: str) -> ArchivedSync | None:
        """Return a sync by its id; one that the archive had lost may be there twice."""
        named = [archived for archived in self.syncs.values() if archived.sync.id == id_]
        return named[-1] if named else None

    def _with_ancestors(self, ids: set[str]) -> set[str]:
        return _with_ancestors(ids, self.syncs.values())

    def _remove(self, syncs: Iterable[ArchivedSync]) -> None:
        for archived in syncs:
            self.contents.store.remove(archived.names)
            del self.syncs[archived.sync.number]


def _is_superseded(old: Sync, used: Sync) -> bool:
    """Return whether a sync that began later reads the same, so that no page of the old one lacks.

    Two runs leave both if they begin at once and locks do not work.
    """
    is_newer = old.number < used.number
    return old.reads_like(used) and is_newer and (used.since or "") <= (old.since or "")


def _with_ancestors(ids: set[str], syncs: Collection[ArchivedSync]) -> set[str]:
    """Return ids of syncs, with those that they continue from, or replace."""
    for archived in sorted(syncs, key=lambda each: -each.sync.number):  # ancestors began before
        if archived.sync.id in ids:
            ids = ids | {archived.sync.parent_id, archived.sync.replaces}
    return ids
