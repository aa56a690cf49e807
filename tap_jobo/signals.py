"""Graceful shutdown on SIGTERM, SIGINT, and SIGHUP: between two pages, never within one."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, TypeVar

from tap_jobo.clock import Clock
from tap_jobo.errors import CutOffError, InterruptedRunError

_REQUEST_GRACE: Final = 10.0  # seconds for a request in flight, since it may be billed
_POLL: Final = 0.2  # seconds between checks for a signal during a wait
_LATER: Final = 1.0  # seconds after which a request that bounds itself is ended from outside

_Result = TypeVar("_Result")


class ShutdownSignal:
    """Records a signal, and raises `InterruptedRunError` where the run can end without loss.

    That is where `raise_if_set` is called, or `wait`. Within `abort_after`, an alarm raises it. The
    same alarm is the deadline of a request. Further signals change nothing: after Ctrl-C, which
    reaches the tap as well, Meltano sends SIGTERM.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._signals: list[signal.Signals] = []  # that are handled
        self._received: int | None = None  # the signal that ends the run
        self._grace: float | None = None  # within `abort_after`, its seconds

    def install(self) -> None:
        """Install the signal handlers; SIGHUP only if it is not ignored, as under `nohup`."""
        if not _is_main_thread():
            return
        self._signals = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            self._signals.append(signal.SIGHUP)
        for signum in self._signals:
            signal.signal(signum, self._note)
        signal.signal(signal.SIGALRM, self._abort)

    def raise_if_set(self) -> None:
        """Raise `InterruptedRunError` if a signal arrived."""
        if self._received:
            raise self._end(self._received)

    def wait(self, seconds: float) -> None:
        """Wait until the time is up. Raises as `raise_if_set` does."""
        self.raise_if_set()
        end = self._clock.monotonic() + seconds
        while (left := end - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left, _POLL))
            self.raise_if_set()

    def request(self, send: Callable[[], _Result], seconds: float) -> _Result:
        """Return what a request returns that may take so many seconds.

        A request bounds itself, but not while a head arrives byte by byte.

        Raises:
            CutOffError: it takes longer.
            InterruptedRunError: a signal arrived before it, or 10 s ago.
        """
        if not (self._signals and _is_main_thread()):
            # The requests of threads are free, and no server sends a head byte by byte.
            self.raise_if_set()
            return send()
        with self.abort_after(_REQUEST_GRACE, seconds + _LATER):
            self.raise_if_set()
            return send()

    @contextmanager
    def abort_after(self, grace: float, seconds: float = 0) -> Iterator[None]:
        """Raise `InterruptedRunError` `grace` seconds after a signal or its start, if later.

        Without a signal, raise `CutOffError` after `seconds`; 0 is no deadline.
        """
        self._grace = grace
        try:
            self._set_alarm(seconds)  # first, or it would undo that of a signal that comes now
            if self._received:
                self._set_alarm(grace)
            yield
        finally:
            self._grace = None
            self._set_alarm(0)

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        if self._received is None:
            self._received = signum
            if self._grace is not None:
                self._set_alarm(self._grace)

    def _set_alarm(self, seconds: float) -> None:
        # It repeats: an alarm just before a socket is read would not interrupt the read.
        signal.setitimer(signal.ITIMER_REAL, seconds, 1)

    def _abort(self, *_: object) -> None:
        if self._grace is None:
            return
        self._grace = None
        self._set_alarm(0)
        raise self._end(self._received) if self._received else CutOffError()

    def _end(self, signum: int) -> InterruptedRunError:
        """Return the error that ends the run; another signal would only change its exit code."""
        if _is_main_thread():
            for number in self._signals:
                signal.signal(number, signal.SIG_IGN)
        return InterruptedRunError(signum)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
