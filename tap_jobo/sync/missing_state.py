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
    from tap_jobo.journal.journal import Journal
    from tap_jobo.sync.start import SyncStart

RESUME: Final = "resume:"
"""How the value of `on_missing_state` starts that goes on from a sync; its ids follow."""


def recover_state(
    state: StreamState, journal: Journal, start: SyncStart, choice: str
) -> StreamState:
    """Return the state that a run starts from.

    Raises:
        StateError: The state is missing, and the user has not decided what to do.
    """
    last, name = journal.completed, start.spec.name
    if state.has_begun or not journal.is_on or start.is_full_table or choice == "resync":
        return state
    ids = choice.removeprefix(RESUME).split(",") if choice.startswith(RESUME) else []
    if last is None:
        if not ids:
            return state
        raise StateError(
            f"Setting 'on_missing_state' is {choice}, but the state of {name} is missing and the "
            "journal has no complete sync to go on from. Nothing was billed. Remove the setting, "
            "or set it to 'resync' to be billed for each row."
        )
    if last.id in ids:
        start.logger.warning(
            "on_missing_state: the state of %s is missing, so the run goes on from the sync of %s. "
            "This is right only if the warehouse still has its rows, and if no other pipeline uses "
            "this journal. Remove the setting after this run.",
            name,
            last.bookmark,
        )
        return StreamState(parse_timestamp(last.bookmark), last.id, start.filters)
    new = journal.resume(start.new_sync(StreamState()), None, is_refresh=True)
    price = f"about {dollars(max(0, last.credits - journal.credits_of(new)))}"
    raise StateError(
        f"The state of {name} is missing, but the journal knows of a complete sync of "
        f"{last.bookmark}. Nothing was billed. If the state was lost, restore it. To read "
        f"everything again ({price if last.credits else 'each row is billed'}), run "
        "`TAP_JOBO_ON_MISSING_STATE=resync meltano run tap-jobo target-postgres`, with your "
        "target, and --full-refresh if you want one. If the warehouse still has the rows and no "
        "other pipeline uses this journal, set on_missing_state to "
        f"'{RESUME}{','.join([*ids, last.id])}' for one run: it goes on from that sync."
    )
