"""A mock API server for Jobo: try the tap without an account, and test it."""

from jobo_sandbox.faults import Fault, Hold
from jobo_sandbox.ledger import Entry
from jobo_sandbox.server import Sandbox
from jobo_sandbox.world import Order

__all__ = ["Entry", "Fault", "Hold", "Order", "Sandbox"]
