"""Where a run starts in an archive: a pure function of the state and of what the archive has."""

from bisect import bisect_right
from dataclasses import dataclass

from tap_jobo.archive.archive import StreamArchive
from tap_jobo.model import State


@dataclass(frozen=True)
class Question:
    """What the user has to decide, by the code of its message."""

    code: str


@dataclass(frozen=True)
class Start:
    """Where a run starts."""

    offset: int  #: the number of the last entry that is not loaded
    #: whether the archive lacks the entry of the state, so that it may lack others
    is_behind: bool = False


def where(state: State | None, archive: StreamArchive) -> Start | Question:
    """Return where a run starts: the first row of the table of starts that fits.

    An archive that lacks the entry of the state was lost, restored, off for a night, or is another
    one. Then the warehouse has what is no newer than its state.
    """
    if state is None or not state.position.is_begun:
        return Start(0)
    if state.owner not in {"", archive.key.owner}:  # empty: of another tap
        return Question("other-archive")
    if state.entry is not None and archive.id_of(state.offset) == state.entry:
        return Start(state.offset)
    return Start(last_until(state.time, archive), is_behind=True)


def last_until(time: str, archive: StreamArchive) -> int:
    """Return the number of the last entry that is not newer than a time, 0 if all are.

    An entry whose header can't be read is at most as new as the next one, and counts as that. So
    the load stops at it rather than skip it.
    """

    def is_newer(number: int) -> bool:
        for each in range(number, archive.head + 1):
            found = archive.time_of(each)
            if found is not None:
                return found > time
        return True

    return bisect_right(range(1, archive.head + 1), False, key=is_newer)  # noqa: FBT003
