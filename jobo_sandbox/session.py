"""A sandbox that goes on where the last one in the same folder stopped."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from jobo_sandbox.faults import Fault
from jobo_sandbox.folder import Folder, State
from jobo_sandbox.limits import FEED_LIMITS, PROFILE_LIMITS
from jobo_sandbox.options import Options
from jobo_sandbox.sandbox import Sandbox


class RefusalError(Exception):
    """What was asked for cannot be had; the sentence says why."""


@contextmanager
def opened(folder: Folder, state: State, options: Options) -> Iterator[Sandbox]:
    """Run the sandbox within a `with` block, and keep in the folder what outlives it.

    Raises:
        RefusalError: If the world is another one than asked for, or the port is taken.
    """
    sandbox = _make(state, options)
    _start(sandbox, fixed=options.port is not None)
    try:
        state.api_port = sandbox.port
        folder.save(state)  # should this run be killed, the next one still knows its cursors
        yield sandbox
    finally:
        sandbox.close()
        state.changes = sandbox.world.changes
        state.secret = sandbox.secret.hex()
        state.balance = sandbox.balance
        state.requests += len(sandbox.ledger)
        state.rows += sandbox.rows_billed
        state.credits += sandbox.credits_billed
        folder.save(state)


def world_of(state: State | None, options: Options) -> State:
    """The state to go on from: the last one, or a new one as the options say.

    Raises:
        RefusalError: If the last one's world is another one than asked for.
    """
    if state is None:
        state = State()
        state.size = state.size if options.size is None else options.size
        state.seed = state.seed if options.seed is None else options.seed
    if options.size not in {None, state.size} or options.seed not in {None, state.seed}:
        raise RefusalError(
            f"The world here has size {state.size} and seed {state.seed}; --reset makes another."
        )
    return state


def _make(state: State, options: Options) -> Sandbox:
    sandbox = Sandbox(
        size=state.size,
        seed=state.seed,
        life=True,
        created_at=datetime.fromisoformat(state.created_at),
        changes=state.changes,
        secret=bytes.fromhex(state.secret),
        rows_with_updated_at=options.updated_at,
        balance=state.balance if options.balance is None else options.balance,
        latency=options.latency,
        clock_offset=options.clock_offset,
        port=state.api_port if options.port is None else options.port,
    )
    if options.rate_limits:
        sandbox.rate_limits, sandbox.profile_rate_limits = FEED_LIMITS, PROFILE_LIMITS
    for number, code in options.status:
        sandbox.faults.add(Fault(status=code), on=number)
    return sandbox


def _start(sandbox: Sandbox, *, fixed: bool) -> None:
    try:
        sandbox.__enter__()
    except OSError as error:
        if fixed:
            raise RefusalError(f"Port {sandbox.port} is taken.") from error
        sandbox.port = 0
        sandbox.__enter__()
