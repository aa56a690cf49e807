"""The outcomes of a check, and what the tap does about a difference."""

from typing import Final

HANDLED, WARNED, CHANGE = "handled", "handled with a warning", "needs a change"
"""What the tap does about a difference: it works; it works, warns, and its limits hold; or its
run ends with exit code 1, its limits do not hold, or its rows are wrong without a warning."""
WORST: Final = (CHANGE, WARNED, HANDLED)


class Differs(Exception):  # noqa: N818 - an outcome, not an error
    """The API does something else than expected: what came, and what the tap does about it."""

    def __init__(self, came: str, tap_does: str = "") -> None:
        super().__init__(came)
        self.tap_does = tap_does


class NotTestable(Exception):  # noqa: N818 - an outcome, not an error
    """The assumption cannot be tested against this API. The message says why."""


class CutOff(NotTestable):
    """The assumption could be tested, but this run must not send another request."""


def expect(condition: object, came: str, tap_does: str = "") -> None:
    """Raise `Differs` with what came, unless the condition holds."""
    if not condition:
        raise Differs(came, tap_does)
