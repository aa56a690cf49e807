"""What every run of a simulated world has, whichever way the tap runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tap_jobo.model import NOTHING, Position
from tap_jobo.sync.wanted import Wanted
from tests.sync.world.parts import REQUESTED, Asked, Disk, Folder, Pipe, Target, at

if TYPE_CHECKING:
    from tests.sync.world.world import World

Outcome = Literal["done", "asked", "limit", "failed", "rejected", "died"]
Ending = tuple[Outcome, Asked | None]
"""How a run ends, and what it asks."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What happens to a run."""

    die_at: int | None = None  #: the step at which it dies
    kills_target: bool = False  #: whether the target dies with it, with all that it has not stored
    pages: int | None = None  #: how many pages its limit allows
    batch: int = 3  #: how many rows the target stores at a time
    full_refresh: bool = False  #: whether it has no state
    is_offline: bool = False  #: whether the API never responds
    only_buys: bool = False  #: whether it has no state and no target: `--buy`
    changes: tuple[tuple[int, str, str], ...] = ()  #: rows that change meanwhile
    #: another pipeline that runs from some step on. In memory, only if this run does not have the
    #: lock; a process is stopped for that time, and may have it.
    other: tuple[str, int] | None = None
    #: whether a process that is stopped, and has a lease in a bucket, loses it
    loses_lock: bool = False
    #: the call of the store that fails. Of processes, a bucket is away from then on, and a folder
    #: never fails.
    fails_at: int = 0
    #: whether that call does what it should, and only its response is lost
    loses_response: bool = False
    signal: str = "SIGKILL"  #: of what a process dies


class AnyRun:
    """One run of a pipeline."""

    position: Position  #: what the warehouse has read, by that

    def __init__(self, world: World, pipe: Pipe, conditions: Conditions) -> None:
        self.world = world
        self.pipe = pipe
        self.conditions = conditions
        self.wanted = pipe.wanted  #: what it wants
        self.began = world.api.now
        if world.api.is_free:
            self.wanted = self.wanted_at(self.began)
        has_state = not (conditions.full_refresh or conditions.only_buys)
        #: the state that it was given, and then the one that it wrote last
        self.state = pipe.state if has_state else None
        position = self.state.position if self.state else NOTHING
        #: the ids of the syncs that its warehouse had begun to load
        self.known = {each.sync.id for each in position.progress}
        #: whether the state that it was given is the last one of the warehouse
        self.is_true = pipe.is_true and has_state
        if self.state is None and not conditions.only_buys:
            pipe.forget()
        self.lasts = pipe.uses_archive  #: whether it has an archive
        self.folder = Folder(Disk(lasts=self.lasts))  #: the archive
        self.target = Target(self, conditions.batch)  #: what loads its rows
        self.first: int | None = None  #: the entry that it loads after, None if that is not known
        self.billed = 0  #: the rows that it was billed for
        self.lost = 0  #: the pages that it was billed for, and that are in no archive

    def wanted_at(self, minute: int) -> Wanted:
        """Return what it wants of a free feed, by a clock."""
        start = max(self.pipe.wanted.start, at(minute - REQUESTED))
        return replace(self.pipe.wanted, start=start, choice="resync", is_free=True)

    def go(self) -> Ending:
        """Load, then buy."""
        raise NotImplementedError

    @property
    def may_be_older(self) -> bool:
        """Whether rows may come that are older than those of the warehouse."""
        if self.world.is_calm:
            return False
        is_whole = not self.folder.intact and not any(
            entry.header.dropped for entry in self.folder.entries
        )
        return not (self.is_true and self.first and is_whole)

    def note_bought(self, number: int) -> None:
        """Note an entry that the run has added to the archive."""
        *before, entry = self.folder.entries[:number]
        self.world.check_bought(self, entry, before)
