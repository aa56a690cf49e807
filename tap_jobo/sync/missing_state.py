"""A lost state: what to do if the journal knows of a complete sync and the state does not.

A new state backend, a renamed environment, or a full refresh pass no state. To read everything
again is then billed in full, so the user has to decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tap_jobo.clock import parse_timestamp
from tap_jobo.errors import StateError
from tap_jobo.sync.state import StreamState
from tap_jobo.wording import dollars

if TYPE_CHECKING:
    from tap_jobo.journal.contents import Completed
    from tap_jobo.journal.journal import Journal
    from tap_jobo.sync.start import SyncStart

RESUME: Final = "resume:"
"""How the value of `on_missing_state` starts that goes on from a sync; its ids follow."""


def recover_state(
    state: StreamState, journal: Journal, start: SyncStart, choice: str
) -> StreamState:
    """Return the state that a run starts from.

    Args:
        state: The state that the run was given.
        journal: The journal.
        start: What the settings request.
        choice: The setting `on_missing_state`.

    Raises:
        StateError: The state is missing, and the user has not decided what to do.
    """
    last = journal.completed
    if state.has_begun or not journal.is_on or start.is_full_table or choice == "resync":
        return state
    if choice.startswith(RESUME):
        if last is None or last.id not in choice.removeprefix(RESUME).split(","):
            raise _missing(start, last, journal, choice)
        start.logger.warning(
            "on_missing_state: the state of %s is missing, so the run goes on from the sync of %s. "
            "This is right only if the warehouse still has its rows, and if no other pipeline uses "
            "this journal. Remove the setting after this run.",
            start.spec.name,
            last.bookmark,
        )
        return StreamState(parse_timestamp(last.bookmark), last.id, start.filters)
    if last:
        raise _missing(start, last, journal, "")
    return state


def _missing(start: SyncStart, last: Completed | None, journal: Journal, choice: str) -> StateError:
    name = start.spec.name
    if last is None:
        return StateError(
            f"Setting 'on_missing_state' is {choice}, but the state of {name} is missing and the "
            "journal has no complete sync to go on from. Remove the setting, or set it to "
            "'resync': each row is then billed."
        )
    new = journal.resume(start.new_sync(StreamState()), None, is_refresh=True)
    cost = max(0, last.credits - journal.credits_of(new))
    price = f"about {dollars(cost)}" if last.credits else "each row is billed"
    ids = ",".join(filter(None, (choice.removeprefix(RESUME), last.id)))
    given = f" (and not what 'on_missing_state' says, {choice})" if choice else ""
    return StateError(
        f"The state of {name} is missing, but the journal knows of a complete sync of "
        f"{last.bookmark}{given}. Nothing was billed. If the state was lost, restore it. To read "
        f"everything again ({price}), run `TAP_JOBO_ON_MISSING_STATE=resync meltano run tap-jobo "
        "target-postgres`, with your target, and --full-refresh if you want one. If the warehouse "
        "still has the rows and no other pipeline uses this journal, set on_missing_state to "
        f"'{RESUME}{ids}' for one run: it goes on from that sync."
    )
