"""A mock API server for Jobo: try the tap without an account, and test it."""

from jobo_sandbox.core import Core
from jobo_sandbox.faults import Fault, Hold
from jobo_sandbox.ledger import Entry
from jobo_sandbox.limits import BURST_LIMITS, FEED_LIMITS, PROFILE_LIMITS, Limits
from jobo_sandbox.pricing import JobsPlan
from jobo_sandbox.server import Sandbox
from jobo_sandbox.wire import Shape
from jobo_sandbox.world import Order, World

__all__ = [
    "BURST_LIMITS",
    "FEED_LIMITS",
    "PROFILE_LIMITS",
    "Core",
    "Entry",
    "Fault",
    "Hold",
    "JobsPlan",
    "Limits",
    "Order",
    "Sandbox",
    "Shape",
    "World",
]
