"""SIGTERM, SIGINT and SIGHUP end a run in order: between two pages, never inside one."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tap_jobo.clock import Clock
from tap_jobo.errors import InterruptedRunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_GRACE: Final = 10.0
"""Seconds that a request in flight has left to be answered, since it may be billed."""
_OUTPUT_GRACE: Final = 5.0
"""Seconds that a reader of our output has left to read on."""
_SLICE: Final = 0.2
"""Seconds after which a wait looks whether a signal came."""


class ShutdownSignal:
    """Notes a signal and raises `InterruptedRunError` where the run can end without loss.

    The handler only takes a note: a page whose rows are on their way goes out whole, with its
    state, and a wait ends at once. A request in flight is given 10 seconds, then the alarm
    breaks it off; a reader that does not read on is given 5. A second signal ends both at once.
    (Windows has no such alarm, there the request ends by its own timeout.)

    Args:
        clock: The clock of the waits.
        check_reader: Raises if nobody reads the tap's output any more; called wherever the main
            thread looks for a signal.
    """

    def __init__(
        self, clock: Clock | None = None, *, check_reader: Callable[[], None] = lambda: None
    ) -> None:
        self._clock = clock or Clock()
        self._check_reader = check_reader
        self._signum: int | None = None
        self._noted_at = 0.0
        self._is_urgent = False
        self._in_flight = False

    def install(self) -> None:
        """Take the signals over; SIGHUP only where it is not ignored, as `nohup` does."""
        if not _is_main_thread():
            return
        for signum in _numbers():
            signal.signal(signum, self._note)
        if hasattr(signal, "SIGALRM"):
            signal.signal(signal.SIGALRM, self._break_off)

    def check(self) -> None:
        """Raise if the run must not go on.

        Raises:
            InterruptedRunError: A signal came.
            OutputError: Nobody reads the output any more.
        """
        if self._signum is not None:
            raise self._end(self._signum)
        if _is_main_thread():  # in any other nobody would see the error at once
            self._check_reader()

    def check_blocked(self, since: float) -> None:
        """Raise if a signal came and standard output has been blocked for too long since.

        Args:
            since: When it last took something, in monotonic seconds.

        Raises:
            InterruptedRunError: It has.
        """
        if self._signum is None:
            return
        blocked = self._clock.monotonic() - max(since, self._noted_at)
        if self._is_urgent or blocked >= _OUTPUT_GRACE:
            raise self._end(self._signum)

    def wait(self, seconds: float) -> None:
        """Wait, but not past a signal.

        Raises:
            InterruptedRunError: A signal came.
            OutputError: Nobody reads the output any more.
        """
        self.check()
        end = self._clock.monotonic() + seconds
        while (left := end - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left, _SLICE))
            self.check()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Hold while a request is in flight.

        Other threads than the main one send requests that are free: nothing waits for them.

        Raises:
            InterruptedRunError: A signal came and the answer did not within the grace period.
        """
        if not _is_main_thread():
            self.check()
            yield
            return
        self._in_flight = True
        try:
            self.check()
            yield
        finally:
            self._in_flight = False
            if self._signum is not None and hasattr(signal, "setitimer"):
                signal.setitimer(signal.ITIMER_REAL, 0)

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        if self._signum is not None:
            self._is_urgent = True
            self._break_off(signum, _frame)
            return
        self._signum = signum
        self._noted_at = self._clock.monotonic()
        if self._in_flight and hasattr(signal, "setitimer"):
            # Again every second after that: an alarm that comes just before the socket is read
            # would not wake it.
            signal.setitimer(signal.ITIMER_REAL, _GRACE, 1)

    def _break_off(self, _signum: int, _frame: FrameType | None) -> None:
        if self._in_flight and self._signum is not None:
            self._in_flight = False
            raise self._end(self._signum)

    @staticmethod
    def _end(signum: int) -> InterruptedRunError:
        """Return the error that ends the run; a further signal would only spoil its exit code."""
        if _is_main_thread():
            for number in _numbers():
                signal.signal(number, signal.SIG_IGN)
        return InterruptedRunError(signum)


def _numbers() -> list[int]:
    """Return the signals that end a run."""
    numbers: list[int] = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
