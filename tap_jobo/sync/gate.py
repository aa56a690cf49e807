"""The gate: billed pages that a run would leave behind, and that nobody has given up.

No request is sent while billed pages, whose rows no state covers, would become unusable, unless the
user has decided so. Then the archive records that they are given up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tap_jobo.archive.contents import ArchivedSync
from tap_jobo.archive.history import History
from tap_jobo.archive.way_out import archive_command
from tap_jobo.errors import StateError
from tap_jobo.model import Filters, Sync
from tap_jobo.streams.feed_spec import FeedSpec
from tap_jobo.sync.filters import differences, show
from tap_jobo.sync.start_date import start_of
from tap_jobo.wording import dollars, plural


@dataclass(frozen=True)
class UnusedPages:
    """Billed pages that neither a run nor those after it could use.

    Attributes:
        spec: The feed.
        used: The sync that the run goes on with.
        syncs: The syncs of the pages, with those that continue from them.
        history: What the archive has of the feed.
        delivered: A sync as far as the state has its rows.
        filters: Those of the state, None if there is none.
        is_full_table: Whether the catalog says FULL_TABLE.
    """

    spec: FeedSpec
    used: Sync
    syncs: Sequence[ArchivedSync]
    history: History
    delivered: Sync | None = None
    filters: Filters | None = None
    is_full_table: bool = False

    def __bool__(self) -> bool:
        """Whether they are worth something, as far as that can be read."""
        return self._credits > 0 or any(
            not self.history.contents.has_price(each) for each in self._waiting
        )

    @cached_property
    def _waiting(self) -> list[ArchivedSync]:
        """The syncs that have such pages; the others are given up, or have none."""
        return [each for each in self.syncs if each.pages and max(each.pages) >= self._first(each)]

    @property
    def _with_descendants(self) -> list[ArchivedSync]:
        """These and what continues from them, which would seem to have lost its state."""
        dropped: list[ArchivedSync] = []
        ids = {each.sync.id for each in self._waiting}
        for each in self.history.syncs.values():
            if each.sync.id in ids or each.sync.parent_id in ids - {""}:
                dropped.append(each)
                ids.add(each.sync.id)
        return dropped

    def question(self) -> StateError:
        """Return the error that asks for a decision, with the ways on."""
        drop = self._command("drop", *(each.sync.id for each in self._with_descendants))
        return StateError(
            f"{self._description} whose rows may not have arrived, and no run could use them after "
            f"this one, because {self._reasons}. Nothing was billed. To use them free, change that "
            f"back{self._with_decision}, and run until the sync is complete. To give them up, set "
            "on_filter_change to "
            f"'resync' or 'keep' for one run, or drop them with {drop}: what they hold is billed "
            "again if it is read again. [unused-pages]"
        )

    @property
    def _with_decision(self) -> str:
        """What else it takes to use the pages: their filters are not those of the state."""
        syncs = [each.sync for each in self._waiting]
        before = {each.name: (self.filters or {}).get(each.name) for each in self.spec.filters}
        is_change = any(each.added or self._selected_by(each) != before for each in syncs)
        if not (self.filters and is_change):
            return ""
        is_resync = any(each.added or each.is_full for each in syncs)
        return f", set on_filter_change to '{'resync' if is_resync else 'keep'}'"

    @property
    def clause(self) -> str:
        """What a choice gives up, for the end of a sentence; empty if that is nothing."""
        if not self:
            return ""
        pages = plural(self._pages, "billed page")
        return f", and {pages} ({dollars(self._credits)}) can't be used any more"

    @property
    def uses(self) -> str:
        """What the run replays first, for the end of a sentence; empty if that is nothing."""
        archived = self.history.syncs.get(self.used.number)
        if archived is None:
            return ""
        pages, worth = len(archived.pages), dollars(self.history.credits_of(self.used))
        return (
            f", except for {plural(pages, 'billed page')} ({worth}) of the archive, which are free"
        )

    @property
    def loss(self) -> str:
        """What is given up, once that is decided."""
        return (
            f"{self._description} that this run gives up, because {self._reasons}. They can be "
            f"exported with {self._command('export')} until they expire, 30 days after they were "
            "billed. [unused-pages]"
        )

    @property
    def other_state(self) -> str:
        """What a run with another state leaves to them, such as a full refresh that died."""
        return (
            f"{self._description} of a sync that began without a state, which this run can't use. "
            "If a full refresh was interrupted, run it again first: these pages are free, but not "
            "after the next runs. [unused-pages]"
        )

    def _command(self, *parts: str) -> str:
        return archive_command(*parts, location=self.history.contents.store.location)

    @property
    def _description(self) -> str:
        since = min(each.created_at for each in self._waiting)[:16]
        return (
            f"The archive has {plural(self._pages, 'billed page')} of {self.spec.name} "
            f"({dollars(self._credits)}, since {since}Z)"
        )

    @property
    def _pages(self) -> int:
        return sum(page >= self._first(each) for each in self._waiting for page in each.pages)

    @cached_property
    def _credits(self) -> int:
        return sum(map(self._credits_of, self._waiting))

    def _credits_of(self, archived: ArchivedSync) -> int:
        return self.history.contents.credits(archived, self._first(archived))

    def _first(self, archived: ArchivedSync) -> int:
        return self.history.first_unused(archived, self.delivered)

    @property
    def _reasons(self) -> str:
        lost = "the archive lacks the start of the sync that they continue from"
        reasons = [
            lost if self._lacks_parent(each.sync) else self._reason(each.sync)
            for each in self._waiting
        ]
        return "; ".join(dict.fromkeys(reasons))

    def _lacks_parent(self, old: Sync) -> bool:
        parent = self.history.find(old.parent_id)
        return bool(parent and 1 not in parent.pages and old.parent_id != self.used.parent_id)

    def _reason(self, old: Sync) -> str:
        """Return why a run that uses one sync can't use another."""
        before, now = self._selected_by(old), self._selected_by(self.used)
        if old.is_full and self.used.is_full:
            before |= {"start_date": start_of(self.spec, old.since).text}
            now |= {"start_date": start_of(self.spec, self.used.since).text}
        if before != now:
            return differences(before, now)
        if old.added != self.used.added:
            which = "they have" if old.added else "this run reads"
            return f"{which} only the rows of added filter values"
        if old.is_full == self.used.is_full:
            now_since, since = (start_of(self.spec, each.since).text for each in (self.used, old))
            if now_since == since:
                return "the state is of another sync"
            return (
                f"start_date: this run reads rows changed since {show(now_since)}, and they since "
                f"{show(since)}"
            )
        if self.is_full_table:
            return "the catalog says FULL_TABLE, and they have only what had changed"
        reads = ("what has changed", "everything, as with FULL_TABLE")
        return f"this run reads {reads[self.used.is_full]}, and they are of {reads[old.is_full]}"

    def _selected_by(self, sync: Sync) -> Filters:
        """Return the filters that a sync was begun with, also those that are not set."""
        return {each.name: sync.selected.get(each.name) for each in self.spec.filters}
