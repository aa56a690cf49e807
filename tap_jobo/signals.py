"""SIGTERM and SIGINT end a run in order: between two pages, never inside one."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tap_jobo.clock import Clock
from tap_jobo.errors import InterruptedRunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_GRACE: Final = 10.0
"""Seconds that a request in flight has left to be answered, since it may be paid for."""
_SLICE: Final = 0.2
"""Seconds after which a wait looks whether a signal came."""


class ShutdownSignal:
    """Notes a signal and raises `InterruptedRunError` where the run can end without loss.

    The handler only takes a note: a page whose rows are on their way goes out whole, with its
    state, and a wait ends at once. A request in flight is given 10 seconds, then the alarm
    breaks it off; so does a second signal. (Windows has no such alarm, there the request ends
    by its own timeout.)
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._signum: int | None = None
        self._in_flight = False

    def install(self) -> None:
        """Take the two signals over."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._note)
            signal.signal(signal.SIGTERM, self._note)
            if hasattr(signal, "SIGALRM"):
                signal.signal(signal.SIGALRM, self._break_off)

    def check(self) -> None:
        """Raise if a signal came.

        Raises:
            InterruptedRunError: A signal came.
        """
        if self._signum is not None:
            raise self._end(self._signum)

    def wait(self, seconds: float) -> None:
        """Wait, but not past a signal.

        Raises:
            InterruptedRunError: A signal came.
        """
        self.check()
        end = self._clock.monotonic() + seconds
        while (left := end - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left, _SLICE))
            self.check()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Hold while a request is in flight.

        Other threads than the main one send requests that cost nothing: nothing waits for them.

        Raises:
            InterruptedRunError: A signal came and the answer did not within the grace period.
        """
        if threading.current_thread() is not threading.main_thread():
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
            self._break_off(signum, _frame)
            return
        self._signum = signum
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
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return InterruptedRunError(signum)
