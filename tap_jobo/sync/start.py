"""Where a run starts in the archive: a pure function of the state and of the archive's head.

`where` is the table of starts; `other_pipeline` asks before anything is loaded whether the archive
is the pipeline's own. `tests/sync/test_traps.py` has a history for each of their conditions.
"""

from dataclasses import dataclass
from typing import Final, Literal

from tap_jobo.archive.key import KEY_DIGITS
from tap_jobo.model import ArchiveFile, Origin, Position
from tap_jobo.sync.position import ArchiveView
from tap_jobo.sync.settings import SyncSettings
from tap_jobo.sync.state import State

Way = Literal["own-dir", "no-state", "resync", "keep", "state", "restart", "restart-since", "drop"]


@dataclass(frozen=True)
class Load:
    """Load the entries from a number on, then go on from the head.

    Attributes:
        is_ahead: Whether the state has more than the archive, which is bought again.
    """

    first: int
    is_ahead: bool = False


@dataclass(frozen=True)
class Adopt:
    """The archive goes on from the state, without what came before."""


@dataclass(frozen=True)
class Question:
    """What the user has to decide: a message's code, and the ways out."""

    code: str
    ways: tuple[Way, ...]


_INCOMPLETE: Final = Question("archive-incomplete", ("state", "restart"))


def where(  # noqa: PLR0911 - a row of the table each
    state: State | None, view: ArchiveView
) -> Load | Adopt | Question:
    """Return where a run starts: the first row of the table of starts that fits."""
    if state is None:
        return Load(view.beginning) if view.is_complete else _INCOMPLETE
    is_own = state.archive == view.file.id
    is_ahead = state.offset >= view.head
    would_buy_all = _would_buy_all(state, view, is_ahead=is_ahead)
    if is_own and view.id_of(state.offset) == state.entry and not would_buy_all:
        return Load(state.offset + 1)
    origin = view.file.origin
    if origin and (state.entry, state.position) == (origin.entry, origin.position):
        return Load(view.file.first)
    if not is_own:
        if has_other_key(state, view):
            return Question("other-archive", ("no-state",))  # no folder fits it
        return Adopt() if view.is_empty else _other(view)
    if view.is_complete and not would_buy_all:
        return Load(view.beginning, is_ahead=True)
    if is_ahead or would_buy_all:
        return Adopt()
    return _other(view)


def _would_buy_all(state: State, view: ArchiveView, *, is_ahead: bool) -> bool:
    """Return whether the archive would buy a full sync that the state already has, or most of it.

    That is so if its head has no bookmark, but the state has one, or is further than the next page
    of the head's sync. It is not so if the last page that the state has was dropped: then the sync
    goes on from there, as the user wants.
    """
    if view.position.bookmark is not None or view.ordered:
        return False
    if view.is_dropped(state.offset):
        return False
    if state.position.bookmark is not None:
        return True
    return is_ahead and not _is_next(view.position, state.position)


def _is_next(head: Position, own: Position) -> bool:
    """Return whether one page of the same sync is all that the archive lacks."""
    if own.progress is None:
        return False
    if head.progress and head.progress.sync.id != own.progress.sync.id:
        return False
    return own.progress.pages <= (head.progress.pages if head.progress else 0) + 1


def has_other_key(state: State, view: ArchiveView) -> bool:
    """Return whether a state is of another address, account, or kind of API key."""
    own, other = view.file.id[:KEY_DIGITS], state.archive
    return other is not None and other[:KEY_DIGITS] != own


def _other(view: ArchiveView) -> Question:
    ways: tuple[Way, ...] = ("own-dir", "no-state") if view.is_complete else ("own-dir",)
    return Question("other-archive", ways)


def other_pipeline(
    state: State | None, view: ArchiveView, settings: SyncSettings
) -> Question | None:
    """Return the question whether an archive of other filters is another pipeline's.

    It is asked before anything is loaded. If the state's filters are those of the settings, and
    those of the head are not, it is asked whatever `on_filter_change` is: with a standing `resync`,
    two pipelines would buy everything in turn, every night.
    """
    head, start_date = view.position, settings.start_date or ""
    skips = (
        state is None
        and head.bookmark is not None
        and start_date > max(head.bookmark, head.start_date or "")
    )
    if not head.has_begun or (settings.fit(head) and not skips):
        return None
    if state and view.is_head_dropped and state.entry == view.head_id:
        return None  # it had that page, which is bought again: the archive is its own
    if state and settings.filter_as(state.position) and not settings.filter_as(head):
        return Question("other-filters", ("own-dir", "no-state"))
    is_asked = settings.on_filter_change == "error"
    if is_asked and (state is None or settings.fit(state.position)):
        return Question("other-filters", ("own-dir", "resync", "keep"))
    return None


def adopt(state: State, head: int, new_id: str) -> ArchiveFile:
    """Return the file of an archive that goes on from a state, under an id of its own.

    Its numbers begin above all that were ever used, so no older state fits it by chance.
    """
    origin = Origin(position=state.position, entry=state.entry)
    return ArchiveFile(id=new_id, first=max(state.offset, head) + 1, origin=origin, again=None)
