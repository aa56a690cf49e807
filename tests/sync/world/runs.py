"""What every run of a simulated world has, whichever way the tap runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tap_jobo.model import Position
from tests.sync.world.parts import REQUESTED, Asked, Disk, Folder, Pipe, Target, at

if TYPE_CHECKING:
    from tests.sync.world.world import World

Outcome = Literal["done", "asked", "limit", "failed", "rejected", "died"]
Ending = tuple[Outcome, Asked | None]
"""How a run ends, and what it asks."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What happens to a run.

    Attributes:
        die_at: The step at which it dies.
        kills_target: Whether the target dies with it, with all that it has not stored.
        pages: How many pages its limit allows.
        batch: How many rows the target stores at a time.
        full_refresh: Whether it has no state.
        changes: Rows that change meanwhile.
        other: Another pipeline that runs from some step on. In memory, only if this run does not
            have the lock; a process is stopped for that time, and may have it.
        loses_lock: Whether a process that is stopped, and has a lease in a bucket, loses it.
        fails_at: The call of the store that fails. Of processes, a bucket is away from then on, and
            a folder never fails.
        loses_response: Whether that call does what it should, and only its response is lost.
        signal: Of what a process dies.
    """

    die_at: int | None = None
    kills_target: bool = False
    pages: int | None = None
    batch: int = 3
    full_refresh: bool = False
    changes: tuple[tuple[int, str, str], ...] = ()
    other: tuple[str, int] | None = None
    loses_lock: bool = False
    fails_at: int = 0
    loses_response: bool = False
    signal: str = "SIGKILL"


class AnyRun:
    """One run of a pipeline.

    Attributes:
        world: Where it runs.
        pipe: The pipeline.
        conditions: What happens to it.
        wanted: What it wants.
        state: The state that it was given, and then the one that it wrote last.
        position: What the warehouse has read, by that.
        is_true: Whether the state that it was given is the last one of the warehouse.
        began: When it began.
        lasts: Whether it has an archive.
        folder: The archive.
        target: What loads its rows.
        first: The entry that it loads after, None if that is not known.
        billed: The rows that it was billed for.
        lost: The pages that it was billed for, and that are in no archive.
    """

    position: Position

    def __init__(self, world: World, pipe: Pipe, conditions: Conditions) -> None:
        self.world = world
        self.pipe = pipe
        self.conditions = conditions
        self.wanted = pipe.wanted
        if world.api.is_free:
            start = max(pipe.wanted.start, at(world.api.now - REQUESTED))
            self.wanted = replace(pipe.wanted, start=start, choice="resync", is_free=True)
        self.state = None if conditions.full_refresh else pipe.state
        self.is_true = pipe.is_true and not conditions.full_refresh
        if self.state is None:
            pipe.forget()
        self.began = world.api.now
        self.lasts = pipe.uses_archive
        self.folder = Folder(Disk(lasts=self.lasts))
        self.target = Target(self, conditions.batch)
        self.first: int | None = None
        self.billed = self.lost = 0

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
