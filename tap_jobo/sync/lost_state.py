"""What a run starts from if the state is missing, or does not say what is in the warehouse."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from tap_jobo.archive.history import History
from tap_jobo.clock import parse_timestamp
from tap_jobo.errors import StateError
from tap_jobo.sync.start import SyncStart
from tap_jobo.sync.start_date import StartDate
from tap_jobo.sync.state import StreamState
from tap_jobo.wording import dollars

RESUME: Final = "resume:"
"""How the value of `on_missing_state` starts that goes on from a sync; its ids follow."""


def recover_state(state: StreamState, history: History, start: SyncStart) -> StreamState:
    """Return the state that a run starts from, with a sync in progress only if it is still wanted.

    Raises:
        StateError: There is none, but the archive proves that there was one, under any filters.
    """
    if not (state.has_begun or start.is_full_table or start.on_missing_state == "resync"):
        state = _recover_missing(state, history, start)
    state = _before_overwritten(start.with_defaults(state), history)
    return start.without_unwanted(state.rewound())


def _before_overwritten(state: StreamState, history: History) -> StreamState:
    """Return the state before the rows that an interrupted replay may have overwritten.

    So the archive's syncs with these rows are resumed, free. What it lacks of them is read again:
    all that has changed since the replayed sync began. A sync that does not read changes can only
    start over.
    """
    overwritten, first, completed = history.overwritten, state.pending, state.completed
    since = overwritten.get(first.id if first else completed)
    if since is None:
        return state
    for archived in reversed(history.syncs.values()):  # a sync began after its parent
        sync = archived.sync
        can_be_replayed = 1 in archived.pages and not sync.added
        is_parent = sync.id == completed and (first is None or first.reads_changes)
        if is_parent and sync.id in overwritten and can_be_replayed:
            first, completed = sync, sync.parent_id
    if first and first.since and completed not in overwritten:  # what came before is as it was
        since = max(since, parse_timestamp(first.since))
    bookmark = min(state.bookmark, since) if state.bookmark else None
    pending = None if first is None or first.reads_changes else first.from_start
    return replace(state, bookmark=bookmark, completed=completed, pending=pending)


def _recover_missing(state: StreamState, history: History, start: SyncStart) -> StreamState:
    """Return the state of the sync that the user has chosen, or the empty one of a first sync."""
    choice, last = start.on_missing_state, history.completed
    ids = choice.removeprefix(RESUME).split(",") if choice.startswith(RESUME) else []
    if last and last.id in ids:
        start.logger.warning(
            "No state for %s: on_missing_state continues from the sync of %s. Rows are missing if "
            "the warehouse does not have its rows, or another pipeline uses this archive. Remove "
            "the setting after this run. [lost-state]",
            start.spec.name,
            last.bookmark,
        )
        filters = start.spec.filters_of(last.filters)
        bookmark = parse_timestamp(last.bookmark)
        return StreamState(bookmark, last.id, filters, StartDate.parse(last.start_date))
    syncs = history.syncs.values()
    parents = {archived.sync.parent_id for archived in syncs} - {""}
    if not (last or parents - {archived.sync.id for archived in syncs if 1 in archived.pages}):
        return state  # the first sync, or one that can be replayed, because no run confirmed it
    what = "a sync that continues from a complete one"
    if last:
        is_other = start.spec.filters_of(last.filters) != start.filters
        what = f"a complete sync of {last.bookmark}{' with other filters' if is_other else ''}"
    raise LostStateError(start.spec.name, what, _price(history, start), last.id if last else "")


class LostStateError(StateError):
    """There is no state, but the archive proves that there was one.

    Attributes:
        id: The sync to go on from, empty if there is none.
    """

    def __init__(self, stream: str, what: str, price: str, id_: str) -> None:
        self._stream, self._what, self._price, self.id = stream, what, price, id_
        super().__init__(self.with_ids([id_]))

    def with_ids(self, ids: Sequence[str]) -> str:
        """Return the message, with the ids of all streams: one setting decides for all."""
        resume = (
            f"to '{RESUME}{','.join(ids)}' if the warehouse still has the rows and no other "
            "pipeline uses this archive (only changes are billed), or "
        )
        alone = "" if self.id or not any(ids) else ", in a run of this stream alone,"
        return (
            f"No state for {self._stream}, but the archive records {self._what}. Nothing was "
            "billed. Restore the state. Or set on_missing_state, for this run only, "
            f"{resume if self.id else ''}to 'resync'{alone} if the warehouse is new or you run a "
            f"full refresh (--full-refresh) on purpose ({self._price}). [lost-state]"
        )


def describe_lost(
    errors: Sequence[StateError], choice: str, states: Sequence[StreamState]
) -> Iterator[str]:
    """Yield the messages of errors; those about a lost state with the one value for all streams.

    Args:
        errors: One for each stream that cannot be read.
        choice: The setting `on_missing_state`.
        states: Those of the other streams, some of which may continue from an id of the setting.
    """
    known = {state.completed for state in states}
    ids = [id_ for id_ in choice.removeprefix(RESUME).split(",") if id_ in known]
    ids += [error.id for error in errors if isinstance(error, LostStateError) and error.id]
    for error in errors:
        yield error.with_ids(ids) if isinstance(error, LostStateError) else f"{error}"


def check_resumed(choice: str, states: Sequence[StreamState]) -> None:
    """Raise StateError if `on_missing_state` names a sync, but no stream continues from any."""
    if choice.startswith(RESUME) and states and not any(state.has_begun for state in states):
        raise StateError(
            f"Setting 'on_missing_state' is {choice}, but there is no state, and the archive has "
            "no such sync. Nothing was billed. Remove the setting, or set it to 'resync' to read "
            "everything: each row is billed. [lost-state]"
        )


def _price(history: History, start: SyncStart) -> str:
    """Return what reading everything again costs, less what the archive holds of it."""
    last = history.completed
    if last is None or start.spec.filters_of(last.filters) != start.filters:
        return "each row is billed"
    reads_less = not start.start_date.covers(StartDate.parse(last.start_date))
    if reads_less or not last.full_sync_credits:
        return "each row is billed"
    sync = history.resume(start.new_sync(StreamState()), None, is_refresh=True)
    return f"at least {dollars(max(0, last.full_sync_credits - history.credits_of(sync)))}"
