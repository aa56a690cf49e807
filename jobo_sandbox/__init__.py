"""A faithful stand-in for the Jobo API: for trying the tap without an account, and for tests."""

from jobo_sandbox.faults import Fault, Hold
from jobo_sandbox.ledger import Entry
from jobo_sandbox.limits import FEED_LIMITS, PROFILE_LIMITS
from jobo_sandbox.sandbox import Sandbox
from jobo_sandbox.world import World

__all__ = ["FEED_LIMITS", "PROFILE_LIMITS", "Entry", "Fault", "Hold", "Sandbox", "World"]
