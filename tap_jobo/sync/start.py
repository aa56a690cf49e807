"""Where a run starts in an archive: a pure function of the state and of what the archive has."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tap_jobo.model import NOTHING, Position, State

Way = Literal["no-state", "resync", "keep", "state", "backup", "restart-sync", "restart", "drop"]


@dataclass(frozen=True)
class Question:
    """What the user has to decide: a message's code, and the ways out."""

    code: str
    ways: tuple[Way, ...]


@dataclass(frozen=True)
class Start:
    """Where a run starts.

    Attributes:
        offset: The number of the last entry that is not loaded.
        position: What the warehouse has.
        is_behind: Whether the archive lacks the entry of the state, so that it may lack others.
    """

    offset: int
    position: Position
    is_behind: bool = False


@dataclass(frozen=True, kw_only=True)
class Places:
    """What is known of the places in an archive.

    Attributes:
        owner: Whose pages it holds.
        head: The number of the last entry, 0 if there is none.
        id_of: Returns the id of an entry, None if there is none or it can't be read.
        time_of: Returns when the page of an entry was received, None if that can't be read.
    """

    owner: str
    head: int
    id_of: Callable[[int], str | None]
    time_of: Callable[[int], str | None]


def where(state: State | None, places: Places) -> Start | Question:
    """Return where a run starts: the first row of the table of starts that fits.

    An archive that lacks the entry of the state was lost, restored, off for a night, or is another
    one. Then the warehouse has what is no newer than its state, and keeps its own position.
    """
    if state is None or not state.position.is_begun:
        return Start(0, NOTHING)
    if state.owner != places.owner:
        return Question("other-archive", ("no-state",))
    if state.entry is not None and places.id_of(state.offset) == state.entry:
        return Start(state.offset, state.position)
    return Start(_last_until(state.time, places), state.position, is_behind=True)


def _last_until(time: str, places: Places) -> int:
    """Return the number of the last entry that is not newer than a time, 0 if all are.

    An entry whose header can't be read is at most as new as the next one, and counts as that. So
    the load stops at it rather than skip it.
    """

    def is_newer(number: int) -> bool:
        for each in range(number, places.head + 1):
            found = places.time_of(each)
            if found is not None:
                return found > time
        return True

    return bisect_right(range(1, places.head + 1), False, key=is_newer)  # noqa: FBT003
