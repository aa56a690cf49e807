"""Graceful shutdown on SIGTERM, SIGINT, and SIGHUP: between two pages, never within one."""

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
"""Seconds that a request in flight may still take, since it may be billed."""
_OUTPUT_GRACE: Final = 5.0
"""Seconds that the reader of our output has to read more."""
_ECHO: Final = 1.0
"""Seconds within which another signal is the same wish: after Ctrl-C in a terminal, which reaches
the tap as well, Meltano sends SIGTERM, and that must not waste a page that was billed."""
_SLICE: Final = 0.2
"""Seconds between checks for a signal during a wait."""
_READER_CHECK: Final = 4.0
"""Seconds between checks for the reader of our output while a request is in flight."""


class ShutdownSignal:
    """Records a signal and raises `InterruptedRunError` where the run can end without loss.

    The handler only records the signal: a page that is being written is completed, with its
    state, and a wait ends immediately. A request in flight has 10 seconds before an alarm aborts
    it; a blocked reader has 5. Another signal, a second later, ends both immediately. (Windows has
    no such alarm: there, the request ends by its own timeout.)

    A reader that goes away ends the run in the same places, and a request in flight as a signal
    does: after 10 seconds, so that an answer that was billed still reaches the journal.

    Args:
        clock: The clock of the waits.
        has_reader: Whether the tap's output still has a reader.
        check_reader: Raises if it has none; called wherever the main thread checks for a signal.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        has_reader: Callable[[], bool] = lambda: True,
        check_reader: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock or Clock()
        self._has_reader = has_reader
        self._check_reader = check_reader
        self._signum: int | None = None
        self._noted_at = 0.0
        self._is_urgent = False
        self._in_flight = False
        self._has_alarm = False
        self._is_reader_gone = False

    def install(self) -> None:
        """Install the signal handlers; SIGHUP only if it is not ignored, as under `nohup`."""
        if not _is_main_thread():
            return
        for signum in _numbers():
            signal.signal(signum, self._note)
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, self._on_alarm)
            self._has_alarm = True

    def check(self) -> None:
        """Raise if the run must not continue.

        Raises:
            InterruptedRunError: A signal arrived.
            OutputError: The output no longer has a reader.
        """
        if self._signum is not None:
            raise self._end(self._signum)
        if _is_main_thread():  # an error in another thread would surface only later
            self._check_reader()

    def check_blocked(self, since: float) -> None:
        """Raise if a signal arrived and standard output has been blocked for too long.

        Args:
            since: When it last accepted data, in monotonic seconds.

        Raises:
            InterruptedRunError: Both are true.
        """
        if self._signum is None:
            return
        blocked = self._clock.monotonic() - max(since, self._noted_at)
        if self._is_urgent or blocked >= _OUTPUT_GRACE:
            raise self._end(self._signum)

    def wait(self, seconds: float) -> None:
        """Wait until the time is up or a signal arrives.

        Raises:
            InterruptedRunError: A signal arrived.
            OutputError: The output no longer has a reader.
        """
        self.check()
        end = self._clock.monotonic() + seconds
        while (left := end - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left, _SLICE))
            self.check()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Mark a request as in flight.

        Threads other than the main one send only free requests: nothing waits for them.

        Raises:
            InterruptedRunError: A signal arrived, and no response within the grace period.
            OutputError: The output no longer has a reader, and likewise.
        """
        if not _is_main_thread():
            self.check()
            yield
            return
        self._in_flight = True
        try:
            self.check()
            if self._signum is None:
                self._set_alarm(_READER_CHECK, _READER_CHECK)
            yield
        finally:
            self._in_flight = False
            self._set_alarm(0, 0)

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        if self._signum is not None:
            if self._clock.monotonic() - self._noted_at >= _ECHO:
                self._is_urgent = True
                self._break_off()
            return
        self._signum = signum
        self._noted_at = self._clock.monotonic()
        if self._in_flight:
            self._start_grace()

    def _on_alarm(self, _signum: int, _frame: FrameType | None) -> None:
        if self._signum is not None or self._is_reader_gone:
            self._break_off()
        elif self._in_flight and not self._has_reader():
            self._is_reader_gone = True
            self._start_grace()

    def _start_grace(self) -> None:
        # Repeat every second: an alarm that fires just before the socket is read would not
        # interrupt the read.
        self._set_alarm(_GRACE, 1)

    def _set_alarm(self, seconds: float, interval: float) -> None:
        if self._has_alarm:
            signal.setitimer(signal.ITIMER_REAL, seconds, interval)

    def _break_off(self) -> None:
        if not self._in_flight:
            return
        self._in_flight = False
        if self._signum is not None:
            raise self._end(self._signum)
        self._check_reader()

    @staticmethod
    def _end(signum: int) -> InterruptedRunError:
        """Return the error that ends the run; another signal would only change its exit code."""
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
