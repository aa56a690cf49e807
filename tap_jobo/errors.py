"""The errors that we foresee: each is one sentence to the user, never a traceback."""

from __future__ import annotations


class TapJoboError(Exception):
    """Ends the run with one line and `exit_code`; it names what is at fault and what to do."""

    exit_code = 1


class ConfigError(TapJoboError):
    """A setting, or a file given on the command line, is not what it should be."""


class StateError(TapJoboError):
    """The state is not one that this tap can go on from."""


class JournalError(TapJoboError):
    """The journal is there and cannot be used, or another run holds its lock."""


class ClockError(TapJoboError):
    """The API's clock is not known, or too far from the local one to set a bookmark."""


class FormatError(TapJoboError):
    """The API's format has changed, so a page cannot be delivered; it stays in the journal."""


class OutputError(TapJoboError):
    """Standard output cannot be written: the target went away, or a disk is full."""


class ApiError(TapJoboError):
    """Jobo refused a request, or gave no usable answer."""


class CursorRejectedError(ApiError):
    """Jobo cannot continue the sync from this cursor (400 `Invalid cursor`, or its 409)."""


class RetriesExhaustedError(ApiError):
    """Jobo gave no answer, or one that means to try again later, at every try.

    Attributes:
        why: What happened, without what it means for the run.
    """

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}. Run again later: the next run resumes from here.")
        self.why = why


class NotFoundError(ApiError):
    """Jobo answered 404."""


class BudgetReachedError(TapJoboError):
    """The next request could cost more than `max_credits` leaves; the run stops cleanly."""


class InterruptedRunError(TapJoboError):
    """A signal asked the run to end; exit code 128 + signal number, as a shell gives it."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"Stopped by signal {signum}; the next run resumes from here.")
        self.exit_code = 128 + signum
