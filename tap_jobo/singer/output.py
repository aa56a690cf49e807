"""Standard output: writes that a signal can interrupt, even while the target does not read."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

with suppress(ImportError):  # Windows
    import fcntl
    import termios

from tap_jobo.errors import InterruptedRunError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL: Final = 200
"""Milliseconds between checks for a signal while a write is blocked."""
_PIPE_BUF: Final = getattr(select, "PIPE_BUF", 512)
"""Bytes that a pipe accepts atomically."""


class Output:
    """Standard output, flushed on every write.

    Attributes:
        check_blocked: Raises if the write must end; called with the time when the output last
            accepted data.
        check_signal: Raises if a signal arrived.
    """

    def __init__(self) -> None:
        self.check_blocked: Callable[[float], None] = lambda _: None
        self.check_signal: Callable[[], None] = lambda: None
        self._is_over = False

    def write(self, lines: bytes | bytearray) -> None:
        """Write lines; write nothing after a signal has interrupted a write, maybe within a line.

        Raises:
            OutputError: Standard output is closed, or its disk is full.
            InterruptedRunError: A signal arrived, and the output is blocked or closed.
        """
        if self._is_over:
            return
        if sys.stdout is None:
            raise OutputError("Standard output is closed: the tap's messages go there.")
        try:
            if (number := _pipe()) is None:
                _write_through(lines)
            else:
                self._write_to_pipe(number, lines)
        except InterruptedRunError:
            self._is_over = True
            raise
        except OSError as error:
            failure = _give_up(str(error.strerror))
            self.check_signal()  # Ctrl-C in a terminal ends the target too: that is the reason
            raise failure from error

    def _write_to_pipe(self, number: int, lines: bytes | bytearray) -> None:
        """Write as much at a time as a pipe accepts without blocking, whole lines if they fit.

        Raises:
            OSError: It cannot be written, or would block although it is non-blocking.
        """
        poll = select.poll()
        poll.register(number, select.POLLOUT)
        rest = memoryview(lines)
        since = time.monotonic()
        while rest:
            if not poll.poll(_POLL):
                if not os.get_blocking(number):
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                self.check_blocked(since)
                continue
            rest = rest[os.write(number, _whole_lines(rest[: _room(number)])) :]
            since = time.monotonic()


def _room(number: int) -> int:
    """Return how many bytes a pipe that can be written accepts without blocking.

    If it is empty, as with a reader that keeps up, that is all it holds; three quarters of it leave
    room for another process that writes to it, too. On Linux only, and not for a socket.
    """
    try:
        capacity = fcntl.fcntl(number, fcntl.F_GETPIPE_SZ)
        unread = fcntl.ioctl(number, termios.FIONREAD, bytes(4))
    except (AttributeError, OSError):
        return _PIPE_BUF
    return _PIPE_BUF if any(unread) else max(capacity * 3 // 4, _PIPE_BUF)


def _whole_lines(piece: memoryview) -> memoryview:
    end = bytes(piece).rfind(b"\n") + 1
    return piece[:end] if end else piece


def _pipe() -> int | None:
    """Return the file descriptor of standard output if it is a pipe or socket to poll."""
    try:
        number = sys.stdout.fileno()
        mode = os.fstat(number).st_mode
    except (OSError, ValueError):  # not a file at all
        return None
    is_pipe = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    return number if is_pipe and hasattr(select, "poll") else None


def _write_through(lines: bytes | bytearray) -> None:
    """Write everything, even if a signal cuts an unbuffered write short (PYTHONUNBUFFERED).

    Raises:
        OSError: It cannot be written, or would block although it is non-blocking.
    """
    rest = memoryview(lines)
    while rest:
        count = sys.stdout.buffer.write(rest)
        if count is None:  # nothing was written, and it is non-blocking
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        rest = rest[count:]
    sys.stdout.buffer.flush()


def has_reader() -> bool:
    """Whether the target is still reading. Where that cannot be checked, the next write fails."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        events = poll.poll(0)
    except (AttributeError, OSError, ValueError):
        return True
    return not any(event & (select.POLLERR | select.POLLNVAL) for _, event in events)


def check_reader() -> None:
    """Check, before a page is billed, that the target is still reading.

    Raises:
        OutputError: It is not.
    """
    if not has_reader():
        raise _give_up("the reading end is closed")


def _give_up(why: str) -> OutputError:
    # Buffered data would fail again when the interpreter flushes it at exit.
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return OutputError(
        f"Standard output cannot be written ({why}): the target exited, or its disk is full. See "
        "the target's log. The next run resumes from the last state that it emitted."
    )
