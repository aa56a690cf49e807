"""Expected errors: each is reported as a short message, never as a traceback."""

import logging
import re
import signal
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from tap_jobo.messages import message
from tap_jobo.wording import dollars, one_line

_CODE: Final = re.compile(r" \[[a-z-]+\]\Z")


class TapJoboError(Exception):
    """Ends the run with `exit_code` and messages: what is wrong, and what to do."""

    exit_code = 1
    level = logging.CRITICAL
    ends_run = True
    """Whether no other stream can be read; otherwise, the run goes on with the next stream."""

    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)
        #: each is a record of the log: one line, or `Lines`
        self.messages = [one_line(message) for message in messages]

    @property
    def fact(self) -> str:
        """What happened, without its code and the ways out."""
        return _CODE.sub("", self.messages[0].partition("\n")[0])

    @override
    def __str__(self) -> str:
        return "\n".join(self.messages)


NOT_BILLED: Final = "The request was not billed."
"""Of a request that failed. Others of the run may have been billed."""


class ConfigError(TapJoboError):
    """A setting, or a file given on the command line, is invalid."""


class StateError(TapJoboError):
    """The state cannot be used, or the user has to decide first."""


class ArchiveError(TapJoboError):
    """The archive exists but cannot be used, or another run holds its lock."""


class FormatError(TapJoboError):
    """A page cannot be delivered: its format is new, or its file damaged. It stays archived."""

    ends_run = False


class OutputError(TapJoboError):
    """Standard output cannot be written: the target exited, or a disk is full."""


class ApiError(TapJoboError):
    """Jobo refused a request, or returned no usable response."""

    ends_run = False
    may_be_billed = False
    """Whether the request may have been billed although it returned no page."""


class UnauthorizedError(ApiError):
    """Jobo returned 401: no other request would succeed with this key."""

    ends_run = True


@dataclass(eq=False)
class FailedTryError(ApiError):
    """A try returned no page, but another may."""

    message: str
    is_unreachable: bool = False  # the API has not received the request
    may_be_billed: bool = False
    charged: int = 0  # the credits that count for it
    retry_after: float | None = None  # seconds that the response asks to wait
    is_rate_limit: bool = False  # which holds back all workers

    def __post_init__(self) -> None:
        super().__init__(self.message)


class CutOffError(FailedTryError):
    """A response took too long, or is too large. The text is a sentence without its period."""

    def __init__(self, why: str = "Jobo's response took too long") -> None:
        super().__init__(why, may_be_billed=True)


class RetriesExhaustedError(ApiError):
    """Every try got no response, or one that asks to try again later; `why` has no advice."""

    def __init__(self, why: str, charged: int = 0, subject: str | None = None) -> None:
        bill = f"{dollars(charged)} may have been billed." if charged else NOT_BILLED
        known = {"subject": subject} if subject else {"later": "later"}
        super().__init__(message("api-unavailable", f"{why}. {bill}", **known))
        self.why = why


class UnreachableError(RetriesExhaustedError):
    """No request reached the API."""

    ends_run = True

    def __init__(self, why: str, subject: str = "api_url, the network, and the proxy") -> None:
        super().__init__(why, subject=subject)


class RejectedError(ApiError):
    """Jobo rejected a request with a 4xx that concerns neither key nor account."""

    def __init__(self, why: str, told: str, status: int, *, names_cursor: bool) -> None:
        super().__init__(told)
        self.why, self.status, self.names_cursor = why, status, names_cursor


class BudgetReachedError(TapJoboError):
    """The next request could cost more than `max_credits` leaves; the run stops cleanly."""


class LimitTooLowError(TapJoboError):
    """A limit is lower than the price of a page."""

    ends_run = False


class InterruptedRunError(TapJoboError):
    """A signal asked the run to end; the exit code is 128 + signal number, as in a shell."""

    level = logging.WARNING  # an end in order, as at a limit

    def __init__(self, signum: int) -> None:
        name = signal.Signals(signum).name
        super().__init__(f"Stopped by signal {signum} ({name}). The next run resumes from here.")
        self.exit_code = 128 + signum
