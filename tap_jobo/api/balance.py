"""Moved to `tap_jobo.wording`."""

from tap_jobo.wording import CREDITS_PER_DOLLAR, dollars

__all__ = ["CREDITS_PER_DOLLAR", "dollars"]
